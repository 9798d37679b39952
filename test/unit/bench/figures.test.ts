import t from 'tap'
import { durationMs, readH2load, readWrk } from '#test/bench/load.ts'
import { compare, median, tableOf, type Measured, type Round } from '#test/bench/report.ts'

const wrkSays = `Running 3s test @ http://127.0.0.1:20131/small
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.62ms    2.19ms  41.35ms   92.40%
    Req/Sec    49.10k     8.66k   61.72k    83.33%
  Latency Distribution
     50%    1.11ms
     75%    1.63ms
     90%  635.91us
     99%    9.48ms
  146541 requests in 3.00s, 34.80MB read
`

t.test('durationMs reads every unit of wrk and nothing else', async t => {
  t.same(['12.00us', '4.01ms', '1.20s', '2.00m'].map(durationMs), [0.012, 4.01, 1_200, 120_000])
  t.ok(Number.isNaN(durationMs('fast')))
})

t.test('readWrk finds requests, time and percentiles, and what failed', async t => {
  t.same(readWrk(wrkSays), { units: 146_541, seconds: 3, p50Ms: 1.11, p99Ms: 9.48, errors: {} })
  const failing = `${wrkSays}  Socket errors: connect 0, read 3, write 0, timeout 7\n  Non-2xx or 3xx responses: 12\n`
  t.same(readWrk(failing).errors, { status: 12, read: 3, timeout: 7 })
})

t.test('readH2load takes percentiles from the log of requests', async t => {
  const says = `finished in 3.02s, 6.62 req/s, 1.2KB/s
requests: 22 total, 22 started, 20 done, 18 succeeded, 2 failed, 0 errored, 0 timeout
`
  const log = Array.from({ length: 20 }, (_, i) => `17000000\t200\t${(i + 1) * 1_000}\n`).join('')
  t.same(readH2load(says, log), { units: 18, seconds: 3.02, p50Ms: 11, p99Ms: 20, errors: { failed: 2 } })
})

t.test('median takes the middle', async t => {
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([1, 3]), 2)
  t.ok(Number.isNaN(median([])))
})

const round = (cpuUs: number | null, errors = {}): Round => ({ units: 10, seconds: 1, cpuUs, p50Ms: 1, p99Ms: 2, errors })
const measured = (name: string, rounds: readonly Round[], more: Partial<Measured> = {}): Measured => ({
  name,
  isOurs: false,
  isReference: false,
  rounds,
  rssBytes: 1e6,
  readyMs: 1,
  bytesPerUnit: null,
  ...more
})

t.test('compare sets each beside the cheapest peer that made no errors', async t => {
  const { rows, best } = compare([
    measured('weir', [round(220), round(240), round(900)], { isOurs: true }),
    measured('nginx', [round(200), round(210), round(190)]),
    measured('haproxy', [round(90, { status: 1 })]),
    measured('(no proxy)', [round(null)], { isReference: true })
  ])
  t.equal(best, 'nginx')
  t.match(rows, [{ cpuUsPerUnit: 24, cpuRange: [22, 90], ratio: 1.2 }, { ratio: 1 }, { errors: { status: 1 } }, { ratio: null }])
  t.match(tableOf({ unit: 'request' }, rows), /weir +24\.0 +22\.0-90\.0 .* 1\.20\n.*nginx.*\n.*haproxy.*ERRORS: status 1/)
})

t.test('compare judges by memory where the case is about memory', async t => {
  const { rows, best } = compare([
    measured('weir', [round(1)], { isOurs: true, bytesPerUnit: 9_000 }),
    measured('nginx', [round(100)], { bytesPerUnit: 1_000 }),
    measured('caddy', [round(10)], { bytesPerUnit: 24_000 })
  ])
  t.equal(best, 'nginx')
  t.equal(rows[0]?.ratio, 9)
})

t.test('compare counts a round without an answer as an error, so that nothing is never the cheapest', async t => {
  const { rows, best } = compare([measured('nginx', [round(200)]), measured('haproxy', [{ ...round(1), units: 0 }])])
  t.equal(best, 'nginx')
  t.match(rows[1], { cpuUsPerUnit: null, errors: { 'rounds without an answer': 1 } })
})

t.test('compare has no ratio without a peer', async t => {
  t.match(compare([measured('weir', [round(100)], { isOurs: true })]), { best: undefined, rows: [{ ratio: null }] })
})
