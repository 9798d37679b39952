/**
 * Sides of an exchange that do more than pass bytes on: a copy of the request goes to another pool, and the response's body is
 * encoded. They stand between the client's side and the attempt; an exchange that needs neither never meets them.
 */
import type { Transform } from 'node:stream'
import type { Exchange, ResponseHead } from '../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../exchange/forwarder.ts'
import type { BodyDelivery, ClientSide, ServerSide } from './sides.ts'

type Make = (client: ClientSide, exchange: Exchange, destination: Destination, events: ForwardEvents) => ServerSide

/** An attempt behind those steps. */
export function makePassing(
  make: Make,
  client: ClientSide,
  exchange: Exchange,
  destination: Destination,
  events: ForwardEvents
): ServerSide {
  return new Passing(make, client, exchange, destination, events)
}

class Passing implements ClientSide, ServerSide {
  readonly #client: ClientSide
  readonly #exchange: Exchange
  readonly #attempt: ServerSide
  #coder: Transform | null = null
  /** The response's head until the first bytes of its body are encoded. */
  #text = ''
  #isChunked = false
  #trailers: readonly string[] = []
  /** The client takes no more for now, or the coder does not. */
  #isClientFull = false
  #isCoderFull = false
  #isCoded = false

  constructor(make: Make, client: ClientSide, exchange: Exchange, destination: Destination, events: ForwardEvents) {
    this.#client = client
    this.#exchange = exchange
    this.#attempt = make(this, exchange, destination, events)
    exchange.copy?.attempt()
  }

  // As the attempt sees the client.

  get parts(): ClientSide['parts'] {
    return this.#client.parts
  }
  get idle(): ClientSide['idle'] {
    return this.#client.idle
  }
  get isUpgrade(): boolean {
    return this.#client.isUpgrade
  }

  isGone(): boolean {
    return this.#client.isGone()
  }

  interim(head: ResponseHead): void {
    this.#client.interim(head)
  }

  head(head: ResponseHead, delivery: BodyDelivery, isKeepable: boolean): string {
    const coder = delivery.length === 0 ? null : (this.#exchange.chooseCoder?.(head) ?? null)
    if (coder === null) return this.#client.head(head, delivery, isKeepable)
    this.#coder = coder
    this.#isChunked = true
    // Bytes are encoded after the attempt has let its server go: what the client has is known by chunks alone.
    const text = this.#client.head(head, { length: -1, isChunked: true }, isKeepable)
    coder.on('data', (chunk: Buffer) => this.#encoded(chunk))
    coder.on('drain', () => {
      this.#isCoderFull = false
      this.#goOn()
    })
    coder.once('end', () => this.#whole())
    coder.once('error', () => this.#client.cut(true))
    return text
  }

  send(text: string, bytes: Buffer, from: number, to: number, isChunked: boolean, trailers: readonly string[] | null): boolean {
    const coder = this.#coder
    if (coder === null) return this.#client.send(text, bytes, from, to, isChunked, trailers)
    if (text !== '') this.#text = text
    if (to > from) {
      this.#exchange.bytesOut -= to - from
      // What is read is in a buffer that the next read overwrites.
      if (!coder.write(Buffer.from(bytes.subarray(from, to)))) this.#isCoderFull = true
    }
    if (trailers !== null) {
      this.#trailers = trailers
      coder.end()
    }
    return !this.#isCoderFull && !this.#isClientFull
  }

  flush(): void {
    if (this.#coder === null || this.#isCoded) this.#client.flush()
  }

  flowBody(): void {
    this.#client.flowBody()
  }

  resumeBody(): void {
    this.#client.resumeBody()
  }

  cut(isDelimited: boolean): void {
    this.#coder?.destroy()
    this.#client.cut(isDelimited || this.#isChunked)
  }

  detach(): ReturnType<ClientSide['detach']> {
    return this.#client.detach()
  }

  attemptEnded(): void {
    this.#client.attemptEnded(this)
  }

  next(): void {
    this.#client.next()
  }

  // As the client sees the attempt.

  get isResponseBegun(): boolean {
    return this.#attempt.isResponseBegun
  }

  start(): void {
    const { copy, request } = this.#exchange
    this.#attempt.start()
    if (request.contentLength === 0) copy?.end()
  }

  fail(fault: Parameters<ServerSide['fail']>[0]): void {
    this.#coder?.destroy()
    this.#attempt.fail(fault)
  }

  sendBody(bytes: Buffer, from: number, to: number, isDone: boolean, trailers: readonly string[]): boolean {
    const { copy } = this.#exchange
    if (copy !== null) {
      if (to > from) copy.write(bytes, from, to)
      if (isDone) copy.end()
    }
    return this.#attempt.sendBody(bytes, from, to, isDone, trailers)
  }

  clientDrained(): void {
    this.#isClientFull = false
    this.#coder?.resume()
    this.#goOn()
  }

  flushed(): void {
    this.#attempt.flushed()
  }

  #encoded(chunk: Buffer): void {
    if (this.#client.isGone()) return
    const text = this.#text
    this.#text = ''
    this.#exchange.bytesOut += chunk.length
    if (this.#client.send(text, chunk, 0, chunk.length, true, null)) return
    this.#isClientFull = true
    this.#coder?.pause()
  }

  #goOn(): void {
    if (!this.#isCoderFull && !this.#isClientFull) this.#attempt.clientDrained()
  }

  #whole(): void {
    this.#isCoded = true
    if (this.#client.isGone()) return
    this.#client.send(this.#text, EMPTY, 0, 0, true, this.#trailers)
    this.#text = ''
    this.#client.flush()
  }
}

const EMPTY = Buffer.alloc(0)
