/**
 * A server in a thread of its own, at byte level so that it costs little: a GET is answered at once, `/bytes/N` by so many bytes
 * made on the fly, `/never` not at all, a body is read to its end first; WebSockets are echoed. Counts in shared memory.
 */
import { createHash } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { once } from 'node:events'
import type { Test } from 'tap'

export interface SlowServer {
  readonly port: number
  readonly openConnections: () => number
  readonly requests: () => number
  /** Bytes of such answers that the kernel has taken. */
  readonly bulkBytes: () => number
  /** How long connections stayed open from when they last took any of the bytes that they asked for. */
  readonly bulkTimes: () => { readonly shortestMs: number; readonly longestMs: number }
}

const OPEN = 0
const REQUESTS = 1
const SHORTEST = 2
const LONGEST = 3
/** Of 64 kB. */
const PIECES = 4

export async function openSlowServer(t: Pick<Test, 'teardown'>): Promise<SlowServer> {
  const counts = new Int32Array(new SharedArrayBuffer(20))
  const thread = new Worker(new URL(import.meta.url), { workerData: { slowServer: counts } })
  t.teardown(() => thread.terminate())
  const [port] = (await once(thread, 'message')) as [number]
  return {
    port,
    openConnections: () => Atomics.load(counts, OPEN),
    requests: () => Atomics.load(counts, REQUESTS),
    bulkBytes: () => Atomics.load(counts, PIECES) * piece.length,
    bulkTimes: () => ({ shortestMs: Atomics.load(counts, SHORTEST), longestMs: Atomics.load(counts, LONGEST) })
  }
}

const piece = Buffer.alloc(65_536, 'x')

function serve(socket: Socket, counts: Int32Array): void {
  let seen = ''
  let left = 0
  const sendBytes = (total: number): void => {
    let rest = total
    const more = (): void => {
      while (rest > 0 && !socket.destroyed) {
        const size = Math.min(rest, piece.length)
        rest -= size
        const isTaken = socket.write(size === piece.length ? piece : piece.subarray(0, size), () => Atomics.add(counts, PIECES, 1))
        if (!isTaken) return void socket.once('drain', more)
      }
    }
    const movedMs = performance.now()
    socket.once('close', () => {
      const tookMs = Math.round(performance.now() - movedMs)
      const shortestMs = Atomics.load(counts, SHORTEST)
      Atomics.store(counts, SHORTEST, shortestMs === 0 ? tookMs : Math.min(shortestMs, tookMs))
      Atomics.store(counts, LONGEST, Math.max(Atomics.load(counts, LONGEST), tookMs))
    })
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
    more()
  }
  const take = (chunk: Buffer): void => {
    if (left > 0) {
      left -= chunk.length
      if (left <= 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      return
    }
    seen += chunk.toString('latin1')
    const end = seen.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = seen.slice(0, end)
    const body = seen.length - end - 4
    seen = ''
    Atomics.add(counts, REQUESTS, 1)
    const path = head.split(' ', 2)[1] ?? '/'
    const key = /sec-websocket-key: (\S+)/i.exec(head)?.[1]
    if (key !== undefined) {
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
      )
      // What comes goes back: frames of a client are masked, and whoever asked here reads bytes.
      socket.removeListener('data', take)
      return void socket.pipe(socket)
    }
    if (path === '/never') return
    if (path.startsWith('/bytes/')) return sendBytes(Number(path.slice(7)))
    left = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0) - body
    if (left <= 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  }
  Atomics.add(counts, OPEN, 1)
  socket
    .setNoDelay(true)
    .on('data', take)
    .on('error', () => undefined)
    .on('close', () => Atomics.sub(counts, OPEN, 1))
}

const given = workerData as { readonly slowServer?: Int32Array } | null
if (!isMainThread && given?.slowServer !== undefined) {
  const counts = given.slowServer
  const server = createServer(socket => serve(socket, counts)).listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () =>
    parentPort?.postMessage((server.address() as AddressInfo).port)
  )
}
