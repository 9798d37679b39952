import t from 'tap'
import { PASS, type Verdict } from '#engine/dataplane/exchange/exchange.ts'
import { compileNetworkRules } from '#engine/dataplane/exchange/network-rules.ts'
import type { Rates } from '#engine/dataplane/exchange/rates.ts'
import { filtersFor, makeFilter } from '#engine/dataplane/filter/catalog.ts'
import { runEnd, runRequest, runResponse, type Filter } from '#engine/dataplane/filter/filter.ts'
import { anExchange } from '#test/support/exchange.ts'
import { aLimit, aRule, aService } from '#test/support/snapshot.ts'

function recorder(name: string, said: string[], verdict: Verdict | Promise<Verdict> = PASS): Filter {
  return {
    kind: name,
    onRequest: () => {
      said.push(`${name} request`)
      return verdict
    },
    onResponse: () => void said.push(`${name} response`),
    onEnd: () => void said.push(`${name} end`)
  }
}

t.test('runRequest stops at the first that does not pass; the ends are told to those entered, last first, once', async t => {
  const said: string[] = []
  const filters = [recorder('a', said), recorder('b', said, { is: 'close', reason: 'x' }), recorder('c', said)]
  const exchange = anExchange()
  t.match(runRequest(filters, exchange), { is: 'close' })
  runResponse(filters, exchange)
  runEnd(filters, exchange)
  runEnd(filters, exchange)
  t.same(said, ['a request', 'b request', 'b response', 'a response', 'b end', 'a end'])
})

t.test('runRequest makes a promise only when a filter waits, and goes on after it', async t => {
  const said: string[] = []
  const exchange = anExchange()
  t.equal(runRequest([recorder('a', said)], exchange), PASS)
  const waiting = runRequest([recorder('a', said, Promise.resolve(PASS)), recorder('b', said, { is: 'close', reason: 'x' })], exchange)
  t.ok(waiting instanceof Promise)
  t.match(await waiting, { is: 'close' })
  t.equal(exchange.entered, 2)
})

t.test('network-security: the first rule that matches decides', async t => {
  const filter = makeFilter('network-security', {
    denied: compileNetworkRules([
      { name: 'friends', ranges: ['192.0.2.0/25'], isNegated: false, ports: [], action: 'allow' },
      { name: 'port 81', ranges: [], isNegated: false, ports: [81], action: 'deny' },
      { name: 'others', ranges: ['192.0.2.0/24'], isNegated: true, ports: [], action: 'deny' }
    ])
  })
  const verdict = (clientIp: string, localPort = 80) => (filter.onRequest!(anExchange({}, { clientIp, localPort })) as Verdict).is
  t.same(
    [verdict('192.0.2.1', 81), verdict('192.0.2.200'), verdict('192.0.2.200', 81), verdict('10.0.0.1'), verdict('2001:db8::1')],
    ['pass', 'pass', 'close', 'close', 'close']
  )
})

t.test('network rules count connections that come, and let go on what is there', async t => {
  const taken: string[] = []
  const rates: Rates = {
    open:
      ({ id, intervalNs, capacity }) =>
      key => (taken.push(`${id} ${key} ${intervalNs} ${capacity}`), taken.length > 2 ? 1 : 0),
    openQuota: () => () => 0
  }
  const limit = aLimit({ id: 'few', count: 100, periodS: 1, burst: 2, key: [{ by: 'client-address' }] })
  const base = { isNegated: false, ports: [] }
  const denied = compileNetworkRules(
    [
      { ...base, name: 'all but 443', ranges: [], ports: [443], hasOtherPorts: true, action: 'limit', limit },
      { ...base, name: 'others', ranges: [], action: 'deny' }
    ],
    rates
  )
  t.equal(denied('192.0.2.1', 80), undefined)
  t.same(taken, [], 'what is there counts no more')
  t.same([denied('192.0.2.1', 80, true), denied('192.0.2.2', 81, true)], [undefined, undefined])
  t.equal(denied('192.0.2.1', 80, true), 'all but 443')
  t.equal(denied('192.0.2.1', 80), undefined)
  t.equal(denied('192.0.2.1', 443, true), 'others')
  t.same(taken, ['few 192.0.2.1 10000000 2', 'few 192.0.2.2 10000000 2', 'few 192.0.2.1 10000000 2'])
  t.throws(() => compileNetworkRules([{ ...base, name: 'x', ranges: [], action: 'limit', limit }]), /nowhere to count/)
})

t.test('https-redirect sends plain requests to the same place', async t => {
  const filter = makeFilter('https-redirect', { port: 8443 })
  const of = (head: object, isTls = false) => filter.onRequest?.(anExchange(head, { isTls }))
  t.match(of({ target: '/a?b', headers: ['Host', 'shop.test:8080'] }), { status: 301, headers: ['location', 'https://shop.test:8443/a?b'] })
  t.match(of({ method: 'POST' }), { status: 308 })
  t.equal(of({}, true), PASS)
})

t.test('forwarded tells who asks and does not believe who asks', async t => {
  const settings = { xffHeader: 'X-Forwarded-For', xffUpdate: 'REPLACE', hasForwardedProto: true, requestIdHeader: 'X-Request-Id' } as const
  const of = (change: object, headers: readonly string[]) => {
    const exchange = anExchange({ headers: ['Host', 'a', ...headers] }, { isTls: true })
    const filter = makeFilter('forwarded', { ...settings, ...change })
    void filter.onRequest?.(exchange)
    exchange.response = { status: 200, reason: '', headers: ['x-request-id', 'from the server'] }
    filter.onResponse?.(exchange)
    return [exchange.request.headers, exchange.response.headers]
  }
  const given = ['X-Forwarded-For', '6.6.6.6', 'X-Forwarded-Proto', 'gopher', 'X-Request-Id', 'abc-1']
  t.same(of({}, given), [
    ['x-forwarded-for', '192.0.2.1', 'x-forwarded-proto', 'https', 'x-request-id', 'abc-1'],
    ['x-request-id', 'abc-1']
  ])
  t.same(of({ xffUpdate: 'ADD' }, given)[0]?.slice(0, 2), ['x-forwarded-for', '6.6.6.6, 192.0.2.1'])
  t.notOk(of({ xffUpdate: 'REMOVE_ALL' }, given)[0]?.includes('x-forwarded-for'))
  t.same(of({}, ['X-Request-Id', 'no"good\u00e9'])[1], ['x-request-id', 'id-1'])
  t.same(of({ xffHeader: null, hasForwardedProto: false, requestIdHeader: null }, given)[0], [
    'x-forwarded-for',
    '6.6.6.6',
    'x-forwarded-proto',
    'gopher',
    'x-request-id',
    'abc-1'
  ])
})

t.test('strict-transport speaks over TLS only, server-header says nothing', async t => {
  const response = (isTls: boolean) => {
    const exchange = anExchange({}, { isTls })
    exchange.response = { status: 200, reason: '', headers: ['server', 'nginx/0.1'] }
    makeFilter('strict-transport', { maxAgeS: 60, hasSubdomains: true }).onResponse?.(exchange)
    makeFilter('server-header', {}).onResponse?.(exchange)
    return exchange.response.headers
  }
  t.same(response(true), ['strict-transport-security', 'max-age=60; includeSubDomains'])
  t.same(response(false), [])
})

t.test('filtersFor takes only what a service needs, in the order of trust', async t => {
  const rules = { decide: () => PASS, amend: () => undefined }
  const kinds = (given: Parameters<typeof aService>[0]) => filtersFor(aService(given), rules).map(filter => filter.kind)
  t.same(kinds({}), ['forwarded'])
  t.same(
    kinds({
      networkRules: [{ name: 'n', ranges: [], isNegated: false, ports: [], action: 'allow' }],
      requestRules: [aRule({})],
      http: { isHttpToHttps: true, hstsMaxAgeS: 1, serverHeader: 'remove' }
    }),
    ['network-security', 'server-header', 'strict-transport', 'forwarded', 'https-redirect', 'policy']
  )
})
