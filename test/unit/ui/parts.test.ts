import t from 'tap'
import { incidentsOf } from '../../../ui/overview/incidents.ts'
import { crumbsOf } from '../../../ui/frame/crumbs.ts'
import { pathOfTenant, tenantIn } from '../../../ui/frame/tenant.ts'
import { bandOf } from '../../../ui/part/band.ts'
import { DEFAULT_RANGE, stepFor, windowIn } from '../../../ui/part/range.ts'
import { sparkPaths } from '../../../ui/part/spark.ts'
import { ROW_HEIGHT_PX, rowWindow } from '../../../ui/part/window.ts'
import { layMacroViolations, macroOf } from '../../../ui/services/macro.ts'
import type { PoolRuntime, ServerRuntime } from '#model/resource/runtime.ts'
import { whyIdle } from '../../../ui/pools/idle.ts'
import { rulesOf } from '../../../ui/services/rules.ts'
import { parseViews, queryOfView, withView, withoutView } from '../../../ui/part/saved-views.ts'
import { parseExplained, parseHeaders } from '../../../ui/services/explained.ts'
import { parseTrace } from '../../../ui/services/traced.ts'

t.test('bandOf lets the state decide first', async t => {
  t.equal(bandOf('OPER_DOWN', 100), 'down')
  t.equal(bandOf('OPER_DISABLED', 100), 'off')
  t.equal(bandOf('OPER_PARTITIONED', 100), 'poor')
  t.same(
    [100, 85, 84, 65, 64, 1, 0].map(score => bandOf('OPER_UP', score)),
    ['good', 'good', 'fair', 'fair', 'poor', 'poor', 'down']
  )
})

t.test('incidentsOf is worst first and leaves out what was switched off on purpose', async t => {
  const thing = (name: string, state: 'OPER_UP' | 'OPER_DOWN' | 'OPER_DISABLED', score: number) => ({
    kind: 'pool' as const,
    uuid: name,
    name,
    status: { state, reason: [], last_changed_time: 0 },
    health: { score, reasons: [{ reason: `${name} why`, points: 1 }] }
  })
  const found = incidentsOf([
    thing('fair', 'OPER_UP', 70),
    thing('off', 'OPER_DISABLED', 0),
    thing('good', 'OPER_UP', 99),
    thing('down', 'OPER_DOWN', 0),
    thing('poor', 'OPER_UP', 20)
  ])
  t.same(
    found.map(one => one.name),
    ['down', 'poor', 'fair']
  )
  t.equal(found[0]?.why, 'down why')
})

t.test('crumbsOf names what a uuid is', async t => {
  const uuid = 'virtualservice-0a1b2c3d-0000-4000-8000-000000000000'
  t.same(crumbsOf(`/services/${uuid}/servers`), [
    { to: '/services', text: 'Services', kind: undefined },
    { to: `/services/${uuid}`, text: uuid, kind: 'virtualservice' },
    { to: `/services/${uuid}/servers`, text: 'Servers', kind: undefined }
  ])
  t.same(
    crumbsOf('/').map(crumb => crumb.text),
    ['Overview']
  )
})

t.test('tenantIn and pathOfTenant are each other’s way back', async t => {
  t.same(tenantIn('/services'), { tenant: undefined, base: '/' })
  t.same(tenantIn('/t/a%20b/services'), { tenant: 'a b', base: '/t/a%20b' })
  t.same(tenantIn('/t/%zz'), { tenant: undefined, base: '/' })
  t.equal(tenantIn(pathOfTenant('a b', 'admin')).tenant, 'a b')
  t.equal(pathOfTenant('admin', 'admin'), '/')
})

t.test('windowIn takes the range or a zoom from the URL, else the default', async t => {
  t.match(windowIn(new URLSearchParams('range=1h'), 10_000_000), { startS: 6_400, stopS: 10_000, stepS: 15, isMoving: true })
  t.match(windowIn(new URLSearchParams('from=100&to=200'), 0), { startS: 100, stopS: 200, stepS: 1, isMoving: false })
  t.equal(windowIn(new URLSearchParams('range=nonsense&from=9'), 10_000_000).startS, 10_000 - DEFAULT_RANGE.seconds)
  t.equal(stepFor(86_400), 300)
})

t.test('rowWindow draws short lists whole and a part of long ones', async t => {
  t.same(rowWindow(200, 0, 500), { first: 0, end: 200 })
  const { first, end } = rowWindow(10_000, 1_000 * ROW_HEIGHT_PX, 10 * ROW_HEIGHT_PX)
  t.ok(first <= 1_000 && end >= 1_010 && end - first < 60)
  t.equal(rowWindow(10_000, 1e9, 500).end, 10_000)
})

t.test('sparkPaths breaks the line at a gap', async t => {
  t.same(sparkPaths([]), { line: '', area: '' })
  const { line } = sparkPaths([
    { atMs: 1_000, value: 1 },
    { atMs: 2_000, value: 2 },
    { atMs: 9_000, value: 2 }
  ])
  t.equal(line.split('M').length - 1, 2)
})

const service = {
  name: 'shop',
  address: '2001:db8::1',
  vsvipUuid: null,
  port: 443,
  isTls: true,
  certificateUuid: 'sslkeyandcertificate-1',
  isTcp: false,
  servers: '10.0.0.1',
  poolUuid: null,
  defaultServerPort: 8080,
  algorithm: 'LB_ALGORITHM_ROUND_ROBIN',
  monitorUuids: ['healthmonitor-1'],
  groupUuid: null,
  tcpProfileUuid: null
}

t.test('macroOf nests a new vsvip and pool, and refers to those that exist', async t => {
  t.match(macroOf(service), {
    model_name: 'VirtualService',
    data: {
      name: 'shop',
      services: [{ port: 443, enable_ssl: true }],
      vsvip_ref_data: { name: 'shop-vip', vip: [{ vip_id: '0', ip6_address: { addr: '2001:db8::1', type: 'V6' } }] },
      pool_ref_data: { name: 'shop-pool', default_server_port: 8080, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] },
      ssl_key_and_certificate_refs: ['/api/sslkeyandcertificate/sslkeyandcertificate-1']
    }
  })
  const data = macroOf({ ...service, vsvipUuid: 'vsvip-1', poolUuid: 'pool-1' })['data'] as Readonly<Record<string, unknown>>
  t.equal(data['vsvip_ref'], '/api/vsvip/vsvip-1')
  t.equal(data['pool_ref'], '/api/pool/pool-1')
  t.notOk('pool_ref_data' in data)
})

t.test('layMacroViolations finds the field of the form', async t => {
  const { byField, others } = layMacroViolations([
    { pointer: '/data/pool_ref_data/servers/0/ip/addr', message: 'a' },
    { pointer: '/services/0/port', message: 'b' },
    { pointer: '/data/vsvip_ref_data/vip/0/ip_address', message: 'c' },
    { pointer: '/model_name', message: 'd' },
    { pointer: '', message: 'e' }
  ])
  t.same(byField, { servers: 'a', port: 'b', address: 'c' })
  t.same(
    others.map(violation => violation.message),
    ['d', 'e']
  )
})

t.test('rulesOf says each rule as a sentence, in order', async t => {
  const rules = rulesOf({
    http_request_policy: {
      rules: [
        { name: 'second', index: 2, enable: false, redirect_action: { status_code: 'HTTP_REDIRECT_STATUS_CODE_302' } },
        {
          name: 'first',
          index: 1,
          match: { path: { match_criteria: 'BEGINS_WITH', match_str: ['/api'] } },
          switching_action: { pool_ref: '/api/pool/pool-1#api' }
        }
      ]
    }
  })
  t.same(
    rules.map(rule => rule.name),
    ['first', 'second']
  )
  t.match(rules[0], { phase: 'request', isEnabled: true, match: 'path begins with, /api', action: 'switching action pool ref api' })
  t.match(rules[1], { isEnabled: false, match: 'always' })
})

t.test('parseHeaders reads what one types, and names the line that is none', async t => {
  t.same(parseHeaders(' X-Key:  7 \n\nCookie: a=b; c=d:e\nX-Key: 8'), { headers: { 'X-Key': '7, 8', Cookie: 'a=b; c=d:e' } })
  t.same(parseHeaders('X-Key: 7\nno header'), { wrong: 'no header' })
  t.same(parseHeaders(''), { headers: {} })
})

t.test('parseExplained says where a request ends', async t => {
  const uuid = 'pool-11111111-2222-4333-8444-555555555555'
  const steps = [
    { rule: 'p/a', matched: false, failed_on: 'path', action: 'respond' },
    { rule: 'p/b', matched: true, failed_on: '', action: 'switch-pool' }
  ]
  const answer = { steps, verdict: 'forward', status: 0, pool: `${uuid}:8080`, pool_name: 'web', server: '10.0.0.1:80', reason: 'rule p/b' }
  t.match(parseExplained(answer), {
    steps: [
      { rule: 'p/a', isMatched: false, why: 'does not match: path' },
      { rule: 'p/b', isMatched: true, why: 'matches', action: 'switch pool' }
    ],
    end: 'goes to a server',
    pool: { uuid, name: 'web' },
    server: '10.0.0.1:80'
  })
  t.equal(parseExplained({ ...answer, server: '', status: 503 }).end, 'has no server to go to: 503')
  t.equal(parseExplained({ verdict: 'answer', status: 301, location: '/x' }).end, 'is answered by the engine with 301, to /x')
  t.equal(parseExplained({ verdict: 'close' }).end, 'ends: the connection is closed')
  t.equal(parseExplained({ verdict: 'refused', status: 400 }).end, 'is refused with 400')
  t.match(parseExplained(null), { steps: [], pool: undefined })
})

t.test('saved views: what was kept is read strictly, and a name is one view of its list', async t => {
  const down = { name: 'down', path: '/services', query: 'q=state%3Adown' }
  t.equal(queryOfView(new URLSearchParams('sort=-name&add=1&q=state:down&from=7')), 'q=state%3Adown&sort=-name')
  t.same(parseViews(null), [])
  for (const broken of ['{', '{}', '[1, null]', '[{"name":"x"}]']) t.same(parseViews(broken), [], broken)
  for (const path of ['//other.test/', 'https://other.test/', '']) t.same(parseViews(JSON.stringify([{ ...down, path }])), [], path)
  t.same(parseViews(JSON.stringify([down])), [down])
  const views = withView(withView([down], { ...down, path: '/pools' }), { ...down, query: '' })
  t.same(views, [
    { ...down, path: '/pools' },
    { ...down, query: '' }
  ])
  t.same(withoutView(views, down), [{ ...down, path: '/pools' }])
  let many: ReturnType<typeof parseViews> = []
  for (let at = 0; at < 120; at++) many = withView(many, { ...down, name: String(at) })
  t.equal(many.length, 100)
})

t.test('parseTrace reads the newest request first, with where its time went', async t => {
  const times = { client_rtt_estimate_us: 2_000, before_us: 100, connect_us: 1_000, server_us: 3_000, transfer_us: 900, total_us: 5_000 }
  const request = {
    request_id: 'r-1',
    at: 7,
    client_ip: '192.0.2.1',
    method: 'GET',
    scheme: 'https',
    host: 'shop.test',
    path: '/a?b',
    times
  }
  const explanation = { steps: [{ rule: 'p/a', matched: true }], verdict: 'forward', status: 200, pool_name: 'web', server: 's' }
  const failed = { request_id: 'r-2', fault: 'UPSTREAM_CONNECT_REFUSED', fault_reason: 'no connection' }
  const { isRunning, requests } = parseTrace({ running: true, requests: [{ ...request, explanation }, failed, 'nonsense'] })
  t.equal(isRunning, true)
  t.match(requests, [
    { id: 'r-2', status: 0, totalMs: 0, fault: 'UPSTREAM_CONNECT_REFUSED: no connection' },
    {
      id: 'r-1',
      what: 'GET https://shop.test/a?b',
      status: 200,
      fault: '',
      totalMs: 5,
      clientRttMs: 2,
      explained: { steps: [{ rule: 'p/a' }], server: 's' }
    }
  ])
  t.same(
    requests[1]?.parts.map(({ ms }) => ms),
    [0.1, 1, 3, 0.9]
  )
  t.same(parseTrace(null), { isRunning: false, requests: [] })
})

t.test('whyIdle names the engines that keep to their own zones, and nothing else', async t => {
  const zones = (...percents: (number | null)[]) =>
    percents.map((own_percent, i) => ({
      engine_uuid: `e${i}`,
      engine_name: `edge-${i}`,
      zone: 'a',
      own_percent,
      own_requests: 0,
      other_requests: 0
    }))
  const server = (state: 'OPER_UP' | 'OPER_DOWN', ...own: (boolean | undefined)[]) =>
    ({
      oper_status: { state, reason: [], last_changed_time: 0 },
      engines: own.map((isOwn, i) => ({
        engine_uuid: `e${i}`,
        engine_name: `edge-${i}`,
        ...(isOwn === undefined ? {} : { own_zone: isOwn })
      }))
    }) as unknown as ServerRuntime
  const idle = (one: ServerRuntime, locality: PoolRuntime['locality']) =>
    whyIdle(one, { servers: [one], ...(locality === undefined ? {} : { locality }) })
  t.equal(idle(server('OPER_UP', false), zones(100)), 'gets nothing: edge-0 keeps to its own zone')
  t.equal(idle(server('OPER_UP', false, false), zones(100, 100)), 'gets nothing: edge-0, edge-1 keep to their own zones')
  t.equal(idle(server('OPER_UP', false, true), zones(100, 100)), '', 'one of them is of its zone')
  t.equal(idle(server('OPER_UP', false, false), zones(100, 70)), '', 'one of them spills over')
  t.equal(idle(server('OPER_UP', false), zones(null)), '')
  t.equal(idle(server('OPER_DOWN', false), zones(100)), '')
  t.equal(idle(server('OPER_UP', undefined), undefined), '')
  const ordered = (state: 'OPER_UP' | 'OPER_DOWN', order?: number) =>
    ({ ...server(state, undefined), ...(order === undefined ? {} : { preference_order: order }) }) as ServerRuntime
  const [first, second, third] = [ordered('OPER_UP'), ordered('OPER_UP', 2), ordered('OPER_DOWN', 1)] as const
  t.equal(whyIdle(second, { servers: [first, second] }), 'stands by: servers of order 1 are up')
  t.equal(whyIdle(first, { servers: [first, second] }), '')
  t.equal(whyIdle(second, { servers: [third, second] }), '', 'the others are down')
})
