import t from 'tap'
import type { HubMessage } from '#model/message/message.ts'
import { Traces } from '#controller/fleet/traces.ts'
import type { Engine } from '#controller/fleet/roster.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aTrace } from '#test/support/message.ts'

function anEngine(uuid: string, runs: readonly string[]): { engine: Engine; orders: () => { id: string; count: number }[] } {
  const sent: HubMessage[] = []
  const session = { isLive: true, send: (message: HubMessage) => sent.push(message) }
  return {
    engine: { uuid, session, runningIds: new Set(runs) } as unknown as Engine,
    orders: () => sent.flatMap(message => (message.type === 'TraceRequests' ? { id: message.order.id, count: message.order.count } : []))
  }
}
const wanted = { virtualServiceId: 'a', clientIp: '', method: '', pathPrefix: '/a', requestId: '', count: 2, durationMs: 60_000 }
const told = (id: string, requestId = 'r-1') => ({ type: 'RequestTraced', id, trace: { ...aTrace, requestId } }) as const

t.test('a trace asks all engines that run the service, and ends when it has what it wants', async t => {
  const traces = new Traces(manualClock())
  const [one, two, other] = [anEngine('one', ['a']), anEngine('two', ['a']), anEngine('other', ['b'])] as const
  t.equal(traces.start([other.engine], wanted), undefined, 'nobody runs it')
  const { id } = traces.start([one.engine, two.engine, other.engine], wanted)!
  t.same([one.orders(), two.orders(), other.orders()], [[{ id, count: 2 }], [{ id, count: 2 }], []])
  traces.heard(other.engine, told(id, 'a lie'))
  traces.heard(one.engine, told(id, 'r-1'))
  t.match(traces.get(id), { isRunning: true, requests: [{ requestId: 'r-1', engineUuid: 'one' }] })
  traces.heard(two.engine, told(id, 'r-2'))
  traces.heard(two.engine, told(id, 'r-3'))
  t.match(traces.get(id), { isRunning: false, requests: { length: 2 } })
  t.same(one.orders().at(-1), { id, count: 0 }, 'engines are told that it is over')
  t.match(traces.find('r-2'), { request: { engineUuid: 'two' }, trace: { id } })
  t.equal(traces.find('r-3'), undefined)
})

t.test('a trace ends with its time, is kept for a while, and no more than so many run', async t => {
  const clock = manualClock()
  const traces = new Traces(clock)
  const { engine, orders } = anEngine('one', ['a'])
  const started = Array.from({ length: 9 }, () => traces.start([engine], wanted))
  t.equal(started.filter(trace => trace !== undefined).length, 8)
  clock.advance(60_000)
  const { id } = started[0]!
  t.equal(traces.get(id)?.isRunning, false)
  t.same(orders().at(-1)?.count, 0)
  traces.heard(engine, told(id))
  t.equal(traces.get(id)?.requests.length, 0, 'too late')
  clock.advance(600_000)
  t.equal(traces.get(id), undefined)
  for (let i = 0; i < 100; i++) traces.end(traces.start([engine], wanted)!.id)
  traces.stop()
})

t.test('a trace takes no more than so much memory', async t => {
  const traces = new Traces(manualClock())
  const { engine } = anEngine('one', ['a'])
  const { id } = traces.start([engine], { ...wanted, count: 100 })!
  const path = 'x'.repeat(1_000_000)
  for (let i = 0; i < 10; i++) traces.heard(engine, { type: 'RequestTraced', id, trace: { ...aTrace, path } })
  t.match(traces.get(id), { isRunning: false, requests: { length: 3 } })
})
