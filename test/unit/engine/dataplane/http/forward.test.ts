import t from 'tap'
import { Fault, faultCodes, type FaultCode } from '#engine/base/fault.ts'
import { MAX_ATTEMPTS, replayOf } from '#engine/dataplane/http/forward.ts'
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

t.test('answerTo has a response for every fault and tells nothing of our insides', async t => {
  for (const code of faultCodes) {
    const { answer, closes } = answerTo(new Fault(code, 'secret 10.0.0.1:80'))
    t.ok(answer.status >= 400 && answer.status < 600, code)
    t.notMatch(answer.body.toString(), /secret|10\.0/)
    t.equal(closes, code.startsWith('DOWNSTREAM'), code)
  }
})
