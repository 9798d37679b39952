import t from 'tap'
import type { ReselectSpec } from '#model/snapshot/resilience.ts'
import { Fault, faultCodes, type FaultCode } from '#engine/base/fault.ts'
import { backoffOf, isReselected, MAX_ATTEMPTS, replayOf } from '#engine/dataplane/http/forward.ts'
import { answerTo } from '#engine/dataplane/http/rescue.ts'
import { anExchange } from '#test/support/exchange.ts'

const untouched = { isRequestSent: false, isBodyConsumed: false, isResponseBegun: false }
const sent = { ...untouched, isRequestSent: true }

t.test('replayOf repeats what nobody acted on, and what may be acted on twice', async t => {
  const of = (method: string, code: FaultCode, progress: typeof sent, attempts = 1) => {
    const exchange = anExchange({ method })
    exchange.attempts = attempts
    return replayOf(exchange, new Fault(code, 'x'), progress)
  }
  t.equal(of('POST', 'UPSTREAM_CONNECT_REFUSED', untouched), 'on-another-server')
  t.equal(of('GET', 'UPSTREAM_RESET_UNANSWERED', sent), 'on-another-server')
  t.equal(of('GET', 'UPSTREAM_RESET_WHILE_IDLE', sent), 'on-fresh-connection')
  t.equal(of('POST', 'UPSTREAM_RESET_UNANSWERED', sent), 'never')
  t.equal(of('PATCH', 'UPSTREAM_RESET_WHILE_IDLE', sent), 'never')
  t.equal(of('PUT', 'UPSTREAM_RESET_UNANSWERED', { ...sent, isBodyConsumed: true }), 'never')
  t.equal(of('GET', 'UPSTREAM_RESET', { ...sent, isResponseBegun: true }), 'never')
  t.equal(of('GET', 'UPSTREAM_RESPONSE_TIMEOUT', sent), 'never')
  t.equal(of('GET', 'UPSTREAM_CONNECT_REFUSED', untouched, MAX_ATTEMPTS), 'never')
})

const rules: ReselectSpec = {
  maxRetries: 2,
  retriesNonIdempotent: false,
  statuses: [
    { from: 500, to: 503 },
    { from: 429, to: 429 }
  ],
  tryTimeoutMs: null,
  retryTimeoutMs: null,
  budget: null,
  backoff: { baseMs: 10, maxMs: 50 }
}

t.test('replayOf asks another server as the rules of the pool say', async t => {
  const of = (method: string, code: FaultCode, progress: typeof sent, retries = 0, given: Partial<ReselectSpec> = {}) =>
    replayOf(anExchange({ method }), new Fault(code, 'x'), progress, { ...rules, ...given }, retries)
  t.equal(of('GET', 'UPSTREAM_RESPONSE_TIMEOUT', sent), 'on-another-server')
  t.equal(of('GET', 'UPSTREAM_BAD_RESPONSE', sent, 1), 'on-another-server')
  t.equal(of('GET', 'UPSTREAM_STATUS_RESELECTED', sent, 2), 'never', 'all retries are used')
  t.equal(of('POST', 'UPSTREAM_STATUS_RESELECTED', sent), 'never')
  t.equal(of('POST', 'UPSTREAM_CONNECT_REFUSED', untouched), 'on-another-server', 'nobody has seen it')
  t.equal(of('POST', 'UPSTREAM_STATUS_RESELECTED', sent, 0, { retriesNonIdempotent: true }), 'on-another-server')
  t.equal(of('GET', 'UPSTREAM_RESET', { ...sent, isResponseBegun: true }), 'never')
  t.equal(of('PUT', 'UPSTREAM_RESET_UNANSWERED', { ...sent, isBodyConsumed: true }), 'never')
  t.equal(of('GET', 'DOWNSTREAM_RESET', sent), 'never')
  t.equal(of('GET', 'SERVER_WITHDRAWN', sent), 'never')
  t.equal(of('GET', 'UPSTREAM_CONNECT_REFUSED', untouched, 0, { maxRetries: 0 }), 'never')
})

t.test('isReselected and backoffOf go by the rules', async t => {
  t.same(
    [200, 404, 429, 500, 503, 504].filter(status => isReselected(rules, status)),
    [429, 500, 503]
  )
  t.same(
    [0, 1, 2, 3, 50].map(retries => backoffOf(rules, retries, () => 1)),
    [10, 20, 40, 50, 50]
  )
  t.equal(
    backoffOf(rules, 3, () => 0.5),
    25
  )
  t.equal(
    backoffOf({ ...rules, backoff: null }, 3, () => 1),
    0
  )
})

t.test('answerTo has a response for every fault and tells nothing of our insides', async t => {
  for (const code of faultCodes) {
    const { answer, closes } = answerTo(new Fault(code, 'secret 10.0.0.1:80'))
    t.ok(answer.status >= 400 && answer.status < 600, code)
    t.notMatch(answer.body.toString(), /secret|10\.0/)
    t.equal(closes, code.startsWith('DOWNSTREAM'), code)
  }
})
