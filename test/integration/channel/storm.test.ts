/** Many engines that lose their controller at once, and find it again. */
import t from 'tap'
import { aFolder, anAgent, anEngine, joinFolder } from '#test/support/agent.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

const AGENTS = 200
/** Of the fault's own, for a machine that does nothing else; printed what it was. */
const TARGET_MS = 30_000
const LOADED = 3

t.setTimeout(240_000)

t.test(`${AGENTS} engines find a controller that was restarted: nothing is applied again, and it goes on answering`, async t => {
  const fleet = await aFleet(t)
  fleet.services.set('a', aService('a'))
  const joined = await Promise.all(
    Array.from({ length: AGENTS }, async (_, n) => {
      const folder = aFolder(t)
      const uuid = await joinFolder(fleet, folder, `host${n}`)
      const engine = anEngine()
      await anAgent(t, folder, engine)
      return { uuid, engine }
    })
  )
  const isRunning = (on: typeof fleet) =>
    joined.every(({ uuid }) => {
      const runtime = on.fleet.engineRuntime(uuid)
      return runtime?.connected === true && runtime.running_revision === on.store.revision()
    })
  await until('all run', () => isRunning(fleet), 120_000)
  const { port } = fleet.fleet
  await fleet.fleet.stop()

  const startMs = performance.now()
  const again = await aFleet(t, { store: fleet.store, services: fleet.services, port })
  // What else the controller has to do: a look at everything, as a page of the dashboard takes it.
  let longestMs = 0
  let lookedMs = performance.now()
  await until(
    'all are back',
    () => {
      longestMs = Math.max(longestMs, performance.now() - lookedMs)
      lookedMs = performance.now()
      return isRunning(again)
    },
    TARGET_MS * LOADED
  )
  t.comment(
    `${AGENTS} engines back within ${Math.round(performance.now() - startMs)} ms (target: ${TARGET_MS}); at most ${Math.round(longestMs)} ms between two looks (target: 1000)`
  )
  t.equal(joined.filter(({ engine }) => engine.applied.length !== 1).length, 0, 'nothing is applied again')
  t.ok(longestMs < 1_000 * LOADED)
  t.same(again.warnings, [], 'and nothing to warn of')
})
