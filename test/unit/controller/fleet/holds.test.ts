import t from 'tap'
import { Holds, markRestored } from '#controller/fleet/holds.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'

const clock = { nowEpochMs: () => 77 }

async function aStore(revision: number) {
  const store = openMemoryStore()
  const commit = (): Promise<unknown> => store.commit({ author: '', reason: '', atEpochMs: 0, puts: [], deletes: [], changes: [] })
  while (store.revision() < revision) await commit()
  return { store, commit }
}

t.test('an engine that runs nothing newer is never held, and costs no row', async t => {
  const { store } = await aStore(5)
  const holds = new Holds(store, clock)
  for (const revision of [0, 1, 5]) t.equal(holds.hello('a', revision), undefined)
  t.same(store.table('fleet-hold').entries(), [])
})

t.test('after a restore what is newer is held over restarts and commits, until it is released', async t => {
  const { store, commit } = await aStore(5)
  markRestored(store, 1)
  const holds = new Holds(store, clock)
  t.same(holds.hello('a', 7), { runningRevision: 7, knownRevision: 5, sinceEpochMs: 77 })
  for (let i = 0; i < 5; i++) await commit()
  // Numbers go on and say nothing any more: revision 7 of now is not the revision 7 that the engine runs.
  t.match(holds.hello('late', 8), { runningRevision: 8, knownRevision: 5 })
  const restarted = new Holds(store, clock)
  t.match(restarted.of('a'), { runningRevision: 7 })
  t.match(restarted.hello('a', 7), { runningRevision: 7, knownRevision: 5, sinceEpochMs: 77 })
  restarted.release('a')
  t.equal(restarted.of('a'), undefined)
  t.equal(restarted.hello('a', 10), undefined, 'its numbers are ours now')
})

t.test('an engine that was followed since the restore is not held for its newer numbers', async t => {
  const { store, commit } = await aStore(5)
  markRestored(store, 1)
  const holds = new Holds(store, clock)
  t.equal(holds.hello('a', 5), undefined)
  t.equal(holds.hello('new', 0), undefined)
  for (let i = 0; i < 5; i++) await commit()
  t.equal(holds.hello('a', 10), undefined)
  t.equal(holds.hello('new', 9), undefined)
  t.ok(holds.hello('a', 11), 'but for one that nobody can have')
})

t.test('a file that was put back by hand is noticed by the first engine that knows more', async t => {
  const { store, commit } = await aStore(5)
  const holds = new Holds(store, clock)
  t.match(holds.hello('a', 9), { knownRevision: 5 })
  for (let i = 0; i < 5; i++) await commit()
  t.match(holds.hello('b', 8), { runningRevision: 8, knownRevision: 5 }, 'the others as well')
})

t.test('a second restore begins anew', async t => {
  const { store } = await aStore(5)
  markRestored(store, 1)
  const holds = new Holds(store, clock)
  holds.hello('a', 5)
  holds.hello('b', 9)
  holds.release('b')
  markRestored(store, 2)
  t.equal(holds.of('b'), undefined)
  t.ok(holds.hello('b', 9))
  holds.forget('b')
  t.equal(holds.of('b'), undefined)
})
