/** Runs the scripts of a virtual service over its exchanges. */
import type { ScriptEvent, ScriptSetSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import { PASS, type Answer, type Exchange, type Verdict } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'
import { BadOrder, carryOut, keepNotes, pathOf, queryOf, type OrderServices } from './orders.ts'
import type { Run } from './sandbox.ts'
import type { CompiledSet, ScriptSets, ScriptStats } from './sets.ts'

export interface ScriptsSettings {
  readonly scripts: Scripts
}

export interface Scripts {
  readonly stats: readonly ScriptStats[]
  readonly has: (event: ScriptEvent) => boolean
  /** The first decision that is not to pass on ends the walk. */
  readonly decide: (event: 'request' | 'lb-failed', exchange: Exchange, failure: Fault | null) => Verdict
  /** Throws Fault SCRIPT_FAILED where a script failed that must not. */
  readonly amend: (exchange: Exchange) => void
  /** The same as `decide` on a request; nothing is kept, counted or logged. */
  readonly explain: (exchange: Exchange) => { readonly steps: readonly ScriptStep[]; readonly verdict: Verdict }
}

export interface ScriptStep {
  readonly name: string
  /** '' where it ran to its end. */
  readonly error: string
  readonly action: string
}

export interface ScriptsServices {
  readonly sets: ScriptSets
  readonly normalize: OrderServices['normalize']
  readonly serverOf: OrderServices['serverOf']
}

/** Before a server is picked. */
export function scriptRequest({ scripts }: ScriptsSettings): Filter {
  return { kind: 'script-request', onRequest: exchange => scripts.decide('request', exchange, null) }
}

/** When a server has answered; answers of ours are not asked about. */
export function scriptResponse({ scripts }: ScriptsSettings): Filter {
  return {
    kind: 'script-response',
    onResponse: exchange => {
      if (exchange.firstByteUs > 0 && exchange.fault === null) scripts.amend(exchange)
    }
  }
}

interface Step {
  readonly set: CompiledSet
  readonly run: (facts: string) => Run
  readonly name: string
  readonly stats: ScriptStats
}

/** Names of counters that a script of a virtual service may have. */
const MAX_COUNTERS = 100
/** Of all that scripts say about one exchange. */
const MAX_NOTES = 2_048

const failed: Answer = {
  is: 'answer',
  status: 500,
  reason: '',
  headers: ['content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store'],
  body: Buffer.from('500 Internal Server Error\n'),
  isPlain: true
}

/**
 * Compiles the scripts of a virtual service. A runtime is made when a script runs for the first time.
 *
 * Throws  RangeError on an address group that cannot be read
 */
export function compileScripts(virtualServiceId: string, specs: readonly ScriptSetSpec[], services: ScriptsServices): Scripts {
  const { sets } = services
  const steps: Record<ScriptEvent, Step[]> = { request: [], response: [], 'lb-failed': [] }
  for (const spec of specs) {
    const set = sets.compile(spec)
    for (const { event, program } of set.programs) {
      const { name } = program
      steps[event].push({ set, run: facts => program.run(facts), name, stats: sets.statsOf(virtualServiceId, name) })
    }
  }

  const ordersOf = (step: Step, exchange: Exchange): OrderServices => ({
    set: step.set.spec,
    normalize: services.normalize,
    serverOf: services.serverOf,
    log: line => {
      note(exchange, `${step.name}: ${line}`)
      sets.log('a script says', { script: step.name, virtualService: exchange.virtualServiceName, line })
    },
    count: (name, by) => {
      const { counters } = step.stats
      const before = counters.get(name)
      if (before !== undefined || counters.size < MAX_COUNTERS) counters.set(name, (before ?? 0) + by)
    }
  })

  /** A failure in words, with its line; '' when the run did what it decided. */
  const runStep = (step: Step, facts: string, exchange: Exchange): { readonly error: string; readonly verdict: Verdict } => {
    const run = step.run(facts)
    step.stats.runs++
    const orders = ordersOf(step, exchange)
    if (run.is === 'failed') {
      keepNotes(run.orders, exchange, orders)
      return { error: run.line === 0 ? run.message : `line ${run.line}: ${run.message}`, verdict: PASS }
    }
    try {
      return { error: '', verdict: carryOut(run.orders, exchange, orders) }
    } catch (error) {
      if (!(error instanceof BadOrder)) throw error
      return { error: error.message, verdict: PASS }
    }
  }

  const failedOn = (step: Step, error: string, exchange: Exchange): void => {
    step.stats.failures++
    step.stats.lastError = error
    step.stats.lastErrorAtEpochMs = sets.nowEpochMs()
    exchange.isLogged = true
    note(exchange, `${step.name}: ${error}`)
    sets.log('a script failed', { script: step.name, virtualService: exchange.virtualServiceName, error })
  }

  return {
    stats: Object.values(steps).flatMap(list => list.map(({ stats }) => stats)),
    has: event => steps[event].length > 0,
    decide: (event, exchange, failure) => {
      for (const step of steps[event]) {
        const { error, verdict } = runStep(step, factsOf(event, exchange, failure), exchange)
        if (error !== '') {
          failedOn(step, error, exchange)
          if (step.set.spec.failsOpen) continue
          exchange.rule = step.name
          exchange.fault = new Fault('SCRIPT_FAILED', `${step.name}: ${error}`)
          return failed
        }
        if (verdict.is === 'pass') continue
        exchange.rule = step.name
        return verdict
      }
      return PASS
    },
    amend: exchange => {
      for (const step of steps.response) {
        const { error } = runStep(step, factsOf('response', exchange, null), exchange)
        if (error === '') continue
        failedOn(step, error, exchange)
        if (!step.set.spec.failsOpen) throw new Fault('SCRIPT_FAILED', `${step.name}: ${error}`)
      }
    },
    explain: exchange => {
      const told: ScriptStep[] = []
      for (const step of steps.request) {
        step.set.isDry = true
        try {
          const run = step.run(factsOf('request', exchange, null))
          const before = exchange.target
          const verdict =
            run.is === 'failed'
              ? PASS
              : carryOut(run.orders, exchange, { ...ordersOf(step, exchange), log: () => undefined, count: () => undefined })
          const error = run.is === 'failed' ? `line ${run.line}: ${run.message}` : ''
          const action = error !== '' ? 'fails' : verdict.is !== 'pass' ? verdict.is : exchange.target === before ? 'continue' : 'switch'
          told.push({ name: step.name, error, action })
          if (error !== '' && !step.set.spec.failsOpen) return { steps: told, verdict: failed }
          if (verdict.is === 'pass') continue
          exchange.rule = step.name
          return { steps: told, verdict }
        } catch (error) {
          told.push({ name: step.name, error: error instanceof Error ? error.message : String(error), action: 'fails' })
          if (!step.set.spec.failsOpen) return { steps: told, verdict: failed }
        } finally {
          step.set.isDry = false
        }
      }
      return { steps: told, verdict: PASS }
    }
  }
}

function note(exchange: Exchange, line: string): void {
  if (exchange.notes.length >= MAX_NOTES) return
  exchange.notes = `${exchange.notes}${exchange.notes === '' ? '' : '\n'}${line}`.slice(0, MAX_NOTES)
}

/** Everything that a script may read, as JSON. */
function factsOf(event: ScriptEvent, exchange: Exchange, failure: Fault | null): string {
  const { request, response, downstream } = exchange
  return JSON.stringify({
    event,
    service: exchange.virtualServiceName,
    request: {
      method: request.method,
      host: request.host,
      version: request.version,
      scheme: downstream.isTls ? 'https' : 'http',
      path: pathOf(request.target),
      query: queryOf(request.target),
      headers: request.headers
    },
    client: { ip: downstream.clientIp, port: downstream.clientPort, localPort: downstream.localPort },
    tls: downstream.isTls ? { version: downstream.tlsVersion, cipher: downstream.tlsCipher, serverName: downstream.serverName } : null,
    response: event === 'response' && response !== null ? { status: response.status, headers: response.headers } : null,
    failure: failure === null ? null : failure.code
  })
}
