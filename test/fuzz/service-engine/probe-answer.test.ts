/** Whatever a server sends, a probe's parsers end with an answer, and what they say of it is printable. */
import fc from 'fast-check'
import t from 'tap'
import { parseAnswer } from '#engine/monitor/http/answer.ts'
import { MAX_BODY_BYTES, printable } from '#engine/monitor/probe.ts'
import { parseHosts } from '#engine/monitor/resolve.ts'

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
