import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { mintJoinToken } from '#controller/access/join-token.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { makeChange } from '#controller/change/apply.ts'
import { firstStart } from '#controller/change/first-start.ts'
import { openFleet } from '#controller/fleet/fleet.ts'
import { makePlanner } from '#controller/fleet/planner.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { saveIdentity } from '#engine/agent/identity.ts'
import { aFolder, anAgent, anEngine } from '#test/support/agent.ts'
import { seededBytes } from '#test/support/change.ts'
import { aCsr } from '#test/support/csr.ts'
import { noFigures } from '#model/resource/runtime.ts'
import { until } from '#test/support/wait.ts'

t.test('with the real change, placement and compile: services run, move when their engine dies, and say where they are', async t => {
  const store = openMemoryStore()
  const seal = makeSeal(new Uint8Array(32).fill(3))
  const clock = systemClock
  const randomBytes = seededBytes()
  const told: ((revision: number) => void)[] = []
  const change = makeChange({ store, seal, clock, randomBytes, committed: revision => told.forEach(tell => tell(revision)) })
  await firstStart({ store, change, randomBytes })
  const authority = await openAuthority({ store, seal, clock, log: silentLog })
  t.teardown(authority.stop)
  const telemetry = {
    ingest: () => undefined,
    forget: () => undefined,
    live: () => noFigures,
    liveOfEngine: () => noFigures,
    scripts: () => [],
    hostOfEngine: () => null,
    healthScore: () => ({ score: 100, reasons: [] })
  }
  const planner = makePlanner({ store, seal, log: silentLog })
  const running = await openFleet({
    store,
    change,
    authority,
    seal,
    telemetry,
    planner,
    clock,
    log: silentLog,
    host: '127.0.0.1',
    port: 0,
    version: '0'
  })
  t.teardown(running.stop)
  told.push(running.committed)

  const create = async (kind: KindName, body: JsonObject, serverFields: JsonObject = {}): Promise<string> => {
    const order = { actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'create', kind, body, serverFields } as const] }
    return (await change.apply(order)).resources[0]!.uuid
  }
  await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
  const uuid = await create('virtualservice', {
    name: 'shop',
    pool_ref: '/api/pool/?name=web',
    vsvip_ref: '/api/vsvip/?name=vip',
    services: [{ port: 8080 }]
  })
  const shop = () => running.virtualServiceRuntime(uuid)
  await until('waiting', () => shop()?.oper_status.reason[0]?.startsWith('waiting for an engine'))
  t.equal(shop()?.oper_status.state, 'OPER_DOWN')

  const join = async (hostname: string) => {
    const minted = mintJoinToken({ caFingerprint: authority.caFingerprint, expiresAtEpochMs: Date.now() + 60_000, uses: 1, randomBytes })
    const tokenUuid = await create('jointoken', { name: `for ${hostname}` }, minted.serverFields)
    const { csrPem, keyPem } = await aCsr()
    const enrolment = await running.enrol({ token: minted.token, csrPem, hostname, remoteAddress: '127.0.0.1' })
    t.equal(store.get('jointoken', tokenUuid)?.body['uses_left'], 0)
    t.equal(enrolment.groupName, 'Default-Group')
    const folder = aFolder(t)
    const { engineUuid: engineId, engineName, enginePort, certificatePem, caPem } = enrolment
    await saveIdentity(folder, { engineId, engineName, controllerHost: '127.0.0.1', enginePort, keyPem, certificatePem, caPem })
    const engine = anEngine()
    return { uuid: engineId, engine, agent: await anAgent(t, folder, engine) }
  }
  const one = await join('one')
  await until('up', () => shop()?.oper_status.state === 'OPER_UP')
  t.match(shop(), { placed_on: [{ engine_uuid: one.uuid, engine_name: 'one', state: 'OPER_UP' }], engines_wanted: 1 })
  t.match(one.engine.applied.at(-1), {
    virtualServices: [{ name: 'shop', target: { is: 'pool' } }],
    pools: [{ name: 'web', servers: [{ id: '10.0.0.1:8000' }] }]
  })
  t.match(running.engineRuntime(one.uuid)?.virtualservices, [{ name: 'shop' }])

  const two = await join('two')
  await until('two is up', () => running.engineRuntime(two.uuid)?.oper_status.state === 'OPER_UP')
  t.match(shop()?.placed_on, [{ engine_name: 'one' }], 'what is placed stays')
  await one.agent.stop()
  await until('it runs on the other', () => {
    const now = shop()
    return now?.oper_status.state === 'OPER_UP' && now.placed_on[0]?.engine_name === 'two'
  })
  t.match(two.engine.applied.at(-1)?.virtualServices, [{ name: 'shop' }])
  await running.revoke(two.uuid, 'lost')
  await until('none is left', () => shop()?.oper_status.reason[0] === 'waiting for an engine: no engine in group Default-Group is up')
  await until('stood down', () => two.engine.stoodDown.length === 1)
})
