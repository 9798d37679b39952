/** Drivers over a real fleet: real placement, scaling, tokens and agents; what an engine is made of is an agent in this process. */
import t from 'tap'
import type { Test } from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { noFigures } from '#model/resource/runtime.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { openDrivers } from '#controller/driver/drivers.ts'
import { DriverFailed, type Driver } from '#controller/driver/port.ts'
import { openScale } from '#controller/scale/scale.ts'
import { saveIdentity } from '#engine/agent/identity.ts'
import type { AgentSide } from '#engine/agent/port.ts'
import { aFolder, anAgent, anEngine } from '#test/support/agent.ts'
import { aCsr } from '#test/support/csr.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { until } from '#test/support/wait.ts'

t.setTimeout(120_000)

interface Machine {
  readonly folder: string
  agent: Pick<AgentSide, 'stop'> | undefined
}

async function aHouse(t: Test, group: JsonObject, driver: JsonObject = {}) {
  const fleet = await aPlacedFleet(t)
  const { store, change, planner, running, create, authority, seal, randomBytes } = fleet
  const machines = new Map<string, Machine>()
  const world = {
    made: [] as string[],
    destroyed: [] as string[],
    failures: 0,
    failDestroy: 0,
    isDeaf: false,
    hosts: [] as string[],
    underWay: 0,
    beforeEnsure: async (): Promise<void> => undefined
  }

  const boot = async (name: string, machine: Machine, token: string | undefined): Promise<void> => {
    if (token !== undefined) {
      const { csrPem, keyPem } = await aCsr()
      const joined = await running.enrol({ token, csrPem, hostname: name, remoteAddress: '127.0.0.1' })
      const { engineUuid: engineId, engineName, enginePort, certificatePem, caPem } = joined
      await saveIdentity(machine.folder, { engineId, engineName, controllerHost: '127.0.0.1', enginePort, keyPem, certificatePem, caPem })
    }
    machine.agent = await anAgent(t, machine.folder, anEngine())
    const uuid = store.list('serviceengine').find(({ body }) => body['engine_intent'] === name)!.uuid
    await until('it is connected', () => running.engineRuntime(uuid)?.connected)
  }
  const silent = { stop: async () => undefined }
  const agents: Driver = {
    list: async () => [...machines].map(([name, { agent }]) => ({ name, isRunning: agent !== undefined })),
    ensure: async ({ name, token }) => {
      await world.beforeEnsure()
      if (world.failures > 0) {
        world.failures -= 1
        throw new DriverFailed('the cellar is full')
      }
      const known = machines.get(name)
      if (known?.agent !== undefined) return
      const machine = known ?? { folder: aFolder(t), agent: undefined }
      machines.set(name, machine)
      world.made.push(name)
      world.underWay += 1
      // It runs, and never joins.
      if (world.isDeaf) machine.agent = silent
      else await boot(name, machine, token)
      world.underWay -= 1
    },
    destroy: async ({ name }) => {
      if (world.failDestroy > 0) {
        world.failDestroy -= 1
        throw new DriverFailed('the cellar is locked')
      }
      await machines.get(name)?.agent?.stop()
      if (machines.delete(name)) world.destroyed.push(name)
    }
  }

  const clock = manualClock(Date.now())
  const open = () => {
    const sites = () => planner.placer.sites.filter(({ isUp, takes }) => isUp && takes === 'all')
    const scale = openScale({
      store,
      change,
      actor: controllerActor,
      poolRuntime: running.poolRuntime,
      webhooks: { tell: () => undefined },
      actions: running.actions,
      enginesOf: uuid => planner.service(uuid)?.engineUuids ?? [],
      groups: {
        sites,
        services: () => planner.placer.services,
        comingTo: uuid => drivers.comingTo(uuid),
        isMoving: () => planner.placer.isMoving
      },
      telemetry: { live: () => noFigures, liveOfEngine: () => noFigures, hostOfEngine: () => null },
      clock,
      log: silentLog
    })
    const drivers = openDrivers({
      store,
      change,
      actor: controllerActor,
      authority,
      seal,
      randomBytes,
      fleet: running,
      sites,
      wantedOf: scale.enginesWanted,
      note: scale.note,
      makeDriver: () => (world.hosts.length === 0 ? agents : { ...agents, pick: taken => world.hosts.find(host => !taken.includes(host)) }),
      ownUrl: () => 'https://127.0.0.1:9443',
      clock,
      log: silentLog
    })
    const stop = async (): Promise<void> => {
      scale.stop()
      await drivers.stop()
    }
    t.teardown(stop)
    return { scale, drivers, stop }
  }
  const patch = async (kind: KindName, name: string, body: JsonObject): Promise<void> => {
    const { uuid } = store.findByName(kind, ADMIN_TENANT, name)!
    await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'patch', kind, uuid, patch: { replace: body } }] })
  }
  await patch('serviceenginegroup', 'Default-Group', { buffer_se: 0, se_deprovision_delay: 0, vs_scalein_timeout: 0, ...group })
  await patch('cloud', 'Default-Cloud', { engine_driver: { type: 'PROCESS', ...driver } })
  const groupUuid = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')!.uuid
  /** Seconds pass until it is so; none while an engine joins, which takes time of its own. */
  const pass = <T>(what: string, ask: () => T | undefined | false): Promise<T> =>
    until(what, () => {
      if (world.underWay === 0) clock.advance(1_000)
      return ask()
    })
  const states = (house: ReturnType<typeof open>): string =>
    house.drivers
      .ofGroup(groupUuid)
      .making.map(({ state }) => state)
      .toSorted()
      .join()
  const aService = async (name: string, port: number): Promise<string> => {
    await create('vsvip', { name, vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
    const pool = await create('pool', { name, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' }, port: 80 }] })
    return create('virtualservice', { name, pool_ref: pool, vsvip_ref: `/api/vsvip/?name=${name}`, services: [{ port }] })
  }
  return { ...fleet, world, machines, clock, open, patch, pass, states, aService, groupUuid }
}

t.test('a group gets the engines that it wants, more when services come, and gives them back empty', async t => {
  const { open, pass, states, store, world, patch, aService, groupUuid, change, planner } = await aHouse(t, { min_se: 2, max_vs_per_se: 1 })
  const house = open()
  await pass('two joined', () => states(house) === 'JOINED,JOINED')
  t.same(store.list('jointoken'), [], 'no token is left')
  t.same(
    new Set(store.list('serviceengine').map(({ name, body }) => JSON.stringify([name, body['engine_intent']]))),
    new Set(world.made.map(name => JSON.stringify([name, name])))
  )
  t.match(world.made, [/^default-group-[0-9a-f]{6}$/, /^default-group-[0-9a-f]{6}$/])
  const services = [await aService('a', 81), await aService('b', 82), await aService('c', 83)]
  await pass('a third joined', () => states(house) === 'JOINED,JOINED,JOINED')
  await pass('all are placed', () => services.every(uuid => planner.service(uuid)?.engineUuids.length === 1))
  const order = {
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: [{ op: 'delete', kind: 'virtualservice', uuid: services[1]! } as const]
  }
  await change.apply(order)
  await pass('one is gone', () => world.destroyed.length === 1 && states(house) === 'JOINED,JOINED')
  t.equal(store.list('serviceengine').length, 2)
  t.ok(store.list('serviceengine').every(({ body }) => (body['enable_state'] ?? 'SE_STATE_ENABLED') === 'SE_STATE_ENABLED'))
  t.same(
    house.scale.ofGroup(groupUuid).decisions.map(({ kind }) => kind),
    ['ASKED', 'ASKED', 'COMPLETED', 'COMPLETED', 'ASKED', 'COMPLETED', 'DRAINING', 'REMOVED']
  )
  for (const uuid of [services[0]!, services[2]!])
    await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'delete', kind: 'virtualservice', uuid }] })
  await patch('serviceenginegroup', 'Default-Group', { min_se: 0 })
  await pass('all are gone', () => states(house) === '')
  t.same(store.list('serviceengine'), [])
  t.equal(world.made.length, 3)
})

t.test('engines that joined by hand count, and are never taken away', async t => {
  const { open, pass, states, store, patch, join, clock, world, planner } = await aHouse(t, { min_se: 2 })
  const { uuid } = await join('by-hand')
  await until('it is up', () => planner.placer.sites.some(site => site.uuid === uuid && site.isUp))
  const house = open()
  await pass('one joined beside it', () => states(house) === 'JOINED')
  t.equal(world.made.length, 1)
  await patch('serviceenginegroup', 'Default-Group', { min_se: 0, max_se: 0 })
  await pass('its own is gone', () => states(house) === '')
  clock.advance(10_000)
  t.same(
    store.list('serviceengine').map(({ name }) => name),
    ['by-hand']
  )
})

t.test('failures are told and tried again, later each time; at once when somebody asks', async t => {
  const { open, pass, states, world, clock, groupUuid } = await aHouse(t, { min_se: 1 })
  const house = open()
  world.failures = 3
  await pass('it failed once', () => house.drivers.ofGroup(groupUuid).making[0]?.failures === 1)
  const view = house.drivers.ofGroup(groupUuid).making[0]!
  t.match(view, { state: 'JOINING', last_failure: { reason: 'the cellar is full' } })
  t.ok(view.next_try! - clock.nowEpochMs() <= 5_000)
  const started = clock.nowMs()
  await pass('it failed twice', () => house.drivers.ofGroup(groupUuid).making[0]?.failures === 2)
  t.ok(clock.nowMs() - started >= 4_000, 'not before five seconds')
  const second = clock.nowMs()
  await pass('it failed three times', () => house.drivers.ofGroup(groupUuid).making[0]?.failures === 3)
  t.ok(clock.nowMs() - second >= 9_000, 'and then ten')
  t.match(house.scale.ofGroup(groupUuid).decisions.at(-1), { kind: 'FAILED', reasons: [/the cellar is full; tried again in 20 s/] })
  const third = clock.nowMs()
  house.drivers.retry(groupUuid)
  await pass('it is made', () => world.made.length === 1)
  t.ok(clock.nowMs() - third < 20_000)
  await pass('it joined', () => states(house) === 'JOINED')
  t.match(house.drivers.ofGroup(groupUuid).making, [{ failures: 0, next_try: null, last_failure: null }])
})

t.test('what does not join in time is removed with its token, and made anew', async t => {
  const { open, pass, states, world, store, groupUuid, machines } = await aHouse(t, { min_se: 1 }, { join_timeout: 20 })
  const house = open()
  world.isDeaf = true
  await pass('it is on its way', () => machines.size === 1 && states(house) === 'JOINING')
  t.equal(store.list('jointoken').length, 1)
  await pass('it is given up', () => world.destroyed.length === 1)
  await pass('it is told', () => house.drivers.ofGroup(groupUuid).making[0]?.last_failure !== null)
  t.match(house.drivers.ofGroup(groupUuid).making, [{ state: 'WANTED', last_failure: { reason: 'it did not join within 20 s' } }])
  t.same(store.list('jointoken'), [])
  world.isDeaf = false
  await pass('the next one joined', () => states(house) === 'JOINED')
  t.same(machines.size, 1)
})

t.test('an engine that ended is started again as itself; one that does not come back is replaced', async t => {
  const { open, pass, states, machines, store, world } = await aHouse(t, { min_se: 1 }, { join_timeout: 30 })
  const house = open()
  await pass('it joined', () => states(house) === 'JOINED')
  const [name] = machines.keys()
  const machine = machines.get(name!)!
  const engine = store.list('serviceengine')[0]!.uuid
  await machine.agent!.stop()
  machine.agent = undefined
  await pass('it runs again', () => machine.agent !== undefined && world.underWay === 0)
  t.equal(store.list('serviceengine')[0]!.uuid, engine)
  // Its host is cut off: it runs, as far as the driver knows, and is not heard of.
  await machine.agent!.stop()
  world.failDestroy = 1
  await pass('another was made', () => machines.size === 2)
  await pass(
    'should it come back, it takes nothing',
    () => store.get('serviceengine', engine)?.body['enable_state'] === 'SE_STATE_DISABLED'
  )
  await pass('and took its place', () => states(house) === 'JOINED' && world.destroyed.join() === name)
  t.not(store.list('serviceengine')[0]!.uuid, engine)
})

t.test('each engine has a host of its own; when all are taken it is told, and a host that is given back is used', async t => {
  const { open, pass, states, world, groupUuid, patch } = await aHouse(t, { min_se: 3 })
  world.hosts = ['one', 'two']
  const house = open()
  await pass('two joined', () => states(house) === 'JOINED,JOINED,WANTED')
  const making = () => house.drivers.ofGroup(groupUuid).making
  t.same(new Set(making().map(({ host }) => host)), new Set(['one', 'two', null]))
  await pass('it is told', () => making().some(({ last_failure: failure }) => failure?.reason === 'no host is free'))
  await patch('serviceenginegroup', 'Default-Group', { min_se: 1 })
  await pass('one is left', () => states(house) === 'JOINED')
  await patch('serviceenginegroup', 'Default-Group', { min_se: 2 })
  await pass('two again', () => states(house) === 'JOINED,JOINED')
  t.same(new Set(making().map(({ host }) => host)), new Set(['one', 'two']))
  t.equal(new Set(world.made).size, 3)
})

t.test('an engine that somebody deletes is taken away and replaced', async t => {
  const { open, pass, states, store, world, change } = await aHouse(t, { min_se: 1 })
  const house = open()
  await pass('it joined', () => states(house) === 'JOINED')
  const { uuid } = store.list('serviceengine')[0]!
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'delete', kind: 'serviceengine', uuid }] })
  await pass('another took its place', () => states(house) === 'JOINED' && world.destroyed.length === 1 && world.made.length === 2)
})

t.test('a draining engine is kept when it is wanted after all', async t => {
  const { open, pass, states, store, world, patch, aService, planner } = await aHouse(t, { min_se: 2, max_vs_per_se: 1 })
  const house = open()
  await pass('two joined', () => states(house) === 'JOINED,JOINED')
  const services = [await aService('a', 81), await aService('b', 82)]
  await pass('both are placed', () => services.every(uuid => planner.service(uuid)?.engineUuids.length === 1))
  // Nobody else has room: it cannot drain.
  await patch('serviceenginegroup', 'Default-Group', { min_se: 0, max_se: 1 })
  await pass('one drains', () => states(house) === 'DRAINING,JOINED')
  await pass('it is disabled', () => store.list('serviceengine').some(({ body }) => body['enable_state'] === 'SE_STATE_DISABLED'))
  for (let i = 0; i < 5; i++) await pass('nothing is lost', () => services.every(uuid => planner.service(uuid)?.engineUuids.length === 1))
  await patch('serviceenginegroup', 'Default-Group', { max_se: 2 })
  await pass('it stays', () => states(house) === 'JOINED,JOINED')
  await pass('it is enabled', () => store.list('serviceengine').every(({ body }) => body['enable_state'] !== 'SE_STATE_DISABLED'))
  t.same(world.destroyed, [])
})

t.test('a controller that dies anywhere makes nothing twice and forgets nothing', async t => {
  const { open, pass, states, store, world, machines, patch } = await aHouse(t, { min_se: 2 })
  for (const moment of ['before anything is made', 'after it was made and before it was noted', 'while one cannot be removed'] as const) {
    let first = open()
    if (moment === 'before anything is made') {
      // Rows are there, and no token.
      await pass('wanted', () => states(first) !== '')
    } else if (moment === 'after it was made and before it was noted') {
      const held = Promise.withResolvers<void>()
      world.beforeEnsure = () => held.promise
      await pass('on its way', () => states(first) === 'JOINING,JOINING')
      held.resolve()
      world.beforeEnsure = async () => undefined
    } else {
      world.failDestroy = 2
      await pass('two joined', () => states(first) === 'JOINED,JOINED')
      await patch('serviceenginegroup', 'Default-Group', { min_se: 0 })
      await pass('they cannot be removed', () => states(first) === 'DESTROYING,DESTROYING' && world.failDestroy === 0)
    }
    await first.stop()
    first = open()
    if (moment === 'while one cannot be removed') {
      await pass('they are removed', () => states(first) === '')
      t.same([store.list('serviceengine').length, store.list('jointoken').length, machines.size], [0, 0, 0], moment)
    } else {
      await pass('two joined', () => states(first) === 'JOINED,JOINED')
      t.same([store.list('serviceengine').length, store.list('jointoken').length, machines.size], [2, 0, 2], moment)
      t.equal(new Set(world.made).size, world.made.length, moment)
      if (moment === 'before anything is made') {
        await patch('serviceenginegroup', 'Default-Group', { min_se: 0 })
        await pass('none are left', () => states(first) === '')
        await first.stop()
        await patch('serviceenginegroup', 'Default-Group', { min_se: 2 })
        continue
      }
    }
    await first.stop()
  }
})

t.test('what runs and nobody asked for is told and left; without its driver an engine stays as it is', async t => {
  const { open, pass, states, machines, change, store, groupUuid, clock, world } = await aHouse(t, { min_se: 1 })
  machines.set('from-before', { folder: '/nonexistent', agent: undefined })
  const house = open()
  await pass('it joined', () => states(house) === 'JOINED')
  await pass('the stranger is told', () => house.drivers.ofGroup(groupUuid).strangers.join() === 'from-before')
  t.match(house.drivers.ofGroup(groupUuid), { driver: 'PROCESS', problem: null })
  const cloud = store.findByName('cloud', ADMIN_TENANT, 'Default-Cloud')!
  const { engine_driver: _, ...body } = cloud.body
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'replace', kind: 'cloud', uuid: cloud.uuid, body }] })
  clock.advance(30_000)
  t.match(house.drivers.ofGroup(groupUuid), { driver: null, making: [{ state: 'JOINED' }] })
  t.equal(store.list('serviceengine').length, 1)
  await change.apply({
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: [{ op: 'delete', kind: 'serviceengine', uuid: store.list('serviceengine')[0]!.uuid }]
  })
  await pass('its row goes with it', () => states(house) === '')
  t.match(house.scale.ofGroup(groupUuid).decisions.at(-1), { kind: 'FAILED', reasons: [/must be removed by hand/] })
  t.same(world.destroyed, [])
})
