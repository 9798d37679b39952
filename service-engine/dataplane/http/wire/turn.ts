/**
 * A turn of the event loop.
 *
 * Reads   libuv goes on reading one connection, up to 32 buffers, as long as they come full: hundreds of connections with large bodies
 *         would keep everybody else waiting for that long. So each has its share.
 * Writes  A write wakes whoever reads at the other end, and to wake a process that sleeps costs more than the write. So small texts are
 *         written together at the end: of writes in a row the first wakes, the others find their reader awake.
 */

/** Reads below it end by themselves: there was no more. TLS gives a record at a time. */
const FULL_BYTES = 16_384
const MAX_BYTES = 262_144
/** Once all connections together have read so much in a turn, each rests after its first read of it. */
const BUSY_BYTES = 6_291_456
/** So many go on in the next turn, and the others in those after it: a read is 64 kB, so that such a turn is bounded as well. */
const AT_ONCE = 64

/** A connection whose reading may be put off. */
export interface Turned {
  /** What was read in one go; the turn's to change. */
  burstBytes: number
  /** Not to be read until the next turn. */
  isResting: boolean
  /** It may be read again. */
  goOn(): void
}

/** Somebody who writes at the end of the turn. */
export interface LateWriter {
  sendLate(): void
}

export class Turn {
  readonly #schedule: (next: () => void) => unknown
  #resting: Turned[] = []
  #bytes = 0
  #isDue = false
  #writers: LateWriter[] = []
  #spareWriters: LateWriter[] = []

  constructor(schedule: (next: () => void) => unknown = setImmediate) {
    this.#schedule = schedule
  }

  /**
   * Told of each read.
   *
   * Units   size: bytes that were read at once
   * Returns false when no more is to be read until `goOn`
   */
  mayGoOn(connection: Turned, size: number): boolean {
    if (size < FULL_BYTES) {
      connection.burstBytes = 0
      return true
    }
    connection.burstBytes += size
    this.#bytes += size
    this.#nextIsDue()
    if (connection.isResting) return false
    if (connection.burstBytes < MAX_BYTES && this.#bytes < BUSY_BYTES) return true
    connection.isResting = true
    this.#resting.push(connection)
    return false
  }

  /** Who asks while others write is in the next turn. */
  writeLater(writer: LateWriter): void {
    if (this.#writers.length === 0) this.#schedule(this.#write)
    this.#writers.push(writer)
  }

  readonly #write = (): void => {
    const writers = this.#writers
    this.#writers = this.#spareWriters
    for (const writer of writers) writer.sendLate()
    writers.length = 0
    this.#spareWriters = writers
  }

  #nextIsDue(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#schedule(this.#next)
  }

  readonly #next = (): void => {
    const going = this.#resting
    this.#resting = going.splice(AT_ONCE)
    this.#isDue = false
    this.#bytes = 0
    if (this.#resting.length > 0) this.#nextIsDue()
    for (const connection of going) {
      connection.burstBytes = 0
      connection.isResting = false
      connection.goOn()
    }
  }
}
