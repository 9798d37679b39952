/** The small parsers at the edge, each by itself. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { JsonObject } from '#model/resource/kind.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import { StoreUnavailable } from '#controller/store/store.ts'
import { parseMoment, parseMetricsQuery } from '#controller/rest/analytics.ts'
import { parseBasic } from '#controller/rest/caller.ts'
import { parsePatch } from '#controller/rest/crud.ts'
import { joinCommands } from '#controller/rest/join.ts'
import { isDeeperThan } from '#controller/rest/json.ts'
import { parseSubscribe } from '#controller/rest/live.ts'
import { flattenMacro } from '#controller/rest/macro.ts'
import { Problem } from '#controller/rest/problem.ts'
import { judge, problemBody } from '#controller/rest/rescue.ts'
import { safePath } from '#controller/rest/ui.ts'

const is400 = { name: 'Problem', status: 400 }

t.test('parseBasic reads names and passwords with colons and of any script', async t => {
  const header = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
  t.same(parseBasic(header('admin:a:b')), { username: 'admin', password: 'a:b' })
  t.same(parseBasic(header('ünï:π')), { username: 'ünï', password: 'π' })
  t.same(parseBasic(header('admin:')), { username: 'admin', password: '' })
  for (const wrong of [undefined, '', 'Basic', 'Bearer x', header('nocolon'), header(':x'), 'Basic ###'])
    t.equal(parseBasic(wrong), undefined, wrong ?? 'absent')
})

t.test('isDeeperThan counts brackets outside of strings', async t => {
  t.equal(isDeeperThan('[[[]]]', 3), false)
  t.equal(isDeeperThan('[[[]]]', 2), true)
  t.equal(isDeeperThan('{"[[[[": "]]\\"[[[[", "b": [1]}', 2), false)
  t.equal(isDeeperThan('"\\\\"[[[', 2), true)
  t.equal(isDeeperThan('['.repeat(1_000_000), 32), true)
})

t.test('parseSubscribe takes a subscription within bounds and nothing else', async t => {
  t.same(parseSubscribe('{"type":"subscribe","topics":["pool","pool:pool-1"]}'), ['pool', 'pool:pool-1'])
  t.same(parseSubscribe('{"type":"subscribe","topics":[]}'), [])
  const many = JSON.stringify({ type: 'subscribe', topics: Array.from({ length: 1_001 }, () => 'pool') })
  for (const wrong of [
    '',
    'null',
    '1',
    '{"type":"x","topics":[]}',
    '{"type":"subscribe","topics":[1]}',
    '{"type":"subscribe","topics":["pool:"]}',
    many,
    'x'.repeat(70_000)
  ])
    t.equal(parseSubscribe(wrong), undefined, wrong.slice(0, 40))
})

t.test('safePath keeps a path below its folder', async t => {
  t.equal(safePath('assets/index-1.js'), 'assets/index-1.js')
  t.equal(safePath('a/../b'), 'b')
  for (const wrong of [
    '..',
    '../x',
    'a/../../x',
    '/etc/passwd',
    '.env',
    'a/.git/config',
    'a\\..\\b',
    'a\u0000b',
    '%2e%2e/x',
    '',
    'x'.repeat(300)
  ])
    t.equal(safePath(wrong), undefined, wrong.slice(0, 30))
})

t.test('parseMoment reads both spellings', async t => {
  t.equal(parseMoment('start', '2023-11-14T22:13:20Z'), 1_700_000_000)
  t.equal(parseMoment('start', '1700000000.9'), 1_700_000_000)
  for (const wrong of ['', 'now', '-5', '2023-1', '99999999999999', 'NaN']) t.throws(() => parseMoment('start', wrong), is400, wrong)
})

t.test('parseMetricsQuery never asks for more than its limit', async t => {
  for (const start of ['0', '1600000000', '1699999990']) {
    const query = parseMetricsQuery({ metric_id: 'a.b', step: '5', limit: '10', start }, 1_700_000_000)
    t.ok(query.stopEpochS - query.startEpochS <= 50, start)
  }
})

t.test('parsePatch takes add, replace and delete of objects', async t => {
  t.same(parsePatch({ add: { servers: [] }, delete: { a: {} } }), { add: { servers: [] }, delete: { a: {} } })
  for (const wrong of [undefined, null, [], {}, { add: 1 }, { add: {}, more: {} }]) t.throws(() => parsePatch(wrong), is400)
})

t.test('joinCommands names the port and quotes what a shell would read', async t => {
  const pin = 'sha256//abc='
  const { systemd, container } = joinCommands('https://lb.test:9443', pin, 'weir1.a.b')
  t.equal(
    systemd,
    "curl -fsSLk --pinnedpubkey 'sha256//abc=' 'https://lb.test:9443/install.sh' | sh -s -- --controller 'https://lb.test:9443' --pin 'sha256//abc=' --token weir1.a.b"
  )
  t.equal(container, systemd.replace('/install.sh', '/install/container.sh'))
  const all = joinCommands('https://lb.test:9443', pin, 'weir1.a.b')
  for (const [method, text] of Object.entries(all)) t.match(text, /weir1\.a\.b/, method)
  t.match(all.compose, /container\.sh' \| WEIR_TOKEN=\S+ sh -s -- compose --controller '\S+' --pin '\S+'$/)
  const template = readFileSync(new URL('../../../../agent-installers/cloud-init/user-data.yaml', import.meta.url), 'utf8')
  const filled = template.replaceAll('${controller}', 'https://lb.test:9443').replaceAll('${pin}', pin).replaceAll('${token}', 'weir1.a.b')
  t.equal(all.cloudinit, filled, 'as Terraform fills it')
  for (const [method, text] of Object.entries(all))
    if (method !== 'cloudinit') t.equal(spawnSync('sh', ['-n'], { input: text }).status, 0, `${method} parses as shell`)
  t.match(joinCommands('https://lb.test', pin, 't').systemd, "'https://lb.test:443'")
  t.match(joinCommands('https://[::1]:9443', pin, 't').systemd, "'https://[::1]:9443/install.sh'")
})

t.test('flattenMacro puts what is referred to first', async t => {
  const data: JsonObject = {
    name: 'v',
    vsvip_ref_data: { name: 'a b' },
    http_policies: [{ index: 1, http_policy_set_ref_data: { name: 'h' } }],
    pool_ref_data: { name: 'p', health_monitor_refs_data: [{ name: 'm1' }, { name: 'm2' }] }
  }
  const documents = flattenMacro('virtualservice', data)
  t.same(
    documents.map(({ kind, pointer }) => [kind, pointer]),
    [
      ['vsvip', '/data/vsvip_ref_data'],
      ['httppolicyset', '/data/http_policies/0/http_policy_set_ref_data'],
      ['healthmonitor', '/data/pool_ref_data/health_monitor_refs_data/0'],
      ['healthmonitor', '/data/pool_ref_data/health_monitor_refs_data/1'],
      ['pool', '/data/pool_ref_data'],
      ['virtualservice', '/data']
    ]
  )
  t.same(documents.at(-1)?.body, {
    name: 'v',
    vsvip_ref: '/api/vsvip/?name=a%20b',
    http_policies: [{ index: 1, http_policy_set_ref: '/api/httppolicyset/?name=h' }],
    pool_ref: '/api/pool/?name=p'
  })
  t.same(
    flattenMacro('pool', { name: 'p', other_ref_data: { name: 'x' } })[0]?.body,
    { name: 'p', other_ref_data: { name: 'x' } },
    'left for the check to refuse'
  )
})

t.test('judge gives each failure its status', async t => {
  const statuses = { INVALID: 422, FORBIDDEN: 403, NOT_FOUND: 404, IN_USE: 409, STALE: 412, CONFLICT: 409 } as const
  for (const [code, status] of Object.entries(statuses))
    t.match(judge(new ChangeRefused(code as keyof typeof statuses, 'x')), { status, code })
  t.match(judge(new Problem(418, 'TEA', 'pot')), { status: 418, code: 'TEA', detail: 'pot' })
  t.match(judge(new StoreUnavailable('disk full')), { status: 503, code: 'STORE_UNAVAILABLE', headers: { 'retry-after': '5' } })
  t.match(judge(Object.assign(new Error('locked'), { code: 'SQLITE_BUSY' })), { status: 503 })
  t.match(judge(Object.assign(new Error('big'), { statusCode: 413, code: 'FST_ERR_CTP_BODY_TOO_LARGE' })), {
    status: 413,
    code: 'BODY_TOO_LARGE'
  })
  for (const bug of [new TypeError('secret'), 'text', undefined, null, Object.assign(new Error('x'), { statusCode: 200 })])
    t.match(judge(bug), { status: 500, code: 'INTERNAL', detail: /log/ })
})

t.test('problemBody says all violations and the first of them in one line', async t => {
  const violations = Array.from({ length: 12 }, (_, i) => ({ pointer: `/a/${i}`, message: 'is wrong' }))
  const body = problemBody(judge(new ChangeRefused('INVALID', '12 things are wrong', violations)), 'id-1')
  t.equal(body.violations?.length, 12)
  t.match(body, { status: 422, type: 'urn:weir:problem:invalid', title: 'Invalid', instance: 'urn:uuid:id-1' })
  t.match(body.error, /^12 things are wrong: \/a\/0 is wrong; .*\/a\/9 is wrong; and 2 more$/)
})
