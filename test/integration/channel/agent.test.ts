import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { aFolder, anAgent, anEngine, joinFolder } from '#test/support/agent.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample } from '#test/support/message.ts'
import { until } from '#test/support/wait.ts'

t.test('an agent runs its last good snapshot before it finds the controller, and without one', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  fleet.services.set('a', aService('a'))
  const first = await anAgent(t, folder, anEngine())
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === fleet.store.revision())
  await first.stop()
  await fleet.fleet.stop()

  const engine = anEngine()
  const agent = await anAgent(t, folder, engine)
  t.match(engine.applied, [{ engine: { id: uuid }, virtualServices: [{ id: 'a' }] }], 'applied when openAgent answers')
  await agent.stop()

  // A damaged manifest, then a damaged part: what was before runs, or nothing at all.
  const current = join(folder, 'snapshot', 'current')
  const text = readFileSync(current, 'utf8')
  writeFileSync(current, text.replace('"revision":', '"revision":9'))
  const next = anEngine()
  const other = await anAgent(t, folder, next)
  t.ok(
    next.applied.every(snapshot => snapshot.manifest.revision < 90),
    'never what was changed'
  )
  await other.stop()
})

t.test('an agent that starts alone runs what it can of its last good snapshot, and the rest when that is possible again', async t => {
  const fleet = await aFleet(t)
  for (const id of ['a', 'b', 'c']) fleet.services.set(id, aService(id))
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const before = await anAgent(t, folder, anEngine())
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === fleet.store.revision())
  await before.stop()
  await fleet.fleet.stop()

  const taken = new Set(['a', 'b'])
  const engine = anEngine()
  engine.applySnapshot = async snapshot => {
    // One after the other, as a check of ports comes before the build.
    const refused = snapshot.virtualServices.find(service => taken.has(service.id))
    if (refused !== undefined) return [{ pointer: `/virtual-service/${refused.id}/listeners/0`, message: 'port 80 is in use' }]
    engine.applied.push(snapshot)
    return []
  }
  const clock = manualClock(Date.now())
  await anAgent(t, folder, engine, clock)
  const names = () => engine.applied.map(snapshot => snapshot.virtualServices.map(service => service.id))
  t.same(names(), [['c']])
  taken.clear()
  clock.advance(5_000)
  await until('whole again', () => engine.applied.length === 2)
  t.same(names()[1], ['a', 'b', 'c'])
})

t.test('what an agent keeps on disk is for its own eyes', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  fleet.services.set('a', aService('a'))
  await anAgent(t, folder, anEngine())
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === fleet.store.revision())
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  t.ok(files.length >= 5)
  for (const file of files) {
    const mode = statSync(join(file.parentPath, file.name)).mode & 0o777
    t.equal(mode, file.isDirectory() ? 0o700 : 0o600, file.name)
  }
})

t.test('a refused snapshot is answered with its violations, and the next one is tried', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const engine = anEngine()
  await anAgent(t, folder, engine)
  await until('running', () => engine.applied.length === 1)
  engine.refuseWith = [{ pointer: '/virtual-service/a', message: 'port 80 is in use' }]
  fleet.services.set('a', aService('a'))
  await fleet.commit()
  await until('refused', () => fleet.fleet.engineRuntime(uuid)?.violations[0]?.message === 'port 80 is in use')
  engine.refuseWith = []
  engine.applySnapshot = async () => {
    throw new Error('a bug in the builder')
  }
  await fleet.commit()
  await until('a throw is a refusal too', () => fleet.fleet.engineRuntime(uuid)?.violations[0]?.message.includes('a bug in the builder'))
  engine.applySnapshot = async snapshot => {
    engine.applied.push(snapshot)
    return []
  }
  const revision = await fleet.commit()
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === revision)
  t.same(fleet.fleet.engineRuntime(uuid)?.violations, [])
  t.equal(engine.applied.length, 2)
})

t.test('orders that are overtaken while one is carried out are never tried', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const engine = anEngine()
  let letGo = (): void => undefined
  const gate = new Promise<void>(resolve => (letGo = resolve))
  engine.applySnapshot = async snapshot => {
    engine.applied.push(snapshot)
    await gate
    return []
  }
  await anAgent(t, folder, engine)
  await until('the first is under way', () => engine.applied.length === 1)
  let revision = 0
  for (const id of ['a', 'b', 'c']) {
    fleet.services.set(id, aService(id))
    revision = await fleet.commit()
  }
  letGo()
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === revision)
  t.same(
    engine.applied.map(snapshot => snapshot.virtualServices.length),
    [0, 3]
  )
})

t.test('a large snapshot arrives in pieces and runs as one', async t => {
  const fleet = await aFleet(t)
  for (let i = 0; i < 12; i++) fleet.services.set(`s${i}`, aService(`s${i}`, `${i}`.repeat(600_000)))
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const engine = anEngine()
  await anAgent(t, folder, engine)
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === fleet.store.revision())
  t.same(
    engine.applied.map(snapshot => snapshot.virtualServices.length),
    [12]
  )
})

t.test('samples wait for the link, the oldest go first, and what was dropped is counted', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const { port } = fleet.fleet
  await fleet.fleet.stop()
  const agent = await anAgent(t, folder, anEngine())
  for (let i = 1; i <= 150; i++) agent.sampleTaken(aSample(i))
  const again = await aFleet(t, { store: fleet.store, port })
  await until('all that were kept', () => again.samples.length === 120)
  t.match(again.samples[0], { engine: uuid, sample: { sequence: 31, droppedSamples: 30 } })
  t.equal(again.samples.at(-1)?.sample.sequence, 150)
})

t.test('verdicts go whole after a welcome, then as they change', async t => {
  const fleet = await aFleet(t)
  await fleet.put('pool', 'pool-1', { name: 'web', health_monitor_refs: ['m'], servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  const folder = aFolder(t)
  await joinFolder(fleet, folder)
  const engine = anEngine()
  const judged = { poolId: 'pool-1', serverId: '10.0.0.1:80', ip: '10.0.0.1', verdict: 'up', sinceEpochMs: 1, probes: [] } as const
  engine.judged = [judged]
  const agent = await anAgent(t, folder, engine)
  const state = (): string | undefined => fleet.fleet.poolRuntime('pool-1')?.oper_status.state
  await until('up', () => state() === 'OPER_UP')
  agent.serversJudged([{ ...judged, verdict: 'down' }])
  await until('down', () => state() === 'OPER_DOWN')
  t.equal(fleet.fleet.poolRuntime('pool-1')?.num_servers_up, 0)
  t.equal(fleet.fleet.poolHealth('pool-1', ['virtualservice-1']), 0, 'down is down, whoever asks')
  t.equal(fleet.fleet.poolHealth('pool-1', []), 0)
  t.equal(fleet.fleet.poolHealth('pool-nobody', []), null)
})

t.test('a certificate renews over the socket at half of its life, with a key of its own', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const identity = (): { keyPem: string; certificatePem: string } => JSON.parse(readFileSync(join(folder, 'identity.json'), 'utf8'))
  const before = identity()
  const early = await anAgent(t, folder, anEngine())
  await until('connected', () => fleet.fleet.engineRuntime(uuid)!.running_revision > 0)
  t.same(identity(), before, 'not before half')
  await early.stop()
  await until('gone', () => fleet.fleet.engineRuntime(uuid)?.connected === false)

  const later = { ...systemClock, nowEpochMs: () => Date.now() + 16 * 24 * 60 * 60 * 1000 }
  const agent = await anAgent(t, folder, anEngine(), later)
  await until('renewed', () => identity().certificatePem !== before.certificatePem)
  t.not(identity().keyPem, before.keyPem)
  await agent.stop()
  await until('gone', () => fleet.fleet.engineRuntime(uuid)?.connected === false)
  await anAgent(t, folder, anEngine())
  await until('the new one is good', () => fleet.fleet.engineRuntime(uuid)?.connected)
  t.equal(fleet.fleet.engineRuntime(uuid)?.oper_status.state, 'OPER_UP')
})

t.test('an agent that is no longer trusted stops serving and forgets who it was', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const engine = anEngine()
  await anAgent(t, folder, engine)
  await until('running', () => fleet.fleet.engineRuntime(uuid)!.running_revision > 0)
  await fleet.fleet.revoke(uuid, 'lost by admin')
  await until('stood down', () => engine.stoodDown.length === 1)
  t.same(engine.stoodDown, ['lost by admin'])
  t.notOk(existsSync(join(folder, 'identity.json')))
  t.notOk(existsSync(join(folder, 'snapshot')))
  await t.rejects(anAgent(t, folder, anEngine()), { name: 'IdentityBroken', message: /has not joined/ })
})

t.test('an agent that was away when its trust ended learns it when it comes back', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  await fleet.fleet.revoke(uuid, 'lost by admin')
  const engine = anEngine()
  await anAgent(t, folder, engine)
  await until('stood down', () => engine.stoodDown.length === 1)
  t.match(engine.stoodDown[0], /revoked: lost by admin/)
})

t.test('an agent that the controller does not know keeps serving: the controller may have been restored', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  fleet.services.set('a', aService('a'))
  const first = await anAgent(t, folder, anEngine())
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === fleet.store.revision())
  await first.stop()
  const { port } = fleet.fleet
  await fleet.fleet.stop()

  // The same authority over a store that has no engine.
  const restored = await aFleet(t, { port, authorityOf: fleet })
  const engine = anEngine()
  await anAgent(t, folder, engine)
  await until('it asked and was refused', () => restored.warnings.some(line => line.includes('is not known here')))
  t.equal(engine.applied.length, 1)
  t.same(engine.stoodDown, [])
  t.ok(existsSync(join(folder, 'identity.json')))
})
