/** How many engines a group should have: the port that whoever makes engines follows. Pure. */
import { PAIR, type FilledServiceEngineGroup } from '#model/resource/serviceenginegroup.ts'

export interface AdvisedGroup extends Pick<
  FilledServiceEngineGroup,
  'ha_mode' | 'min_se' | 'max_se' | 'buffer_se' | 'max_vs_per_se' | 'max_cpu_usage' | 'min_cpu_usage' | 'se_deprovision_delay'
> {}

export interface GroupLoad {
  /** Up, and taking services. */
  readonly engines: number
  /** Places that its services ask for: a service on three engines asks for three. */
  readonly placesWanted: number
  /** Most engines that one service asks for. */
  readonly widest: number
  /** Sum over its engines, 1 for each full one; undefined where more of them would not take CPU off the others. */
  readonly cpuSum: number | undefined
}

export interface EngineAdvice {
  readonly engines: number
  readonly reasons: readonly string[]
  /** Since when fewer would do; to be given back at the next look. */
  readonly fewerSinceMs: number | undefined
}

/**
 * Engines that a group should have: enough for its services (N), and `buffer_se` more (M) that may fail; two of an active/standby group.
 *
 * Units   nowMs: monotonic
 * Returns at least min_se and at most max_se; fewer than there are only when fewer would do for se_deprovision_delay minutes
 */
export function engineAdvice(group: AdvisedGroup, load: GroupLoad, nowMs: number, fewerSinceMs?: number): EngineAdvice {
  if (group.ha_mode === 'HA_MODE_LEGACY_ACTIVE_STANDBY')
    return {
      engines: Math.min(PAIR, group.max_se),
      reasons: ['an active/standby group has two engines, and no more than max_se'],
      fewerSinceMs: undefined
    }
  const byPlaces = Math.ceil(load.placesWanted / group.max_vs_per_se)
  const byCpu = Math.ceil((load.cpuSum ?? 0) / (group.max_cpu_usage / 100) - 1e-9)
  const cpuWords = load.cpuSum === undefined ? 'CPU is not asked (all its engines are on one host)' : `CPU asks for ${byCpu}`
  const needed = Math.max(byPlaces, byCpu, load.widest)
  const spare = load.placesWanted > 0 ? group.buffer_se : 0
  const wanted = Math.min(group.max_se, Math.max(group.min_se, needed + spare))
  const reasons = [
    `${load.placesWanted} places of services at ${group.max_vs_per_se} an engine ask for ${byPlaces}, ${cpuWords}, the widest service for ${load.widest}`,
    ...(spare > 0 ? [`${spare} more may fail (buffer_se)`] : []),
    ...(needed + spare > group.max_se ? [`no more than max_se ${group.max_se}`] : []),
    ...(needed + spare < group.min_se ? [`no fewer than min_se ${group.min_se}`] : [])
  ]
  if (wanted >= load.engines) return { engines: wanted, reasons, fewerSinceMs: undefined }
  const since = fewerSinceMs ?? nowMs
  const leftMs = group.se_deprovision_delay * 60_000 - (nowMs - since)
  const isBusy = load.engines > 0 && (load.cpuSum ?? 0) / load.engines > group.min_cpu_usage / 100
  if (load.engines <= group.max_se && (leftMs > 0 || isBusy)) {
    const why = isBusy
      ? `engines are busier than min_cpu_usage ${group.min_cpu_usage} %`
      : `fewer will do in ${Math.ceil(leftMs / 60_000)} min (se_deprovision_delay)`
    return { engines: load.engines, reasons: [...reasons, why], fewerSinceMs: isBusy ? undefined : since }
  }
  return { engines: wanted, reasons, fewerSinceMs: since }
}
