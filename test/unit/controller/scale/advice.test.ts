import fc from 'fast-check'
import t from 'tap'
import { filled } from '#model/resource/catalogue.ts'
import { engineAdvice, type GroupLoad } from '#controller/scale/advice.ts'
import { judgeSpread, type EngineLoad } from '#controller/scale/spread.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const group = filled('serviceenginegroup', { name: 'g' })
const load = (more: Partial<GroupLoad> = {}): GroupLoad => ({ engines: 2, placesWanted: 10, widest: 1, cpuSum: 0.2, ...more })

t.test('engineAdvice is what the services need and the buffer', async t => {
  t.match(engineAdvice(group, load(), 0), { engines: 2, reasons: [/10 places .* ask for 1/, /1 more may fail/] })
  t.equal(engineAdvice(group, load({ placesWanted: 35 }), 0).engines, 5)
  t.equal(engineAdvice(group, load({ cpuSum: 2.5 }), 0).engines, 5, '2.5 of CPU at 80 % are 4')
  t.match(engineAdvice(group, load({ cpuSum: undefined }), 0), { engines: 2, reasons: [/CPU is not asked/, /1 more/] })
  t.equal(engineAdvice(group, load({ widest: 4 }), 0).engines, 5, 'a service wants four different ones')
  t.equal(engineAdvice(group, load({ engines: 0, placesWanted: 0 }), 0).engines, 1, 'min_se')
  t.match(engineAdvice(group, load({ placesWanted: 500 }), 0), { engines: 10, reasons: [/./, /./, /max_se 10/] })
})

t.test('engineAdvice is two for an active/standby group, whatever its services ask for', async t => {
  const pair = { ...group, ha_mode: 'HA_MODE_LEGACY_ACTIVE_STANDBY' } as const
  t.same(engineAdvice(pair, load({ placesWanted: 500, engines: 3 }), 0), {
    engines: 2,
    reasons: ['an active/standby group has two engines, and no more than max_se'],
    fewerSinceMs: undefined
  })
  t.equal(engineAdvice({ ...pair, min_se: 0, max_se: 0 }, load(), 0).engines, 0)
})

t.test('engineAdvice takes engines away only after the delay, and not while they are busy', async t => {
  const many = load({ engines: 6 })
  const first = engineAdvice(group, many, 1_000)
  t.match(first, { engines: 6, fewerSinceMs: 1_000 })
  t.match(engineAdvice(group, many, 1_000 + 119 * 60_000, first.fewerSinceMs), { engines: 6 })
  t.match(engineAdvice(group, many, 1_000 + 120 * 60_000, first.fewerSinceMs), { engines: 2 })
  t.match(engineAdvice(group, { ...many, cpuSum: 3 }, 1_000 + 120 * 60_000, first.fewerSinceMs), { engines: 6, fewerSinceMs: undefined })
  t.match(engineAdvice(group, load({ engines: 12 }), 0), { engines: 2 }, 'more than max_se is too many at once')
})

t.test('engineAdvice lies between min_se and max_se, and has room for every place while it may', async () => {
  fc.assert(
    fc.property(
      fc.record({ engines: fc.nat(20), placesWanted: fc.nat(300), widest: fc.nat(8), cpuSum: fc.double({ min: 0, max: 20, noNaN: true }) }),
      told => {
        const { engines } = engineAdvice(group, told, 0)
        const isRoom = engines * group.max_vs_per_se >= told.placesWanted || engines >= group.max_se
        return engines >= group.min_se && engines <= group.max_se && isRoom
      }
    ),
    { seed }
  )
})

const engine = (name: string, more: Partial<EngineLoad> = {}): EngineLoad => ({
  name,
  cpuRatio: 0.3,
  openConnections: 100,
  connectionsPerS: 10,
  bytesPerS: 1_000_000,
  ...more
})

t.test('judgeSpread calls uneven what differs by much, in what it is asked to compare', async t => {
  const uneven = [engine('a', { cpuRatio: 0.9 }), engine('b', { cpuRatio: 0.1 }), engine('c', { cpuRatio: 0.2 })]
  t.match(judgeSpread(uneven, []), { isUneven: true, reasons: ['CPU: 90 % on a, 10 % on b, 40 % on average'] })
  t.match(judgeSpread(uneven, ['SE_AUTO_REBALANCE_OPEN_CONNS']), { isUneven: false })
  t.match(judgeSpread([engine('a'), engine('b'), engine('c')], []), { isUneven: false })
  t.match(
    judgeSpread([engine('a', { cpuRatio: 0.06 }), engine('b', { cpuRatio: 0.01 })], []),
    { isUneven: false },
    'six times nothing is nothing'
  )
  t.match(judgeSpread([engine('a', { cpuRatio: 1 })], []), { isUneven: false })
  t.match(judgeSpread([engine('a', { openConnections: 9_000 }), engine('b'), engine('c')], ['SE_AUTO_REBALANCE_OPEN_CONNS']), {
    isUneven: true
  })
})
