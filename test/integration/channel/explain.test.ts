import t from 'tap'
import type { RequestQuestion, TraceOrder } from '#model/message/message.ts'
import { aQuestion as question, aTrace, anExplanation as explanation } from '#test/support/message.ts'
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

t.test('an order to trace goes to an engine that runs the service, and what it finds comes back', async t => {
  const fleet = await aFleet(t)
  fleet.services.set('a', aService('a'))
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const orders: TraceOrder[] = []
  const agent = await anAgent(t, folder, { ...anEngine(), trace: (order: TraceOrder) => void orders.push(order) })
  const wanted = { virtualServiceId: 'a', clientIp: '', method: '', pathPrefix: '/a', requestId: '', count: 1, durationMs: 60_000 }
  const { id } = await until('started', () => fleet.fleet.traces?.start(wanted))
  await until('ordered', () => orders.length === 1)
  t.same(orders, [{ id, ...wanted }])
  agent.requestTraced?.(id, aTrace)
  await until('told', () => (fleet.fleet.traces?.get(id)?.requests.length ?? 0) === 1)
  t.match(fleet.fleet.traces?.get(id), { isRunning: false, requests: [{ ...aTrace, engineUuid: uuid }] })
  await until('ended', () => orders.length === 2)
  t.match(orders[1], { id, count: 0 })
})
