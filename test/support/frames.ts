/** HTTP/2 written by hand: frames as bytes over TLS, and what comes back. RFC 9113 and 7541. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { connect } from 'node:tls'
import type { Test } from 'tap'

export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9
} as const

export const flags = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const

export const errors = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11
} as const

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export function frame(type: number, flag: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head[3] = type
  head[4] = flag
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}

const numbers = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4)
  return bytes
}

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const bytes = Buffer.alloc(pairs.length * 6)
  for (const [i, [id, value]] of pairs.entries()) {
    bytes.writeUInt16BE(id, i * 6)
    bytes.writeUInt32BE(value, i * 6 + 2)
  }
  return frame(types.settings, 0, 0, bytes)
}

export const settingsAck = frame(types.settings, flags.ack, 0)
export const windowUpdate = (stream: number, increment: number): Buffer => frame(types.windowUpdate, 0, stream, numbers(increment))
export const rstStream = (stream: number, code: number): Buffer => frame(types.rstStream, 0, stream, numbers(code))
export const ping = (payload = 'pingpong', flag = 0): Buffer => frame(types.ping, flag, 0, payload)
export const data = (stream: number, body: string | Buffer, flag = 0): Buffer => frame(types.data, flag, stream, body)

/** An integer with a prefix of so many bits: RFC 7541 §5.1. */
function integer(value: number, bits: number, first: number): Buffer {
  const limit = 2 ** bits - 1
  if (value < limit) return Buffer.from([first | value])
  const bytes = [first | limit]
  let rest = value - limit
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}

const text = (value: string): Buffer => Buffer.concat([integer(value.length, 7, 0), Buffer.from(value, 'latin1')])

/** Fields as literals that no table keeps; nothing is checked or changed. */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]))
}

export type Fields = readonly (readonly [name: string, value: string])[]

/** The pseudo-header fields of a plain request, some of them in another way; undefined leaves one out. */
export function pseudo(given: Readonly<Record<string, string | undefined>> = {}): Fields {
  const all = { ':method': 'GET', ':scheme': 'https', ':path': '/', ':authority': 'shop.test', ...given }
  return Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
}

export function headers(stream: number, fields: Fields, flag: number = flags.endHeaders | flags.endStream): Buffer {
  return frame(types.headers, flag, stream, block(fields))
}

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** An end of frames: a client, or a server that has accepted one. */
export class FrameClient {
  readonly socket: Socket
  readonly frames: Frame[] = []
  isClosed = false
  onFrame: ((frame: Frame) => void) | null = null
  #seen: Buffer = Buffer.alloc(0)
  #toSkip: number
  #changed: () => void = () => undefined

  /** Shapes  toSkip: bytes that come before the first frame */
  constructor(socket: Socket, toSkip = 0) {
    this.socket = socket
    this.#toSkip = toSkip
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', () => undefined)
    socket.on('end', () => this.#closed())
    socket.on('close', () => this.#closed())
  }

  send(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames))
  }

  /** Waits for a fact about what came, or for the end. */
  async until(isTrue: () => boolean, deadlineMs = 15_000): Promise<void> {
    const end = performance.now() + deadlineMs
    while (!isTrue() && !this.isClosed) {
      const leftMs = end - performance.now()
      if (leftMs <= 0) throw new Error(`nothing more came after ${JSON.stringify(this.frames.map(({ type, stream }) => [type, stream]))}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, leftMs)
        this.#changed = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** The code of GOAWAY; undefined without one. */
  goaway(): number | undefined {
    return this.frames.find(({ type }) => type === types.goaway)?.payload.readUInt32BE(4)
  }

  /** The code of RST_STREAM on a stream; undefined without one. */
  reset(stream: number): number | undefined {
    return this.frames.find(one => one.type === types.rstStream && one.stream === stream)?.payload.readUInt32BE(0)
  }

  /** The status of a stream's response, as long as it is the first on its connection. */
  status(stream: number): number | undefined {
    const first = this.frames.find(one => one.type === types.headers && one.stream === stream)
    return first === undefined ? undefined : statusOf(first.payload)
  }

  isEnded(stream: number): boolean {
    return this.frames.some(one => one.stream === stream && one.type <= types.headers && (one.flags & flags.endStream) !== 0)
  }

  body(stream: number): string {
    return Buffer.concat(this.frames.filter(one => one.type === types.data && one.stream === stream).map(one => one.payload)).toString(
      'latin1'
    )
  }

  #read(chunk: Buffer): void {
    const skipped = Math.min(this.#toSkip, chunk.length)
    this.#toSkip -= skipped
    this.#seen = Buffer.concat([this.#seen, chunk.subarray(skipped)])
    while (this.#seen.length >= 9) {
      const length = this.#seen.readUIntBE(0, 3)
      if (this.#seen.length < 9 + length) break
      const stream = this.#seen.readUInt32BE(5) & 0x7fff_ffff
      const payload = Buffer.from(this.#seen.subarray(9, 9 + length))
      const one = { type: this.#seen[3]!, flags: this.#seen[4]!, stream, payload }
      this.frames.push(one)
      this.#seen = this.#seen.subarray(9 + length)
      this.onFrame?.(one)
    }
    this.#changed()
  }

  #closed(): void {
    this.isClosed = true
    this.#changed()
  }
}

const indexedStatus: Readonly<Record<number, number>> = { 8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500 }

/** Reads `:status` where it comes first: indexed, or a literal that may be Huffman coded (RFC 7541, Appendix A and B). */
function statusOf(payload: Buffer): number | undefined {
  let at = 0
  while ((payload[at]! & 0xe0) === 0x20) at++
  const first = payload[at]!
  if (first >= 0x80) return indexedStatus[first & 0x7f]
  const length = payload[at + 1]!
  const value = payload.subarray(at + 2, at + 2 + (length & 0x7f))
  if (length < 0x80) return Number(value.toString('latin1'))
  let bits = ''
  for (const byte of value) bits += byte.toString(2).padStart(8, '0')
  let digits = ''
  for (let i = 0; digits.length < 3;) {
    const short = Number.parseInt(bits.slice(i, i + 5), 2)
    if (short <= 2) digits += short
    else digits += Number.parseInt(bits.slice(i, i + 6), 2) - 22
    i += short <= 2 ? 5 : 6
  }
  return Number(digits)
}

/** Connects; `bare` sends nothing, else the preface and settings are exchanged. */
export async function openFrames(t: Pick<Test, 'teardown'>, port: number, options: { readonly bare?: boolean } = {}): Promise<FrameClient> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
  t.teardown(() => socket.destroy())
  const client = new FrameClient(socket)
  await once(socket, 'secureConnect')
  if (options.bare === true) return client
  client.send(preface, settings())
  await client.until(() => client.frames.filter(one => one.type === types.settings).length >= 2)
  client.send(settingsAck)
  return client
}

export interface FrameServer {
  readonly port: number
  /** Connections accepted so far. */
  readonly peers: readonly FrameClient[]
  /** Stops and ends all connections. */
  readonly close: () => void
}

/** A server of frames, without TLS; it says nothing that `onConnection` does not. */
export async function openFrameServer(
  t: Pick<Test, 'teardown'>,
  onConnection: (peer: FrameClient) => void,
  given = 0
): Promise<FrameServer> {
  const peers: FrameClient[] = []
  const server = createServer(socket => {
    const peer = new FrameClient(socket, preface.length)
    peers.push(peer)
    onConnection(peer)
  })
  server.listen(given, '127.0.0.1')
  await once(server, 'listening')
  const close = (): void => {
    server.close()
    for (const { socket } of peers) socket.destroy()
  }
  t.teardown(close)
  return { port: (server.address() as AddressInfo).port, peers, close }
}
