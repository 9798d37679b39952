/** Whatever a server sends, a probe's parsers end with an answer, and what they say of it is printable. */
import fc from 'fast-check'
import t from 'tap'
import { formatQuery, parseDnsAnswer } from '#engine/monitor/dns/message.ts'
import { parseCheck } from '#engine/monitor/grpc/grpc.ts'
import { parseAgentLine } from '#engine/monitor/weight.ts'
import { parseAnswer } from '#engine/monitor/http/answer.ts'
import { MAX_BODY_BYTES, printable } from '#engine/monitor/probe.ts'
import { parseHosts } from '#engine/monitor/resolve.ts'
import { dnsAnswer } from '#test/support/dns-answer.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`WEIR_SEED=${seed}`)

const piece = fc.oneof(
  fc.constantFrom(
    'HTTP/1.1 200 OK',
    'HTTP/1.1 100 Continue',
    'HTTP/1.0 503',
    'HTTP/2 200',
    '\r\n',
    '\r\n\r\n',
    '\n',
    'Content-Length: 5',
    'Content-Length: -1',
    'Content-Length: 99999999999999999999',
    'Transfer-Encoding: chunked',
    '5\r\nhello\r\n',
    'ffffffff\r\n',
    '0\r\n\r\n',
    ';ext\r\n',
    '\u0000'
  ),
  fc.string({ maxLength: 40 }),
  fc.integer({ min: 0, max: 40_000 }).map(length => 'x'.repeat(length))
)
const text = fc.array(piece, { maxLength: 12 }).map(pieces => pieces.join(''))

t.test('parseAnswer ends with a bounded answer', async t => {
  fc.assert(
    fc.property(text, fc.boolean(), fc.boolean(), (answer, isEnd, isInterimWanted) => {
      const read = parseAnswer(answer, isEnd, () => isInterimWanted)
      if (read.is === 'incomplete') return !isEnd
      return read.is === 'malformed' || (read.status >= 100 && read.status < 600 && read.body.length <= MAX_BODY_BYTES)
    }),
    { numRuns: 1_000, seed }
  )
  t.pass('held for every answer')
})

t.test('printable leaves nothing that a terminal or a page would obey', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), raw => /^[\x20-\x7e]{0,120}$/.test(printable(raw))),
    { numRuns: 500, seed }
  )
  t.pass('held for every text')
})

t.test('parseHosts finds addresses only', async t => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('127.0.0.1', '::1', ' ', '\t', '\n', '#', 'a', 'b', '999.1.1.1'), { maxLength: 40 }), pieces =>
      parseHosts(pieces.join(''), 'a').every(address => address === '127.0.0.1' || address.includes(':') || /^\d/.test(address))
    ),
    { numRuns: 500, seed }
  )
  t.pass('held for every file')
})

t.test('parseDnsAnswer ends with records whatever the bytes', async () => {
  const query = formatQuery(1, 'shop.test', 255)
  const record = fc.record({ type: fc.integer({ min: 0, max: 60 }), data: fc.uint8Array({ maxLength: 60 }).map(data => Buffer.from(data)) })
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600 }).map(data => Buffer.from(data)),
    fc.array(record, { maxLength: 8 }).map(records => dnsAnswer(query, { records })),
    // A good answer with bytes changed: pointers and lengths that lead anywhere.
    fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 8 }).map(changes => {
      const whole = dnsAnswer(query, {
        records: [15, 6, 16, 33].map(type => ({ type, data: Buffer.from([0, 1, 0xc0, 12, 0xc0, 12, 1, 97, 0]) }))
      })
      for (const [at, value] of changes) if (at < whole.length) whole[at] = value
      return whole
    })
  )
  fc.assert(
    fc.property(bytes, answer => {
      const read = parseDnsAnswer(answer)
      return read.is === 'malformed' || (read.records.length <= 512 && read.records.every(({ text }) => text.length <= 131_072))
    }),
    { seed, numRuns: 3_000 }
  )
})

t.test('parseCheck and parseAgentLine end with an answer', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      const head = Buffer.alloc(5)
      head.writeUInt32BE(bytes.length, 1)
      const status = parseCheck(Buffer.concat([head, bytes]))
      return status === undefined || Number.isFinite(status)
    }),
    { seed, numRuns: 3_000 }
  )
  fc.assert(
    fc.property(fc.oneof(fc.string(), text), answer => {
      const { detail, weightPercent = 0 } = parseAgentLine(answer)
      return detail.length <= 160 && /^[\x20-\x7e]*$/.test(detail) && weightPercent >= 0 && weightPercent <= 100
    }),
    { seed }
  )
})
