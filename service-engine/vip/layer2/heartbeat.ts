/**
 * What engines tell each other ten times a second, in one datagram each:
 *
 *   'WHB1' | flags 1 | sender 8 | life 8 | sequence 6 | echoed life 8 | echoed sequence 6
 *   | peers 1 | { engine 8, silent ms 2 } * | claims 1 | { address 8, owner 8, term 4, age ms 2 } * | HMAC-SHA-256, its first 16 bytes
 *
 * What an engine serves for an owner that passes flows on is said beside it, in the same form with the mark 'WRD1': a claim of itself with
 * term 1, or 0 when it serves it no more. An engine that knows nothing of it takes it for noise.
 *
 * Against replay: a life is a random number of one start of an engine. It counts as alive once it echoes what we sent it within the last
 * seconds, and from then on with growing sequences only; no clock of the host is asked.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

export interface Heartbeat {
  /** `ready`: its claims are what it serves. */
  readonly says: 'alive' | 'ready'
  /** First 8 bytes of the hash of an id, as 16 hexadecimal digits; so are all other names here. */
  readonly sender: string
  readonly life: string
  /** Of the sender's life, from 1 on. */
  readonly sequence: number
  /** The last that the sender heard of the receiver; sequence 0 for nothing yet. */
  readonly echo: { readonly life: string; readonly sequence: number }
  /** The sender ends, in order. */
  readonly isLeaving: boolean
  /** Others that the sender hears itself, and how long ago. */
  readonly peers: readonly { readonly id: string; readonly silentMs: number }[]
  /** Addresses that the sender owns, and that others do whom it hears itself. */
  readonly claims: readonly { readonly id: string; readonly owner: string; readonly term: number; readonly ageMs: number }[]
}

const MAGIC = { alive: 0x57484231, ready: 0x57524431 } as const
const HEAD = 4 + 1 + 8 + 8 + 6 + 8 + 6
const PEER = 10
const CLAIM = 22
const TAG = 16
/** So that a datagram fits into an Ethernet frame; more claims go into more datagrams. */
export const MAX_PEERS = 32
export const MAX_CLAIMS = 40
const MAX_BYTES = HEAD + 1 + MAX_PEERS * PEER + 1 + MAX_CLAIMS * CLAIM + TAG
const noLife = '0'.repeat(16)

/** The short name of an engine or of addresses. */
export const shortId = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 16)

export function encodeHeartbeat(beat: Heartbeat, key: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEAD + 2 + beat.peers.length * PEER + beat.claims.length * CLAIM + TAG)
  let at = bytes.writeUInt32BE(MAGIC[beat.says])
  at = bytes.writeUInt8(beat.isLeaving ? 1 : 0, at)
  const id = (text: string): void => void (at += bytes.write(text, at, 8, 'hex'))
  id(beat.sender)
  id(beat.life)
  at = bytes.writeUIntBE(beat.sequence, at, 6)
  id(beat.echo.life)
  at = bytes.writeUIntBE(beat.echo.sequence, at, 6)
  at = bytes.writeUInt8(beat.peers.length, at)
  for (const peer of beat.peers) {
    id(peer.id)
    at = bytes.writeUInt16BE(Math.min(peer.silentMs, 0xffff), at)
  }
  at = bytes.writeUInt8(beat.claims.length, at)
  for (const claim of beat.claims) {
    id(claim.id)
    id(claim.owner)
    at = bytes.writeUInt32BE(claim.term, at)
    at = bytes.writeUInt16BE(Math.min(claim.ageMs, 0xffff), at)
  }
  tagOf(bytes.subarray(0, at), key).copy(bytes, at)
  return bytes
}

/**
 * Reads a datagram.
 *
 * Returns undefined for anything that is not a whole heartbeat with the tag of our key
 */
export function decodeHeartbeat(bytes: Uint8Array, key: Uint8Array): Heartbeat | undefined {
  if (bytes.length < HEAD + 2 + TAG || bytes.length > MAX_BYTES) return undefined
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const magic = view.readUInt32BE(0)
  if (magic !== MAGIC.alive && magic !== MAGIC.ready) return undefined
  const end = view.length - TAG
  if (!timingSafeEqual(tagOf(view.subarray(0, end), key), view.subarray(end))) return undefined
  let at = 5
  const id = (): string => view.toString('hex', at, (at += 8))
  const long = (): number => view.readUIntBE((at += 6) - 6, 6)
  const sender = id()
  const life = id()
  const sequence = long()
  const echo = { life: id(), sequence: long() }
  const peerCount = view.readUInt8(at++)
  if (peerCount > MAX_PEERS || at + peerCount * PEER + 1 > end) return undefined
  const peers = Array.from({ length: peerCount }, () => ({ id: id(), silentMs: view.readUInt16BE((at += 2) - 2) }))
  const claimCount = view.readUInt8(at++)
  if (claimCount > MAX_CLAIMS || at + claimCount * CLAIM !== end) return undefined
  const claims = Array.from({ length: claimCount }, () => ({
    id: id(),
    owner: id(),
    term: view.readUInt32BE((at += 4) - 4),
    ageMs: view.readUInt16BE((at += 2) - 2)
  }))
  const says = magic === MAGIC.ready ? 'ready' : 'alive'
  return { says, sender, life, sequence, echo, isLeaving: (view.readUInt8(4) & 1) === 1, peers, claims }
}

const tagOf = (bytes: Uint8Array, key: Uint8Array): Buffer => createHmac('sha256', key).update(bytes).digest().subarray(0, TAG)

/** An echo that is older proves nothing: it may have been recorded. */
const ECHO_WITHIN_MS = 2_000
const MAX_SENT = 64

/** One peer, as far as it can be believed. */
export class Correspondent {
  readonly #ownLife: string
  /** What was sent to it lately, by sequence. */
  readonly #sent = new Map<number, number>()
  #life = ''
  #lastSequence = 0
  #echo = { life: noLife, sequence: 0 }

  constructor(ownLife: string) {
    this.#ownLife = ownLife
  }

  /** What to echo to it. */
  get echo(): Heartbeat['echo'] {
    return this.#echo
  }

  sent(sequence: number, nowMs: number): void {
    this.#sent.set(sequence, nowMs)
    if (this.#sent.size > MAX_SENT) this.#sent.delete(this.#sent.keys().next().value!)
  }

  /**
   * Whether a heartbeat with the right tag is of now; a sequence is believed once.
   *
   * Returns `new-life` for the first of a start of the peer
   */
  judge({ life, sequence, echo }: Heartbeat, nowMs: number): 'fresh' | 'new-life' | 'unproven' | 'old' {
    if (life === this.#life) {
      if (sequence <= this.#lastSequence) return 'old'
      this.#lastSequence = sequence
      this.#echo = { life, sequence }
      return 'fresh'
    }
    const sentAtMs = echo.life === this.#ownLife ? this.#sent.get(echo.sequence) : undefined
    const isProven = sentAtMs !== undefined && nowMs - sentAtMs <= ECHO_WITHIN_MS
    if (isProven) {
      this.#life = life
      this.#lastSequence = sequence
    }
    // Of an unproven one it learns what to echo; a recorded one cannot answer to it.
    this.#echo = { life, sequence }
    return isProven ? 'new-life' : 'unproven'
  }
}
