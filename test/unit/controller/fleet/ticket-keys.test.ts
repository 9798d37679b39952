import { randomBytes } from 'node:crypto'
import t from 'tap'
import { makeTicketKeys, ROTATION_MS } from '#controller/fleet/ticket-keys.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { plainSeal } from '#test/support/change.ts'
import { manualClock } from '#test/support/manual-clock.ts'

function open() {
  const store = openMemoryStore()
  const clock = manualClock()
  const ring = (seal = plainSeal()) => makeTicketKeys({ store, seal, clock, randomBytes })
  return { store, clock, ring }
}

t.test('makeTicketKeys rotates: the next becomes that of now, and those of before stay for a while', async t => {
  const { clock, ring } = open()
  const keys = ring()
  const [now, next, ...none] = keys.of('edge')
  t.same(none, [])
  t.equal(Buffer.from(now!, 'base64').length, 32)
  t.same(keys.of('edge'), [now, next], 'nothing changes before its time')
  clock.advance(ROTATION_MS)
  const second = keys.of('edge')
  t.equal(second[0], next, 'engines had it already')
  t.equal(second[2], now)
  clock.advance(ROTATION_MS)
  t.equal(keys.of('edge')[3], now)
  clock.advance(ROTATION_MS)
  t.notOk(keys.of('edge').includes(now!))
  t.equal(keys.of('edge').length, 4)
  clock.advance(10 * ROTATION_MS)
  t.notOk(
    keys.of('edge').some(key => second.includes(key)),
    'after a long night all are new'
  )
})

t.test('makeTicketKeys keeps them apart by group, sealed, over restarts', async t => {
  const { store, ring } = open()
  const keys = ring()
  const edge = keys.of('edge')
  t.not(keys.of('other')[0], edge[0])
  t.same(ring().of('edge'), edge)
  const stored = JSON.stringify(store.table('ticket-keys').entries())
  for (const key of edge) t.notOk(stored.includes(key))
  keys.keepOnly(new Set(['edge']))
  t.same(
    store
      .table('ticket-keys')
      .entries()
      .map(([group]) => group),
    ['edge']
  )
  const blind = ring({
    ...plainSeal(),
    open: () => {
      throw new Error('another key')
    },
    seal: text => text
  })
  t.throws(() => blind.of('edge'), 'nothing can be opened at all')
  let isOld = true
  const other = ring({
    ...plainSeal(),
    open: text => {
      if (isOld) {
        isOld = false
        throw new Error('another key')
      }
      return plainSeal().open(text)
    }
  })
  t.notOk(other.of('edge').includes(edge[0]!), 'what cannot be opened is made anew')
})
