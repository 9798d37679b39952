/**
 * What engines encrypt TLS session tickets with: a session made on one engine of a group resumes on any other. The next secret is out before
 * it is used, those of before stay as long as a session may last; then they are gone for good, and what was recorded with them stays closed.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Seal } from '#controller/pki/port.ts'
import type { Store } from '#controller/store/store.ts'

/** Twice this is how long a session may last by default. */
export const ROTATION_MS = 12 * 60 * 60_000
const SECRET_BYTES = 32
/** The next one, that of now, and two of before. */
const KEPT = 4

interface Row {
  /** Sealed; the next one first. */
  readonly secrets: readonly string[]
  readonly rotatedAtEpochMs: number
}

export interface TicketKeysOptions {
  readonly store: Pick<Store, 'table'>
  readonly seal: Pick<Seal, 'seal' | 'open'>
  readonly clock: Clock
  readonly randomBytes: (size: number) => Uint8Array
}

export interface TicketKeyRing {
  /** Secrets of a group in base64: that of now first. Rotates them when it is time. */
  readonly of: (group: string) => readonly string[]
  /** Forgets those of groups that are gone. */
  readonly keepOnly: (groups: ReadonlySet<string>) => void
}

export function makeTicketKeys({ store, seal, clock, randomBytes }: TicketKeysOptions): TicketKeyRing {
  const table = store.table<Row>('ticket-keys')
  const opened = new Map<string, { readonly row: Row; readonly keys: readonly string[] }>()
  const make = (): string => seal.seal(Buffer.from(randomBytes(SECRET_BYTES)).toString('base64'))

  const rotated = (row: Row | undefined): Row => {
    const nowEpochMs = clock.nowEpochMs()
    if (row === undefined) return { secrets: [make(), make()], rotatedAtEpochMs: nowEpochMs }
    const times = Math.min(KEPT, Math.floor((nowEpochMs - row.rotatedAtEpochMs) / ROTATION_MS))
    if (times <= 0) return row
    const fresh = Array.from({ length: times }, make)
    return { secrets: [...fresh, ...row.secrets].slice(0, KEPT), rotatedAtEpochMs: nowEpochMs }
  }

  const openAll = ({ secrets }: Row): string[] => {
    const [next, now, ...before] = secrets.map(seal.open)
    return [now, next, ...before].filter(key => key !== undefined)
  }

  return {
    of: group => {
      const stored = table.get(group)
      let row = rotated(stored)
      const known = opened.get(group)
      if (row === stored && known?.row.rotatedAtEpochMs === row.rotatedAtEpochMs) return known.keys
      let keys: readonly string[]
      try {
        keys = openAll(row)
      } catch {
        // Sealed by another key: nobody can open them any more.
        row = rotated(undefined)
        keys = openAll(row)
      }
      if (row !== stored) table.set(group, row)
      opened.set(group, { row, keys })
      return keys
    },
    keepOnly: groups => {
      for (const [group] of table.entries()) {
        if (groups.has(group)) continue
        table.delete(group)
        opened.delete(group)
      }
    }
  }
}
