/**
 * The load that wrk and h2load cannot make, as a process of its own: `node client.ts '<order as JSON>'`. Prints one line of
 * JSON. `idle` prints it once the connections are held, and holds them until its standard input ends.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { SMALL_BODY, WEBSOCKET_ANSWER, WEBSOCKET_SENT } from './case.ts'

export type ClientOrder = { readonly host: string; readonly port: number; readonly seconds: number } & (
  | { readonly by: 'handshakes'; readonly isResumed: boolean; readonly lanes: number; readonly serverName: string }
  | { readonly by: 'websocket'; readonly connections: number }
  | { readonly by: 'idle'; readonly connections: number }
)

export interface ClientResult {
  readonly units: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** What went wrong, by kind. */
  readonly errors: Readonly<Record<string, number>>
}

/** Beyond it a load that only fails stops: it would measure nothing. */
const MAX_ERRORS = 200
const ANSWER_DEADLINE_MS = 10_000

class Book {
  readonly #startMs = performance.now()
  readonly #latencies: number[] = []
  readonly #errors: Record<string, number> = {}
  #errorCount = 0

  get isHopeless(): boolean {
    return this.#errorCount > MAX_ERRORS
  }

  add(latencyMs: number): void {
    this.#latencies.push(latencyMs)
  }

  failed(kind: string): void {
    this.#errors[kind] = (this.#errors[kind] ?? 0) + 1
    this.#errorCount++
  }

  result(): ClientResult {
    const seconds = (performance.now() - this.#startMs) / 1_000
    const sorted = Float64Array.from(this.#latencies).toSorted()
    const at = (ratio: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0
    return { units: sorted.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), errors: this.#errors }
  }
}

const kindOf = (error: Error): string => ('code' in error ? String(error.code) : error.message)

/**
 * One connection: handshake, end of both sides. Answers the session that the server gave, if it did; without a book it is
 * not counted and waits for the session, which comes after the handshake (RFC 8446 §4.6.1).
 */
function handshake(
  order: Extract<ClientOrder, { by: 'handshakes' }>,
  session: Buffer | undefined,
  book: Book | null
): Promise<Buffer | undefined> {
  return new Promise(resolve => {
    const startMs = performance.now()
    let given: Buffer | undefined
    const { host, port, serverName: servername } = order
    const socket = connectTls({
      host,
      port,
      servername,
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
      ...(session ? { session } : {})
    })
    socket.setTimeout(ANSWER_DEADLINE_MS, () => socket.destroy(new Error('no end within 10 s')))
    socket.on('session', next => {
      given = next
      if (book === null) socket.end()
    })
    socket.on('secureConnect', () => {
      if (book === null) return
      if (socket.isSessionReused() === (session !== undefined)) book.add(performance.now() - startMs)
      else book.failed(session === undefined ? 'resumed' : 'not resumed')
      socket.end()
    })
    socket.on('data', () => undefined)
    socket.on('error', error => book?.failed(kindOf(error)))
    socket.on('close', () => resolve(given))
  })
}

async function runHandshakes(order: Extract<ClientOrder, { by: 'handshakes' }>): Promise<ClientResult> {
  let session = order.isResumed ? await handshake(order, undefined, null) : undefined
  const book = new Book()
  if (order.isResumed && session === undefined) book.failed('no session was given')
  const endMs = performance.now() + order.seconds * 1_000
  const lane = async (): Promise<void> => {
    while (performance.now() < endMs && !book.isHopeless) {
      const next = await handshake(order, session, book)
      if (order.isResumed && next !== undefined) session = next
    }
  }
  await Promise.all(Array.from({ length: order.lanes }, lane))
  return book.result()
}

/** A connection that sends the next message when the answer to the last is whole. */
function talk(order: Extract<ClientOrder, { by: 'websocket' }>, book: Book, isOver: () => boolean): Promise<void> {
  return new Promise(resolve => {
    const socket = connect({ host: order.host, port: order.port, noDelay: true })
    let head = ''
    let isOpen = false
    let bytes = 0
    let sentMs = 0
    const send = (): void => {
      if (isOver()) return void socket.destroy()
      sentMs = performance.now()
      socket.write(WEBSOCKET_SENT)
    }
    const count = (length: number): void => {
      bytes += length
      if (bytes < WEBSOCKET_ANSWER.length) return
      bytes -= WEBSOCKET_ANSWER.length
      book.add(performance.now() - sentMs)
      send()
    }
    socket.setTimeout(ANSWER_DEADLINE_MS, () => socket.destroy(new Error('no answer within 10 s')))
    socket.on('connect', () =>
      socket.write(
        'GET /echo HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
      )
    )
    socket.on('data', (chunk: Buffer) => {
      if (isOpen) return count(chunk.length)
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 101')) return void socket.destroy(new Error(head.slice(0, 12)))
      isOpen = true
      send()
      if (head.length > end + 4) count(head.length - end - 4)
    })
    socket.on('error', error => book.failed(kindOf(error)))
    socket.on('close', () => {
      if (!isOver()) book.failed('closed')
      resolve()
    })
  })
}

async function runWebsocket(order: Extract<ClientOrder, { by: 'websocket' }>): Promise<ClientResult> {
  const book = new Book()
  const endMs = performance.now() + order.seconds * 1_000
  await Promise.all(Array.from({ length: order.connections }, () => talk(order, book, () => performance.now() >= endMs)))
  return book.result()
}

const CONNECTS_AT_ONCE = 64

/** A connection with one request behind it, left open. */
function hold(order: ClientOrder, book: Book): Promise<Socket | undefined> {
  return new Promise(resolve => {
    const startMs = performance.now()
    const socket = connect({ host: order.host, port: order.port })
    let text = ''
    socket.setTimeout(ANSWER_DEADLINE_MS, () => socket.destroy(new Error('no answer within 10 s')))
    socket.on('connect', () => socket.write('GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n'))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.endsWith(SMALL_BODY)) return
      if (!text.startsWith('HTTP/1.1 200')) book.failed(text.slice(0, 12))
      else book.add(performance.now() - startMs)
      text = ''
      socket.setTimeout(0)
      resolve(socket)
    })
    socket.on('error', error => {
      book.failed(kindOf(error))
      resolve(undefined)
    })
  })
}

async function runIdle(order: Extract<ClientOrder, { by: 'idle' }>): Promise<void> {
  const book = new Book()
  const held: Socket[] = []
  let closed = 0
  let started = 0
  const lane = async (): Promise<void> => {
    while (started++ < order.connections && !book.isHopeless) {
      const socket = await hold(order, book)
      if (socket === undefined) continue
      socket.on('close', () => closed++)
      held.push(socket)
    }
  }
  await Promise.all(Array.from({ length: CONNECTS_AT_ONCE }, lane))
  const result = book.result()
  console.log(JSON.stringify({ ...result, units: held.length - closed }))
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
}

const order = JSON.parse(process.argv[2] ?? '') as ClientOrder
if (order.by === 'handshakes') console.log(JSON.stringify(await runHandshakes(order)))
else if (order.by === 'websocket') console.log(JSON.stringify(await runWebsocket(order)))
else await runIdle(order)
