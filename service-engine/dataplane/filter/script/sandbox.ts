/**
 * Where scripts run: one instance of QuickJS for a worker, one runtime with bounds of its own for each script. A run is cut when
 * it takes too much time, memory or stack; whatever was cut leaves nothing behind, for its runtime goes with it.
 *
 *   loading --loaded--> ready --the instance broke--> loading
 */
import { createHash } from 'node:crypto'
import { loadQuickJs, type QuickJs } from '#model/script/quickjs.ts'
import { asFunction, placeIn, SCRIPT_FILE } from '#model/script/source.ts'
import { prelude } from './prelude.ts'

export interface SandboxServices {
  /** The bytes of QuickJS. */
  readonly readWasm: () => Uint8Array
  /** Processor time of this thread. */
  readonly cpuMs: () => number
  readonly nowMs: () => number
  /** Told what runs, for whoever watches over this thread. */
  readonly mark?: { readonly begin: (script: string) => void; readonly end: () => void }
  readonly log: (line: string, fields: Readonly<Record<string, unknown>>) => void
}

/** What a script may ask while it runs. Undefined is an answer; what it throws, the script sees. */
export type Ask = (what: string, of: string, a: string | number | undefined, b: number | undefined) => string | number | boolean | undefined

export interface ProgramSpec {
  /** `set name/event`, as people know it. */
  readonly name: string
  readonly source: string
  readonly timeLimitMs: number
  readonly ask: Ask
}

export type Run =
  /** JSON of a list of orders, '' for none. */
  | { readonly is: 'done'; readonly orders: string }
  | { readonly is: 'failed'; readonly message: string; readonly line: number; readonly orders: string }

export interface Program {
  readonly name: string
  /** Never throws, and takes little more than its time. `facts`: JSON. */
  readonly run: (facts: string) => Run
}

/** Of one script, its own text and all that it makes. */
const MEMORY_BYTES = 2 * 1_048_576
const STACK_BYTES = 64 * 1024
/** Runtimes that are kept; one that was not used for the longest time is made anew when it is needed. */
const KEPT = 64
/** Calls and turns of loops between two looks at the clock; QuickJS itself looks after 10,000, each of which may be long. */
const TURNS = 20
/** How much time making a runtime may take; it runs nothing of the script's. */
const SETUP_MS = 2_000

/** A run that is over so much later than it may be has made a call that could not be cut; those are rare. */
const OVERRUN_MS = 100
/** As long as that took, times so many, the script is not run again: it never has more than so small a part of a worker. */
const REST_FACTOR = 50
const MAX_REST_MS = 600_000

interface Key {
  readonly id: string
  restsUntilMs: number
  why: string
}

type Called = Run & { readonly isSpoiled?: true }
type Runtime = ReturnType<QuickJs['newRuntime']>
type Context = ReturnType<Runtime['newContext']>
type Handle = ReturnType<Context['getProp']>

interface Place {
  readonly runtime: Runtime
  readonly context: Context
  readonly run: Handle
  /** Address of the count of turns that are left. */
  readonly turns: number
}

export class Sandbox {
  readonly #services: SandboxServices
  #quickJs: QuickJs | null = null
  #loading: Promise<void> | null = null
  /** In order of use, the longest unused first. */
  readonly #places = new Map<Key, Place>()
  /** Scripts that held up a worker for so long that it had to be ended. */
  #barred: ReadonlySet<string> = new Set()
  /** Where the count of turns lies in a context; found out once for an instance. */
  #turnsAt = -1
  #untilMs = 0

  constructor(services: SandboxServices) {
    this.#services = services
  }

  /** Resolves when scripts can run. Throws what reading or compiling QuickJS throws. */
  async ready(): Promise<void> {
    if (this.#quickJs !== null) return
    this.#loading ??= this.#load()
    try {
      await this.#loading
    } finally {
      this.#loading = null
    }
  }

  async #load(): Promise<void> {
    const quickJs = await loadQuickJs(this.#services.readWasm())
    this.#turnsAt = findTurns(quickJs)
    this.#quickJs = quickJs
  }

  /** Runtimes that exist now. */
  get count(): number {
    return this.#places.size
  }

  /** Bytes that QuickJS holds, all scripts together. */
  get memoryBytes(): number {
    return this.#quickJs?.getWasmMemory().buffer.byteLength ?? 0
  }

  /** Ids of scripts that are not run: `name #hash of the text`, so that one that is changed is another. */
  bar(scripts: readonly string[]): void {
    this.#barred = new Set(scripts)
  }

  program(spec: ProgramSpec): Program {
    const hash = createHash('sha256').update(spec.source).digest('hex').slice(0, 12)
    const key: Key = { id: `${spec.name} #${hash}`, restsUntilMs: -Infinity, why: '' }
    return { name: spec.name, run: facts => this.#run(key, spec, facts) }
  }

  #run(key: Key, spec: ProgramSpec, facts: string): Run {
    const quickJs = this.#quickJs
    if (quickJs === null) return failure('the sandbox starts again')
    if (this.#barred.has(key.id)) return failure('held up a worker, and is not run until it is changed')
    if (key.restsUntilMs > 0) {
      const leftMs = key.restsUntilMs - this.#services.nowMs()
      if (leftMs > 0) return failure(`rests for ${Math.ceil(leftMs / 1000)} s: ${key.why}`)
      key.restsUntilMs = -Infinity
    }
    let isWhole = false
    try {
      const place = this.#placeFor(quickJs, key, spec)
      if ('is' in place) {
        isWhole = true
        return place
      }
      const run = this.#watched(key, place, spec, facts)
      isWhole = !('isSpoiled' in run)
      return run
    } catch (error) {
      // A trap, or a stack of our own that ran out: the instance may be in any state.
      this.#renew(error)
      isWhole = true
      return failure('the sandbox broke and starts again')
    } finally {
      if (!isWhole) this.#drop(key)
    }
  }

  #watched(key: Key, place: Place, spec: ProgramSpec, facts: string): Called {
    const { mark } = this.#services
    mark?.begin(key.id)
    try {
      return this.#call(place, spec, facts)
    } finally {
      mark?.end()
      this.#judge(key)
    }
  }

  /** A script that cannot be cut in time pays with time. */
  #judge(key: Key): void {
    const overMs = this.#services.cpuMs() - this.#untilMs
    if (overMs > OVERRUN_MS) this.#rest(key, overMs, `it made a call that cannot be cut and took ${Math.round(overMs)} ms too long`)
  }

  #rest(key: Key, costMs: number, why: string): void {
    const { nowMs, log } = this.#services
    key.why = why
    key.restsUntilMs = nowMs() + Math.min(MAX_REST_MS, costMs * REST_FACTOR)
    log('a script is not run for a while', { script: key.id, why })
  }

  #placeFor(quickJs: QuickJs, key: Key, spec: ProgramSpec): Place | Run {
    const known = this.#places.get(key)
    if (known !== undefined) {
      this.#places.delete(key)
      this.#places.set(key, known)
      return known
    }
    if (this.#places.size >= KEPT) {
      const [oldest] = this.#places.keys()
      if (oldest !== undefined) this.#drop(oldest)
    }
    const { cpuMs } = this.#services
    const startedMs = cpuMs()
    const place = this.#make(quickJs, spec)
    if (!('is' in place)) this.#places.set(key, place)
    // Each run would try again.
    else if (place.is === 'failed') this.#rest(key, cpuMs() - startedMs, place.message)
    return place
  }

  /** A failure where the script does not fit into its memory. */
  #make(quickJs: QuickJs, spec: ProgramSpec): Place | Run {
    const runtime = quickJs.newRuntime({ memoryLimitBytes: MEMORY_BYTES, maxStackSizeBytes: STACK_BYTES })
    const context = runtime.newContext()
    const turns = addressOf(context) + 4 * this.#turnsAt
    const memory = quickJs.getWasmMemory()
    runtime.setInterruptHandler(() => {
      new Int32Array(memory.buffer, turns, 1)[0] = TURNS
      return this.#services.cpuMs() > this.#untilMs
    })
    this.#untilMs = this.#services.cpuMs() + SETUP_MS
    const held: Handle[] = []
    const kept = (result: ReturnType<Context['evalCode']>): Handle | undefined => {
      held.push(result.error ?? result.value)
      return result.error === undefined ? result.value : undefined
    }
    const ask = context.newFunction('ask', (...given) => answer(context, spec.ask, given))
    held.push(ask)
    const script = kept(context.evalCode(asFunction(spec.source), SCRIPT_FILE))
    const setUp = script && kept(context.evalCode(prelude, 'weir'))
    const made = setUp && script && context.callFunction(setUp, context.undefined, ask, script)
    const run = made?.error === undefined ? made?.value : undefined
    if (made?.error !== undefined) held.push(made.error)
    for (const handle of held) handle.dispose()
    if (run !== undefined) return { runtime, context, run, turns }
    context.dispose()
    runtime.dispose()
    return failure('does not fit into its memory, or cannot be read')
  }

  #call({ runtime, context, run, turns }: Place, spec: ProgramSpec, facts: string): Called {
    this.#untilMs = this.#services.cpuMs() + spec.timeLimitMs
    new Int32Array(this.#quickJs!.getWasmMemory().buffer, turns, 1)[0] = TURNS
    const given = context.newString(facts)
    const result = context.callFunction(run, context.undefined, given)
    given.dispose()
    if (result.error !== undefined) {
      const { message, line } = toldOf(context, result.error)
      result.error.dispose()
      return { is: 'failed', message: message === 'interrupted' ? tooLong(spec) : message, line, orders: '', isSpoiled: true }
    }
    const made = context.getString(result.value)
    result.value.dispose()
    if (runtime.hasPendingJob())
      return { is: 'failed', message: 'has to be done when it returns: it left a promise', line: 0, orders: '', isSpoiled: true }
    if (!made.startsWith('!')) return { is: 'done', orders: made }
    const [message = '', stack = '', orders = ''] = JSON.parse(made.slice(1)) as string[]
    const ended = { is: 'failed', message, line: placeIn(stack).line, orders } as const
    if (message === 'InternalError: interrupted') return { ...ended, message: tooLong(spec), isSpoiled: true }
    // What ran out may be missing somewhere else, too.
    return message.startsWith('InternalError') ? { ...ended, isSpoiled: true } : ended
  }

  #drop(key: Key): void {
    const place = this.#places.get(key)
    if (place === undefined) return
    this.#places.delete(key)
    try {
      place.run.dispose()
      place.context.dispose()
      place.runtime.dispose()
    } catch (error) {
      this.#renew(error)
    }
  }

  /** Everything of the instance is given up; the next one is loaded beside. */
  #renew(error: unknown): void {
    this.#places.clear()
    this.#quickJs = null
    this.#services.log('the sandbox of scripts broke and is loaded again', { error })
    this.ready().catch((again: unknown) => this.#services.log('the sandbox of scripts cannot be loaded', { error: again }))
  }
}

const tooLong = ({ timeLimitMs }: ProgramSpec): string => `took longer than ${timeLimitMs} ms`
const failure = (message: string): Run => ({ is: 'failed', message, line: 0, orders: '' })

function answer(context: Context, ask: Ask, [what, of, a, b]: Handle[]): Handle {
  const value = (handle: Handle | undefined): string | number | undefined => {
    if (handle === undefined) return undefined
    const is = context.typeof(handle)
    return is === 'number' ? context.getNumber(handle) : is === 'string' ? context.getString(handle) : undefined
  }
  const given = ask(String(value(what) ?? ''), String(value(of) ?? ''), value(a), Number(value(b)))
  switch (typeof given) {
    case 'string':
      return context.newString(given)
    case 'number':
      return context.newNumber(given)
    case 'boolean':
      return given ? context.true : context.false
    case 'undefined':
      return context.undefined
  }
}

function toldOf(context: Context, error: Handle): { readonly message: string; readonly line: number } {
  const dumped: unknown = context.dump(error)
  if (typeof dumped !== 'object' || dumped === null) return { message: 'out of memory', line: 0 }
  const { message, stack } = dumped as { readonly message?: unknown; readonly stack?: unknown }
  return { message: String(message).slice(0, 512), line: placeIn(String(stack)).line }
}

/** Of its C structure in the instance's memory. */
function addressOf(context: Context): number {
  const { ctx } = context as unknown as { readonly ctx?: { readonly value?: unknown } }
  const address = ctx?.value
  if (typeof address !== 'number') throw new Error('QuickJS does not say where its context lies')
  return address
}

/** Words of a context among which the count is looked for. */
const CONTEXT_WORDS = 128

/**
 * Finds the count of turns that are left until QuickJS looks at the clock: the word that goes down by the same each time that the
 * same loop runs.
 *
 * Returns its index among the words of a context
 * Throws  when there is not exactly one
 */
function findTurns(quickJs: QuickJs): number {
  const runtime = quickJs.newRuntime()
  const context = runtime.newContext()
  try {
    const words = (): Int32Array => {
      context.unwrapResult(context.evalCode('for (let i = 0; i < 500; i++);')).dispose()
      return new Int32Array(quickJs.getWasmMemory().buffer, addressOf(context), CONTEXT_WORDS).slice()
    }
    words()
    const [first, second, third] = [words(), words(), words()]
    const found = [...first.keys()].filter(at => {
      const fell = first[at]! - second[at]!
      return fell >= 500 && fell < 2_000 && second[at]! - third[at]! === fell && first[at]! <= 10_000 && third[at]! > 0
    })
    if (found.length !== 1 || found[0] === undefined) throw new Error('QuickJS does not show how often it looks at the clock')
    return found[0]
  } finally {
    context.dispose()
    runtime.dispose()
  }
}
