/** A server that is bytes only, reads what a strict sender may send and nothing else, and keeps all of it. */
import type { Socket } from 'node:net'
import type { Test } from 'tap'
import { openTcpServer } from './data-plane.ts'

export interface RecordingServer {
  readonly port: number
  /** Whole requests: the head as it came, the body without framing, trailers. */
  readonly requests: string[]
  /** What is no request that may be sent. */
  readonly broken: string[]
  /** Bytes of heads and bodies that are not whole, of connections that ended. */
  readonly partial: string[]
  readonly connections: () => number
  /** Bytes that came, over all connections. */
  readonly bytes: () => number
}

const soundHead = /^[!-~]+ (?:\/[!-~]*|\*) HTTP\/1\.1\r\n(?:[!#-'*+.^-z|~0-9A-Z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)+\r\n$/

interface Reading {
  readonly text: string
  readonly rest: string
}

/** One request off the text; undefined when it is not whole; a string when it is none. */
function read(text: string): Reading | string | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = text.slice(0, end + 4)
  if (!soundHead.test(head)) return `head: ${head}`
  const rest = text.slice(end + 4)
  const lengths = [...head.matchAll(/^content-length: (.*)\r$/gim)]
  const codings = [...head.matchAll(/^transfer-encoding: (.*)\r$/gim)]
  if (lengths.length + codings.length > 1) return `framing: ${head}`
  if (codings.length === 1) return codings[0]![1] === 'chunked' ? readChunks(head, rest) : `coding: ${head}`
  const length = Number(lengths[0]?.[1] ?? 0)
  if (!Number.isSafeInteger(length)) return `length: ${head}`
  return rest.length < length ? undefined : { text: head + rest.slice(0, length), rest: rest.slice(length) }
}

function readChunks(head: string, bytes: string): Reading | string | undefined {
  let body = ''
  let rest = bytes
  for (;;) {
    const line = rest.indexOf('\r\n')
    if (line < 0) return /^[0-9a-f]*\r?$/.test(rest) ? undefined : `chunk: ${rest}`
    if (!/^[0-9a-f]+$/.test(rest.slice(0, line))) return `chunk: ${rest}`
    const size = Number.parseInt(rest.slice(0, line), 16)
    if (size === 0) break
    if (rest.length < line + 2 + size + 2) return undefined
    body += rest.slice(line + 2, line + 2 + size)
    if (rest.slice(line + 2 + size, line + 4 + size) !== '\r\n') return `chunk end: ${rest}`
    rest = rest.slice(line + 4 + size)
  }
  const section = rest.slice(rest.indexOf('\r\n') + 2)
  if (section.startsWith('\r\n')) return { text: head + body, rest: section.slice(2) }
  const end = section.indexOf('\r\n\r\n')
  return end < 0 ? undefined : { text: head + body + section.slice(0, end + 2), rest: section.slice(end + 4) }
}

/** Answers each request by its first line. */
export async function openRecordingServer(t: Pick<Test, 'teardown'>): Promise<RecordingServer> {
  const requests: string[] = []
  const broken: string[] = []
  const partial: string[] = []
  let connections = 0
  let bytes = 0
  const serve = (socket: Socket): void => {
    connections++
    let text = ''
    socket.on('close', () => {
      if (text !== '') partial.push(text)
    })
    socket.on('data', chunk => {
      bytes += chunk.length
      text += chunk.toString('latin1')
      for (let next = read(text); next !== undefined; next = read(text)) {
        if (typeof next === 'string') {
          broken.push(next)
          return void socket.destroy()
        }
        text = next.rest
        requests.push(next.text)
        const answer = `<${next.text.slice(0, next.text.indexOf(' HTTP/'))}>`
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${answer.length}\r\n\r\n${next.text.startsWith('HEAD ') ? '' : answer}`, 'latin1')
      }
    })
  }
  const { port } = await openTcpServer(t, serve)
  return { port, requests, broken, partial, connections: () => connections, bytes: () => bytes }
}
