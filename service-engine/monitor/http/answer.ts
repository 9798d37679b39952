/** Reads as much of an HTTP/1 answer as a health monitor needs. Whatever a server sends, the work is bounded. */
import { MAX_BODY_BYTES, MAX_HEAD_BYTES } from '../probe.ts'

export type Answer =
  | { readonly is: 'incomplete' }
  | { readonly is: 'malformed'; readonly reason: string }
  | {
      readonly is: 'answer'
      readonly status: number
      /** The first part of the content, chunks already joined. */
      readonly body: string
      /** Nothing more of the content will come or is wanted. */
      readonly isWhole: boolean
      /** Its header, one field a line; names as they came. */
      readonly fields: readonly string[]
    }

/** A field's first value without the spaces around it; undefined when it is not there. */
export function fieldOf(fields: readonly string[], lowerCaseName: string): string | undefined {
  return fields
    .find(row => row.toLowerCase().startsWith(`${lowerCaseName}:`))
    ?.slice(lowerCaseName.length + 1)
    .trim()
}

const statusLine = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?$/

/** Reads chunks (RFC 9112 §7.1) up to the bound; what does not parse ends the content. */
function joinChunks(text: string, maxBytes: number): { readonly body: string; readonly isWhole: boolean } {
  let body = ''
  let at = 0
  while (body.length < maxBytes) {
    const end = text.indexOf('\r\n', at)
    if (end < 0) return { body, isWhole: text.length - at > 64 }
    const size = /^([0-9a-f]{1,8})(?:[ \t]*;.*)?$/i.exec(text.slice(at, end))
    if (size === null) return { body, isWhole: true }
    const length = Number.parseInt(size[1]!, 16)
    if (length === 0) return { body, isWhole: true }
    body += text.slice(end + 2, end + 2 + length)
    at = end + 2 + length + 2
    if (at > text.length && body.length < maxBytes) return { body, isWhole: false }
  }
  return { body: body.slice(0, maxBytes), isWhole: true }
}

/**
 * Parses the answer from its first byte on. Interim answers (1xx, RFC 9110 §15.2) are passed over unless one is what the
 * monitor waits for.
 *
 * Shapes  text: latin1, at most MAX_HEAD_BYTES + MAX_BODY_BYTES are looked at
 *         isEnd: the connection is closed, nothing follows
 *         maxBodyBytes: of the content; the rest is not looked at
 * Cost    O(length)
 */
export function parseAnswer(
  text: string,
  isEnd: boolean,
  isInterimWanted: (status: number) => boolean,
  maxBodyBytes = MAX_BODY_BYTES
): Answer {
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
    if (status < 200 || status === 204 || status === 304) return { is: 'answer', status, body: '', isWhole: true, fields }
    if (fieldOf(fields, 'transfer-encoding')?.toLowerCase() === 'chunked') {
      const joined = joinChunks(content, maxBodyBytes)
      return { is: 'answer', status, body: joined.body, isWhole: isEnd || joined.isWhole, fields }
    }
    const length = fieldOf(fields, 'content-length')
    const wanted = length !== undefined && /^\d{1,15}$/.test(length) ? Math.min(Number(length), maxBodyBytes) : maxBodyBytes
    return { is: 'answer', status, body: content.slice(0, wanted), isWhole: isEnd || content.length >= wanted, fields }
  }
}
