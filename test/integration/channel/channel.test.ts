import t from 'tap'
import { aFleet, aService } from '#test/support/fleet.ts'
import { aFolder, anAgent, anEngine, joinFolder } from '#test/support/agent.ts'
import { until } from '#test/support/wait.ts'

t.test('an engine that joined connects, runs what it is told and says so', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  fleet.services.set('virtualservice-1', aService('virtualservice-1'))
  const engine = anEngine()
  await anAgent(t, folder, engine)
  const revision = fleet.store.revision()
  await until('it runs the revision', () => fleet.fleet.engineRuntime(uuid)?.running_revision === revision)
  t.match(fleet.fleet.engineRuntime(uuid), {
    oper_status: { state: 'OPER_UP', reason: [] },
    connected: true,
    wanted_revision: revision,
    version: '0.0.0-test',
    hostname: 'host'
  })
  t.match(engine.applied, [{ virtualServices: [{ id: 'virtualservice-1' }], engine: { id: uuid } }])

  fleet.services.set('virtualservice-2', aService('virtualservice-2'))
  const next = await fleet.commit()
  await until('it runs the next revision', () => fleet.fleet.engineRuntime(uuid)?.running_revision === next)
  t.equal(engine.applied.at(-1)?.virtualServices.length, 2)
})

t.test('a change that does not concern an engine moves its revision and nothing in it', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const engine = anEngine()
  await anAgent(t, folder, engine)
  await until('up', () => engine.applied.length === 1)
  const next = await fleet.commit()
  await until('it runs the next revision', () => fleet.fleet.engineRuntime(uuid)?.running_revision === next)
  t.equal(engine.applied.length, 1)
})
