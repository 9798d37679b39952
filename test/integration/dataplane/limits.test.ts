import { once } from 'node:events'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { makeRates } from '#engine/meter/rates.ts'
import type { RateLimitSpec } from '#model/snapshot/snapshot.ts'
import { aPool, aRule, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, openHttpServer, openTestPlane, until } from '#test/support/data-plane.ts'

const aLimit = (given: Partial<RateLimitSpec>): RateLimitSpec => ({
  id: 'limit-1',
  name: 'limit',
  count: 1,
  periodS: 3_600,
  burst: 2,
  key: [],
  action: { is: 'respond', status: 429, contentType: '', bodyBase64: '' },
  isLogOnly: false,
  ...given
})

t.test('requests over a limit are refused with the time to come back; a new generation forgets nothing', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port, records } = openTestPlane(t)
  const service = aService({ requestLimit: aLimit({}) })
  await load(aSnapshot({ services: [service], pools: [aPool([web.port])] }))
  t.same([(await ask(port())).status, (await ask(port())).status], [200, 200])
  await load(aSnapshot({ services: [{ ...service, name: 'renamed' }], pools: [aPool([web.port])], revision: 2 }))
  const refused = await ask(port())
  t.match(refused, { status: 429, headers: { ratelimit: /^"limit";r=0;t=\d+$/, 'ratelimit-policy': '"limit";q=1;w=3600' } })
  t.ok(Number(refused.headers['retry-after']) > 3_000)
  t.equal(web.requests.length, 2)
  await until(() => records.length === 3, 'records')
  t.equal(records[2]?.rule, 'limit')
})

t.test('a rule limits what it matches, by cookie; log only lets all pass', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port, records } = openTestPlane(t)
  const rules = [
    aRule({
      phase: 'security',
      name: 'p / login',
      match: { path: { operator: 'equals', values: ['/login'], isCaseSensitive: false } },
      action: { is: 'rate-limit', limit: aLimit({ burst: 1, key: [{ by: 'cookie', name: 'id' }] }) }
    })
  ]
  const requestLimit = aLimit({ id: 'all', name: 'seen', burst: 1, isLogOnly: true })
  await load(aSnapshot({ services: [aService({ requestRules: rules, requestLimit })], pools: [aPool([web.port])] }))
  const login = async (id: string): Promise<number> => (await ask(port(), { path: '/login', headers: { cookie: `id=${id}` } })).status
  t.same([await login('a'), await login('a'), await login('b')], [200, 429, 200])
  t.equal((await ask(port(), { path: '/other' })).status, 200)
  await until(() => records.length === 4, 'records')
  t.equal(records[3]?.rule, 'seen (over its limit)')
})

t.test('bearer tokens are counted by their claim, whoever shows them', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port } = openTestPlane(t)
  const requestLimit = aLimit({ burst: 1, key: [{ by: 'claim', name: 'sub' }] })
  await load(aSnapshot({ services: [aService({ requestLimit })], pools: [aPool([web.port])] }))
  const asked = async (payload: string): Promise<number> =>
    (await ask(port(), { headers: { authorization: `Bearer e30.${Buffer.from(payload).toString('base64url')}.c2ln` } })).status
  t.same([await asked('{"sub":"a"}'), await asked('{"sub":"a","iat":1}'), await asked('{"sub":"b"}')], [200, 429, 200])
  t.same([await asked('{}'), await asked('nonsense'), (await ask(port())).status], [200, 429, 429], 'without the claim all are one')
})

t.test('connections over a limit are reset', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port } = openTestPlane(t)
  const connectionLimit = aLimit({ burst: 1, key: [{ by: 'client-address' }], action: { is: 'reset' } })
  await load(aSnapshot({ services: [aService({ connectionLimit })], pools: [aPool([web.port])] }))
  t.equal((await ask(port())).status, 200)
  const socket = connect({ port: port(), host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNRESET')
})

t.test('a network rule lets in so many connections and what they bring, and denies the next', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port } = openTestPlane(t)
  const limit = aLimit({ count: 1, periodS: 1_000, burst: 2, action: { is: 'close' } })
  const rule = { name: 'n / few', ranges: ['127.0.0.1'], isNegated: false, ports: [], action: 'limit', limit } as const
  await load(aSnapshot({ services: [aService({ networkRules: [rule] })], pools: [aPool([web.port])] }))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  for (let i = 0; i < 5; i++) t.equal((await ask(port(), { agent })).status, 200, 'on one connection')
  t.equal((await ask(port())).status, 200)
  await t.rejects(ask(port()))
  t.equal((await ask(port(), { localAddress: '127.0.0.2' })).status, 200, 'no rule is for another address')
  t.equal((await ask(port(), { agent })).status, 200, 'who is there goes on')
})

t.test('threads that share buckets never get more than there is', async t => {
  const buffer = makeRates([7, 8])
  const taken = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const worker = new Worker(new URL('taker.ts', import.meta.url), { workerData: buffer })
      const [got] = (await once(worker, 'message')) as [number]
      return got
    })
  )
  t.equal(
    taken.reduce((sum, got) => sum + got, 0),
    1_000
  )
})
