/** Engines with real buckets, time that a test moves, and the controller between them. */
import t from 'tap'
import type { LimitShare } from '#model/message/message.ts'
import type { BandwidthSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { limitToCount } from '#model/snapshot/limit.ts'
import { SharedLimits } from '#controller/fleet/limits.ts'
import { Engine } from '#controller/fleet/roster.ts'
import { compileBandwidth } from '#engine/dataplane/exchange/pacer.ts'
import { openLimits } from '#engine/meter/limits.ts'
import { makeRates, openRates } from '#engine/meter/rates.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aLimit, aService } from '#test/support/snapshot.ts'

const row = { facts: null, lastSeenEpochMs: 1, runningRevision: 0, serialNumber: null, certificateNotAfterEpochMs: null }
const facts = {
  version: '',
  bootId: '',
  hostname: '',
  addresses: [],
  cpuCount: 1,
  memoryBytes: 1,
  workers: 4,
  abilities: ['shared-limits']
}

function aWorld(given: Parameters<typeof aLimit>[0], count = 2, bandwidth: readonly BandwidthSpec[] = []) {
  const clock = manualClock()
  const limit = { ...aLimit(given), engines: count, seed: [3, 4] as const }
  const part: VirtualServicePart = aService({ id: 'vs', requestLimit: limit, ...(bandwidth.length > 0 ? { bandwidth } : {}) })
  let heardOf = 0
  const engines = Array.from({ length: count }, (_, i) => {
    const now = () => BigInt(Math.round(clock.nowMs() * 1e6)) + BigInt(i) * 77n
    const buffer = makeRates([i, i + 10])
    const limits = openLimits(buffer, now)
    limits.run([part])
    const engine = new Engine(`se-${i}`, { ...row, facts: { ...facts, abilities: [...facts.abilities] } }, 'OPER_UP', [], 0)
    const session = {
      isLive: true,
      send: ({ shares }: { shares: readonly LimitShare[] }) => {
        heardOf++
        limits.share(shares)
      }
    }
    engine.session = session as unknown as NonNullable<Engine['session']>
    const rates = openRates(buffer, now)
    return { engine, limits, session, take: rates.open(limitToCount(limit)), pacers: compileBandwidth(bandwidth, rates, clock) }
  })
  let placed = engines.map(({ engine }) => engine.uuid)
  const shared = new SharedLimits({
    clock,
    placedOn: () => placed,
    engine: uuid => engines.find(({ engine }) => engine.uuid === uuid)?.engine,
    nameOf: engine => engine.uuid
  })
  clock.every(250, () => {
    for (const { engine, limits, session } of engines) {
      const used = limits.used()
      if (used.length > 0 && session.isLive) shared.used(engine.uuid, used)
    }
  })
  /** Offers so many a second to each engine; returns how many got in together. */
  const second = (offered: readonly number[], key = ''): number => {
    let admitted = 0
    const left = offered.map(() => 0)
    for (let ms = 0; ms < 1_000; ms++) {
      clock.advance(1)
      for (const [i, { take }] of engines.entries()) {
        left[i]! += offered[i]! / 1_000
        for (; left[i]! >= 1; left[i]!--) if (take(key) === 0) admitted++
      }
    }
    return admitted
  }
  const shares = () => engines.map(({ limits }) => limits.sample()[0]?.share ?? 0)
  return { clock, engines, shared, second, shares, place: (uuids: string[]) => (placed = uuids), heardOf: () => heardOf }
}

const perSecond = { count: 1_000, periodS: 1, burst: 50 }

t.test('one budget, whoever is asked: 950 to 1,050 of 5,000 get in each second', async t => {
  const { second, shares } = aWorld(perSecond)
  for (const [name, offered, sharesOf] of [
    ['equal', [2_500, 2_500], [0.5, 0.5]],
    ['all at one', [5_000, 0], [0.99, 0.01]],
    ['all at the other', [0, 5_000], [0.01, 0.99]],
    ['uneven', [4_000, 1_000], [0.794, 0.206]]
  ] as const) {
    for (let i = 0; i < 3; i++) {
      const settling = second(offered)
      t.ok(settling <= 1_050, `${name}, on the way: ${settling}`)
    }
    const counts = [1, 2, 3, 4].map(() => second(offered))
    t.ok(
      counts.every(count => count >= 950 && count <= 1_050),
      `${name}: ${counts.join()}`
    )
    for (const [i, share] of shares().entries()) t.ok(Math.abs(share - sharesOf[i]!) < 0.01, `${name}: ${shares().join()}`)
  }
})

t.test('tokens of a quiet engine go to the one that is asked: a thousand an hour are a thousand', async t => {
  const { second } = aWorld({ count: 1_000, periodS: 3_600, burst: 1_000 })
  const counts = [1, 2, 3, 4, 5, 6, 7, 8].map(() => second([2_000, 0]))
  const total = counts.reduce((sum, count) => sum + count, 0)
  t.ok(total >= 970 && total <= 1_003, counts.join())
})

t.test('engines share a bandwidth by what they have to send, and together keep to it', async t => {
  const bytesPerS = 1_000_000
  const spec = { id: 'vs/bandwidth/down', direction: 'down', isPerClient: false, bytesPerS, engines: 2, seed: [3, 4] } as const
  const { clock, engines } = aWorld(perSecond, 2, [spec])
  const sent = [0, 0]
  const isSending = [true, true]
  const begin = (i: number): void => {
    const { down } = engines[i]!.pacers.open('192.0.2.1')
    const go = (): void => {
      if (!isSending[i]) return
      sent[i]! += 16_384
      if (down.spend(16_384)) down.wait(go)
      else go()
    }
    go()
  }
  const second = (): readonly number[] => {
    sent.fill(0)
    for (let ms = 0; ms < 1_000; ms++) clock.advance(1)
    return [...sent]
  }
  for (let i = 0; i < 8; i++) begin(0)
  for (let i = 0; i < 3; i++) second()
  const [alone] = second()
  t.ok(alone! > 0.93 * bytesPerS && alone! <= 1.05 * bytesPerS, `one that sends has nearly all of it: ${alone}`)
  for (let i = 0; i < 8; i++) begin(1)
  for (let i = 0; i < 5; i++) {
    const [a, b] = second()
    t.ok(a! + b! <= 1.2 * bytesPerS, `on the way: ${a} + ${b}`)
  }
  const [a, b] = second()
  t.ok(a! + b! > 0.93 * bytesPerS && a! + b! <= 1.05 * bytesPerS, `both: ${a} + ${b}`)
  t.ok(Math.abs(a! - b!) < 0.25 * bytesPerS, `who has as much to send gets as much: ${a} and ${b}`)
  isSending[0] = false
  for (let i = 0; i < 3; i++) second()
  const [, last] = second()
  t.ok(last! > 0.93 * bytesPerS, `what one does not need is the other's: ${last}`)
})

t.test('keys have budgets of their own', async t => {
  const { second, heardOf } = aWorld({ count: 100, periodS: 1, burst: 20, key: [{ by: 'client-address' }] })
  for (let i = 0; i < 4; i++) {
    second([500, 0], 'a\n')
    second([0, 500], 'b\n')
  }
  t.ok(heardOf() > 0)
  for (const [key, offered] of [
    ['a\n', [500, 0]],
    ['b\n', [0, 500]]
  ] as const) {
    second(offered, key)
    second(offered, key)
    const count = second(offered, key)
    t.ok(count >= 95 && count <= 105, `${key}: ${count}`)
  }
})

t.test('an engine that is gone gives its share back, one that is cut off keeps it', async t => {
  const world = aWorld(perSecond)
  const { engines, second, shares } = world
  for (let i = 0; i < 4; i++) second([2_500, 2_500])
  const [, two] = engines
  two!.session.isLive = false
  two!.engine.state = 'OPER_PARTITIONED'
  for (let i = 0; i < 4; i++) second([2_500, 2_500])
  t.ok(Math.abs(shares()[0]! - 0.5) < 0.01, `while it is cut off: ${shares().join()}`)
  const both = second([2_500, 2_500])
  t.ok(both >= 950 && both <= 1_050, `both go on: ${both}`)
  two!.engine.state = 'OPER_DOWN'
  for (let i = 0; i < 4; i++) second([5_000, 0])
  t.ok(shares()[0]! > 0.99, `when it is gone: ${shares().join()}`)
  const one = second([5_000, 0])
  t.ok(one >= 950 && one <= 1_050, `${one}`)
})

t.test('quiet limits are forgotten and equal again; nobody is told what has not changed', async t => {
  const { second, shares, heardOf } = aWorld(perSecond)
  for (let i = 0; i < 3; i++) second([5_000, 0])
  for (let i = 0; i < 6; i++) second([0, 0])
  t.ok(Math.abs(shares()[0]! - 0.5) < 0.01, shares().join())
  const before = heardOf()
  for (let i = 0; i < 4; i++) second([0, 0])
  t.equal(heardOf(), before)
})

t.test('an engine that knows nothing of shares is told nothing, and the others leave it its part', async t => {
  const { engines, second, shares } = aWorld(perSecond)
  ;(engines[1]!.engine.row.facts!.abilities as string[]).length = 0
  for (let i = 0; i < 5; i++) second([5_000, 2_500])
  t.ok(Math.abs(shares()[0]! - 0.5) < 0.01, shares().join())
})
