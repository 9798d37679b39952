import t from 'tap'
import type { RateLimitSpec } from '#model/snapshot/snapshot.ts'
import type { Rates } from '#engine/dataplane/exchange/rates.ts'
import { Automata } from '#engine/dataplane/route/automata.ts'
import { compileConnectionLimit, compileRateLimit } from '#engine/dataplane/route/rate-limit.ts'
import { compileRules } from '#engine/dataplane/route/rules.ts'
import { anExchange } from '#test/support/exchange.ts'
import { aRule } from '#test/support/snapshot.ts'

const respond = { is: 'respond', status: 429, contentType: '', bodyBase64: '' } as const
const aLimit = (given: Partial<RateLimitSpec> = {}): RateLimitSpec => ({
  id: 'limit-1',
  name: 'guard/limit',
  count: 5,
  periodS: 10,
  burst: 5,
  key: [],
  action: respond,
  isLogOnly: false,
  ...given
})
/** Remembers what was asked; everything is over its limit by 2.5 s. */
function spent(): { readonly asked: unknown[][]; readonly open: Rates['open']; readonly openQuota: Rates['openQuota'] } {
  const asked: unknown[][] = []
  return {
    asked,
    open:
      ({ id, intervalNs, capacity }) =>
      key => (asked.push([id, key, intervalNs, capacity]), 2_500_000_000),
    openQuota: () => () => 0
  }
}

t.test('compileRateLimit says when to come back', async t => {
  const rates = spent()
  const exchange = anExchange()
  const verdict = compileRateLimit(aLimit(), rates, new Automata())(exchange)
  t.same(rates.asked, [['limit-1', '', 2_000_000_000, 5]])
  t.match(verdict, { is: 'answer', status: 429 })
  const headers = verdict?.is === 'answer' ? verdict.headers : []
  for (const [name, value] of [
    ['retry-after', '3'],
    ['ratelimit', '"limit";r=0;t=3'],
    ['ratelimit-policy', '"limit";q=5;w=10']
  ] as const)
    t.equal(headers[headers.indexOf(name) + 1], value, name)
  t.same([exchange.rule, exchange.isLogged], ['guard/limit', true])
})

t.test('compileRateLimit counts apart what its key says', async t => {
  const rates = spent()
  const key = [
    { by: 'client-address' },
    { by: 'path' },
    { by: 'header', name: 'X-Key' },
    { by: 'cookie', name: 'id' },
    { by: 'host' },
    { by: 'method' },
    { by: 'claim', name: 'sub' }
  ] as const
  compileRateLimit(
    aLimit({ key }),
    rates,
    new Automata()
  )(anExchange({ target: '/a?b', headers: ['Host', 'Shop.test', 'X-Key', 'k'.repeat(5_000), 'Cookie', 'x=1; id=7'] }))
  t.equal(rates.asked[0]?.[1], `192.0.2.1\n/a\n${'k'.repeat(1_024)}\n7\nshop.test\nGET\n\n`)
})

t.test('compileRateLimit only reports where it is told to, and closes or redirects otherwise', async t => {
  const rates = spent()
  for (const limit of [aLimit({ isLogOnly: true }), aLimit({ action: { is: 'report' } })]) {
    const exchange = anExchange()
    t.equal(compileRateLimit(limit, rates, new Automata())(exchange), undefined)
    t.match(exchange, { isLogged: true, rule: 'guard/limit (over its limit)' })
  }
  t.match(compileRateLimit(aLimit({ action: { is: 'reset' } }), rates, new Automata())(anExchange()), { is: 'close' })
  const action = {
    is: 'redirect',
    status: 302,
    protocol: 'https',
    port: null,
    host: [{ literal: 'wait.test' }],
    path: null,
    keepsQuery: false
  } as const
  t.match(compileRateLimit(aLimit({ action }), rates, new Automata())(anExchange()), {
    status: 302,
    headers: ['location', 'https://wait.test/']
  })
})

t.test('a rule with a limit goes on within it', async t => {
  let left = 1
  const rules = compileRules(
    {
      requestRules: [
        aRule({ phase: 'security', action: { is: 'rate-limit', limit: aLimit() } }),
        aRule({ name: 'p / last', action: { is: 'close' } })
      ],
      responseRules: []
    },
    { open: () => () => (left-- > 0 ? 0 : 1), openQuota: () => () => 0 }
  )
  for (let i = 0; i < 3; i++) t.match(rules.explain(anExchange()).verdict, { is: 'close' }, 'explaining counts nothing')
  const first = anExchange()
  t.match(rules.decide(first), { is: 'close' })
  t.equal(first.rule, 'p / last')
  t.match(rules.decide(anExchange()), { status: 429 })
  t.match(rules.explain(anExchange()).verdict, { is: 'close' }, 'and takes limits as not reached')
})

t.test('compileConnectionLimit ends what is too much as it is told', async t => {
  const rates = spent()
  t.equal(compileConnectionLimit(aLimit({ action: { is: 'reset' }, key: [{ by: 'client-address' }] }), rates)('192.0.2.9'), 'reset')
  t.equal(rates.asked[0]?.[1], '192.0.2.9')
  t.equal(compileConnectionLimit(aLimit({ action: { is: 'close' } }), rates)('192.0.2.9'), 'close')
  t.equal(compileConnectionLimit(aLimit({ isLogOnly: true }), rates)('192.0.2.9'), 'take')
})
