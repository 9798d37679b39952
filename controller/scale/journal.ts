/** What was decided, with its numbers: kept in the store, the newest hundred of each, until what it is about is deleted. */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { AutoscaleDecision } from '#model/resource/autoscale.ts'
import type { Store } from '#controller/store/store.ts'
import type { ScaleSubject } from './port.ts'

export const DECISIONS_MAX = 100
/** The same trouble is told again only after so long. */
const SAME_MS = 10 * 60_000

interface Row extends ScaleSubject {
  readonly decisions: readonly AutoscaleDecision[]
}

export interface Journal {
  readonly of: (uuid: string) => readonly AutoscaleDecision[]
  readonly add: (subject: ScaleSubject & { readonly name: string }, decision: Omit<AutoscaleDecision, 'at'>) => void
  /** Forgets what no longer exists. */
  readonly tidy: () => void
  readonly onDecision: (listener: (subject: ScaleSubject, decision: AutoscaleDecision) => void) => () => void
}

export function openJournal({ store, clock, log }: { readonly store: Store; readonly clock: Clock; readonly log: Log }): Journal {
  const table = store.table<Row>('scale-decision')
  const rows = new Map(table.entries())
  const listeners = new Set<(subject: ScaleSubject, decision: AutoscaleDecision) => void>()

  return {
    of: uuid => rows.get(uuid)?.decisions ?? [],
    add: ({ kind, uuid, name }, told) => {
      const decision: AutoscaleDecision = { ...told, at: Math.round(clock.nowEpochMs()) }
      const before = rows.get(uuid)?.decisions ?? []
      const last = before.at(-1)
      // Numbers move each second; trouble of one kind that goes on is one piece of news.
      const isSame = decision.kind === 'HELD' && last?.kind === 'HELD' && last.after === decision.after
      if (isSame && decision.at - last.at < SAME_MS) return
      const row = { kind, uuid, decisions: [...before, decision].slice(-DECISIONS_MAX) }
      rows.set(uuid, row)
      table.set(uuid, row)
      const { before: from, after, reasons, cause } = decision
      log.info('autoscale', { kind, uuid, name, decision: decision.kind, cause, before: from, after, reasons: reasons.join('; ') })
      for (const tell of listeners) tell({ kind, uuid }, decision)
    },
    tidy: () => {
      for (const [uuid, { kind }] of rows) {
        if (store.get(kind, uuid) !== undefined) continue
        rows.delete(uuid)
        table.delete(uuid)
      }
    },
    onDecision: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}
