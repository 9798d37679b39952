/** Whatever an engine counts, what is shown of it is a number that makes sense. */
import fc from 'fast-check'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { Sample, Totals } from '#model/message/message.ts'
import { makeMemoryBlocks, makeSeries } from '#controller/store/series.ts'
import { openTelemetry } from '#controller/telemetry/ingest.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample, noTotals, quietHost, traffic } from '#test/support/sample.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`WEIR_SEED=${seed}`)

const figure = fc.oneof(fc.nat(1_000), fc.double(), fc.constantFrom(-1, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE))
const totals = fc.record(Object.fromEntries(Object.keys(noTotals).map(name => [name, figure]))) as unknown as fc.Arbitrary<Totals>
const latency = fc.array(figure, { maxLength: 20 })
const told = fc.record({
  bootId: fc.constantFrom('a', 'b'),
  sequence: fc.nat(20),
  stepMs: fc.oneof(fc.nat(3_000), figure),
  totals,
  latency,
  /** Of the pool: that of one, of two, or not told. */
  users: fc.constantFrom('one', 'two', 'none'),
  cpuRatio: figure,
  memoryUsedBytes: figure,
  networkSentBytes: figure
})

t.test('every figure stays finite and not below 0', async t => {
  fc.assert(
    fc.property(fc.array(told, { minLength: 1, maxLength: 8 }), all => {
      const clock = manualClock()
      const telemetry = openTelemetry({ series: makeSeries(makeMemoryBlocks()), clock, log: silentLog })
      const measured = telemetry.measure('pool-1', ['vs-1'])
      for (const each of all) {
        const traffics = [traffic('vs-1', each.totals, each.latency)]
        const sample: Sample = aSample({
          bootId: each.bootId,
          sequence: each.sequence,
          atEpochMs: clock.nowEpochMs() + each.stepMs,
          host: { ...quietHost, cpuRatio: each.cpuRatio, memoryUsedBytes: each.memoryUsedBytes, networkSentBytes: each.networkSentBytes },
          virtualServices: traffics,
          pools: [{ ...traffic('pool-1', each.totals, each.latency), ...(each.users === 'one' ? { onlyOf: 'vs-1' } : {}) }],
          ...(each.users === 'two'
            ? { uses: ['vs-1', 'vs-2'].map(id => ({ ...traffic(id, each.totals, each.latency), poolId: 'pool-1' })) }
            : {}),
          servers: [{ ...traffics[0]!, poolId: 'pool-1' }]
        })
        telemetry.ingest('se-1', sample)
        clock.advance(1_000)
        const { at: _at, ...live } = telemetry.live('vs-1')
        const host = telemetry.hostOfEngine('se-1') ?? {}
        const { at: _then, ...part } = telemetry.liveOfUse('vs-1', 'pool-1') ?? telemetry.live('pool-1')
        const { requests, errors, latency: times } = measured.read()
        for (const value of [...Object.values({ ...live, ...host }), ...Object.values(part), requests, errors, ...times] as (
          | number
          | null
        )[]) {
          if (value !== null && !(Number.isFinite(value) && value >= 0)) return false
        }
      }
      const facts = { isDown: false, serversUp: 1, serversEnabled: 1, enginesUp: 1, enginesWanted: 1 }
      const { score } = telemetry.healthScore('vs-1', facts)
      const text = telemetry.prometheus(() => ({ name: 'n', tenant: 't' }))
      telemetry.stop()
      const { score: ofUse } = telemetry.healthScore('pool-1', facts, 'vs-1')
      return [score, ofUse].every(one => one >= 0 && one <= 100) && !/NaN|Infinity|\} -/.test(text)
    }),
    { numRuns: 200, seed }
  )
  t.pass('held for every sample')
})
