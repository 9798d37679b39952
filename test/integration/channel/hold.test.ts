import t from 'tap'
import { aBareEngine, aHello, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

const newer = { ...aHello, runningRevision: 1_000, runningHash: 'f'.repeat(64) }

t.test('an engine that runs a newer revision than the controller is told nothing until it is taken over', async t => {
  const fleet = await aFleet(t)
  fleet.services.set('a', aService('a'))
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys, newer)
  await until('held', () => fleet.fleet.engineRuntime(keys.uuid)?.held)
  t.match(fleet.fleet.engineRuntime(keys.uuid), {
    connected: true,
    running_revision: 1_000,
    held: { known_revision: fleet.store.revision() },
    oper_status: { state: 'OPER_UP', reason: [/runs revision 1000.*until somebody takes it over/] }
  })
  fleet.services.set('b', aService('b'))
  await fleet.commit()
  await engine.next('Heartbeat')
  await engine.next('Heartbeat')
  t.same(
    engine.received.filter(message => message.type === 'ApplySnapshot'),
    [],
    'a commit changes nothing of that'
  )
  t.ok(fleet.warnings.some(line => line.includes('left as it is')))

  t.equal(fleet.fleet.takeOver(keys.uuid, 'admin'), true)
  const order = await engine.next('ApplySnapshot')
  t.equal(order.manifest.revision, fleet.store.revision())
  t.equal(fleet.fleet.engineRuntime(keys.uuid)?.held, undefined)
  t.equal(fleet.fleet.takeOver(keys.uuid, 'admin'), false)
})

t.test('an engine whose newer revision has the content that is wanted is followed by itself', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const first = await aBareEngine(t, fleet, keys)
  const { manifest } = await first.next('ApplySnapshot')
  const again = await aBareEngine(t, fleet, keys, { ...aHello, runningRevision: 1_000, runningHash: manifest.hash })
  await again.next('Welcome')
  await until('followed', () => fleet.fleet.engineRuntime(keys.uuid)?.running_revision === fleet.store.revision())
  t.equal(fleet.fleet.engineRuntime(keys.uuid)?.held, undefined)
})

for (const [what, hello] of [
  ['an engine of the version before, which can less', { ...aHello, version: '0.0.1', abilities: ['http-stock'] }],
  ['an engine of the protocol before', { ...aHello, protocol: aHello.protocol - 1 }],
  ['an engine of the protocol after', { ...aHello, protocol: aHello.protocol + 1 }],
  ['a newer engine, which says more', { ...aHello, version: '9.0.0', later: { of: ['things'] }, abilities: ['http-wire', 'of-the-future'] }]
] as const) {
  t.test(`${what}, works`, async t => {
    const fleet = await aFleet(t)
    fleet.services.set('a', aService('a'))
    const keys = await joinBare(fleet)
    const engine = await aBareEngine(t, fleet, keys, hello as typeof aHello)
    const { manifest } = await engine.next('ApplySnapshot')
    engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
    await until('runs it', () => fleet.fleet.engineRuntime(keys.uuid)?.running_revision === manifest.revision)
    t.match(fleet.fleet.engineRuntime(keys.uuid), { version: hello.version, oper_status: { state: 'OPER_UP' } })
  })
}

t.test('an engine two protocols away is refused in words, and nothing of what it said counts', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys, { ...aHello, protocol: aHello.protocol + 2, runningRevision: 1_000 })
  t.equal(await engine.closed, 1002)
  t.match(fleet.fleet.engineRuntime(keys.uuid), { connected: false, held: undefined, running_revision: 0 })
  t.ok(fleet.warnings.some(line => line.includes('too far from ours')))
})
