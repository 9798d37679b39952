/** Do the engines of a group differ so much that its services are spread anew? Pure. */
import type { FilledServiceEngineGroup } from '#model/resource/serviceenginegroup.ts'

export interface EngineLoad {
  readonly name: string
  readonly cpuRatio: number
  readonly openConnections: number
  readonly connectionsPerS: number
  readonly bytesPerS: number
}

export interface Spread {
  readonly isUneven: boolean
  readonly reasons: readonly string[]
}

type Criterion = NonNullable<FilledServiceEngineGroup['auto_rebalance_criteria']>[number]

interface Measure {
  readonly words: string
  readonly of: (load: EngineLoad) => number
  /** Below it a difference is none, however many times as much it is. */
  readonly least: number
  readonly unit: string
}

const measures: Readonly<Record<Criterion, Measure>> = {
  SE_AUTO_REBALANCE_CPU: { words: 'CPU', of: load => load.cpuRatio * 100, least: 20, unit: ' %' },
  SE_AUTO_REBALANCE_MBPS: { words: 'throughput', of: load => (load.bytesPerS * 8) / 1_000_000, least: 10, unit: ' Mbit/s' },
  SE_AUTO_REBALANCE_OPEN_CONNS: { words: 'open connections', of: load => load.openConnections, least: 100, unit: '' },
  SE_AUTO_REBALANCE_CPS: { words: 'new connections', of: load => load.connectionsPerS, least: 50, unit: '/s' }
}
/** How many times the mean the busiest engine may carry. */
const MAX_OF_MEAN = 1.5

/**
 * Compares the busiest engine with the mean of all, by each criterion.
 *
 * Shapes  loads: engines that are up and take services; fewer than two differ from nobody
 *         criteria empty: CPU
 * Returns uneven when by any criterion the busiest carries more than 1.5 times the mean and the gap to the idlest is no trifle
 */
export function judgeSpread(loads: readonly EngineLoad[], criteria: readonly Criterion[]): Spread {
  if (loads.length < 2) return { isUneven: false, reasons: ['fewer than two engines take services'] }
  const reasons: string[] = []
  for (const criterion of criteria.length > 0 ? criteria : (['SE_AUTO_REBALANCE_CPU'] as const)) {
    const { words, of, least, unit } = measures[criterion]
    const sorted = loads.toSorted((a, b) => of(b) - of(a))
    const [most, fewest] = [sorted[0]!, sorted.at(-1)!]
    const mean = loads.reduce((sum, load) => sum + of(load), 0) / loads.length
    if (of(most) <= mean * MAX_OF_MEAN || of(most) - of(fewest) < least) continue
    reasons.push(
      `${words}: ${Math.round(of(most))}${unit} on ${most.name}, ${Math.round(of(fewest))}${unit} on ${fewest.name}, ${Math.round(mean)}${unit} on average`
    )
  }
  return { isUneven: reasons.length > 0, reasons }
}
