/** Two real engines in two zones and a controller: each prefers the servers of its own, and leaves it as they fail. */
import t from 'tap'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { ask, openHttpServer } from '#test/support/data-plane.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { aWholeEngine } from '#test/support/whole-engine.ts'

const zones = ['north', 'south'] as const
const REQUESTS = 400

t.test('engines of two zones keep to their own servers, and share what those cannot bear', { timeout: 180_000 }, async t => {
  const { running, change, create, enrol } = await aPlacedFleet(t)
  const servers = await Promise.all(
    zones.flatMap(zone => [1, 2].map(async () => ({ zone, ...(await openHttpServer(t, (_request, response) => response.end(zone))) })))
  )
  await create('healthmonitor', {
    name: 'answers',
    type: 'HEALTH_MONITOR_TCP',
    send_interval: 2,
    receive_timeout: 1,
    successful_checks: 1,
    failed_checks: 1,
    tcp_monitor: {}
  })
  const pool = await create('pool', {
    name: 'web',
    servers: servers.map(({ zone, port }) => ({ ip: { addr: '127.0.0.1', type: 'V4' }, port, availability_zone: zone })),
    locality: {},
    health_monitor_refs: ['/api/healthmonitor/?name=answers']
  })
  await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  const ports = await freePorts(zones.length)
  for (const [i, zone] of zones.entries())
    await create('virtualservice', {
      name: zone,
      pool_ref: '/api/pool/?name=web',
      vsvip_ref: '/api/vsvip/?name=vip',
      services: [{ port: ports[i]! }],
      placement: { se_selector: { site: zone } }
    })
  const engines = await Promise.all(zones.map(zone => enrol(zone, { zone, site: zone })))
  for (const { folder } of engines) await aWholeEngine(t, folder, 2)
  const states = (): string[] => running.poolRuntime(pool)?.servers.flatMap(({ engines: by }) => by.map(({ verdict }) => verdict)) ?? []
  const judged = (what: string, up: number): Promise<unknown> =>
    until(
      what,
      () => states().length === 8 && states().filter(state => state === 'up').length === up * 2 && !states().includes('unknown'),
      60_000
    )
  await judged('all are up, for both engines', 4)

  /** Of requests to the engine of a zone, the part that its own servers answered. */
  const ownShare = async (zone: (typeof zones)[number]): Promise<number> => {
    let own = 0
    for (let n = 0; n < REQUESTS; n++) {
      const { status, body } = await ask(ports[zones.indexOf(zone)]!)
      if (status !== 200) t.fail(`${status} from the engine of ${zone}`)
      if (body === zone) own++
    }
    return own / REQUESTS
  }
  t.equal(await ownShare('north'), 1)
  t.equal(await ownShare('south'), 1)

  t.match(running.poolRuntime(pool), {
    servers: zones.flatMap(zone => [1, 2].map(() => ({ zone, engines: { length: 2 } }))),
    locality: { length: 2 }
  })
  const zoneRuntime = (zone: string) => running.poolRuntime(pool)?.locality?.find(({ engine_name: name }) => name === zone)
  t.match(zoneRuntime('north'), { zone: 'north', own_percent: 100 })
  t.match(
    running
      .poolRuntime(pool)
      ?.servers[0]?.engines.map(({ engine_name: name, own_zone: isOwn }) => [name, isOwn])
      .toSorted(),
    [
      ['north', true],
      ['south', false]
    ]
  )

  const relabel = (zone: string): Promise<unknown> =>
    change.apply({
      actor: controllerActor,
      tenant: ADMIN_TENANT,
      writes: [{ op: 'patch', kind: 'serviceengine', uuid: engines[1]!.uuid, patch: { replace: { labels: { zone, site: 'south' } } } }]
    })
  /** Both of its workers. */
  const answersFrom = async (zone: string): Promise<boolean> => {
    for (let n = 0; n < 40; n++) if ((await ask(ports[1]!)).body !== zone) return false
    return true
  }
  await relabel('north')
  await until('the engine that was moved goes by its new zone', () => answersFrom('north'))
  t.equal(await ownShare('south'), 0)
  await relabel('south')
  await until('it is back', () => answersFrom('south'))

  servers[0]!.server.close()
  servers[0]!.server.closeAllConnections()
  await judged('one of the north is down', 3)
  t.match(zoneRuntime('north'), { own_percent: 70 })
  t.match(zoneRuntime('south'), { own_percent: 100 })
  const half = await ownShare('north')
  t.ok(half > 0.58 && half < 0.82, `${half} of it stays, 0.7 is meant`)
  t.equal(await ownShare('south'), 1)

  servers[1]!.server.close()
  servers[1]!.server.closeAllConnections()
  await judged('the north is down', 2)
  t.match(zoneRuntime('north'), { own_percent: 0 })
  t.equal(await ownShare('north'), 0, 'and nobody was refused')
  t.equal(await ownShare('south'), 1)
})
