/** One request and its response on a client connection of `node:http`. */
import type { HttpSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Exchange, ResponseHead } from '../../exchange/exchange.ts'
import type { Destination, ForwardEvents, Wire } from '../../exchange/forwarder.ts'
import { setHeader } from '../../exchange/headers.ts'
import { answerTo } from '../rescue.ts'
import { Attempt } from './attempt.ts'
import type { Arrival, Connection, Passage, StockParts } from './connection.ts'

/** A rest of a request that is not worth a connection is read and thrown away. */
const SMALL_REST_BYTES = 65_536
/** How long a client may go on sending what nobody wants, so that it gets to read our answer instead of a reset. */
const LINGER_MS = 1_000

export class StockWire implements Wire, Passage {
  onGone: ((fault: Fault) => void) | null = null
  readonly arrival: Arrival
  readonly connection: Connection
  readonly limits: HttpSpec
  readonly parts: StockParts
  readonly #done: () => void
  readonly #hasBody: boolean
  /** Infinity for chunks. */
  readonly #declaredBytes: number
  #attempt: Attempt | null = null
  /** Ends an answer of ours that waits for the rest of the request. */
  #stopLingering: (() => void) | null = null
  #isDone = false

  constructor(arrival: Arrival, connection: Connection, limits: HttpSpec, parts: StockParts, done: () => void) {
    this.arrival = arrival
    this.connection = connection
    this.limits = limits
    this.parts = parts
    this.#done = done
    // Read now: an attempt puts other fields in their place.
    const { 'content-length': length, 'transfer-encoding': coding } = arrival.request.headers
    this.#hasBody = length !== undefined || coding !== undefined
    this.#declaredBytes = Number(length ?? Infinity)
    arrival.response.once('close', () => this.#closed())
    // Reported as the response's `close`; without a listener it would be thrown.
    arrival.request.on('error', () => undefined)
    arrival.response.on('error', () => undefined)
  }

  forward(exchange: Exchange, destination: Destination, events: ForwardEvents): void {
    const attempt = new Attempt(this, exchange, destination, {
      connected: () => events.connected(),
      responded: isReplayable => events.responded(isReplayable),
      ended: (fault, progress) => {
        if (this.#attempt === attempt) this.#attempt = null
        events.ended(fault, progress)
      }
    })
    this.#attempt = attempt
    if (this.arrival.response.destroyed) return attempt.clientGone()
    attempt.start()
  }

  answer(exchange: Exchange, body: Buffer, closes: boolean, onSent: (fault: Fault | null) => void): void {
    this.send(exchange.response!, body, closes, onSent)
  }

  serve(exchange: Exchange, onSent: (fault: Fault | null) => void): void {
    const head = exchange.response!
    const { bytes, from, to, length } = exchange.keeper!.instead!
    if (length >= 0) setHeader(head.headers, 'content-length', String(length))
    exchange.bytesOut += to - from
    this.send(head, bytes.subarray(from, to), false, onSent)
  }

  /** The request's rest is read to its end when that is near; else the connection closes, in a way that lets the answer be read. */
  send(head: ResponseHead, body: Buffer, closes: boolean, onSent: (fault: Fault | null) => void): void {
    const { request, response, expects } = this.arrival
    const hasRest = this.#hasBody && !request.complete
    const isNear = this.#declaredBytes <= SMALL_REST_BYTES && expects === 'nothing' && !closes
    let isTold = false
    const told = (fault: Fault | null): void => {
      if (isTold) return
      isTold = true
      onSent(fault)
    }
    response.once('finish', () => told(null))
    response.once('close', () => told(new Fault('DOWNSTREAM_RESET', 'the client went before the response was out')))
    if (response.destroyed || response.headersSent) return this.close()

    if (!hasRest) {
      this.#writeHead(head, closes)
      response.end(body)
      return
    }
    if (isNear) this.#answerAfterRest(head, body)
    else this.#answerAndLinger(head, body, told)
  }

  /** The rest is thrown away first; then the connection is as good as before. */
  #answerAfterRest(head: ResponseHead, body: Buffer): void {
    const { request, response } = this.arrival
    const finish = (isRead: boolean): void => {
      clearTimeout(timer)
      this.#stopLingering = null
      request.removeAllListeners('end')
      if (response.destroyed || response.writableEnded) return
      this.#writeHead(head, !isRead)
      response.end(body)
    }
    const timer = setTimeout(() => finish(false), LINGER_MS)
    this.#stopLingering = () => finish(false)
    request.once('end', () => finish(true))
    request.resume()
  }

  /** Closing while the client still sends would be a reset, which can overtake the answer: our side ends, its side is read for a while. */
  #answerAndLinger(head: ResponseHead, body: Buffer, told: (fault: Fault | null) => void): void {
    const { request, response } = this.arrival
    const { socket } = this.connection
    const flushed = (): void => {
      told(null)
      if (!socket.destroyed) socket.end()
    }
    this.#writeHead(head, true)
    // Complete by its length; `response.end` would destroy the connection.
    if (body.length > 0) response.write(body, flushed)
    else {
      response.flushHeaders()
      flushed()
    }
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    this.#stopLingering = () => undefined
    response.once('close', () => clearTimeout(timer))
    request.once('end', () => socket.destroySoon())
    request.resume()
  }

  close(): void {
    this.connection.socket.destroy()
  }

  abandon(fault: Fault): void {
    if (this.#attempt?.isResponseBegun === false) this.#attempt.fail(fault)
  }

  /** What came after the head was not HTTP. */
  broken(fault: Fault): void {
    const { response } = this.arrival
    this.connection.isLast = true
    if (this.#stopLingering !== null) return this.#stopLingering()
    if (this.#attempt !== null) return this.#attempt.fail(fault)
    if (response.headersSent || this.onGone === null) return this.close()
    const { answer } = answerTo(fault)
    this.onGone(fault)
    this.send(
      { status: answer.status, reason: answer.reason, headers: [...answer.headers, 'content-length', String(answer.body.length)] },
      answer.body,
      true,
      () => undefined
    )
  }

  /** The connection was a splice and is closed. */
  spliced(): void {
    this.#isDone = true
    this.#done()
  }

  #writeHead(head: ResponseHead, closes: boolean): void {
    const { response } = this.arrival
    if (closes || this.connection.isLast) response.shouldKeepAlive = false
    if (!response.shouldKeepAlive) this.connection.isOver = true
    response.writeHead(head.status, head.reason, head.headers)
  }

  #closed(): void {
    if (this.#isDone) return
    this.#isDone = true
    if (!this.arrival.response.writableFinished) {
      const fault = new Fault('DOWNSTREAM_RESET', 'the client went')
      this.#attempt?.clientGone()
      this.onGone?.(fault)
    }
    this.#done()
  }
}
