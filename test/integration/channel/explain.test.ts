import t from 'tap'
import type { RequestQuestion } from '#model/message/message.ts'
import { aQuestion as question, anExplanation as explanation } from '#test/support/message.ts'
import { aFolder, anAgent, anEngine, joinFolder } from '#test/support/agent.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('a question goes to an engine that runs the service, and its answer comes back', async t => {
  const fleet = await aFleet(t)
  t.equal(await fleet.fleet.explain?.(question), undefined, 'nobody is there')
  fleet.services.set('a', aService('a'))
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const engine = { ...anEngine(), explain: async (asked: RequestQuestion) => ({ ...explanation, reason: asked.host }) }
  await anAgent(t, folder, engine)
  await until('running', () => (fleet.fleet.engineRuntime(uuid)?.running_revision ?? 0) > 0)
  let answer: Awaited<ReturnType<NonNullable<typeof fleet.fleet.explain>>>
  await until('answered', async () => (answer = await fleet.fleet.explain?.(question)) !== undefined)
  t.same(answer, { engineUuid: uuid, explanation: { ...explanation, reason: 'h' } })
  t.equal(await fleet.fleet.explain?.({ ...question, virtualServiceId: 'b' }), undefined, 'nobody runs it')
})
