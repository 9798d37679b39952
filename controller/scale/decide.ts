/**
 * How many engines a virtual service should run on, how many servers a pool should have. Pure: a sample, settings, what was remembered and the time
 * in; a decision with its numbers in words out. Everything is measured in engines (servers): demand 1.6 is what 1.6 of them carry at their targets.
 */
import type { AutoscaleFigures } from '#model/resource/autoscale.ts'

export interface ScaleSettings {
  /** What is counted. */
  readonly noun: 'engine' | 'server'
  readonly least: number
  readonly most: number
  /** 0..1 of an engine. */
  readonly maxCpuRatio: number
  readonly minCpuRatio: number
  /** Of one engine; 0: not looked at. */
  readonly maxConnections: number
  readonly maxRequestsPerS: number
  readonly maxBytesPerS: number
  /** p95; 0: not looked at. */
  readonly maxLatencyMs: number
  readonly outDelayMs: number
  readonly inDelayMs: number
  readonly outCooldownMs: number
  readonly inCooldownMs: number
  /** Added, taken away at once, at most. */
  readonly maxStep: number
  readonly maxStepIn: number
  /** Asked for whatever the load is, and why: a size that somebody else does not see to already. */
  readonly floor?: { readonly count: number; readonly words: string; readonly cause: 'load' | 'schedule' }
  /** The floor alone says how many there are: what it no longer asks for goes, though no figure is looked at. */
  readonly isSizedElsewhere?: boolean
  /** 0..1: how far below their targets the engines that are left must be. */
  readonly inMargin: number
}

/** Of one virtual service or pool; undefined figures are unknown. */
export interface LoadSample {
  /** Of them, or servers. */
  readonly engines: number
  /** Mean of the engines that carry it; undefined when no engine told it. */
  readonly cpuRatio: number | undefined
  /** It makes enough of that load for an engine more to take some of it away; else CPU only keeps engines, and asks for none. */
  readonly isCpuOwn: boolean
  readonly connections: number
  readonly requestsPerS: number
  readonly bytesPerS: number
  readonly latencyMs: number | undefined
}

export interface Prediction {
  /** The most that is expected within the time ahead, in engines. */
  readonly demand: number
  readonly aheadMs: number
}

export interface ScaleMemory {
  readonly demand: number
  /** Without what others load its engines with: what may ask for more. */
  readonly ownDemand: number
  readonly latencyRatio: number
  readonly atMs: number
  /** Since when more, or fewer, engines would do; undefined: they would not. */
  readonly aboveSinceMs: number | undefined
  readonly belowSinceMs: number | undefined
  readonly outAtMs: number | undefined
  readonly inAtMs: number | undefined
}

export interface Decision {
  readonly is: 'stay' | 'out' | 'in'
  /** Engines that it should run on. */
  readonly wanted: number
  readonly cause: 'load' | 'forecast' | 'schedule'
  readonly reasons: readonly string[]
  readonly figures: AutoscaleFigures
  readonly memory: ScaleMemory
}

/** Samples of a second are noise; what two seconds agree on is load. */
const SMOOTHING_MS = 2_000
/** An engine more is not worth a hundredth of one. */
const TOLERANCE = 0.01

interface Need {
  readonly name: string
  /** Engines. */
  readonly demand: number
  readonly words: string
}

const round = (value: number): number => Math.round(value * 100) / 100

/** What each figure asks for, in engines; the greatest first. */
function needsOf(sample: LoadSample, settings: ScaleSettings): Need[] {
  const { noun } = settings
  const { engines, cpuRatio, connections, requestsPerS, bytesPerS } = sample
  const needs: Need[] = []
  const add = (name: string, total: number, target: number, unit: string): void => {
    if (target <= 0) return
    needs.push({
      name,
      demand: total / target,
      words: `${round(total / Math.max(1, engines))}${unit} ${noun === 'engine' ? 'an' : 'a'} ${noun}, of ${round(target)}${unit}`
    })
  }
  if (cpuRatio !== undefined) add('CPU', cpuRatio * 100 * engines, settings.maxCpuRatio * 100, ' %')
  add('connections', connections, settings.maxConnections, '')
  add('requests', requestsPerS, settings.maxRequestsPerS, '/s')
  add('throughput', (bytesPerS * 8) / 1_000_000, (settings.maxBytesPerS * 8) / 1_000_000, ' Mbit/s')
  return needs.toSorted((a, b) => b.demand - a.demand)
}

/**
 * Decides for one virtual service, or one pool.
 *
 * Shapes  sample undefined: nothing is known now; then nothing is done, and unknown is not idle
 * Units   nowMs: monotonic
 * Returns the decision and what to remember for the next look; `out` is at most `maxStep` more, `in` at most `maxStepIn` fewer
 *
 *   stay --demand above engines for outDelay, cool--> out        never above most
 *   stay --demand fits one engine less, with margin, for inDelay, cool--> in   never below least, nor below what is expected
 */
export function decide(
  sample: LoadSample | undefined,
  settings: ScaleSettings,
  before: ScaleMemory | undefined,
  nowMs: number,
  prediction?: Prediction
): Decision {
  const empty: ScaleMemory = {
    demand: 0,
    ownDemand: 0,
    latencyRatio: 0,
    atMs: nowMs,
    aboveSinceMs: undefined,
    belowSinceMs: undefined,
    outAtMs: before?.outAtMs,
    inAtMs: before?.inAtMs
  }
  const engines = sample?.engines ?? 0
  if (sample === undefined || (engines === 0 && settings.floor === undefined)) {
    const figures = { engines, demand: null, predicted: null, least: settings.least, most: settings.most, metrics: [] }
    return { is: 'stay', wanted: engines, cause: 'load', reasons: ['nothing is known of its load'], figures, memory: empty }
  }
  const needs = needsOf(sample, settings)
  const worst = needs[0]
  const own = needs.find(({ name }) => name !== 'CPU' || sample.isCpuOwn)
  const isFresh = before !== undefined && before.atMs > nowMs - 10_000 && before.demand > 0
  const weight = isFresh ? 1 - Math.exp(-Math.max(0, nowMs - before.atMs) / SMOOTHING_MS) : 1
  const smooth = (was: number | undefined, now: number): number => (isFresh && was !== undefined ? was + (now - was) * weight : now)
  const demand = smooth(before?.demand, worst?.demand ?? 0)
  const ownDemand = smooth(before?.ownDemand, own?.demand ?? 0)
  const slowNow = settings.maxLatencyMs > 0 && sample.latencyMs !== undefined ? sample.latencyMs / settings.maxLatencyMs : 0
  const latencyRatio = smooth(before?.latencyRatio, slowNow)
  // Engines that idle are not why answers are slow: more of them would not help.
  const isSlow = latencyRatio > 1 && (sample.cpuRatio ?? 0) >= settings.minCpuRatio
  const byLoad = Math.max(Math.ceil(ownDemand - TOLERANCE), isSlow ? engines + 1 : 0)
  const expected = prediction === undefined ? 0 : Math.ceil(prediction.demand - TOLERANCE)
  const floor = settings.floor?.count ?? 0
  const wanted = Math.min(settings.most, engines + settings.maxStep, Math.max(byLoad, expected, floor))
  const isAbove = wanted > engines
  // What is left carries the load with a margin, and what is expected, and is no fewer than is asked for.
  const enough = Math.max(settings.least, floor, expected, Math.ceil(demand / (1 - settings.inMargin) - 1e-9))
  const fits = enough < engines
  const isIdle = (sample.cpuRatio === undefined || sample.cpuRatio < settings.minCpuRatio) && latencyRatio <= 1 - settings.inMargin
  // A figure that is not looked at says nothing: a service of which nothing is known keeps its engines.
  const isBelow = (needs.length > 0 || settings.isSizedElsewhere === true) && fits && isIdle
  const isOver = engines > settings.most
  const memory: ScaleMemory = {
    demand,
    ownDemand,
    latencyRatio,
    atMs: nowMs,
    aboveSinceMs: isAbove ? (before?.aboveSinceMs ?? nowMs) : undefined,
    belowSinceMs: isBelow || isOver ? (before?.belowSinceMs ?? nowMs) : undefined,
    outAtMs: before?.outAtMs,
    inAtMs: before?.inAtMs
  }
  const metrics = needs.map(({ name, demand: of, words }) => ({ name, demand: round(of), words }))
  if (settings.maxLatencyMs > 0 && sample.latencyMs !== undefined)
    metrics.push({
      name: 'latency',
      demand: round(latencyRatio),
      words: `p95 ${round(sample.latencyMs)} ms, of ${settings.maxLatencyMs} ms`
    })
  const figures: AutoscaleFigures = {
    engines,
    demand: round(demand),
    predicted: prediction === undefined ? null : round(prediction.demand),
    least: settings.least,
    most: settings.most,
    metrics
  }
  const isCool = (atMs: number | undefined, cooldownMs: number): boolean => atMs === undefined || nowMs - atMs >= cooldownMs
  if (
    memory.aboveSinceMs !== undefined &&
    nowMs - memory.aboveSinceMs >= settings.outDelayMs &&
    isCool(before?.outAtMs, settings.outCooldownMs)
  ) {
    const cause = byLoad > engines ? 'load' : expected > engines ? 'forecast' : (settings.floor?.cause ?? 'load')
    const reasons =
      byLoad > engines
        ? whyOut(ownDemand, engines, own, isSlow ? sample : undefined, settings)
        : expected > engines
          ? whyAhead(prediction!, ownDemand, engines, settings)
          : [settings.floor?.words ?? '']
    return {
      is: 'out',
      wanted,
      cause,
      reasons,
      figures,
      memory: { ...memory, aboveSinceMs: undefined, belowSinceMs: undefined, outAtMs: nowMs }
    }
  }
  // The cool-down of scaling out counts here as well: what has just been added has not been felt yet.
  const isCoolIn =
    isCool(before?.inAtMs, settings.inCooldownMs) && isCool(before?.outAtMs, Math.max(settings.outCooldownMs, settings.inDelayMs))
  if (memory.belowSinceMs !== undefined && nowMs - memory.belowSinceMs >= settings.inDelayMs && isCoolIn) {
    const left = Math.max(engines - settings.maxStepIn, isOver ? settings.most : enough)
    return {
      is: 'in',
      wanted: left,
      cause: 'load',
      reasons: isOver
        ? [`there are ${engines} ${settings.noun}s, and may be ${settings.most}`]
        : [
            `for ${Math.round((nowMs - memory.belowSinceMs) / 1_000)} s its load was that of ${round(demand)} ${settings.noun}s, which ${left} carry` +
              (worst === undefined ? '' : ` (${worst.name}: ${worst.words})`)
          ],
      figures,
      memory: { ...memory, aboveSinceMs: undefined, belowSinceMs: undefined, inAtMs: nowMs }
    }
  }
  return { is: 'stay', wanted, cause: 'load', reasons: [], figures, memory }
}

function whyOut(demand: number, engines: number, worst: Need | undefined, slow: LoadSample | undefined, settings: ScaleSettings): string[] {
  const { noun, maxLatencyMs } = settings
  const reasons: string[] = []
  if (demand > engines + TOLERANCE && worst !== undefined)
    reasons.push(`${worst.name}: ${worst.words}; its load is that of ${round(demand)} ${noun}s, and there are ${engines}`)
  if (slow !== undefined)
    reasons.push(
      `latency: p95 ${round(slow.latencyMs ?? 0)} ms, of ${maxLatencyMs} ms${noun === 'engine' ? ', while its engines are busy' : ''}`
    )
  return reasons
}

const whyAhead = ({ demand, aheadMs }: Prediction, now: number, engines: number, { noun }: ScaleSettings): string[] => [
  `within ${Math.round(aheadMs / 60_000)} min its load is expected to be that of ${round(demand)} ${noun}s; it is that of ${round(now)} now, and there are ${engines}`
]
