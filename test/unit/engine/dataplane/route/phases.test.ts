import t from 'tap'
import { compileRules } from '#engine/dataplane/route/rules.ts'
import type { Match, RequestRule } from '#model/snapshot/snapshot.ts'
import { anExchange } from '#test/support/exchange.ts'
import { aRule } from '#test/support/snapshot.ts'

const from = (...ranges: string[]): Partial<Match> => ({ clientAddress: { isNegated: false, ranges } })
const toApi: RequestRule['action'] = { is: 'switch', target: { is: 'pool', poolId: 'api' } }

const rules = compileRules({
  requestRules: [
    aRule({ name: 'office', phase: 'security', match: from('192.0.2.0/24'), action: { is: 'allow' } }),
    aRule({ name: 'rest', phase: 'security', action: { is: 'close' } }),
    aRule({ name: 'api', phase: 'request', action: toApi })
  ],
  responseRules: []
})

t.test('an allow of a security rule passes over the other security rules, and request rules still decide', async t => {
  const exchange = anExchange({}, { clientIp: '192.0.2.7' })
  t.match(rules.decide(exchange), { is: 'pass' })
  t.match(exchange, { target: { is: 'pool', poolId: 'api' }, rule: 'api' })
  const stranger = anExchange({}, { clientIp: '198.51.100.7' })
  t.match(rules.decide(stranger), { is: 'close' })
  t.equal(stranger.rule, 'rest')
})

t.test('explain walks as decide does', async t => {
  const { steps, verdict } = rules.explain(anExchange({}, { clientIp: '192.0.2.7' }))
  t.same(
    steps.map(({ rule, isMatched }) => [rule, isMatched]),
    [
      ['office', true],
      ['api', true]
    ]
  )
  t.match(verdict, { is: 'pass' })
})

t.test('an allow of a request rule ends the walk', async t => {
  const last = compileRules({
    requestRules: [
      aRule({ name: 'stop', phase: 'request', action: { is: 'allow' } }),
      aRule({ name: 'api', phase: 'request', action: toApi })
    ],
    responseRules: []
  })
  const exchange = anExchange()
  const before = exchange.target
  t.match(last.decide(exchange), { is: 'pass' })
  t.same(exchange.target, before)
  t.equal(exchange.rule, 'stop')
})
