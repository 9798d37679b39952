import t from 'tap'
import type { RequestTrace, TraceOrder } from '#model/message/message.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { aListener, aPool, aRule, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'
import { ask, closedPort, openHttpServer, openTestPlane, until } from '#test/support/data-plane.ts'

const order = (given: Partial<TraceOrder> = {}): TraceOrder => ({
  id: 't',
  virtualServiceId: 'vs-1',
  clientIp: '',
  method: '',
  pathPrefix: '',
  requestId: '',
  count: 10,
  durationMs: 600_000,
  ...given
})
const equals = (value: string) => ({ operator: 'equals', values: [value], isCaseSensitive: false }) as const

t.test('a live request is traced: each rule, the server, the times, and what the client got is the same', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const traces: [string, RequestTrace][] = []
  const { load, plane, records, port } = openTestPlane(t, { traced: (id, trace) => traces.push([id, trace]) })
  const requestRules = [
    aRule({ name: 'p / other', match: { host: equals('other.test') }, action: { is: 'close' } }),
    aRule({
      name: 'p / key',
      match: { headers: [{ name: 'X-Key', ...equals('7') }] },
      action: { is: 'switch', target: { is: 'pool', poolId: 'api' } }
    }),
    aRule({ name: 'p / old', match: { path: equals('/old') }, action: { is: 'close' } })
  ]
  const api = aPool([web.port], { id: 'api', name: 'api', algorithm: { is: 'round-robin' } })
  await load(aSnapshot({ services: [aService({ requestRules })], pools: [aPool([await closedPort()]), api] }))

  const answered = await ask(port(), { headers: { 'x-key': '7' } })
  t.equal(answered.status, 200)
  t.same(traces, [], 'nobody asked')

  plane.trace(order({ pathPrefix: '/a', clientIp: '127.0.0.1', method: 'GET' }))
  await ask(port(), { path: '/b', headers: { 'x-key': '7' } })
  t.same(traces, [], 'another path')
  t.equal((await ask(port(), { path: '/a?b', headers: { 'x-key': '7', 'x-request-id': 'mine' } })).body, 'web')
  await until(() => traces.length === 1, 'the trace')
  const [id, trace] = traces[0]!
  t.equal(id, 't')
  const step = (rule: string, failedOn: string, action: string) => ({ rule, isMatched: failedOn === '', failedOn, action })
  t.match(trace, {
    clientIp: '127.0.0.1',
    method: 'GET',
    path: '/a?b',
    attempts: 1,
    fault: '',
    explanation: {
      steps: [step('p / other', 'host', 'close'), step('p / key', '', 'switch')],
      verdict: 'forward',
      status: 200,
      poolId: 'api',
      serverId: `127.0.0.1:${web.port}`,
      reason: 'rule p / key, round robin'
    }
  })
  t.equal(trace.requestId, records.at(-1)?.requestId, 'found in the access log by its id')
  t.ok(trace.sentUs > 0 && trace.firstByteUs >= trace.sentUs && trace.totalUs >= trace.firstByteUs)

  plane.trace(order({ id: 'failing', count: 1 }))
  await ask(port(), { path: '/' })
  await until(() => traces.some(([one]) => one === 'failing'), 'the trace of a failure')
  t.match(traces.at(-1)?.[1], { fault: /^UPSTREAM/, faultReason: /./, explanation: { status: 502, steps: { length: 3 } } })
  plane.trace(order({ id: 'by-id', requestId: 'wanted', count: 1 }))
  plane.trace(order({ count: 0 }))
  await ask(port(), { path: '/a', headers: { 'x-key': '7', 'x-request-id': 'other' } })
  await ask(port(), { path: '/a', headers: { 'x-key': '7', 'x-request-id': 'wanted' } })
  await ask(port(), { path: '/a', headers: { 'x-key': '7', 'x-request-id': 'wanted' } })
  await until(() => records.length >= 6, 'all is over')
  t.same(
    traces.slice(2).map(([one]) => one),
    ['by-id'],
    'the one that was asked for, once; the first order is ended'
  )
})

t.test('an order ends by itself, lives through a new generation, and their number is bounded', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const traces: string[] = []
  const { load, plane, port } = openTestPlane(t, { traced: id => traces.push(id) })
  const snapshot = (name: string) => aSnapshot({ services: [aService({ name })], pools: [aPool([web.port])] })
  await load(snapshot('one'))
  for (let i = 0; i < 20; i++) plane.trace(order({ id: `t${i}`, count: 1 }))
  await load(snapshot('two'))
  for (let i = 0; i < 12; i++) await ask(port())
  await until(() => traces.length >= 8, 'eight traces')
  t.same(traces.length, 8)
  plane.trace(order({ id: 'short', durationMs: 0 }))
  await ask(port())
  t.equal(traces.includes('short'), false)
})

t.test('over TLS the client has a round trip, an estimate, in trace and record; without it has none', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const shop = await aCertificate('shop', ['shop.test'])
  const traces: RequestTrace[] = []
  const { load, plane, port, records } = openTestPlane(t, { traced: (_id, trace) => traces.push(trace) })
  const services = [
    aService({ listeners: [aListener({ isTls: true })], tls: aTls(['shop']) }),
    aService({ id: 'vs-2', listeners: [aListener({})] })
  ]
  await load(aSnapshot({ services, pools: [aPool([web.port])], certificates: [shop] }))
  plane.trace(order())
  plane.trace(order({ id: 'u', virtualServiceId: 'vs-2' }))
  await ask(port(), { isTls: true, rejectUnauthorized: false, servername: 'shop.test' })
  await until(() => records.length === 1, 'over TLS')
  await ask(port('vs-2'))
  await until(() => traces.length === 2, 'both')
  t.ok((traces[0]?.clientRttUs ?? 0) > 0)
  t.equal(records[0]?.clientRttUs, traces[0]?.clientRttUs)
  t.equal(traces[1]?.clientRttUs, undefined)
})
