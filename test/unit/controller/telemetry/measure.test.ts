import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { bucketOf } from '#model/message/histogram.ts'
import { makeMemoryBlocks, makeSeries } from '#controller/store/series.ts'
import { openTelemetry } from '#controller/telemetry/ingest.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample, traffic } from '#test/support/sample.ts'

t.test('a measurement counts what all engines do to a pool from its beginning to its end, and nothing before', async t => {
  const clock = manualClock()
  const telemetry = openTelemetry({ series: makeSeries(makeMemoryBlocks()), clock, log: silentLog })
  t.teardown(telemetry.stop)
  const slow = bucketOf(40_000)
  const tell = (engine: string, sequence: number, requests: number, responses5xx = 0, faultsUpstream = 0): void => {
    const pool = { ...traffic('pool-1', { requests, responses5xx, faultsUpstream }), latency: [slow, requests] }
    telemetry.ingest(engine, aSample({ sequence, atEpochMs: clock.nowEpochMs(), pools: [pool] }))
  }
  const pass = (): void => clock.advance(1_000)
  tell('se-1', 1, 100, 50)
  tell('se-2', 1, 100)
  pass()
  const first = telemetry.measure('pool-1')
  const other = telemetry.measure('pool-2')
  t.same(first.read(), { requests: 0, errors: 0, latency: [] })
  tell('se-1', 2, 110, 52, 1)
  tell('se-2', 2, 105)
  pass()
  t.same(first.read(), { requests: 15, errors: 3, latency: [slow, 15] })
  const second = telemetry.measure('pool-1')
  tell('se-1', 3, 111, 53, 2)
  t.same(second.read(), { requests: 1, errors: 1, latency: [slow, 1] }, 'an answer of 5xx that broke off is one error')
  second.stop()
  pass()
  tell('se-1', 4, 121, 53, 2)
  t.same(first.read(), { requests: 26, errors: 4, latency: [slow, 26] })
  t.equal(second.read().requests, 1)
  first.stop()
  pass()
  tell('se-1', 5, 200, 53, 2)
  t.equal(first.read().requests, 26)
  t.equal(other.read().requests, 0)
})

t.test('a measurement of an engine counts what its own virtual services do there', async t => {
  const clock = manualClock()
  const telemetry = openTelemetry({ series: makeSeries(makeMemoryBlocks()), clock, log: silentLog })
  t.teardown(telemetry.stop)
  const tell = (engine: string, sequence: number, requests: number, responses5xx: number): void => {
    const virtualServices = ['vs-1', 'vs-2'].map(id => traffic(id, { requests, responses5xx }))
    telemetry.ingest(
      engine,
      aSample({ sequence, atEpochMs: clock.nowEpochMs(), virtualServices, pools: [traffic('pool-1', { requests })] })
    )
    clock.advance(1_000)
  }
  tell('se-1', 1, 10, 0)
  tell('se-2', 1, 10, 0)
  const measured = telemetry.measure('se-1')
  tell('se-1', 2, 20, 1)
  tell('se-2', 2, 900, 90)
  t.match(measured.read(), { requests: 20, errors: 2 })
})
