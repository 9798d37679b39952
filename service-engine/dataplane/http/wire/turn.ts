/**
 * What one connection may be read in a turn of the event loop. libuv goes on reading, up to 32 buffers, as long as they come full:
 * hundreds of connections with large bodies would keep everybody else waiting for that long.
 */

/** Reads below it end by themselves: there was no more. TLS gives a record at a time. */
const FULL_BYTES = 16_384
/** So much in one piece is nobody's trouble. */
const FREE_BYTES = 65_536
const MAX_BYTES = 262_144
/** Once all connections together have read so much in a turn, each gets no more than is free. */
const BUSY_BYTES = 4_194_304

/** A connection whose reading may be put off. */
export interface Turned {
  /** What was read in one go; the turn's to change. */
  burstBytes: number
  /** Not to be read until the next turn. */
  isResting: boolean
  /** It may be read again. */
  goOn(): void
}

export class Turn {
  readonly #schedule: (next: () => void) => unknown
  #resting: Turned[] = []
  #bytes = 0
  #isDue = false

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
    if (connection.burstBytes <= FREE_BYTES) return true
    if (!this.#isDue) {
      this.#isDue = true
      this.#schedule(this.#next)
    }
    this.#bytes += size
    if (!connection.isResting) {
      if (connection.burstBytes < MAX_BYTES && this.#bytes < BUSY_BYTES) return true
      connection.isResting = true
      this.#resting.push(connection)
    }
    return false
  }

  readonly #next = (): void => {
    const resting = this.#resting
    this.#isDue = false
    this.#bytes = 0
    this.#resting = []
    for (const connection of resting) {
      connection.burstBytes = 0
      connection.isResting = false
      connection.goOn()
    }
  }
}
