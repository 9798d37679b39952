/**
 * Sides of an exchange that do more than pass bytes on: a copy of the request goes to another pool, the response's body is kept,
 * encoded, or another sent in its place, or both go no faster than they may. They stand between the client's side and the attempt; an exchange that needs nothing of
 * it never meets them.
 */
import type { Duplex } from 'node:stream'
import { faultIn } from '#engine/base/fault.ts'
import type { BodyInspector, Exchange, ResponseHead, StoredBody } from '../exchange/exchange.ts'
import { headerOf } from '../exchange/headers.ts'
import type { BodyDelivery, ClientSide, ServerSide } from './sides.ts'

type Make = (client: ClientSide, isHolding: () => boolean) => ServerSide

/** An attempt behind those steps. */
export function makePassing(make: Make, client: ClientSide, exchange: Exchange): ServerSide {
  return new Passing(make, client, exchange)
}

/** What is sent at a time of a body that is there. */
const PIECE_BYTES = 32_768

interface Held {
  readonly inspector: BodyInspector
  readonly delivery: BodyDelivery
  readonly isKeepable: boolean
  readonly chunks: Buffer[]
  size: number
  /** Nothing of it goes out. */
  isOver: boolean
}

class Passing implements ClientSide, ServerSide {
  readonly #client: ClientSide
  readonly #exchange: Exchange
  readonly #attempt: ServerSide
  #coder: Duplex | null = null
  /** The response's head until the first bytes of its body are encoded. */
  #text = ''
  #isChunked = false
  #trailers: readonly string[] = []
  /** The client takes no more for now, or the coder does not. */
  #isClientFull = false
  #isCoderFull = false
  /** The client's connection itself takes no more, or the server's; and more may not go yet, down or up. */
  #isSocketFull = false
  #isServerFull = false
  #isHeld = false
  #isUpHeld = false
  #isCoded = false
  /** Sent in the place of what the server sends, and how far it is. */
  #instead: StoredBody | null = null
  #at = 0
  /** The server has said all: it is the other's turn. */
  #isTurn = false
  /** An answer that waits for its whole body; nothing of it is out. */
  #held: Held | null = null
  /** What is kept has been told already of what is sent. */
  #isKept = false

  constructor(make: Make, client: ClientSide, exchange: Exchange) {
    this.#client = client
    this.#exchange = exchange
    this.#attempt = make(this, () => this.#held !== null)
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
    const { inspector } = this.#exchange
    if (inspector === null) return this.#headNow(head, delivery, isKeepable)
    this.#held = { inspector, delivery, isKeepable, chunks: [], size: 0, isOver: false }
    return ''
  }

  #headNow(head: ResponseHead, delivery: BodyDelivery, isKeepable: boolean): string {
    const instead = this.#exchange.keeper?.instead ?? null
    this.#instead = instead
    const length = instead === null ? delivery.length : instead.length
    const coder = length === 0 ? null : (this.#exchange.chooseCoder?.(head) ?? null)
    const { method, version } = this.#exchange.request
    if (coder === null) {
      if (instead === null && method !== 'HEAD') return this.#client.head(head, delivery, isKeepable)
      // What a GET would be told of its length is not known where its body would be encoded.
      const said = method === 'HEAD' && headerOf(head.headers, 'content-length') === undefined ? -1 : length
      return this.#client.head(head, { length: said, isChunked: instead === null && delivery.isChunked }, isKeepable)
    }
    this.#coder = coder
    this.#isChunked = version !== '1.0'
    // Bytes are encoded after the attempt has let its server go: what the client has is known by chunks alone, or by the connection's end.
    const text = this.#client.head(head, { length: -1, isChunked: this.#isChunked }, isKeepable && this.#isChunked)
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
    const held = this.#held
    if (held === null) return this.#sendNow(text, bytes, from, to, isChunked, trailers)
    if (held.isOver) return true
    const { keeper } = this.#exchange
    if (to > from) {
      // What is read is in a buffer that the next read overwrites.
      held.chunks.push(Buffer.from(bytes.subarray(from, to)))
      held.size += to - from
      // A part that stays must not be kept by halves: what is kept hears of it as it comes.
      keeper?.write(bytes, from, to)
    }
    if (trailers !== null) keeper?.end()
    try {
      if (held.size > held.inspector.limitBytes) {
        held.inspector.exceeded()
        return this.#release(held, Buffer.concat(held.chunks), false, trailers)
      }
      if (trailers === null) return true
      const came = Buffer.concat(held.chunks)
      const made = held.inspector.inspect(came)
      return this.#release(held, made, made !== came, trailers)
    } catch (error) {
      const fault = faultIn(error)
      if (fault === undefined) throw error
      held.isOver = true
      this.#attempt.fail(fault)
      return true
    }
  }

  /** What was held goes out, as it came or another with its length; what follows goes as ever. */
  #release({ delivery, isKeepable, size }: Held, bytes: Buffer, isOther: boolean, trailers: readonly string[] | null): boolean {
    this.#held = null
    const exchange = this.#exchange
    exchange.bytesOut += bytes.length - size
    const given = isOther ? { length: bytes.length, isChunked: false } : delivery
    const text = this.#headNow(exchange.response!, given, isKeepable)
    this.#isKept = true
    const end = isOther && trailers !== null ? NO_TRAILERS : trailers
    let isFlowing = true
    let at = 0
    do {
      const to = Math.min(bytes.length, at + PIECE_BYTES)
      isFlowing = this.#sendNow(at === 0 ? text : '', bytes, at, to, given.isChunked, to === bytes.length ? end : null)
      at = to
    } while (at < bytes.length)
    this.#isKept = false
    return isFlowing
  }

  #sendNow(text: string, bytes: Buffer, from: number, to: number, isChunked: boolean, trailers: readonly string[] | null): boolean {
    const coder = this.#coder
    const { keeper } = this.#exchange
    if (this.#instead !== null) {
      if (text !== '') this.#text = text
      this.#exchange.bytesOut -= to - from
      return true
    }
    if (keeper !== null && !this.#isKept) {
      if (to > from) keeper.write(bytes, from, to)
      if (trailers !== null) keeper.end()
    }
    if (coder === null) return this.#out(text, bytes, from, to, isChunked, trailers)
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
    if (this.#held !== null) return
    if (this.#instead !== null) return this.#pump(this.#instead)
    if (this.#coder === null || this.#isCoded) this.#client.flush()
  }

  flowBody(): void {
    this.#client.flowBody()
  }

  resumeBody(): void {
    this.#isServerFull = false
    if (!this.#isUpHeld) this.#client.resumeBody()
  }

  cut(isDelimited: boolean): void {
    // Nothing is out: another answer may take its place.
    if (this.#held !== null) return
    this.#coder?.destroy()
    this.#client.cut(isDelimited || this.#isChunked)
  }

  detach(): ReturnType<ClientSide['detach']> {
    return this.#client.detach()
  }

  attemptEnded(): void {
    const { pacer } = this.#exchange
    // Another attempt may have begun to wait.
    if (this.#isHeld) pacer?.down.stop()
    if (this.#isUpHeld) pacer?.up.stop()
    this.#client.attemptEnded(this)
  }

  next(): void {
    this.#client.next()
  }

  // As the client sees the attempt.

  get isResponseBegun(): boolean {
    return this.#held === null && this.#attempt.isResponseBegun
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
    const isFlowing = this.#attempt.sendBody(bytes, from, to, isDone, trailers)
    const { pacer } = this.#exchange
    if (pacer === null || !pacer.up.spend(to - from) || isDone) return isFlowing
    this.#isUpHeld = true
    if (!isFlowing) this.#isServerFull = true
    pacer.up.wait(() => {
      this.#isUpHeld = false
      if (!this.#isServerFull) this.#client.resumeBody()
    })
    return false
  }

  clientDrained(): void {
    this.#isSocketFull = false
    if (!this.#isHeld) this.#drained()
  }

  #drained(): void {
    this.#isClientFull = false
    this.#coder?.resume()
    this.#goOn()
  }

  flushed(): void {
    this.#attempt.flushed()
  }

  /** To the client, no faster than it may go; what is behind the end of a body waits for nothing. */
  #out(text: string, bytes: Buffer, from: number, to: number, isChunked: boolean, trailers: readonly string[] | null): boolean {
    const isFlowing = this.#client.send(text, bytes, from, to, isChunked, trailers)
    const { pacer } = this.#exchange
    if (pacer === null || !pacer.down.spend(text.length + to - from) || trailers !== null) return isFlowing
    this.#isHeld = true
    if (!isFlowing) this.#isSocketFull = true
    pacer.down.wait(() => {
      this.#isHeld = false
      if (!this.#isSocketFull) this.#drained()
    })
    return false
  }

  #encoded(chunk: Buffer): void {
    if (this.#client.isGone()) return
    const text = this.#text
    this.#text = ''
    this.#exchange.bytesOut += chunk.length
    if (this.#out(text, chunk, 0, chunk.length, this.#isChunked, null)) return
    this.#isClientFull = true
    this.#coder?.pause()
  }

  #goOn(): void {
    if (this.#isCoderFull || this.#isClientFull) return
    if (this.#isTurn) this.#pump(this.#instead!)
    else this.#attempt.clientDrained()
  }

  /** Sends on of a body that is there, until it is all out or somebody takes no more for now. */
  #pump(body: StoredBody): void {
    const { bytes, from, to } = body
    if (!this.#isTurn) {
      this.#isTurn = true
      this.#at = from
    } else if (this.#at === DONE) return
    const coder = this.#coder
    while (!this.#client.isGone()) {
      const at = this.#at
      const end = Math.min(to, at + PIECE_BYTES)
      const isLast = end === to
      this.#at = isLast ? DONE : end
      if (coder !== null) {
        if (end > at && !coder.write(bytes.subarray(at, end)) && !isLast) this.#isCoderFull = true
        if (isLast) return void coder.end()
        if (this.#isCoderFull) return
      } else {
        const text = this.#text
        this.#text = ''
        this.#exchange.bytesOut += end - at
        const isFlowing = this.#out(text, bytes, at, end, false, isLast ? NO_TRAILERS : null)
        if (isLast) return this.#client.flush()
        if (!isFlowing) {
          this.#isClientFull = true
          return
        }
      }
    }
  }

  #whole(): void {
    this.#isCoded = true
    if (this.#client.isGone()) return
    this.#out(this.#text, EMPTY, 0, 0, this.#isChunked, this.#trailers)
    this.#text = ''
    this.#client.flush()
  }
}

const EMPTY = Buffer.alloc(0)
const NO_TRAILERS: readonly string[] = []
/** No offset: all of it is out. */
const DONE = -1
