import t from 'tap'
import type { HubMessage } from '#model/message/message.ts'
import { Caches } from '#controller/fleet/caches.ts'
import type { Engine } from '#controller/fleet/roster.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample } from '#test/support/message.ts'

function aFleet(store = openMemoryStore()) {
  const clock = manualClock()
  const sent = new Map<string, HubMessage[]>()
  const live = new Set(['one', 'two'])
  const engines = new Map<string, Engine>()
  for (const uuid of ['one', 'two', 'three']) {
    const told: HubMessage[] = []
    sent.set(uuid, told)
    const session = { send: (message: HubMessage) => told.push(message) }
    const engine = {
      uuid,
      session,
      get isLive() {
        return live.has(uuid)
      }
    }
    engines.set(uuid, engine as unknown as Engine)
  }
  const caches = new Caches({ store, clock, placedOn: () => ['one', 'two'], engine: uuid => engines.get(uuid), nameOf: uuid => uuid })
  return { store, clock, sent, live, caches, engine: (uuid: string) => engines.get(uuid)! }
}

t.test('purge tells every engine that runs the service and waits for their word', async t => {
  const { caches, sent } = aFleet()
  const answer = caches.purge('vs', { by: 'tag', value: 'red' }, 'mona')
  t.same(sent.get('one'), [{ type: 'PurgeCache', sequence: 1, virtualServiceId: 'vs', purge: { by: 'tag', value: 'red' } }])
  t.equal(sent.get('three')!.length, 0)
  caches.purged('one', { type: 'CachePurged', sequence: 1, objects: 3 })
  caches.purged('three', { type: 'CachePurged', sequence: 1, objects: 99 })
  caches.purged('two', { type: 'CachePurged', sequence: 1, objects: 4 })
  t.match(await answer, { what: 'tag', value: 'red', by: 'mona', objects: 7, engines: [{ state: 'PURGED' }, { state: 'PURGED' }] })
})

t.test('an engine that is away is told when it is back, also after a restart of the controller', async t => {
  const { caches, sent, live, store, clock } = aFleet()
  live.delete('two')
  const answer = caches.purge('vs', { by: 'all' }, 'mona')
  caches.purged('one', { type: 'CachePurged', sequence: 1, objects: 3 })
  t.match(await answer, { objects: 3, engines: [{ state: 'PURGED' }, { engine_uuid: 'two', state: 'WAITING' }] })
  const silent = caches.purge('vs', { by: 'url', value: 'http://a.test/' }, 'mona')
  clock.advance(3_000)
  t.match(await silent, { objects: 0, engines: [{ state: 'WAITING' }, { state: 'WAITING' }] })
  t.equal(sent.get('two')!.length, 0)

  const after = aFleet(store)
  const toldTo = (uuid: string): number[] =>
    after.sent.get(uuid)!.flatMap(message => (message.type === 'PurgeCache' ? message.sequence : []))
  after.caches.connected(after.engine('two'), 1)
  t.same(toldTo('two'), [2])
  after.caches.connected(after.engine('one'), 0)
  t.same(toldTo('one'), [2], 'what it has done is not told again')
  after.caches.connected(after.engine('three'), undefined)
  t.same(toldTo('three'), [])
  after.caches.purged('two', { type: 'CachePurged', sequence: 2, objects: 1 })
  t.match(after.caches.runtime('vs'), {
    purges: [
      { what: 'url', objects: 1 },
      { what: 'all', objects: 3 }
    ]
  })
})

t.test('orders are bounded', async t => {
  const { caches, live, store } = aFleet()
  live.clear()
  for (let i = 0; i < 1_050; i++) await caches.purge('vs', { by: 'all' }, 'mona')
  t.equal(store.table('cache-purge').entries().length, 1_000)
  t.equal(caches.runtime('vs')!.purges.length, 20)
})

t.test('runtime sums what engines tell', async t => {
  const { caches } = aFleet()
  t.equal(caches.runtime('vs'), undefined)
  const cache = { hits: 6, misses: 2, stale: 1, revalidated: 1, bypassed: 5, savedBytes: 100, objects: 4, bytes: 4_000 }
  const sample = aSample()
  const told = { ...sample, virtualServices: [{ ...sample.virtualServices[0]!, id: 'vs', cache }] }
  caches.sampled('one', told)
  caches.sampled('two', told)
  t.match(caches.runtime('vs'), { hits: 12, hit_ratio: 0.8, objects: 8, bytes: 8_000, saved_bytes: 200, purges: [] })
  caches.gone('two')
  t.match(caches.runtime('vs'), { hits: 6 })
})
