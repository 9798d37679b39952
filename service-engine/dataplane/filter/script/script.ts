/** Runs the scripts of a virtual service over its exchanges. */
import type { ScriptEvent, ScriptSetSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import { PASS, type Answer, type Exchange, type RequestHead, type TakenBody, type Verdict } from '../../exchange/exchange.ts'
import { forgetBody, headerOf, isGrpc, removeHeader } from '../../exchange/headers.ts'
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
  /** How much of the request's body scripts are to be shown; 0: nothing of it. Throws Fault where it is too long for them. */
  readonly bodyLimit: (exchange: Exchange) => number
  /** The same as `decide`, with the body that was taken. Throws Fault where it is too long for scripts that must see it. */
  readonly decideBody: (exchange: Exchange, body: Extract<TakenBody, { readonly is: 'whole' | 'begun' }>) => Verdict
  /** Throws Fault SCRIPT_FAILED where a script failed that must not. */
  readonly amend: (exchange: Exchange) => void
  /** Memory for a body, in bytes; called back when it is over. Undefined when there is none left. */
  readonly takeRoom: (bytes: number) => (() => void) | undefined
  /** No script can be shown the body: all of them fail. */
  readonly failBody: (exchange: Exchange, why: string) => Verdict
  /** How much of an answer's body scripts are to be shown; 0: nothing. Throws Fault SCRIPT_FAILED where it is too long for them. */
  readonly answerLimit: (exchange: Exchange) => number
  /** The body of an answer as scripts make it. Throws Fault SCRIPT_FAILED, as those below. */
  readonly inspect: (exchange: Exchange, bytes: Buffer) => Buffer
  readonly exceeded: (exchange: Exchange) => void
  readonly failAnswer: (exchange: Exchange, why: string) => void
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

/** What is wrong with a body by itself once it is another. */
const digests = ['content-md5', 'content-digest', 'repr-digest', 'digest']

/** When a server has answered; answers of ours are not asked about. */
export function scriptResponse({ scripts }: ScriptsSettings): Filter {
  return {
    kind: 'script-response',
    onResponse: exchange => {
      if (exchange.firstByteUs > 0 && exchange.fault === null) scripts.amend(exchange)
    }
  }
}

/** Calls stream both ways: nobody waits for the body of one. */
export const isCall = ({ version, headers }: RequestHead): boolean => version === '2' && isGrpc(headers)

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
  const steps: Record<ScriptEvent, Step[]> = { request: [], 'request-body': [], response: [], 'response-body': [], 'lb-failed': [] }
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
    replaceBody: (of, bytes) => replaceBody(exchange, step.set, of, bytes),
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

  /** The first decision that is not to pass on ends the walk. */
  const walk = (
    list: readonly Step[],
    exchange: Exchange,
    run: (step: Step) => { readonly error: string; readonly verdict: Verdict }
  ): Verdict => {
    for (const step of list) {
      const { error, verdict } = run(step)
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
  }

  const answerSteps = steps['response-body']
  /** One that must not fail has: nothing of the answer goes out. */
  const failAnswer = (step: Step, error: string, exchange: Exchange): void => {
    failedOn(step, error, exchange)
    if (!step.set.spec.failsOpen) throw new Fault('SCRIPT_FAILED', `${step.name}: ${error}`)
  }
  const mostOfAnswer = Math.max(0, ...answerSteps.map(step => step.set.spec.bodies?.limitBytes ?? 0))
  const mustFit = (size: number, exchange: Exchange): void => {
    for (const step of answerSteps) {
      if (size <= limitOf(step) || !mustSee(step)) continue
      const error = `an answer over the ${limitOf(step)} bytes that it looks at`
      failedOn(step, error, exchange)
      throw new Fault('SCRIPT_FAILED', `${step.name}: ${error}`)
    }
  }

  const bodySteps = steps['request-body']
  const limitOf = ({ set }: Step): number => set.spec.bodies?.limitBytes ?? 0
  const mostBytes = Math.max(0, ...bodySteps.map(limitOf))
  const mustSee = ({ set }: Step): boolean => set.spec.bodies?.passesLarge !== true
  const tooLarge = (step: Step, exchange: Exchange): Fault => {
    exchange.rule = step.name
    return new Fault('DOWNSTREAM_BODY_TOO_LARGE', `a body over the ${limitOf(step)} bytes that ${step.name} looks at`)
  }

  return {
    bodyLimit: exchange => {
      const { framing, contentLength } = exchange.request
      if (framing === 'none' || contentLength === 0 || isCall(exchange.request)) return 0
      if (framing !== 'length') return mostBytes
      const short = bodySteps.find(step => contentLength > limitOf(step) && mustSee(step))
      if (short !== undefined) throw tooLarge(short, exchange)
      return contentLength > mostBytes ? 0 : contentLength
    },
    takeRoom: bytes => {
      if (sets.bodyRoom < bytes) return undefined
      sets.bodyRoom -= bytes
      return () => void (sets.bodyRoom += bytes)
    },
    failBody: (exchange, why) => walk(bodySteps, exchange, () => ({ error: why, verdict: PASS })),
    decideBody: (exchange, body) => {
      let bytes: Buffer | null = body.is === 'whole' ? body.bytes : null
      const size = body.bytes.length
      const short = bodySteps.find(step => size > limitOf(step) && mustSee(step))
      if (short !== undefined) throw tooLarge(short, exchange)
      return walk(bodySteps, exchange, step => {
        if (bytes === null || size > limitOf(step)) return { error: '', verdict: PASS }
        step.set.body = { of: 'request', bytes }
        try {
          const done = runStep(step, factsOf('request-body', exchange, null, bytes.length), exchange)
          bytes = step.set.body.bytes
          return done
        } finally {
          step.set.body = null
        }
      })
    },
    answerLimit: exchange => {
      const said = Number(headerOf(exchange.response!.headers, 'content-length') ?? -1)
      if (!(said >= 0)) return mostOfAnswer
      mustFit(said, exchange)
      return said > mostOfAnswer ? 0 : said
    },
    inspect: (exchange, came) => {
      let bytes = came
      mustFit(came.length, exchange)
      for (const step of answerSteps) {
        if (came.length > limitOf(step)) continue
        step.set.body = { of: 'response', bytes }
        try {
          const { error } = runStep(step, factsOf('response-body', exchange, null, bytes.length), exchange)
          if (error !== '') failAnswer(step, error, exchange)
          bytes = step.set.body.bytes
        } finally {
          step.set.body = null
        }
      }
      return bytes
    },
    exceeded: exchange => mustFit(Infinity, exchange),
    failAnswer: (exchange, why) => {
      for (const step of answerSteps) failAnswer(step, why, exchange)
    },
    stats: Object.values(steps).flatMap(list => list.map(({ stats }) => stats)),
    has: event => steps[event].length > 0,
    decide: (event, exchange, failure) => walk(steps[event], exchange, step => runStep(step, factsOf(event, exchange, failure), exchange)),
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
      for (const { name } of bodySteps) told.push({ name, error: '', action: 'waits for the body' })
      return { steps: told, verdict: PASS }
    }
  }
}

/** The other side gets these bytes, framed by their length alone; what was said of those that came is gone. */
function replaceBody(exchange: Exchange, set: CompiledSet, of: 'request' | 'response', bytes: Buffer): void {
  if (set.body?.of !== of) throw new BadOrder('there is no body to replace')
  const { request, response, source } = exchange
  if (of === 'request') {
    source!.replaceBody(bytes)
    request.framing = 'length'
    request.contentLength = bytes.length
    for (const name of digests) removeHeader(request.headers, name)
  } else forgetBody(response!.headers)
  set.body = { of, bytes }
}

function note(exchange: Exchange, line: string): void {
  if (exchange.notes.length >= MAX_NOTES) return
  exchange.notes = `${exchange.notes}${exchange.notes === '' ? '' : '\n'}${line}`.slice(0, MAX_NOTES)
}

/** Everything that a script may read, as JSON. */
function factsOf(event: ScriptEvent, exchange: Exchange, failure: Fault | null, bodyLength?: number): string {
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
      headers: request.headers,
      ...(event === 'request-body' ? { bodyLength } : {})
    },
    client: { ip: downstream.clientIp, port: downstream.clientPort, localPort: downstream.localPort },
    tls: downstream.isTls ? { version: downstream.tlsVersion, cipher: downstream.tlsCipher, serverName: downstream.serverName } : null,
    response:
      (event === 'response' || event === 'response-body') && response !== null
        ? { status: response.status, headers: response.headers, ...(event === 'response' ? {} : { bodyLength }) }
        : null,
    failure: failure === null ? null : failure.code
  })
}
