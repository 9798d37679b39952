import t from 'tap'
import type { OutlierSpec } from '#model/snapshot/resilience.ts'
import { Fault } from '#engine/base/fault.ts'
import { lowestUsualRate, Outliers } from '#engine/dataplane/upstream/outliers.ts'
import { CELL, CELLS } from '#engine/meter/layout.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const spec: OutlierSpec = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: null,
  consecutiveLocalFailures: 2,
  successRate: null,
  intervalS: 10,
  baseEjectionS: 30,
  maxEjectionS: 75,
  maxEjectionPercent: 50
}
const cellsOf = (): Int32Array => new Int32Array(new SharedArrayBuffer(CELLS * 4))

function open(given: Partial<OutlierSpec> = {}, count = 4) {
  const clock = manualClock()
  const servers = Array.from({ length: count }, cellsOf)
  const outliers = new Outliers(
    { ...spec, ...given },
    cellsOf(),
    servers.map(cells => ({ cells, isEnabled: true })),
    clock.nowEpochMs
  )
  const fail = (server: number, times: number, status = 500): void => {
    for (let n = 0; n < times; n++) outliers.ended(servers[server]!, status, null)
  }
  const ejected = (): number[] => servers.flatMap((cells, i) => (outliers.isEjected(cells) ? [i] : []))
  return { clock, outliers, servers, fail, ejected }
}

t.test('failures in a row count, and one success ends the row', async t => {
  const { outliers, servers, fail, ejected } = open()
  fail(0, 2)
  outliers.ended(servers[0]!, 200, null)
  fail(0, 2)
  t.same(ejected(), [])
  outliers.ended(servers[0]!, 404, null)
  fail(0, 3)
  t.same(ejected(), [0])
})

t.test('only what arose at the server counts', async t => {
  const { outliers, servers, ejected } = open()
  for (let n = 0; n < 9; n++) {
    outliers.ended(servers[0]!, 0, new Fault('DOWNSTREAM_RESET', 'x'))
    outliers.ended(servers[1]!, 0, new Fault('SERVER_WITHDRAWN', 'x'))
  }
  t.same(ejected(), [])
  for (let n = 0; n < 2; n++) outliers.ended(servers[0]!, 0, new Fault('UPSTREAM_CONNECT_REFUSED', 'x'))
  for (let n = 0; n < 2; n++) outliers.ended(servers[1]!, 503, new Fault('UPSTREAM_STATUS_RESELECTED', 'x'))
  t.same(ejected(), [0], 'an answer is no failed connection')
})

t.test('gateway errors can count by themselves', async t => {
  const { fail, ejected } = open({ consecutive5xx: null, consecutiveGatewayErrors: 2 })
  fail(0, 9, 500)
  fail(1, 2, 503)
  t.same(ejected(), [1])
})

t.test('each time is longer, up to the most, and quiet makes it short again', async t => {
  const { clock, fail, ejected } = open()
  const lasts = (): number => {
    let seconds = 0
    for (fail(0, 3); ejected().length > 0; seconds++) clock.advance(1000)
    return seconds
  }
  t.same([lasts(), lasts(), lasts(), lasts()], [30, 60, 75, 75])
  clock.advance(120_000)
  t.equal(lasts(), 30)
})

t.test('no more than the share goes, and one stays', async t => {
  const half = open()
  for (let server = 0; server < 4; server++) half.fail(server, 9)
  t.equal(half.ejected().length, 2)
  const few = open({ maxEjectionPercent: 10 })
  for (let server = 0; server < 4; server++) few.fail(server, 9)
  t.equal(few.ejected().length, 1, 'at least one may go')
  const none = open({ maxEjectionPercent: 0 })
  none.fail(0, 9)
  t.same(none.ejected(), [])
  const alone = open({ maxEjectionPercent: 100 }, 1)
  alone.fail(0, 9)
  t.same(alone.ejected(), [], 'the last one stays')
})

t.test('a success rate far below the others is an outlier', async t => {
  const successRate = { deviations: 1.5, minServers: 3, minRequests: 10 }
  const { clock, outliers, servers, ejected } = open({ consecutive5xx: null, consecutiveLocalFailures: null, successRate }, 5)
  const round = (badShare: number): void => {
    for (let n = 0; n < 100; n++)
      for (const [i, cells] of servers.entries()) outliers.ended(cells, i === 4 && n % 10 < badShare * 10 ? 500 : 200, null)
    clock.advance(10_000)
    outliers.ended(servers[0]!, 200, null)
  }
  round(0)
  t.same(ejected(), [])
  round(0.3)
  t.same(ejected(), [4])
  t.equal(Atomics.load(servers[4]!, CELL.ejections), 1)
  t.ok(lowestUsualRate([1, 1, 1, 0.5], 1) > 0.5)
})
