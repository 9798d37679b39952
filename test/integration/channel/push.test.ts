import t from 'tap'
import { manualClock } from '#test/support/manual-clock.ts'
import { aBareEngine, aHello, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { aSample } from '#test/support/message.ts'
import { until } from '#test/support/wait.ts'

t.test('only parts that the engine lacks travel, and nothing travels for a number', async t => {
  const fleet = await aFleet(t)
  fleet.services.set('a', aService('a'))
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  const first = await engine.next('ApplySnapshot')
  t.same(
    first.parts.map(part => part.kind),
    ['engine', 'virtual-service']
  )
  engine.say({ type: 'SnapshotApplied', revision: first.manifest.revision, hash: first.manifest.hash, tookMs: 1 })

  fleet.services.set('b', aService('b'))
  await fleet.commit()
  const second = await engine.next('ApplySnapshot')
  t.same(
    second.parts.map(part => part.id),
    ['b']
  )
  t.equal(second.manifest.parts.length, 3)
  engine.say({ type: 'SnapshotApplied', revision: second.manifest.revision, hash: second.manifest.hash, tookMs: 1 })

  const revision = await fleet.commit()
  await until('noted', () => fleet.fleet.engineRuntime(keys.uuid)?.running_revision === revision)
  await engine.next('Heartbeat')
  t.equal(engine.received.filter(message => message.type === 'ApplySnapshot').length, 2)
})

t.test('an engine that comes back with what it should run is told nothing', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  const { manifest } = await engine.next('ApplySnapshot')
  engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
  await until('noted', () => fleet.fleet.engineRuntime(keys.uuid)?.running_revision === manifest.revision)
  engine.socket.terminate()
  await until('down', () => fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state === 'OPER_DOWN')
  const again = await aBareEngine(t, fleet, keys, { ...aHello, runningRevision: manifest.revision, runningHash: manifest.hash })
  await again.next('Heartbeat')
  await again.next('Heartbeat')
  t.same(
    again.received.filter(message => message.type === 'ApplySnapshot'),
    []
  )
})

t.test('one order is in flight: what changes meanwhile goes as one when it is answered', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  const first = await engine.next('ApplySnapshot')
  let revision = 0
  for (const id of ['a', 'b', 'c', 'd']) {
    fleet.services.set(id, aService(id))
    revision = await fleet.commit()
    await until('planned', () => fleet.fleet.engineRuntime(keys.uuid)?.wanted_revision === revision)
  }
  await engine.next('Heartbeat')
  t.equal(engine.received.filter(message => message.type === 'ApplySnapshot').length, 1)
  engine.say({ type: 'SnapshotApplied', revision: first.manifest.revision, hash: first.manifest.hash, tookMs: 1 })
  const second = await engine.next('ApplySnapshot')
  t.equal(second.manifest.revision, revision)
  t.same(
    second.parts.map(part => part.id),
    ['a', 'b', 'c', 'd']
  )
})

t.test('a large snapshot comes in frames, as the engine asks', async t => {
  const fleet = await aFleet(t)
  for (let i = 0; i < 10; i++) fleet.services.set(`s${i}`, aService(`s${i}`, 'x'.repeat(700_000)))
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  const held = new Set<string>()
  let frames = 0
  for (let wanted: string[] = ['?']; wanted.length > 0; frames++) {
    const { manifest, parts } = await engine.next('ApplySnapshot')
    t.ok(JSON.stringify(parts).length < 3_000_000)
    for (const part of parts) held.add(manifest.parts.find(entry => entry.id === part.id)!.hash)
    wanted = manifest.parts.map(entry => entry.hash).filter(hash => !held.has(hash))
    if (wanted.length > 0) engine.say({ type: 'PartsWanted', hashes: wanted })
  }
  t.equal(held.size, 11)
  t.ok(frames > 2 && frames < 11, `${frames} frames`)
})

t.test('a refusal is told with its reasons, the old goes on, and what is mended is tried', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  const first = await engine.next('ApplySnapshot')
  engine.say({ type: 'SnapshotApplied', revision: first.manifest.revision, hash: first.manifest.hash, tookMs: 1 })
  fleet.services.set('a', aService('a'))
  const bad = await fleet.commit()
  const second = await engine.next('ApplySnapshot')
  const violations = [{ pointer: '/virtual-service/a/listeners/0', message: 'port 80 is in use' }]
  engine.say({ type: 'SnapshotRefused', revision: second.manifest.revision, hash: second.manifest.hash, violations })
  await until('told', () => fleet.fleet.engineRuntime(keys.uuid)?.violations.length === 1)
  t.match(fleet.fleet.engineRuntime(keys.uuid), { wanted_revision: bad, running_revision: first.manifest.revision, violations })
  fleet.services.delete('a')
  const good = await fleet.commit()
  // It still runs what it should run now: there is nothing to say.
  await until('mended', () => fleet.fleet.engineRuntime(keys.uuid)?.running_revision === good)
  t.same(fleet.fleet.engineRuntime(keys.uuid)?.violations, [])
})

t.test('what was refused is not said again with every commit', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  const first = await engine.next('ApplySnapshot')
  engine.say({ type: 'SnapshotApplied', revision: first.manifest.revision, hash: first.manifest.hash, tookMs: 1 })
  fleet.services.set('a', aService('a'))
  await fleet.commit()
  const { manifest } = await engine.next('ApplySnapshot')
  const violations = [{ pointer: '/virtual-service/a/listeners/0', message: 'port 80 is in use' }]
  engine.say({ type: 'SnapshotRefused', revision: manifest.revision, hash: manifest.hash, violations })
  await until('told', () => fleet.fleet.engineRuntime(keys.uuid)?.violations.length === 1)
  const revision = await fleet.commit()
  await until('planned', () => fleet.fleet.engineRuntime(keys.uuid)?.wanted_revision === revision)
  await engine.next('Heartbeat')
  t.equal(engine.received.filter(message => message.type === 'ApplySnapshot').length, 2)
  t.equal(fleet.warnings.filter(line => line.includes('refused a snapshot')).length, 1)
})

t.test('what was refused is tried again after a while: the port may be free by then', async t => {
  const clock = manualClock(Date.now())
  const fleet = await aFleet(t, { clock })
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  clock.advance(20)
  const first = await engine.next('ApplySnapshot')
  engine.say({
    type: 'SnapshotRefused',
    revision: first.manifest.revision,
    hash: first.manifest.hash,
    violations: [{ pointer: '', message: 'no' }]
  })
  await until('told', () => fleet.fleet.engineRuntime(keys.uuid)?.violations.length === 1)
  // In steps that leave room for a word of it between, or it would count as silent.
  for (let i = 1; i <= 11; i++) {
    engine.say({ type: 'SampleTaken', sample: aSample(i) })
    await until('heard', () => fleet.samples.length === i)
    clock.advance(1_000)
  }
  t.match(await engine.next('ApplySnapshot'), { manifest: { hash: first.manifest.hash } })
})
