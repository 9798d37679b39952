/**
 * Which script each worker runs now, in memory that the agent thread reads: a call inside a script that cannot be interrupted
 * holds up its whole worker, which then can tell nobody.
 */

/** Of one worker: a count that is odd while a script runs, the length of its name, and the name. */
const COUNT = 0
const LENGTH = 1
const NAME_AT = 8
const BYTES = 512

export interface RunOfScript {
  /** Goes up with each run. */
  readonly count: number
  readonly script: string
}

/** The worker's side. */
export interface RunMark {
  readonly begin: (script: string) => void
  readonly end: () => void
}

export const makeScriptRuns = (workers: number): SharedArrayBuffer => new SharedArrayBuffer(workers * BYTES)

const wordsOf = (runs: SharedArrayBuffer, worker: number): Int32Array => new Int32Array(runs, worker * BYTES, 2)
const nameOf = (runs: SharedArrayBuffer, worker: number): Uint8Array => new Uint8Array(runs, worker * BYTES + NAME_AT, BYTES - NAME_AT)

export function markRuns(runs: SharedArrayBuffer, worker: number): RunMark {
  const words = wordsOf(runs, worker)
  const name = nameOf(runs, worker)
  const coder = new TextEncoder()
  let marked = ''
  return {
    begin: script => {
      if (script !== marked) {
        marked = script
        // Nobody reads it before the count says so.
        const told = coder.encode(script).subarray(0, name.length)
        name.set(told)
        words[LENGTH] = told.length
      }
      Atomics.add(words, COUNT, 1)
    },
    end: () => void Atomics.add(words, COUNT, 1)
  }
}

/** The agent thread's side. Null while the worker runs none. */
export function runOf(runs: SharedArrayBuffer, worker: number): RunOfScript | null {
  const words = wordsOf(runs, worker)
  const count = Atomics.load(words, COUNT)
  if (count % 2 === 0) return null
  return { count, script: new TextDecoder().decode(nameOf(runs, worker).slice(0, words[LENGTH])) }
}

/** A worker that died runs nothing. */
export function runsEnded(runs: SharedArrayBuffer, worker: number): void {
  const words = wordsOf(runs, worker)
  if (Atomics.load(words, COUNT) % 2 !== 0) Atomics.add(words, COUNT, 1)
}
