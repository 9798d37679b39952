import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { QuotaUse } from '#model/message/message.ts'
import { Quotas } from '#controller/fleet/quotas.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const now = Date.UTC(2027, 4, 5, 12)
const endsAtEpochMs = Date.UTC(2027, 4, 6)
const aUse = (given: Partial<QuotaUse> = {}): QuotaUse => ({
  virtualServiceId: 'vs',
  limitId: 'vs/requests',
  bucket: 7,
  count: 10,
  endsAtEpochMs,
  used: 1,
  ...given
})

t.test('uses of all engines are one sum, which survives a restart and ends with its window', async t => {
  const store = openMemoryStore()
  const clock = manualClock(now)
  const quotas = new Quotas({ store, clock, log: silentLog })
  t.same(quotas.used([aUse({ used: 4 }), aUse({ bucket: 8 })]), [
    { limitId: 'vs/requests', bucket: 7, endsAtEpochMs, left: 6 },
    { limitId: 'vs/requests', bucket: 8, endsAtEpochMs, left: 9 }
  ])
  t.match(quotas.used([aUse({ used: 8 })]), [{ left: 0 }])
  t.same(quotas.runtime('vs').get('vs/requests'), { count: 10, used: 12, left: 0, keys: 2, ends_at: endsAtEpochMs })
  t.equal(quotas.runtime('v').size, 0)
  clock.advance(1_000)

  const again = new Quotas({ store, clock, log: silentLog })
  t.same(again.runtime('vs'), quotas.runtime('vs'))
  t.same(new Set(again.leftOf(new Set(['vs'])).map(({ left }) => left)), new Set([0, 9]))
  t.same(again.leftOf(new Set(['other'])), [])
  t.match(again.used([aUse({ count: 20, used: 0 })]), [{ left: 8 }], 'a larger quota has more left at once')
  again.stop()
  quotas.stop()
  clock.advance(14 * 3_600_000)
  const next = new Quotas({ store, clock, log: silentLog })
  t.teardown(() => next.stop())
  t.equal(next.runtime('vs').size, 0)
  t.same(store.table('fleet-quota').entries(), [])
})

t.test('what is of no window near now is not counted', async t => {
  const quotas = new Quotas({ store: openMemoryStore(), clock: manualClock(now), log: silentLog })
  t.teardown(() => quotas.stop())
  t.same(quotas.used([aUse({ endsAtEpochMs: 1 }), aUse({ endsAtEpochMs: now + 40 * 86_400_000 })]), [])
})
