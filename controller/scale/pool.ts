/** What a policy asks of a pool now: load, margins, schedule. Pure. */
import { isWithin, parseCron } from '#model/resource/cron.ts'
import type { FilledServerAutoScalePolicy } from '#model/resource/serverautoscalepolicy.ts'
import type { ScaleSettings } from './decide.ts'

/** Spare capacity that stays when servers go, where the policy keeps no margins of its own. */
const PLAIN_MARGIN = 0.25
/** A peak of a second is no reason for a machine. */
const OUT_DELAY_MS = 3_000

type Scheduled = NonNullable<FilledServerAutoScalePolicy['scheduled_scalings']>[number]

/** The schedule that asks for most of those that hold at a time; undefined when none does. */
export function scheduleAt(policy: FilledServerAutoScalePolicy, epochMs: number): Scheduled | undefined {
  const holds = (policy.scheduled_scalings ?? []).filter(scheduled => {
    if (!scheduled.enable) return false
    if (scheduled.start_date !== undefined && epochMs < Date.parse(scheduled.start_date)) return false
    if (scheduled.end_date !== undefined && epochMs >= Date.parse(scheduled.end_date)) return false
    const cron = parseCron(scheduled.cron_expression)
    return cron !== undefined && isWithin(cron, scheduled.autoscaling_duration, epochMs)
  })
  return holds.toSorted((a, b) => b.desired_capacity - a.desired_capacity)[0]
}

/**
 * The settings of a decision about a pool.
 *
 * Shapes  schedule: what holds now
 * Returns targets with the spare capacity of scaling out taken off, and the margin of scaling in measured against these
 */
export function poolSettings(policy: FilledServerAutoScalePolicy, schedule: Scheduled | undefined): ScaleSettings {
  const isKept = policy.intelligent_autoscale
  const out = isKept ? policy.intelligent_scaleout_margin / 100 : 0
  const isScheduled = schedule !== undefined && schedule.desired_capacity > policy.min_size
  const floor = isScheduled
    ? {
        count: schedule.desired_capacity,
        words: `the schedule ${schedule.cron_expression} asks for ${schedule.desired_capacity} servers`,
        cause: 'schedule' as const
      }
    : { count: policy.min_size, words: `there are to be ${policy.min_size} servers at least`, cause: 'load' as const }
  return {
    noun: 'server',
    least: policy.min_size,
    most: policy.max_size,
    maxCpuRatio: 1,
    minCpuRatio: 0,
    maxConnections: policy.max_connections_per_server / (1 + out),
    maxRequestsPerS: policy.max_requests_per_server / (1 + out),
    maxBytesPerS: 0,
    maxLatencyMs: policy.max_latency,
    outDelayMs: OUT_DELAY_MS,
    inDelayMs: policy.scalein_cooldown * 1_000,
    outCooldownMs: policy.scaleout_cooldown * 1_000,
    inCooldownMs: policy.scalein_cooldown * 1_000,
    maxStep: Math.max(policy.max_scaleout_adjustment_step, isScheduled ? schedule.schedule_max_step : 1),
    maxStepIn: policy.max_scalein_adjustment_step,
    floor,
    isSizedElsewhere: policy.max_latency === 0 && (policy.scheduled_scalings ?? []).length > 0,
    inMargin: isKept ? 1 - (1 + out) / (1 + policy.intelligent_scalein_margin / 100) : PLAIN_MARGIN
  }
}
