/** What this controller gives out: the builds in the folder that `make package` writes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface GivenOut {
  readonly version: string
  /** `linux-x64` -> SHA-256 of its archive. */
  readonly builds: Readonly<Record<string, string>>
}

/**
 * Reads `SHA256SUMS` and `VERSION` of a folder.
 *
 * Returns undefined when nothing whole lies there
 */
export function readGivenOut(folder: string): GivenOut | undefined {
  try {
    const sums = readFileSync(join(folder, 'SHA256SUMS'), 'utf8')
    const version = readFileSync(join(folder, 'VERSION'), 'utf8').trim().slice(0, 100)
    const found = [...sums.matchAll(/^([0-9a-f]{64}) {2}weir-engine-(linux-[a-z0-9]+)\.tar\.gz$/gm)]
    return found.length === 0
      ? undefined
      : { version, builds: Object.fromEntries(found.map(([, digest, platform]) => [platform!, digest!])) }
  } catch {
    return undefined
  }
}
