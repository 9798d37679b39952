/**
 * One connection of one engine.
 *
 *   (upgrade accepted)
 *          |
 *   waiting for hello --Hello, protocol fits--> live
 *          |                                     |
 *          | no Hello in 5 s, malformed,         | socket closed, silence, malformed,
 *          | protocol too far apart              | replaced, stood down
 *          v                                     v
 *        closed <--------------------------------+
 */
import type { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import { decodeAgentMessage, encode } from '#model/message/codec.ts'
import { HANDED_OVER, HEARTBEAT_INTERVAL_MS, PROTOCOL } from '#model/message/message.ts'
import type { AgentMessage, Hello, HubMessage } from '#model/message/message.ts'
import { makeSilence, SILENCE_TICK_MS } from '#model/message/silence.ts'

const HELLO_TIMEOUT_MS = 5_000
/** A heartbeat behind so much unsent data would say nothing that the data does not. */
const HEARTBEAT_BACKLOG_BYTES = 256 * 1024
/** More than any one order; an engine that lets it grow so far asks and does not read. */
const BACKLOG_MAX_BYTES = 128 * 1024 * 1024

/** How a session ended; what the engine's state becomes depends on it. */
export type Ending =
  /** The socket was closed by the peer or its host: the engine's process is gone, or ended the link. */
  | 'closed'
  /** Closed by a process that another one of its host took over from, which connects next. */
  | 'handed-over'
  /** An open connection with nothing on it: the engine may run, but we cannot know. */
  | 'silent'
  /** We ended it: another connection of the same engine, a broken protocol, end of trust, our own stop. */
  | 'replaced'
  | 'refused'
  | 'stood-down'
  | 'stopped'

export type EngineSays = Exclude<AgentMessage, { readonly type: 'Hello' | 'Heartbeat' }>

export interface SessionOptions {
  readonly engineUuid: string
  readonly socket: WebSocket
  /** Below the WebSocket: bytes that arrive there are signs of life even in the middle of a long message. */
  readonly transport: Duplex & { readonly bytesRead: number }
  readonly clock: Clock
  readonly log: Log
  readonly onHello: (session: Session, hello: Hello) => void
  readonly onMessage: (session: Session, message: EngineSays) => void
  readonly onEnd: (session: Session, ending: Ending) => void
}

export class Session {
  readonly engineUuid: string
  readonly #options: SessionOptions
  readonly #cancels: (() => void)[] = []
  #state: 'waiting-for-hello' | 'live' | 'closed' = 'waiting-for-hello'
  #heartbeats = 0
  #bytesRead = 0
  #unknown = 0
  /** When anything of it came last; monotonic. */
  heardAtMs: number

  constructor(options: SessionOptions) {
    this.#options = options
    this.engineUuid = options.engineUuid
    const { socket, clock, transport } = options
    this.heardAtMs = clock.nowMs()
    const silence = makeSilence()
    socket.on('message', (data, isBinary) => {
      silence.heard()
      this.heardAtMs = clock.nowMs()
      this.#receive(data, isBinary)
    })
    socket.on('close', code => this.#end(code === HANDED_OVER ? 'handed-over' : 'closed'))
    // `close` follows; without a listener the error would end the process.
    socket.on('error', error => options.log.debug('engine socket failed', { engine: this.engineUuid, error }))
    this.#cancels.push(
      clock.every(HEARTBEAT_INTERVAL_MS, () => this.#beat()),
      clock.every(SILENCE_TICK_MS, () => {
        if (transport.bytesRead !== this.#bytesRead) silence.heard()
        this.#bytesRead = transport.bytesRead
        if (silence.tick()) this.end('silent')
      }),
      clock.after(HELLO_TIMEOUT_MS, () => {
        if (this.#state === 'waiting-for-hello') this.end('refused', 1002, 'no hello')
      })
    )
  }

  get isLive(): boolean {
    return this.#state === 'live'
  }

  /** Messages and fields that this build does not know. */
  get unknownCount(): number {
    return this.#unknown
  }

  send(message: HubMessage): void {
    const { socket } = this.#options
    if (this.#state === 'closed') return
    if (socket.bufferedAmount > BACKLOG_MAX_BYTES) return this.end('refused', 1008, 'does not read what it asks for')
    socket.send(encode(message), () => undefined)
  }

  /** Ends the session from our side; repeated calls do nothing. */
  end(ending: Ending, code = 1000, reason = ''): void {
    if (this.#state === 'closed') return
    const { socket, clock } = this.#options
    this.#end(ending)
    if (ending === 'silent') socket.terminate()
    else {
      socket.close(code, reason)
      // A peer that does not answer the close gets no more than a moment.
      clock.after(1_000, () => socket.terminate())
    }
  }

  #end(ending: Ending): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const cancel of this.#cancels) cancel()
    this.#options.onEnd(this, ending)
  }

  #beat(): void {
    if (this.#options.socket.bufferedAmount < HEARTBEAT_BACKLOG_BYTES) this.send({ type: 'Heartbeat', sequence: ++this.#heartbeats })
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#state === 'closed') return
    const { log } = this.#options
    const decoded = isBinary ? ({ is: 'malformed', reason: 'binary frame' } as const) : decodeAgentMessage(textOf(data))
    if (decoded.is === 'malformed') {
      log.warn('an engine sent what is not a message', { engine: this.engineUuid, reason: decoded.reason })
      this.end('refused', 1007, 'malformed message')
      return
    }
    if (decoded.is === 'unknown-type') {
      if (this.#unknown++ === 0) log.warn('an engine sent a message of an unknown type', { engine: this.engineUuid, type: decoded.type })
      return
    }
    this.#unknown += decoded.unknownFields
    const { message } = decoded
    if (message.type === 'Heartbeat') return
    if (message.type === 'Hello') return this.#hello(message)
    if (this.#state !== 'live') return this.end('refused', 1002, 'hello must come first')
    this.#options.onMessage(this, message)
  }

  #hello(hello: Hello): void {
    if (this.#state !== 'waiting-for-hello') return this.end('refused', 1002, 'hello came twice')
    if (Math.abs(hello.protocol - PROTOCOL) > 1) {
      const { log } = this.#options
      log.warn('an engine speaks a protocol too far from ours', { engine: this.engineUuid, theirs: hello.protocol, ours: PROTOCOL })
      return this.end('refused', 1002, `protocol ${hello.protocol} is too far from ${PROTOCOL}: upgrade the older side`)
    }
    this.#state = 'live'
    this.#options.onHello(this, hello)
  }
}

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString('utf8')
  return (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)).toString('utf8')
}
