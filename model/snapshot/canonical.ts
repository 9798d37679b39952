/**
 * One spelling for equal content, so that both sides compute the same hashes: a part's hash is SHA-256 (hex) over
 * `canonicalJson(part)`, a manifest's over `manifestText(parts)`. The hashing itself is the caller's.
 */
import type { PartEntry } from './snapshot.ts'

/**
 * JSON without white space and with the keys of every object sorted by code unit.
 *
 * Shapes  value: JSON values only; a member that is `undefined` is left out, as in JSON.stringify
 * Throws  TypeError for what JSON cannot say (cycles, bigint)
 * Cost    O(n log n) in the number of members
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (member === null || typeof member !== 'object' || Array.isArray(member)) return member
    const sorted: Record<string, unknown> = Object.create(null)
    for (const key of Object.keys(member).toSorted()) sorted[key] = (member as Record<string, unknown>)[key]
    return sorted
  })
}

/** What a manifest's hash is taken over: one line an entry, sorted by kind, then id. */
export function manifestText(parts: readonly PartEntry[]): string {
  const lines = parts.map(part => `${part.kind}\t${part.id}\t${part.hash}\n`)
  return lines.toSorted().join('')
}
