/**
 * One connection to the controller.
 *
 *   connecting --TLS verified both ways, upgraded: Hello goes--> greeting --Welcome--> live
 *        |                                                          |                   |
 *        +------------ failed, refused, closed, silent -------------+-------------------+--> ended
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { RawData } from 'ws'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import { decodeHubMessage, encode, HUB_FRAME_MAX_BYTES } from '#model/message/codec.ts'
import { HANDED_OVER, HEARTBEAT_INTERVAL_MS } from '#model/message/message.ts'
import type { AgentMessage, Hello, HubMessage, Welcome } from '#model/message/message.ts'
import { makeSilence, SILENCE_TICK_MS } from '#model/message/silence.ts'
import type { Identity } from './identity.ts'
import { checkController } from './trust.ts'

const CONNECT_TIMEOUT_MS = 5_000

export type LinkEnd =
  | { readonly is: 'lost'; readonly reason: string }
  /** The controller ended the trust in this identity. */
  | { readonly is: 'stood-down'; readonly reason: string }

export type HubSays = Exclude<HubMessage, { readonly type: 'Heartbeat' | 'Welcome' | 'StandDown' }>

export interface LinkOptions {
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Log
  readonly hello: () => Hello
  readonly onWelcome: (link: Link, welcome: Welcome) => void
  readonly onMessage: (message: HubSays) => void
  readonly onEnd: (end: LinkEnd) => void
}

export class Link {
  readonly #options: LinkOptions
  readonly #socket: WebSocket
  readonly #cancels: (() => void)[] = []
  #transport: Socket | undefined
  #state: 'connecting' | 'greeting' | 'live' | 'ended' = 'connecting'
  #failure = ''

  constructor(options: LinkOptions) {
    this.#options = options
    const { identity, clock } = options
    const host = identity.controllerHost.includes(':') ? `[${identity.controllerHost}]` : identity.controllerHost
    const socket = new WebSocket(`wss://${host}:${identity.enginePort}/engine`, {
      ca: identity.caPem,
      cert: identity.certificatePem,
      key: identity.keyPem,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      // The types say boolean, Node takes the error itself.
      checkServerIdentity: checkController as unknown as (host: string, certificate: unknown) => boolean,
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      maxPayload: HUB_FRAME_MAX_BYTES,
      perMessageDeflate: false,
      followRedirects: false
    })
    this.#socket = socket
    socket.on('upgrade', response => {
      this.#transport = response.socket
    })
    socket.on('open', () => this.#greet())
    socket.on('error', error => {
      this.#failure = (error as NodeJS.ErrnoException).code ?? error.message
    })
    socket.on('close', (_code, reason) => this.#end({ is: 'lost', reason: this.#failure || reason.toString() || 'connection closed' }))
    socket.on('unexpected-response', (_request, response) => this.#refused(response))
    // A controller that accepts and says nothing must not hold us.
    this.#cancels.push(clock.after(2 * CONNECT_TIMEOUT_MS, () => this.#state !== 'live' && this.#lose('no welcome')))
  }

  get isLive(): boolean {
    return this.#state === 'live'
  }

  /** Bytes that wait to be sent. */
  get backlogBytes(): number {
    return this.#socket.bufferedAmount
  }

  send(message: AgentMessage): void {
    if (this.#state !== 'ended' && this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encode(message), () => undefined)
  }

  /** Ends the connection from our side; nothing is told. */
  close(code = 1001): void {
    if (this.#state === 'ended') return
    this.#finish()
    if (this.#socket.readyState === WebSocket.OPEN)
      this.#socket.close(code, code === HANDED_OVER ? 'another process took over' : 'the engine stops')
    this.#options.clock.after(500, () => this.#socket.terminate())
  }

  #greet(): void {
    if (this.#state !== 'connecting') return
    const { clock, hello } = this.#options
    this.#state = 'greeting'
    const silence = makeSilence()
    let bytesRead = 0
    let sequence = 0
    this.#socket.on('message', (data, isBinary) => {
      silence.heard()
      this.#receive(data, isBinary)
    })
    this.send(hello())
    this.#cancels.push(
      clock.every(HEARTBEAT_INTERVAL_MS, () => this.send({ type: 'Heartbeat', sequence: ++sequence })),
      clock.every(SILENCE_TICK_MS, () => {
        // Bytes of a long message that is still on its way are a sign of life.
        const read = this.#transport?.bytesRead ?? 0
        if (read !== bytesRead) silence.heard()
        bytesRead = read
        if (silence.tick()) this.#lose('the controller is silent')
      })
    )
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#state !== 'greeting' && this.#state !== 'live') return
    const { log } = this.#options
    const text = Buffer.isBuffer(data) ? data.toString('utf8') : ''
    const decoded = isBinary ? ({ is: 'malformed', reason: 'binary frame' } as const) : decodeHubMessage(text)
    if (decoded.is === 'malformed') return this.#lose(`the controller sent what is not a message: ${decoded.reason}`)
    if (decoded.is === 'unknown-type') return log.warn('the controller sent a message of an unknown type', { type: decoded.type })
    if (decoded.unknownFields > 0) log.debug('the controller sent fields that are not known here', { count: decoded.unknownFields })
    const { message } = decoded
    if (message.type === 'Heartbeat') return
    if (message.type === 'StandDown') return this.#standDown(message.reason)
    if (message.type === 'Welcome') {
      if (this.#state !== 'greeting') return
      this.#state = 'live'
      return this.#options.onWelcome(this, message)
    }
    if (this.#state === 'live') this.#options.onMessage(message)
  }

  /** The peer is the controller, its certificate was verified: what it answers is its word. */
  #refused(response: IncomingMessage): void {
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      if (body.length < 4_096) body += chunk
    })
    response.on('error', () => this.#lose('refused'))
    response.on('close', () => {
      const reason = reasonIn(body) ?? `status ${response.statusCode ?? 0}`
      if (response.statusCode === 403) this.#standDown(reason)
      else this.#lose(`the controller refused: ${reason}`)
    })
  }

  #standDown(reason: string): void {
    this.#end({ is: 'stood-down', reason })
    this.#socket.terminate()
  }

  #lose(reason: string): void {
    this.#end({ is: 'lost', reason })
    this.#socket.terminate()
  }

  #end(end: LinkEnd): void {
    if (this.#state === 'ended') return
    this.#finish()
    this.#options.onEnd(end)
  }

  #finish(): void {
    this.#state = 'ended'
    for (const cancel of this.#cancels) cancel()
  }
}

function reasonIn(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body)
    const reason = value !== null && typeof value === 'object' ? (value as Record<string, unknown>)['reason'] : undefined
    return typeof reason === 'string' ? reason.slice(0, 500) : undefined
  } catch {
    return undefined
  }
}
