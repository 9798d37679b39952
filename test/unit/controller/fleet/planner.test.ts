import t from 'tap'
import type { Test } from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { makeChange } from '#controller/change/apply.ts'
import { firstStart } from '#controller/change/first-start.ts'
import { SNAPSHOT_VERSION } from '#model/snapshot/snapshot.ts'
import { makePlanner } from '#controller/fleet/planner.ts'
import { Engine } from '#controller/fleet/roster.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { aHello } from '#test/support/bare-engine.ts'
import { plainSeal, seededBytes } from '#test/support/change.ts'

async function world(t: Test) {
  const store = openMemoryStore()
  t.teardown(() => store.close())
  const randomBytes = seededBytes()
  const change = makeChange({ store, seal: plainSeal(), clock: { nowEpochMs: () => 1000 }, randomBytes, committed: () => undefined })
  await firstStart({ store, change, randomBytes })
  const create = async (kind: KindName, body: JsonObject): Promise<string> => {
    const { resources } = await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'create', kind, body }] })
    return resources[0]!.uuid
  }
  const service = async (name: string, port: number): Promise<string> => {
    await create('vsvip', { name: `${name}-vip`, vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
    return create('virtualservice', { name, vsvip_ref: `/api/vsvip/?name=${name}-vip`, services: [{ port }] })
  }
  const engine = async (name: string): Promise<Engine> => {
    const row = { facts: null, lastSeenEpochMs: 1, runningRevision: 0, serialNumber: null, certificateNotAfterEpochMs: null }
    return new Engine(await create('serviceengine', { name }), row, 'OPER_INITIALIZING', [], 0)
  }
  return { store, change, create, service, engine, planner: () => makePlanner({ store, seal: plainSeal(), log: silentLog }) }
}

const services = (
  wanted: { readonly manifest: { readonly parts: readonly { readonly kind: string; readonly id: string }[] } } | undefined
) => wanted?.manifest.parts.flatMap(part => (part.kind === 'virtual-service' ? [part.id] : []))

t.test('a planner says why a service waits, places it when an engine is there, and moves it when that is gone', async t => {
  const { service, engine, planner: open } = await world(t)
  const uuid = await service('shop', 8080)
  const planner = open()
  planner.plan([])
  t.match(planner.service(uuid), {
    engineUuids: [],
    enginesWanted: 1,
    reasons: [/^waiting for an engine: no engine has joined group Default-Group/]
  })
  const [one, two] = [await engine('one'), await engine('two')]
  planner.plan([one, two])
  const home = planner.service(uuid)!.engineUuids
  t.equal(home.length, 1)
  const [there, other] = home[0] === one.uuid ? [one, two] : [two, one]
  const plan = planner.plan([there, other])
  t.same(services(plan.get(there.uuid)), [uuid])
  t.same(services(plan.get(other.uuid)), [])

  there.state = 'OPER_DOWN'
  const moved = planner.plan([there, other])
  t.same(services(moved.get(other.uuid)), [uuid])
  t.same(services(moved.get(there.uuid)), [])
  other.state = 'OPER_DOWN'
  planner.plan([there, other])
  t.match(planner.service(uuid), { engineUuids: [], reasons: ['waiting for an engine: no engine in group Default-Group is up'] })
})

t.test('of engines that carry as many services, the less busy one takes the next; load alone moves nothing', async t => {
  const { store, service, engine } = await world(t)
  const engines = [await engine('one'), await engine('two'), await engine('three')]
  const load = new Map([0.9, 0.2, 0.6].map((ratio, i) => [engines[i]!.uuid, ratio]))
  const planner = makePlanner({ store, seal: plainSeal(), log: silentLog, loadOf: uuid => load.get(uuid) })
  const uuid = await service('shop', 8080)
  planner.plan(engines)
  t.same(planner.service(uuid)!.engineUuids, [engines[1]!.uuid])
  load.set(engines[1]!.uuid, 1)
  await service('another', 8081)
  planner.plan(engines)
  t.same(planner.service(uuid)!.engineUuids, [engines[1]!.uuid])
})

t.test('a restart of the controller moves nothing, and what is placed nowhere goes back to its last place', async t => {
  const { service, engine, planner: open } = await world(t)
  const engines = [await engine('one'), await engine('two'), await engine('three')]
  const uuids = [await service('a', 8081), await service('b', 8082), await service('c', 8083), await service('d', 8084)]
  const first = open()
  // Placed one by one on what is up, so that a fresh look would place them otherwise.
  for (const engine of engines.slice(1)) engine.state = 'OPER_DOWN'
  first.plan(engines)
  for (const engine of engines) engine.state = 'OPER_INITIALIZING'
  first.plan(engines)
  const before = uuids.map(uuid => first.service(uuid)!.engineUuids)
  t.same(new Set(before.flat()), new Set([engines[0]!.uuid]))

  const second = open()
  second.plan(engines)
  t.same(
    uuids.map(uuid => second.service(uuid)!.engineUuids),
    before
  )
  for (const engine of engines) engine.state = 'OPER_DOWN'
  second.plan(engines)
  const third = open()
  for (const engine of engines) engine.state = 'OPER_INITIALIZING'
  third.plan(engines)
  t.same(
    uuids.map(uuid => third.service(uuid)!.engineUuids),
    before
  )
})

t.test('a plan is the same for the same store, and a change of one service leaves the others’ parts as they are', async t => {
  const { service, engine, change, planner: open } = await world(t)
  const one = await engine('one')
  const [a, b] = [await service('a', 8081), await service('b', 8082)]
  const planner = open()
  const first = planner.plan([one]).get(one.uuid)!
  t.equal(planner.plan([one]).get(one.uuid)!.manifest.hash, first.manifest.hash)
  t.equal(open().plan([one]).get(one.uuid)!.manifest.hash, first.manifest.hash)
  const writes = [
    { op: 'patch', kind: 'virtualservice', uuid: a, patch: { replace: { description: 'x', traffic_enabled: false } } }
  ] as const
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes })
  const second = planner.plan([one]).get(one.uuid)!
  const hashOf = (wanted: typeof first, id: string) => wanted.manifest.parts.find(part => part.id === id)?.hash
  t.not(hashOf(second, a), hashOf(first, a))
  t.equal(hashOf(second, b), hashOf(first, b))
  t.not(second.manifest.hash, first.manifest.hash)
})

t.test('a disabled service is planned for nowhere', async t => {
  const { service, engine, change, planner: open } = await world(t)
  const one = await engine('one')
  const uuid = await service('a', 8081)
  const planner = open()
  planner.plan([one])
  const writes = [{ op: 'patch', kind: 'virtualservice', uuid, patch: { replace: { enabled: false } } }] as const
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes })
  t.same(services(planner.plan([one]).get(one.uuid)), [])
  t.equal(planner.service(uuid), undefined)
})

t.test('what an engine refused is left out until it is changed or tried again, and the others go on', async t => {
  const { service, engine, change, planner: open } = await world(t)
  const [shop, blog] = [await service('shop', 8080), await service('blog', 8081)]
  const one = await engine('one')
  const planner = open()
  const revision = planner.plan([one]).get(one.uuid)!.manifest.revision
  const violations = [{ pointer: `/virtual-service/${shop}/listeners/0`, message: 'port 8080 is in use' }]
  one.refusals.set(shop, { revision, violations })
  t.same(services(planner.plan([one]).get(one.uuid)), [blog])
  t.match(planner.service(shop), {
    engineUuids: [],
    reasons: ['waiting for an engine: engine one refused it: port 8080 is in use']
  })

  one.isTryingAgain = true
  t.same(new Set(services(planner.plan([one]).get(one.uuid))), new Set([shop, blog]))
  one.isTryingAgain = false
  t.same(services(planner.plan([one]).get(one.uuid)), [blog])
  await change.apply({
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: [{ op: 'patch', kind: 'virtualservice', uuid: shop, patch: { replace: { services: [{ port: 8082 }] } } }]
  })
  t.same(new Set(services(planner.plan([one]).get(one.uuid))), new Set([shop, blog]))
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'delete', kind: 'virtualservice', uuid: shop }] })
  planner.plan([one])
  t.equal(one.refusals.size, 0, 'what is deleted is forgotten')
})

t.test('a child is where its parent is, and one that is disabled is nowhere', async t => {
  const { create, engine, planner: open } = await world(t)
  await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
  const parent = await create('virtualservice', {
    name: 'parent',
    type: 'VS_TYPE_VH_PARENT',
    vh_type: 'VS_TYPE_VH_ENHANCED',
    vsvip_ref: '/api/vsvip/?name=vip',
    services: [{ port: 80 }]
  })
  const child = (name: string, enabled: boolean): Promise<string> =>
    create('virtualservice', {
      name,
      enabled,
      type: 'VS_TYPE_VH_CHILD',
      vh_type: 'VS_TYPE_VH_ENHANCED',
      vh_parent_vs_ref: parent,
      vh_matches: [{ host: `${name}.test` }]
    })
  const [shop, off] = [await child('shop', true), await child('off', false)]
  const planner = open()
  const one = await engine('one')
  planner.plan([one])
  t.same(planner.service(shop), planner.service(parent))
  t.same(
    services(planner.plan([one]).get(one.uuid)),
    [parent, shop].toSorted((a, b) => a.localeCompare(b))
  )
  t.equal(planner.service(off), undefined)
})

t.test('who owns an address that moves is the primary, also after a restart of the controller', async t => {
  const { store, change, service, engine, planner: open } = await world(t)
  const [group] = store.list('serviceenginegroup')
  const body = { ...group!.body, address_mode: 'L2', min_scaleout_per_vs: 2 }
  await change.apply({
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: [{ op: 'replace', kind: 'serviceenginegroup', uuid: group!.uuid, body }]
  })
  const uuid = await service('shop', 8080)
  const facts = { addresses: ['10.0.0.1', '192.0.2.1'], peerPort: 9445 } as unknown as Engine['row']['facts']
  const engines = [await engine('one'), await engine('two')]
  for (const one of engines) one.row = { ...one.row, facts }
  const specOf = (planner: ReturnType<typeof open>, of: Engine) => {
    const part = [...planner.plan(engines).get(of.uuid)!.parts.values()].find(one => one.kind === 'engine')
    return part?.kind === 'engine' ? part.layer2 : undefined
  }
  const planner = open()
  const before = specOf(planner, engines[0]!)!.vips
  const [first, second] = before[0]!.engines
  t.match(before, [{ addresses: ['192.0.2.1'], term: 1 }])
  const listeners = [...planner.plan(engines).get(engines[0]!.uuid)!.parts.values()].flatMap(part =>
    part.kind === 'virtual-service' ? part.listeners : []
  )
  t.match(listeners, [{ address: '192.0.2.1', port: 8080 }], 'bound as it is, whoever has it')

  t.same(planner.owners.told(second!, [{ id: before[0]!.id, term: 2 }]), [before[0]!.id])
  t.equal(planner.placer.promote(uuid, second!), true)
  t.equal(planner.placer.promote(uuid, second!), false)
  for (const one of [planner, open()])
    t.match(specOf(one, engines[1]!)!.vips, [{ engines: [second, first], term: 2 }], 'the same, without an order to move')
  planner.placer.switchOver(uuid)
  for (const one of [planner, open()]) t.match(specOf(one, engines[1]!)!.vips, [{ engines: [first, second], term: 3 }], 'an order')

  t.notOk('flows' in specOf(planner, engines[0]!)!.vips[0]!, 'the owner serves alone')
  const shop = store.get('virtualservice', uuid)!.body
  const services = [{ port: 8080, port_range_end: 8090 }, { port: 443 }]
  await change.apply({
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: [{ op: 'replace', kind: 'virtualservice', uuid, body: { ...shop, services, flow_dist: 'CONSISTENT_HASH_SOURCE_IP_ADDRESS' } }]
  })
  t.same(
    specOf(planner, engines[0]!)!.vips[0]!.flows,
    [
      {
        protocol: 'tcp',
        ports: [
          [443, 443],
          [8080, 8090]
        ],
        by: 'source'
      }
    ],
    'unless it passes flows on'
  )
})

t.test('an engine that cannot read what is written keeps what it has, and gets nothing more', async t => {
  const { service, engine, planner: open } = await world(t)
  const planner = open()
  const one = await engine('one')
  const first = await service('first', 8080)
  planner.plan([one])
  t.same(planner.service(first)?.engineUuids, [one.uuid])
  const { addresses, ...hello } = aHello
  one.row = { ...one.row, facts: { ...hello, addresses, snapshotVersion: SNAPSHOT_VERSION - 1 } }
  t.ok(one.isBehind)
  const second = await service('second', 8081)
  planner.plan([one])
  t.same(planner.service(first)?.engineUuids, [one.uuid])
  t.match(planner.service(second), { engineUuids: [], reasons: [/^waiting for an engine/] })
  const two = await engine('two')
  planner.plan([one, two])
  t.same(planner.service(second)?.engineUuids, [two.uuid])
  one.row = { ...one.row, facts: { ...hello, addresses } }
  t.notOk(one.isBehind, 'who says nothing reads version 1')
})
