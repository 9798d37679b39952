/**
 * Latency histograms that can be added up: log-linear buckets over microseconds, 16 to an octave, so that a value read
 * back is at most 1/32 off. Both sides use the same layout; percentiles are taken after merging, never averaged.
 */

const SUB_BUCKETS = 16
const SUB_BITS = 4
/** Values from 2^36 us (19 h) on share the last bucket. */
const OCTAVES = 33
export const BUCKETS = OCTAVES * SUB_BUCKETS

/** `[bucket, count, bucket, count, ...]`, buckets ascending, counts > 0. */
export type SparseHistogram = readonly number[]

/**
 * The bucket that a value falls into.
 *
 * Units   valueUs: microseconds, any finite number; below 0 counts as 0
 * Returns integer in 0..BUCKETS-1
 * Cost    O(1), no allocation
 */
export function bucketOf(valueUs: number): number {
  const value = valueUs <= 0 ? 0 : Math.floor(valueUs)
  if (value < SUB_BUCKETS) return value
  const octave = value >= 0x80000000 ? Math.floor(Math.log2(value)) : 31 - Math.clz32(value)
  const sub = Math.floor(value / 2 ** (octave - SUB_BITS)) - SUB_BUCKETS
  const bucket = (octave - SUB_BITS + 1) * SUB_BUCKETS + sub
  return bucket < BUCKETS ? bucket : BUCKETS - 1
}

/** The middle of a bucket, in microseconds. */
export function bucketMiddleUs(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket
  const octave = Math.floor(bucket / SUB_BUCKETS) - 1
  const sub = bucket % SUB_BUCKETS
  const width = 2 ** octave
  return (SUB_BUCKETS + sub) * width + width / 2
}

/** Writes a dense histogram down without its empty buckets. */
export function toSparse(dense: ArrayLike<number>): number[] {
  const sparse: number[] = []
  for (let i = 0; i < dense.length; i++) {
    const count = dense[i]!
    if (count > 0) sparse.push(i, count)
  }
  return sparse
}

/** Adds `sparse` times `factor` (-1 subtracts) to a dense histogram in place. */
export function addSparse(dense: Float64Array, sparse: SparseHistogram, factor = 1): void {
  for (let i = 0; i + 1 < sparse.length; i += 2) {
    const bucket = sparse[i]!
    if (bucket >= 0 && bucket < dense.length) dense[bucket]! += sparse[i + 1]! * factor
  }
}

/**
 * The value below which a share of the counts lies.
 *
 * Shapes  dense: BUCKETS counts >= 0
 * Units   ratio: 0..1; answer in microseconds
 * Returns `null` exactly when all counts are 0
 */
export function percentileUs(dense: ArrayLike<number>, ratio: number): number | null {
  let total = 0
  for (let i = 0; i < dense.length; i++) total += dense[i]!
  if (total <= 0) return null
  const wanted = Math.max(1, Math.ceil(total * ratio))
  let seen = 0
  for (let i = 0; i < dense.length; i++) {
    seen += dense[i]!
    if (seen >= wanted) return bucketMiddleUs(i)
  }
  return bucketMiddleUs(dense.length - 1)
}
