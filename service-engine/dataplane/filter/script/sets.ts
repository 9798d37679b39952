/** Script sets as they run: each set once for all virtual services that use it, and what becomes of their runs. */
import { isIP } from 'node:net'
import type { ScriptEvent, ScriptSetSpec } from '#model/snapshot/snapshot.ts'
import { compileAddresses } from '../../exchange/address-set.ts'
import type { Ask, Program, Sandbox } from './sandbox.ts'
import { ScriptTable } from './table.ts'

/** Totals since the worker's start, of one script of one virtual service. */
export interface ScriptStats {
  readonly virtualServiceId: string
  readonly name: string
  runs: number
  failures: number
  /** With its line; '' before the first. */
  lastError: string
  lastErrorAtEpochMs: number
  readonly counters: Map<string, number>
}

export interface CompiledSet {
  readonly spec: ScriptSetSpec
  readonly programs: readonly { readonly event: ScriptEvent; readonly program: Program }[]
  readonly table: ScriptTable
  /** While it is only asked what it would do, nothing that it keeps changes. */
  isDry: boolean
  /** That of the exchange which a run is for; null: it has none to show. */
  body: { readonly of: 'request' | 'response'; readonly bytes: Buffer } | null
}

const eventName = {
  request: 'HTTP_REQ',
  'request-body': 'HTTP_REQ_DATA',
  response: 'HTTP_RESP',
  'response-body': 'HTTP_RESP_DATA',
  'lb-failed': 'HTTP_LB_FAILED'
} as const

export interface ScriptSetsServices {
  readonly sandbox: Sandbox
  readonly nowMs: () => number
  readonly nowEpochMs: () => number
  readonly log: (line: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Lines that scripts may write to the engine's log, in a second, all together; the access record has what belongs to it. */
const LINES_A_SECOND = 20

/** What bodies that scripts look at may take of a worker's memory at once. */
export const BODY_ROOM_BYTES = 64 * 1_048_576

export class ScriptSets {
  readonly sandbox: Sandbox
  readonly nowEpochMs: () => number
  readonly #services: ScriptSetsServices
  readonly #byText = new Map<string, WeakRef<CompiledSet>>()
  readonly #tables = new Map<string, WeakRef<ScriptTable>>()
  readonly #stats = new Map<string, ScriptStats>()
  /** Bytes that may still be taken of bodies, of all virtual services. */
  bodyRoom = BODY_ROOM_BYTES
  #second = 0
  #lines = 0

  constructor(services: ScriptSetsServices) {
    this.#services = services
    this.sandbox = services.sandbox
    this.nowEpochMs = services.nowEpochMs
  }

  /** One for all that say the same. Throws RangeError on an address that cannot be read. */
  compile(spec: ScriptSetSpec): CompiledSet {
    const text = JSON.stringify(spec)
    const known = this.#byText.get(text)?.deref()
    if (known !== undefined) return known
    for (const [old, set] of this.#byText) if (set.deref() === undefined) this.#byText.delete(old)
    for (const [id, table] of this.#tables) if (table.deref() === undefined) this.#tables.delete(id)
    const table = this.#tables.get(spec.id)?.deref() ?? new ScriptTable(this.#services.nowMs)
    this.#tables.set(spec.id, new WeakRef(table))
    const counts = new Map<ScriptEvent, number>()
    const isDry = (): boolean => made.isDry
    const ask = makeAsk(spec, table, isDry, () => made.body?.bytes)
    const made: CompiledSet = {
      spec,
      table,
      isDry: false,
      body: null,
      programs: spec.programs.map(({ event, source }) => {
        const before = counts.get(event) ?? 0
        counts.set(event, before + 1)
        const name = `${spec.name}/${eventName[event]}${before === 0 ? '' : ` ${before + 1}`}`
        return { event, program: this.sandbox.program({ name, source, timeLimitMs: spec.timeLimitMs, ask }) }
      })
    }
    this.#byText.set(text, new WeakRef(made))
    return made
  }

  statsOf(virtualServiceId: string, name: string): ScriptStats {
    const key = `${virtualServiceId} ${name}`
    let stats = this.#stats.get(key)
    if (stats === undefined) {
      stats = { virtualServiceId, name, runs: 0, failures: 0, lastError: '', lastErrorAtEpochMs: 0, counters: new Map() }
      this.#stats.set(key, stats)
    }
    return stats
  }

  /** Forgets what does not run any more. */
  keepOnly(running: ReadonlySet<ScriptStats>): void {
    for (const [key, stats] of this.#stats) if (!running.has(stats)) this.#stats.delete(key)
  }

  allStats(): readonly ScriptStats[] {
    return [...this.#stats.values()]
  }

  /** To the engine's log, as long as there is not too much of it. */
  log(line: string, fields: Readonly<Record<string, unknown>>): void {
    const second = Math.floor(this.#services.nowMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#lines = 0
    }
    if (this.#lines++ < LINES_A_SECOND) this.#services.log(line, fields)
  }
}

function makeAsk(
  { name, pools, poolGroups, stringGroups, ipGroups }: ScriptSetSpec,
  table: ScriptTable,
  isDry: () => boolean,
  bodyOf: () => Buffer | undefined
): Ask {
  const strings = new Map(Object.entries(stringGroups).map(([group, texts]) => [group, new Map(Object.entries(texts))] as const))
  const addresses = new Map(Object.entries(ipGroups).map(([group, ranges]) => [group, compileAddresses(ranges)] as const))
  const declared = (kind: string, has: boolean, of: string): string => {
    if (!has) throw new RangeError(`script set ${name} declares no ${kind} ${of}`)
    return of
  }
  return (what, of, a, b) => {
    switch (what) {
      case 'pool':
        return declared('pool', Object.hasOwn(pools, of), of)
      case 'group':
        return declared('pool group', Object.hasOwn(poolGroups, of), of)
      case 'string-group':
        return declared('string group', strings.has(of), of)
      case 'ip-group':
        return declared('address group', addresses.has(of), of)
      case 'string':
        return strings.get(of)?.get(String(a))
      case 'ip':
        return isIP(String(a)) !== 0 && addresses.get(of)?.(String(a)) === true
      case 'body':
        return bodyOf()?.toString(of === 'bytes' ? 'latin1' : 'utf8')
      case 'table-get':
        return table.get(of)
      case 'table-set':
        if (!isDry()) table.set(of, String(a), Number(b))
        return undefined
      case 'table-add':
        return isDry() ? Number(table.get(of) ?? 0) + Number(a) : table.increment(of, Number(a), Number(b))
      case 'table-delete':
        if (!isDry()) table.delete(of)
        return undefined
      default:
        throw new RangeError(`not a question: ${what}`)
    }
  }
}
