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
  const open = () => {
    const scale = openScale({
      store,
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
  return { ...fleet, clock, open, pass, on, aService, setGroup, engines }
}

t.test('load doubled is answered within ten seconds, halved after the delay, and nothing goes to and fro', async t => {
  const house = await aHouse(t, { autoscale: { max_requests_per_engine: 1000, scalein_delay: 120 } })
  const { open, pass, on, aService, store } = house
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
