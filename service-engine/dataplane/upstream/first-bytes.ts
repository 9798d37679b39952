/** How long a pool's servers take to their first byte: from when on a request takes longer than most. */
import { BUCKETS, bucketOf, percentileUs } from '#model/message/histogram.ts'

/** Fewer say nothing of a tail. */
const MIN_COUNT = 50
/** What was before so many answers counts half. */
const HALF_AFTER = 2_000
/** How long a percentile that was read stays as it is. */
const READ_AGAIN_MS = 200

/** Of one worker; what it learned goes on to the pool's next generation. */
export class FirstBytes {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #fresh = 0
  #readAtMs = -Infinity
  #readRatio = 0
  #readMs = 0

  /** `tookUs`: to the first byte; of a try that was given up before: at least so long. */
  add(tookUs: number): void {
    this.#counts[bucketOf(tookUs)]! += 1
    this.#count += 1
    if (++this.#fresh < HALF_AFTER) return
    this.#fresh = 0
    this.#count /= 2
    for (let i = 0; i < BUCKETS; i++) this.#counts[i]! /= 2
  }

  /**
   * The time within which a share of the answers begins.
   *
   * Units   ratio: 0..1; nowMs: monotonic; answer in ms, up to 200 ms old
   * Returns null as long as too little is known
   */
  percentileMs(ratio: number, nowMs: number): number | null {
    if (this.#count < MIN_COUNT) return null
    if (nowMs - this.#readAtMs < READ_AGAIN_MS && ratio === this.#readRatio) return this.#readMs
    this.#readAtMs = nowMs
    this.#readRatio = ratio
    this.#readMs = (percentileUs(this.#counts, ratio) ?? 0) / 1000
    return this.#readMs
  }
}
