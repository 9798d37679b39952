/** A release as it is kept: every change of a row is one durable step, and what it intends is in it before it is done. */
import type { FilledPoolGroupDeploymentPolicy } from '#model/resource/poolgroupdeploymentpolicy.ts'
import type { DecisionView, ReleaseState, ReleaseView, SidesView, SideView } from '#model/resource/release.ts'
import type { Measured } from '#controller/telemetry/port.ts'
import { metricOf, type Side } from './judge.ts'
import type { OldMember } from './ratios.ts'

export interface Run {
  readonly id: string
  readonly group: string
  readonly groupName: string
  readonly tenant: string
  readonly pool: string
  readonly poolName: string
  readonly old: readonly OldMember[]
  /** As they were when it began: a policy that is edited meanwhile is for the next release. */
  readonly policy: Policy
  readonly steps: readonly number[]
  readonly startedBy: string
  readonly startedAtEpochMs: number
  readonly at: number
  /**
   * moving: the share of the step is to be written; measuring: it is, and is measured; ending: the end is decided and to be written.
   * A controller that is killed goes on from here: what was to be written is written again, what was measured is measured anew.
   */
  readonly phase: 'moving' | 'measuring' | 'ending' | 'ended'
  readonly phaseSinceEpochMs: number
  readonly outcome: 'PROMOTED' | 'ROLLED_BACK' | 'ABORTED' | null
  readonly isPaused: boolean
  readonly extensions: number
  readonly reason: string
  /** The old side when it last had traffic: what steps are compared with that leave it none. */
  readonly baseline: (Measured & { readonly healthScore: number | null }) | null
  readonly decisions: readonly DecisionView[]
}

export type Policy = Omit<FilledPoolGroupDeploymentPolicy, 'name' | 'uuid' | 'url' | '_last_modified'>

export const DECISIONS_MAX = 100

/** The run with one more decision, which is also the reason that it is where it is. */
export function decided(run: Run, decision: DecisionView, more: Partial<Run> = {}): Run {
  const reason = decision.reasons.join('; ')
  return { ...run, reason, ...more, decisions: [...run.decisions, decision].slice(-DECISIONS_MAX) }
}

export const isActive = (run: Run): boolean => run.phase !== 'ended'

export function stateOf(run: Run): ReleaseState {
  if (run.outcome !== null && (run.phase === 'ended' || run.phase === 'ending')) return run.outcome
  return run.isPaused ? 'PAUSED' : 'RUNNING'
}

function shareOf(run: Run): number {
  if (run.phase !== 'ended') return run.steps[run.at] ?? 0
  if (run.outcome !== 'PROMOTED') return 0
  return run.policy.auto_disable_old_prod_pools ? 100 : (run.steps.at(-1) ?? 100)
}

export function sideView(side: Side): SideView {
  return {
    requests: side.requests,
    errors: side.errors,
    error_percent: metricOf('l7_server.pct_response_errors', side) ?? 0,
    latency_p50_ms: metricOf('l7_server.pct50_latency', side),
    latency_p95_ms: metricOf('l7_server.pct95_latency', side),
    health_score: side.healthScore
  }
}

export function viewOf(run: Run, now: SidesView | null, judgedAtEpochMs: number | null): ReleaseView {
  return {
    id: run.id,
    poolgroup: run.group,
    poolgroup_name: run.groupName,
    pool: run.pool,
    pool_name: run.poolName,
    old_pools: run.old.map(member => member.pool),
    state: stateOf(run),
    steps: run.steps,
    step: run.at,
    share: shareOf(run),
    started_by: run.startedBy,
    started_at: run.startedAtEpochMs,
    step_started_at: run.phaseSinceEpochMs,
    judged_at: judgedAtEpochMs,
    ended_at: run.phase === 'ended' ? run.phaseSinceEpochMs : null,
    reason: run.reason,
    now,
    decisions: run.decisions
  }
}
