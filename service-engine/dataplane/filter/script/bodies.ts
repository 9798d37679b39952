/** Filters of scripts that see bodies: what waits for one, and when. */
import { headerOf, removeHeader } from '../../exchange/headers.ts'
import {
  PASS,
  type BodyInspector,
  type BodyKeeper,
  type Exchange,
  type RequestHead,
  type ResponseHead,
  type Verdict
} from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'
import { isCall, type ScriptsSettings } from './script.ts'

/** After scripts for the head: waits for the body, and has the others decide with it. */
export function scriptRequestBody({ scripts }: ScriptsSettings): Filter {
  const roomOf = new WeakMap<Exchange, () => void>()
  return {
    kind: 'script-request-body',
    onRequest: exchange => {
      const limit = scripts.bodyLimit(exchange)
      if (limit === 0) return PASS
      const { source } = exchange
      if (source === null) return scripts.failBody(exchange, 'this engine cannot take bodies')
      const giveBack = scripts.takeRoom(limit)
      if (giveBack === undefined) return scripts.failBody(exchange, 'too many bodies are looked at already')
      roomOf.set(exchange, giveBack)
      return new Promise<Verdict>((resolve, reject) =>
        source.collect(limit, taken => {
          if (taken.is === 'failed') return reject(taken.fault)
          // Never in the middle of what the codec does.
          queueMicrotask(() => {
            try {
              resolve(scripts.decideBody(exchange, taken))
            } catch (error) {
              reject(error instanceof Error ? error : new Error(String(error)))
            }
          })
        })
      )
    },
    onEnd: exchange => roomOf.get(exchange)?.()
  }
}

/** What may be seen whole: there is a body, and it ends. */
function isShown({ method }: RequestHead, { status, headers }: ResponseHead): boolean {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304 || headerOf(headers, 'content-length') === '0') return false
  return !/^text\/event-stream(?:$|[;\s])/i.test(headerOf(headers, 'content-type') ?? '')
}

/** Stands for the real one until a server has answered: an attempt has to know that it may be held up. */
const awaited: BodyInspector = { limitBytes: 0, inspect: bytes => bytes, exceeded: () => undefined }

/** After scripts for the heads of answers: their bodies are held until the scripts for those have seen them. */
export function scriptResponseBody({ scripts }: ScriptsSettings): Filter {
  const roomOf = new WeakMap<Exchange, () => void>()
  return {
    kind: 'script-response-body',
    onRequest: exchange => {
      if (!isCall(exchange.request)) exchange.inspector = awaited
      return PASS
    },
    onResponse: exchange => {
      const { request, response, keeper } = exchange
      const stored = keeper?.instead ?? null
      exchange.inspector = null
      const isOurs = stored === null && exchange.firstByteUs === 0
      if (isOurs || exchange.fault !== null || isCall(request) || !isShown(request, response!)) return
      if (stored !== null) {
        const came = stored.bytes.subarray(stored.from, stored.to)
        const made = scripts.inspect(exchange, came)
        if (made !== came) exchange.keeper = keptAs(made)
        return
      }
      const limitBytes = scripts.answerLimit(exchange)
      if (limitBytes === 0) return
      const giveBack = exchange.source === null ? undefined : scripts.takeRoom(limitBytes)
      if (giveBack === undefined)
        return scripts.failAnswer(
          exchange,
          exchange.source === null ? 'this engine cannot take bodies' : 'too many bodies are looked at already'
        )
      // That of the request, or of a server that was given up for another one, is over.
      roomOf.get(exchange)?.()
      roomOf.set(exchange, giveBack)
      exchange.inspector = {
        limitBytes,
        inspect: bytes => scripts.inspect(exchange, bytes),
        exceeded: () => scripts.exceeded(exchange)
      }
    },
    onEnd: exchange => roomOf.get(exchange)?.()
  }
}

/** What is kept, as scripts made it. */
const keptAs = (bytes: Buffer): BodyKeeper => ({
  instead: { bytes, from: 0, to: bytes.length, length: bytes.length },
  isEndUncertain: false,
  write: () => undefined,
  end: () => undefined
})

/** Behind what packs answers: servers are asked for whole and plain ones. */
export function scriptPlainAnswers(): Filter {
  return {
    kind: 'script-plain-answers',
    onRequest: ({ request }) => {
      if (!isCall(request)) for (const name of ['accept-encoding', 'range', 'if-range']) removeHeader(request.headers, name)
      return PASS
    }
  }
}
