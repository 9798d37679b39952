import t from 'tap'
import type { RequestQuestion } from '#model/message/message.ts'
import { aPool, aRule, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { openHttpServer, openTestPlane } from '#test/support/data-plane.ts'
import { aScriptSet } from '#test/support/scripts.ts'

const question = (given: Partial<RequestQuestion> = {}): RequestQuestion => ({
  virtualServiceId: 'vs-1',
  method: 'GET',
  host: 'shop.test',
  path: '/',
  headers: [],
  clientIp: '192.0.2.1',
  scheme: '',
  ...given
})

t.test('explain walks the rules that run, to the pool and the server, and sends nothing', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, plane, records, memory } = openTestPlane(t)
  const equals = (value: string) => ({ operator: 'equals', values: [value], isCaseSensitive: false }) as const
  const limit = { id: 'l', name: 'l', count: 1, periodS: 3_600, burst: 1, key: [], action: { is: 'close' }, isLogOnly: false } as const
  const requestRules = [
    aRule({ name: 'p / limit', phase: 'security', action: { is: 'rate-limit', limit } }),
    aRule({ name: 'p / other', match: { host: equals('other.test') }, action: { is: 'close' } }),
    aRule({
      name: 'p / key',
      match: { headers: [{ name: 'X-Key', ...equals('7') }] },
      action: { is: 'switch', target: { is: 'pool', poolId: 'api' } }
    }),
    aRule({
      name: 'p / moved',
      match: { path: equals('/old') },
      action: { is: 'redirect', status: 308, protocol: 'https', port: null, host: null, path: [{ literal: '/new' }], keepsQuery: true }
    })
  ]
  const networkRules = [{ name: 'n / bad', ranges: ['198.51.100.0/24'], isNegated: false, ports: [], action: 'deny' }] as const
  const api = aPool([web.port], { id: 'api', name: 'api', algorithm: { is: 'consistent-hash', by: 'source-address', header: null } })
  await load(aSnapshot({ services: [aService({ requestRules, networkRules })], pools: [aPool([]), api] }))

  const step = (rule: string, failedOn: string, action: string) => ({ rule, isMatched: failedOn === '', failedOn, action })
  for (let i = 0; i < 2; i++)
    t.same(plane.explain(question({ headers: ['x-key', '7'] })), {
      steps: [step('p / limit', '', 'rate-limit'), step('p / other', 'host', 'close'), step('p / key', '', 'switch')],
      verdict: 'forward',
      status: 0,
      location: '',
      poolId: 'api',
      poolName: 'api',
      serverId: `127.0.0.1:${web.port}`,
      reason: 'rule p / key, consistent hash by source address'
    })
  t.match(plane.explain(question({ path: '/old?a' })), {
    verdict: 'answer',
    status: 308,
    location: 'https://shop.test/new?a',
    reason: 'rule p / moved answers it',
    steps: { length: 4 }
  })
  t.match(plane.explain(question({ host: 'Other.test' })), { verdict: 'close', reason: 'rule p / other closes the connection' })
  t.match(plane.explain(question()), { verdict: 'answer', status: 503, poolName: 'web', reason: 'no server of web is available' })
  t.match(plane.explain(question({ clientIp: '198.51.100.9' })), { verdict: 'close', steps: [{ rule: 'n / bad' }] })
  t.match(plane.explain(question({ path: '/a/../../b' })), { verdict: 'refused', status: 400, reason: /climbs out/ })
  t.match(plane.explain(question({ virtualServiceId: 'vs-9' })), { verdict: 'refused', reason: /does not run/ })
  t.same([web.requests.length, records.length, memory.inFlight('api', `127.0.0.1:${web.port}`)], [0, 0, 0])
})

t.test('explain says from which side of the zones a server comes', async t => {
  const { load, plane } = openTestPlane(t)
  const servers = [aServer(1, { zone: 'north' }), aServer(2, { zone: 'south' })]
  const pools = [aPool(servers, { locality: { overprovisioning: 1.4 }, algorithm: { is: 'round-robin' } })]
  for (const [revision, zone, reason] of [
    [1, 'north', 'the default pool, round robin, a server of the own zone'],
    [2, 'west', 'the default pool, round robin']
  ] as const) {
    await load(aSnapshot({ revision, zone, services: [aService()], pools }))
    t.match(plane.explain(question()), { verdict: 'forward', reason })
    t.match(plane.explain(question()).reason, new RegExp(`${reason}$`))
  }
  const down = [aServer(1, { zone: 'north', isEnabled: false }), servers[1]!]
  await load(aSnapshot({ revision: 3, zone: 'north', services: [aService()], pools: [{ ...pools[0]!, servers: down }] }))
  t.match(plane.explain(question()), { serverId: '127.0.0.1:2', reason: /, a server of another zone$/ })
})

t.test('explain names scripts that wait for a body', async t => {
  const { load, plane } = openTestPlane(t)
  const bodies = { limitBytes: 1_024, passesLarge: false }
  const scripts = [aScriptSet({ request: '', 'request-body': 'weir.close()' }, { bodies })]
  t.same(await load(aSnapshot({ services: [aService({ scripts })], pools: [aPool([1])] })), [])
  t.match(plane.explain(question({ method: 'POST' })), {
    verdict: 'forward',
    steps: [
      { rule: 'script scripts/HTTP_REQ', action: 'continue' },
      { rule: 'script scripts/HTTP_REQ_DATA', isMatched: true, action: 'waits for the body' }
    ]
  })
})

t.test('explain says by which priority a pool of a group was chosen, and for whom a pool stands in', async t => {
  const { load, plane } = openTestPlane(t)
  const up = (id: string) => aPool([1], { id, name: id })
  const down = (id: string, backup = '') =>
    aPool([], { id, name: id, failAction: backup === '' ? { is: 'close' } : { is: 'pool', poolId: backup } })
  const member = (poolId: string, priority: number, ratio = 1) => ({ poolId, ratio, priority })
  const group = (...members: ReturnType<typeof member>[]) =>
    ({ is: 'group', id: 'g', name: 'webs', members, failAction: { is: 'pool', poolId: 'last' } }) as const
  const pools = [up('a'), up('b'), up('last'), down('gone'), down('saved', 'last')]
  for (const [revision, target, reason] of [
    [1, group(member('a', 3), member('b', 3, 0)), 'the default pool, pool group webs, round robin'],
    [2, group(member('a', 9), member('b', 1)), 'the default pool, pool group webs by priority 9, round robin'],
    [3, group(member('gone', 9), member('b', 1)), 'the default pool, pool group webs by priority 1: no server above is up, round robin'],
    [4, group(member('gone', 9)), 'the default pool, in for pool group webs, round robin'],
    [5, { is: 'pool', poolId: 'saved' }, 'the default pool, in for pool saved, round robin'],
    [6, { is: 'pool', poolId: 'a' }, 'the default pool, round robin']
  ] as const) {
    t.same(await load(aSnapshot({ revision, services: [aService({ target })], pools })), [])
    t.match(plane.explain(question()), { verdict: 'forward', reason })
  }
})
