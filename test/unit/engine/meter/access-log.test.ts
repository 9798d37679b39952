import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { openAccessLog } from '#engine/meter/access-log.ts'
import { formatRecord, RecordLines, type RecordBatch } from '#engine/meter/record-lines.ts'
import type { AccessRecord } from '#engine/meter/shared.ts'

const record: AccessRecord = {
  atEpochMs: 1_700_000_000_000,
  virtualServiceId: 'vs-1',
  virtualServiceName: 'shop',
  clientIp: '192.0.2.1',
  clientPort: 40_000,
  method: 'GET',
  scheme: 'http',
  host: 'shop.example',
  path: '/',
  protocol: '1.1',
  status: 200,
  rule: '',
  poolName: 'web',
  server: '10.0.0.1:80',
  bytesIn: 100,
  bytesOut: 200,
  attempts: 1,
  sentUs: 5,
  connectUs: 10,
  firstByteUs: 20,
  totalUs: 30,
  requestId: 'r-1',
  userAgent: 'curl',
  fault: ''
}

const batchOf = (...records: readonly AccessRecord[]): RecordBatch => {
  const lines = new RecordLines()
  for (const one of records) lines.add(one)
  return lines.take()
}

const linesOf = (path: string): AccessRecord[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as AccessRecord)

t.test('formatRecord names the round trip an estimate, and leaves out what is not known', async t => {
  t.match(JSON.parse(formatRecord({ ...record, clientRttUs: 1_500 })), { clientRttEstimateUs: 1_500 })
  t.notMatch(formatRecord({ ...record, clientRttUs: 0 }), /clientRtt/)
})

t.test('formatRecord has the fingerprints of a client where they are known', async t => {
  t.match(JSON.parse(formatRecord({ ...record, fingerprint: { ja3: 'a1', ja4: 't13d' } })), { ja3: 'a1', ja4: 't13d' })
  t.notMatch(formatRecord(record), /ja3|ja4/)
})

t.test('formatRecord makes one line whatever a client sends', async t => {
  const line = formatRecord({ ...record, path: '/a\r\n{"status":1}\u0000\u001b[31m', userAgent: '"\u2028' })
  t.equal(line.indexOf('\n'), line.length - 1)
  // oxlint-disable-next-line no-control-regex
  t.notMatch(line.slice(0, -1), /[\u0000-\u001f]/)
  t.match(JSON.parse(line), { at: '2023-11-14T22:13:20.000Z', path: '/a\r\n{"status":1}\u0000\u001b[31m', status: 200 })
  const strange = formatRecord({ ...record, rule: 'Größe \u{1f600} \ud800', userAgent: '\xff\x7f\\' })
  t.match(strange, /^[\x20-\x7e]*\n$/)
  t.match(JSON.parse(strange), { rule: 'Größe \u{1f600} \ud800', userAgent: '\xff\x7f\\' })
  const { atEpochMs, ...rest } = record
  t.same(JSON.parse(formatRecord(record)), { at: new Date(atEpochMs).toISOString(), ...rest }, 'nothing is left out')
})

t.test('RecordLines hands out what it was given and says when it is full', async t => {
  const lines = new RecordLines()
  let added = 0
  while (lines.add({ ...record, atEpochMs: record.atEpochMs + added * 7 })) added++
  const batch = lines.take()
  t.equal(batch.count, added)
  const seen = Buffer.from(batch.lines).toString().split('\n').slice(0, -1)
  t.equal(seen.length, added)
  t.ok(seen.every((line, i) => JSON.parse(line).at === new Date(record.atEpochMs + i * 7).toISOString()))
  t.equal(lines.take().count, 0)
  t.notOk(lines.add({ ...record, userAgent: 'x'.repeat(300_000) }))
  t.ok(lines.add(record))
})

t.test('openAccessLog writes what was added by the time it stops', async t => {
  const path = join(t.testdir(), 'access.log')
  const log = openAccessLog({ path, clock: systemClock })
  log.add(batchOf(record, { ...record, requestId: 'r-2' }))
  await log.stop()
  t.same(
    linesOf(path).map(line => line.requestId),
    ['r-1', 'r-2']
  )
  t.equal(log.dropped(), 0)
})

t.test('openAccessLog rotates at its size and keeps so many files', async t => {
  const folder = t.testdir()
  const path = join(folder, 'access.log')
  for (let round = 0; round < 6; round++) {
    const log = openAccessLog({ path, clock: systemClock, maxFileBytes: 1_000, maxFiles: 2 })
    log.add(batchOf(...Array.from({ length: 4 }, (_, i) => ({ ...record, requestId: `r-${round}-${i}` }))))
    await log.stop()
  }
  t.same(readdirSync(folder).toSorted(), ['access.log', 'access.log.1', 'access.log.2'])
  t.equal(linesOf(path).at(-1)?.requestId, 'r-5-3')
  t.equal(linesOf(`${path}.1`).at(-1)?.requestId, 'r-4-3')
  t.equal(linesOf(`${path}.2`).at(-1)?.requestId, 'r-3-3')
})

t.test('openAccessLog drops and counts what may not wait', async t => {
  const path = join(t.testdir(), 'access.log')
  const size = formatRecord(record).length
  const log = openAccessLog({ path, clock: systemClock, maxWaitingBytes: size * 3 })
  for (let i = 0; i < 5; i++) log.add(batchOf(record))
  t.equal(log.dropped(), 2)
  await log.stop()
  t.equal(linesOf(path).length, 3)
})

t.test('openAccessLog without a path writes nothing', async t => {
  const log = openAccessLog({ path: '', clock: systemClock })
  log.add(batchOf(record))
  t.equal(log.dropped(), 0)
  await log.stop()
})

t.test(
  'openAccessLog stays within its size when the folder cannot be written',
  { skip: process.getuid?.() === 0 && 'root can write everywhere' },
  async t => {
    const folder = t.testdir()
    const path = join(folder, 'access.log')
    const first = openAccessLog({ path, clock: systemClock })
    first.add(batchOf(...Array.from({ length: 10 }, () => record)))
    await first.stop()
    chmodSync(folder, 0o500)
    try {
      const log = openAccessLog({ path, clock: systemClock, maxFileBytes: 1_000 })
      log.add(batchOf(record))
      await log.stop()
    } finally {
      // Before tap removes the folder.
      chmodSync(folder, 0o700)
    }
    t.ok(statSync(path).size < 1_000)
    t.notOk(existsSync(`${path}.1`))
  }
)
