/** What became of scripts, all workers together, since the engine started: a worker that is replaced takes nothing with it. */
import type { ScriptSample } from '#model/message/message.ts'

export interface ScriptTally {
  /** What a worker says of all its scripts, as totals since its start. */
  readonly told: (worker: number, scripts: readonly ScriptSample[]) => void
  /** The next that this worker tells begins at nothing. */
  readonly gone: (worker: number) => void
  readonly sample: () => readonly ScriptSample[]
}

type Totals = Map<string, ScriptSample>

const keyOf = ({ virtualServiceId, name }: ScriptSample): string => `${virtualServiceId} ${name}`

export function openScriptTally(workers: number): ScriptTally {
  const live = Array.from({ length: workers }, (): Totals => new Map())
  /** Of workers that are gone, as long as the script runs somewhere. */
  const before: Totals = new Map()

  return {
    told: (worker, scripts) => {
      live[worker] = new Map(scripts.map(script => [keyOf(script), script]))
      const running = new Set(live.flatMap(totals => [...totals.keys()]))
      // All of them may be starting: what they ran before is not forgotten for that.
      if (live.every(totals => totals.size > 0)) for (const key of before.keys()) if (!running.has(key)) before.delete(key)
    },
    gone: worker => {
      for (const [key, script] of live[worker] ?? []) before.set(key, sum(before.get(key), script))
      live[worker] = new Map()
    },
    sample: () => {
      const all: Totals = new Map()
      for (const totals of [before, ...live]) for (const [key, script] of totals) all.set(key, sum(all.get(key), script))
      return [...all.values()]
    }
  }
}

function sum(a: ScriptSample | undefined, b: ScriptSample): ScriptSample {
  if (a === undefined) return b
  const counters = new Map(a.counters.map(({ name, count }) => [name, count]))
  for (const { name, count } of b.counters) counters.set(name, (counters.get(name) ?? 0) + count)
  const last = a.lastErrorAtEpochMs > b.lastErrorAtEpochMs ? a : b
  return {
    ...b,
    runs: a.runs + b.runs,
    failures: a.failures + b.failures,
    lastError: last.lastError,
    lastErrorAtEpochMs: last.lastErrorAtEpochMs,
    counters: [...counters].map(([name, count]) => ({ name, count }))
  }
}
