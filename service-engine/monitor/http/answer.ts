/** Reads as much of an HTTP/1 answer as a health monitor needs. Whatever a server sends, the work is bounded. */
import { MAX_BODY_BYTES, MAX_HEAD_BYTES } from '../probe.ts'

export type Answer =
  | { readonly is: 'incomplete' }
  | { readonly is: 'malformed'; readonly reason: string }
  | {
      readonly is: 'answer'
      readonly status: number
      /** The first 2 kB of the content, chunks already joined. */
      readonly body: string
      /** Nothing more of the content will come or is wanted. */
      readonly isWhole: boolean
    }

const statusLine = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?$/

/** Reads chunks (RFC 9112 §7.1) up to the bound; what does not parse ends the content. */
function joinChunks(text: string): { readonly body: string; readonly isWhole: boolean } {
  let body = ''
  let at = 0
  while (body.length < MAX_BODY_BYTES) {
    const end = text.indexOf('\r\n', at)
    if (end < 0) return { body, isWhole: text.length - at > 64 }
    const size = /^([0-9a-f]{1,8})(?:[ \t]*;.*)?$/i.exec(text.slice(at, end))
    if (size === null) return { body, isWhole: true }
    const length = Number.parseInt(size[1]!, 16)
    if (length === 0) return { body, isWhole: true }
    body += text.slice(end + 2, end + 2 + length)
    at = end + 2 + length + 2
    if (at > text.length && body.length < MAX_BODY_BYTES) return { body, isWhole: false }
  }
  return { body: body.slice(0, MAX_BODY_BYTES), isWhole: true }
}

/**
 * Parses the answer from its first byte on. Interim answers (1xx, RFC 9110 §15.2) are passed over unless one is what the
 * monitor waits for.
 *
 * Shapes  text: latin1, at most MAX_HEAD_BYTES + MAX_BODY_BYTES are looked at
 *         isEnd: the connection is closed, nothing follows
 * Cost    O(length)
 */
export function parseAnswer(text: string, isEnd: boolean, isInterimWanted: (status: number) => boolean): Answer {
  let at = 0
  for (;;) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end < 0 || end > MAX_HEAD_BYTES) {
      if (end > MAX_HEAD_BYTES || text.length - at > MAX_HEAD_BYTES) return { is: 'malformed', reason: 'its head is too large' }
      const first = text.slice(at, at + 5)
      if (first !== 'HTTP/'.slice(0, first.length)) return { is: 'malformed', reason: 'it is not HTTP' }
      if (isEnd) return { is: 'malformed', reason: text === '' ? 'it is empty' : 'its head is cut off' }
      return { is: 'incomplete' }
    }
    const [line = '', ...fields] = text.slice(at, end).split('\r\n')
    const match = statusLine.exec(line)
    if (match === null) return { is: 'malformed', reason: 'its status line is not HTTP/1' }
    const status = Number(match[1])
    if (status < 200 && status !== 101 && !isInterimWanted(status)) {
      at = end + 4
      continue
    }
    const content = text.slice(end + 4)
    const field = (name: string): string | undefined =>
      fields
        .find(row => row.toLowerCase().startsWith(`${name}:`))
        ?.slice(name.length + 1)
        .trim()
    if (status < 200 || status === 204 || status === 304) return { is: 'answer', status, body: '', isWhole: true }
    if (field('transfer-encoding')?.toLowerCase() === 'chunked') {
      const joined = joinChunks(content)
      return { is: 'answer', status, body: joined.body, isWhole: isEnd || joined.isWhole }
    }
    const length = field('content-length')
    const wanted = length !== undefined && /^\d{1,15}$/.test(length) ? Math.min(Number(length), MAX_BODY_BYTES) : MAX_BODY_BYTES
    return { is: 'answer', status, body: content.slice(0, wanted), isWhole: isEnd || content.length >= wanted }
  }
}
