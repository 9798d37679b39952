/** An upgrade as it is kept: every change of a row is one durable step, and what is ordered is in it before it is ordered. */
import type { UpgradedEngineState, UpgradeEventView, UpgradeSettings, UpgradeState, UpgradeView } from '#model/resource/upgrade.ts'
import type { Side } from './gate.ts'

export interface Run {
  readonly id: string
  readonly group: string
  readonly groupName: string
  readonly version: string
  readonly settings: UpgradeSettings
  /** Told each event; undefined: nobody. */
  readonly webhook?: string
  readonly startedBy: string
  readonly startedAtEpochMs: number
  readonly direction: 'FORWARD' | 'BACK'
  readonly isPaused: boolean
  /** Decided; it has ended when no engine is under way any more. */
  readonly outcome: 'DONE' | 'ROLLED_BACK' | 'ABORTED' | null
  readonly endedAtEpochMs: number | null
  readonly reason: string
  readonly engines: readonly EngineRow[]
  readonly events: readonly UpgradeEventView[]
}

export interface EngineRow {
  readonly uuid: string
  readonly name: string
  /** Builds: that it ran as this began, and that it shall run; '' where not known. */
  readonly from: string
  readonly to: string
  readonly state: UpgradedEngineState
  readonly sinceEpochMs: number
  readonly reason: string
  /** The last that it was given. */
  readonly order: OrderRow | null
  /** What it was like before; null: it was not measured. */
  readonly before: Side | null
}

export interface OrderRow {
  readonly id: string
  readonly build: string
  readonly issuedEpochMs: number
}

const EVENTS_MAX = 400

export const isEnded = (run: Run): boolean => run.endedAtEpochMs !== null

const underWay = new Set<UpgradedEngineState>(['MEASURING', 'ORDERED', 'WATCHING', 'GOING_BACK'])
export const isUnderWay = ({ state }: EngineRow): boolean => underWay.has(state)

export const withEngine = (run: Run, row: EngineRow): Run => ({
  ...run,
  engines: run.engines.map(one => (one.uuid === row.uuid ? row : one))
})

/** The run with one more event, which is also the reason that it is where it is when it is about the whole. */
export function withEvent(run: Run, event: UpgradeEventView): Run {
  const reason = event.engine === null ? event.reasons.join('; ') : run.reason
  return { ...run, reason, events: [...run.events, event].slice(-EVENTS_MAX) }
}

function stateOf(run: Run): UpgradeState {
  return run.outcome ?? (run.isPaused ? 'PAUSED' : 'RUNNING')
}

export function viewOf(run: Run): UpgradeView {
  return {
    ...run.settings,
    id: run.id,
    serviceenginegroup: run.group,
    serviceenginegroup_name: run.groupName,
    state: stateOf(run),
    direction: run.direction,
    version: run.version,
    started_by: run.startedBy,
    started_at: run.startedAtEpochMs,
    ended_at: run.endedAtEpochMs,
    reason: run.reason,
    engines: run.engines.map(({ uuid, name, state, from, to, sinceEpochMs, reason }) => ({
      uuid,
      name,
      state,
      from,
      to,
      since: sinceEpochMs,
      reason
    })),
    events: run.events
  }
}
