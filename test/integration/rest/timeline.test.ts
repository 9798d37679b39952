import t from 'tap'
import { SETTLE_MS } from '#controller/timeline/timeline.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aRest, aTenant } from '#test/support/rest.ts'

t.test('events are read newest first, by those who may read what they are about', async t => {
  const clock = manualClock(Date.now())
  const house = await aRest(t, { clock })
  const { admin, timeline } = house
  const made = async (client: typeof admin, name: string): Promise<string> => {
    const answer = await client.call('POST', '/api/pool', { name, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
    t.equal(answer.status, 201, answer.text)
    return String(answer.body['uuid'])
  }
  const ours = await made(admin, 'ours')
  const { client: eve } = await aTenant(house, 'eves')
  const hers = await made(eve, 'hers')
  clock.advance(SETTLE_MS)
  for (const uuid of [ours, hers]) timeline.state({ kind: 'pool', uuid, state: 'OPER_DOWN', reasons: ['no server up'] })
  clock.advance(60_000)
  timeline.state({ kind: 'pool', uuid: ours, server: '10.0.0.1:80', state: 'OPER_UP', reasons: [] })

  const logs = '/api/analytics/logs?type=2'
  const all = await admin.call('GET', logs, undefined, { 'x-weir-tenant': '*' })
  t.match(all, {
    status: 200,
    results: [{ event_id: 'SERVER_UP', obj_uuid: ours }, { obj_uuid: hers }, { event_id: 'POOL_DOWN', obj_uuid: ours }]
  })
  t.notOk('next' in all.body)
  t.match(await eve.call('GET', logs), {
    status: 200,
    results: [{ obj_uuid: hers, obj_name: 'hers', event_description: 'is down: no server up' }]
  })
  t.equal((await eve.call('GET', logs)).results.length, 1, 'not those of others')
  t.equal((await eve.call('GET', `${logs}&obj_uuid=${ours}`)).results.length, 0, 'nor when she names them')

  const page = await admin.call('GET', `${logs}&page_size=1`)
  t.match(page, { results: [{ event_id: 'SERVER_UP', server: '10.0.0.1:80' }], body: { next: /before=/ } })
  const next = new URL(String(page.body['next']))
  t.match(await admin.call('GET', next.pathname + next.search), { results: [{ event_id: 'POOL_DOWN', obj_uuid: ours }] })
  t.equal((await admin.call('GET', `${logs}&level=ERROR&obj_uuid=${ours}`)).results.length, 1)
  t.equal((await admin.call('GET', `${logs}&event_id=SERVER_UP,VS_UP`)).results.length, 1)
  const since = Math.floor(clock.nowEpochMs() / 1_000) - 1
  t.equal((await admin.call('GET', `${logs}&start=${since}`)).results.length, 1)
  t.equal((await admin.call('GET', `${logs}&end=${new Date(since * 1_000).toISOString()}`)).results.length, 1)
})

t.test('a query that is not understood is refused by the name of what is wrong', async t => {
  const { admin, anonymous } = await aRest(t)
  for (const [query, name] of [
    ['', 'type'],
    ['type=1', 'type'],
    ['type=2&level=LOUD', 'level'],
    ['type=2&level=ERROR,', 'level'],
    ['type=2&event_id=vs_down', 'event_id'],
    ['type=2&obj_uuid=', 'obj_uuid'],
    ['type=2&obj_uuid=a%20b', 'obj_uuid'],
    ['type=2&start=yesterday', 'start'],
    ['type=2&start=10&end=9', 'start'],
    ['type=2&before=0', 'before'],
    ['type=2&page_size=201', 'page_size'],
    ['type=2&filter=x', 'filter']
  ] as const)
    t.match(await admin.call('GET', `/api/analytics/logs?${query}`), { status: 400, text: new RegExp(name) }, query)
  t.match(await anonymous.call('GET', '/api/analytics/logs?type=2'), { status: 401 })
})
