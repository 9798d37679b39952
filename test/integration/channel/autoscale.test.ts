/** Scaling by load over a real fleet: real placement, real agents, real telemetry; samples and their time are the test's. */
import t from 'tap'
import type { Test } from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { openScale } from '#controller/scale/scale.ts'
import { openTelemetry } from '#controller/telemetry/ingest.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { aSample, quietHost, traffic } from '#test/support/sample.ts'
import { until } from '#test/support/wait.ts'

t.setTimeout(120_000)

async function aHouse(t: Test, group: JsonObject) {
  const fleet = await aPlacedFleet(t)
  const { store, change, planner, running, create, join } = fleet
  await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  const aService = async (name: string, port: number): Promise<string> => {
    await create('vsvip', { name, vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
    return create('virtualservice', {
      name,
      pool_ref: '/api/pool/?name=web',
      vsvip_ref: `/api/vsvip/?name=${name}`,
      services: [{ port }]
    })
  }
  const setGroup = async (body: JsonObject): Promise<void> => {
    const { uuid } = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')!
    await change.apply({
      actor: controllerActor,
      tenant: ADMIN_TENANT,
      writes: [{ op: 'patch', kind: 'serviceenginegroup', uuid, patch: { replace: body } }]
    })
  }
  await setGroup(group)
  const clock = manualClock()
  const telemetry = openTelemetry({ series: store.series, clock, log: silentLog })
  t.teardown(telemetry.stop)
  const asked: object[] = []
  const open = () => {
    const scale = openScale({
      store,
      change,
      actor: controllerActor,
      poolRuntime: running.poolRuntime,
      webhooks: { tell: (_webhook, message) => void asked.push(message) },
      actions: running.actions,
      enginesOf: uuid => planner.service(uuid)?.engineUuids ?? [],
      groups: {
        sites: () => planner.placer.sites.filter(({ isUp, takes }) => isUp && takes === 'all'),
        services: () => planner.placer.services,
        isMoving: () => planner.placer.isMoving
      },
      telemetry,
      clock,
      log: silentLog
    })
    t.teardown(scale.stop)
    return scale
  }
  const engines = [await join('one'), await join('two'), await join('three')]
  for (const { uuid } of engines)
    await until('it is up', () => (running.engineRuntime(uuid)?.oper_status.state === 'OPER_UP' ? true : undefined))
  const total = new Map<string, number>()
  let sequence = 0
  /** Seconds in which every service gets so many requests, spread over the engines that it is on. */
  const pass = (seconds: number, load: Readonly<Record<string, number>>, cpu: (engine: string) => number = () => 0.1): void => {
    for (let s = 0; s < seconds; s++) {
      sequence += 1
      for (const { uuid } of engines) {
        const here = Object.entries(load).flatMap(([service, perS]) => {
          const on = planner.service(service)?.engineUuids ?? []
          if (!on.includes(uuid)) return []
          const key = `${uuid} ${service}`
          total.set(key, (total.get(key) ?? 0) + perS / on.length)
          return [traffic(service, { requests: Math.round(total.get(key)!) })]
        })
        telemetry.ingest(
          uuid,
          aSample({ sequence, atEpochMs: clock.nowEpochMs(), host: { ...quietHost, cpuRatio: cpu(uuid) }, virtualServices: here })
        )
      }
      clock.advance(1_000)
    }
  }
  const on = (uuid: string): number => planner.service(uuid)?.engineUuids.length ?? 0
  return { ...fleet, asked, clock, telemetry, open, pass, on, aService, setGroup, engines }
}

t.test('load doubled is answered within ten seconds, halved after the delay, and nothing goes to and fro', async t => {
  const house = await aHouse(t, { autoscale: { max_requests_per_engine: 1000, scalein_delay: 120 } })
  const { open, pass, on, aService, store, engines, join, planner } = house
  const scale = open()
  const uuid = await aService('shop', 8080)
  await until('it is placed', () => (on(uuid) === 1 ? true : undefined))
  const told: string[] = []
  scale.onDecision(({ kind }) => told.push(kind))
  pass(60, { [uuid]: 900 })
  t.equal(on(uuid), 1)
  pass(10, { [uuid]: 1_800 })
  t.equal(on(uuid), 2, 'within ten seconds')
  pass(30 * 60, { [uuid]: 1_800 })
  t.equal(on(uuid), 2)
  t.equal(scale.ofService(uuid).decisions.length, 1, 'not one more decision in half an hour')
  pass(110, { [uuid]: 700 })
  t.equal(on(uuid), 2)
  pass(30, { [uuid]: 700 })
  t.equal(on(uuid), 1)
  t.match(scale.ofService(uuid), {
    enabled: true,
    now: { engines: 1, least: 1, most: 4 },
    decisions: [
      { kind: 'SCALE_OUT', cause: 'load', before: 1, after: 2, reasons: [/requests/], figures: { engines: 1 } },
      { kind: 'SCALE_IN', before: 2, after: 1 }
    ]
  })
  t.same(told, ['virtualservice', 'virtualservice'])

  pass(60, { [uuid]: 9_000 })
  t.equal(on(uuid), 3, 'as many as there are')
  t.match(scale.ofService(uuid).decisions.at(-1), { kind: 'HELD', reasons: [/requests/, /no other engine can take it/] })
  const group = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')!.uuid
  t.match(
    scale.ofGroup(group),
    { engines: 3, engines_wanted: 5, reasons: [/the widest service for 4/] },
    'what it could not get is asked for'
  )
  pass(10, { [uuid]: 700 })
  t.match(scale.ofGroup(group), { engines_wanted: 4 }, 'and no longer when its load is gone')
  pass(30, { [uuid]: 9_000 })
  engines.push(await join('four'))
  await until('it takes services', () => (planner.placer.sites.filter(({ isUp }) => isUp).length === 4 ? true : undefined))
  pass(5, { [uuid]: 9_000 })
  t.equal(on(uuid), 4, 'a step that was refused is no step: there is nothing to cool down from')
  scale.stop()
  t.same(open().ofService(uuid).decisions, scale.ofService(uuid).decisions, 'a controller that starts again knows what was decided')
  t.equal(store.table('scale-decision').entries().length, 1)
})

t.test('nobody asked, nothing scales; the group says what engines it should have', async t => {
  const { open, pass, on, aService, store, setGroup } = await aHouse(t, {})
  const scale = open()
  const uuid = await aService('shop', 8080)
  await until('it is placed', () => (on(uuid) === 1 ? true : undefined))
  pass(60, { [uuid]: 90_000 }, () => 0.95)
  t.equal(on(uuid), 1)
  t.match(scale.ofService(uuid), { enabled: false, decisions: [] })
  const group = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')!.uuid
  t.match(scale.ofGroup(group), { engines: 3, engines_wanted: 5, reasons: [/CPU asks for 4/, /1 more/] })
  await setGroup({ autoscale: {} })
  pass(10, { [uuid]: 90_000 }, () => 0.95)
  t.equal(on(uuid), 2, 'CPU of the engines that carry it')
})

t.test('a group whose engines differ too much is spread anew, once an interval', async t => {
  const { open, pass, on, aService, store, setGroup, running, engines } = await aHouse(t, { algo: 'PLACEMENT_ALGO_PACKED' })
  const scale = open()
  const services = [await aService('a', 8081), await aService('b', 8082), await aService('c', 8083)]
  await until('all are placed', () => (services.every(uuid => on(uuid) === 1) ? true : undefined))
  const places = () =>
    new Set(services.flatMap(uuid => (running.virtualServiceRuntime(uuid)?.placed_on ?? []).map(({ engine_uuid }) => engine_uuid)))
  await until('all run on one', () => (places().size === 1 ? true : undefined))
  const full = [...places()][0]!
  const cpu = (uuid: string): number => (uuid === full ? 0.9 : 0.05)
  const group = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')!.uuid
  await setGroup({ algo: 'PLACEMENT_ALGO_DISTRIBUTED', auto_rebalance: true, auto_rebalance_interval: 60 })
  pass(50, {}, cpu)
  t.same(scale.ofGroup(group).decisions, [], 'not before the interval')
  pass(20, {}, cpu)
  t.match(scale.ofGroup(group).decisions, [{ kind: 'REBALANCE', reasons: [/^CPU: 90 % on /, /2 virtual services move/] }])
  await until('one on each', () => (places().size === engines.length ? true : undefined))
})

t.test('a pool asks for servers, sees those that are added, lets others drain before they go, and forgets nothing', async t => {
  const { open, clock, telemetry, create, store, change, asked } = await aHouse(t, {})
  await create('webhook', { name: 'machines', callback_url: 'https://machines.test/' })
  await create('serverautoscalepolicy', {
    name: 'by-load',
    min_size: 1,
    max_size: 3,
    max_requests_per_server: 100,
    webhook_ref: '/api/webhook/?name=machines',
    scaleout_cooldown: 30,
    scalein_cooldown: 60
  })
  const pool = store.findByName('pool', ADMIN_TENANT, 'web')!.uuid
  const patch = (body: JsonObject) =>
    change.apply({
      actor: controllerActor,
      tenant: ADMIN_TENANT,
      writes: [{ op: 'patch', kind: 'pool', uuid: pool, patch: { replace: body } }]
    })
  const server = (last: number): JsonObject => ({ ip: { addr: `10.0.0.${last}`, type: 'V4' } })
  const servers = () => (store.get('pool', pool)!.body['servers'] ?? []) as readonly JsonObject[]
  await patch({ autoscale_policy_ref: '/api/serverautoscalepolicy/?name=by-load' })
  let scale = open()
  const kinds = () => scale.ofPool(pool).decisions.map(({ kind }) => kind)
  let sequence = 0
  let requests = 0
  const pass = (seconds: number, perS: number): void => {
    for (let s = 0; s < seconds; s++) {
      sequence += 1
      requests += perS
      telemetry.ingest('an-engine', aSample({ sequence, atEpochMs: clock.nowEpochMs(), pools: [traffic(pool, { requests })] }))
      clock.advance(1_000)
    }
  }
  pass(20, 80)
  t.same(kinds(), [])
  pass(10, 170)
  t.match(asked, [
    { event: 'pool.scaleout', pool: { name: 'web' }, servers: 1, wanted: 2, add: 1, reasons: [/^requests: .* a server, of 100\/s/] }
  ])
  pass(120, 170)
  t.equal(asked.length, 1, 'what was asked for is waited for')
  scale.stop()
  scale = open()
  pass(5, 170)
  t.equal(asked.length, 1, 'also by a controller that starts again')
  await patch({ servers: [server(1), server(2)] })
  pass(2, 170)
  t.same(kinds(), ['ASKED', 'COMPLETED'])

  pass(55, 30)
  /** Seconds pass while what is written is written. */
  const goesOn = (what: string, perS: number, isSo: () => boolean) =>
    until(what, () => {
      if (isSo()) return true
      pass(1, perS)
      return undefined
    })
  await goesOn('the newest is disabled', 30, () => kinds().includes('DRAINING'))
  t.same(servers(), [server(1), { ...server(2), enabled: false }], 'the other is as it was written, and nothing goes yet')
  scale.stop()
  scale = open()
  await goesOn('it is gone', 30, () => kinds().includes('REMOVED'))
  t.same(servers(), [server(1)])
  t.match(asked[1], { event: 'pool.scalein', servers: 1, removed: [{ ip: { addr: '10.0.0.2' } }] })
  t.same(kinds(), ['ASKED', 'COMPLETED', 'DRAINING', 'REMOVED'])
  t.equal(store.table('scale-pool').entries().length, 0)

  await patch({ servers: [server(1), server(3)] })
  t.match(await scale.scalePool(pool, 'in', 'ann', 'a test'), {
    decisions: { length: 5, 4: { kind: 'DRAINING', cause: 'request', reasons: ['asked for by ann: a test'] } }
  })
  await t.rejects(scale.scalePool(pool, 'out', 'ann'), { name: 'ScaleRefused', message: /drain/ })
  await goesOn('load comes, and it is taken back', 250, () => kinds().at(-1) === 'SCALE_OUT')
  t.match(servers()[1], { enabled: true })
  pass(300, 900)
  t.match(scale.ofPool(pool).decisions.at(-1), { kind: 'ASKED', after: 3 }, 'never more than max_size')
  pass(500, 900)
  t.ok(kinds().includes('FAILED'), 'who makes no servers is asked again, and it is told')
  t.ok(asked.length >= 4)
})
