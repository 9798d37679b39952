import t from 'tap'
import { judgeDns } from '#engine/monitor/dns/dns.ts'
import { formatQuery, parseDnsAnswer } from '#engine/monitor/dns/message.ts'
import type { ProbeSpec } from '#model/snapshot/snapshot.ts'
import { dnsAnswer, dnsName } from '#test/support/dns-answer.ts'

const spec: Extract<ProbeSpec, { is: 'dns' }> = {
  is: 'dns',
  name: 'shop.test',
  recordType: 1,
  accepts: 'type',
  isErrorAccepted: false,
  expected: null
}
const a = (...bytes: number[]) => ({ type: 1, data: Buffer.from(bytes) })

t.test('formatQuery asks for one name', async t => {
  const query = formatQuery(0x1234, 'shop.test.', 28)
  t.equal(
    query.toString('hex'),
    '12340100000100000000000004' + Buffer.from('shop').toString('hex') + '04' + Buffer.from('test').toString('hex') + '00001c0001'
  )
  t.equal(formatQuery(1, '.', 2).length, 17, 'the root has no label')
})

t.test('parseDnsAnswer reads records as a zone file has them', async t => {
  const query = formatQuery(7, 'shop.test', 255)
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  const records = [
    a(10, 0, 0, 1),
    { type: 28, data: Buffer.from('20010db8000000000000000000000001', 'hex') },
    { type: 5, data: dnsName('www.shop.test') },
    { type: 2, data: Buffer.from([0xc0, 12]) },
    { type: 15, data: Buffer.concat([Buffer.from([0, 10]), dnsName('mx.test')]) },
    { type: 33, data: Buffer.concat([Buffer.from([0, 1, 0, 2, 0x1f, 0x90]), dnsName('srv.test')]) },
    { type: 16, data: Buffer.concat([Buffer.from([2]), Buffer.from('ab'), Buffer.from([1]), Buffer.from('c')]) },
    { type: 6, data: Buffer.concat([dnsName('ns.test'), dnsName('me.test'), ...[1, 2, 3, 4, 4_000_000_000].map(number)]) },
    { type: 48, data: Buffer.from('0101', 'hex') }
  ]
  const read = parseDnsAnswer(dnsAnswer(query, { records }))
  t.match(read, { is: 'answer', id: 7, rcode: 0, isTruncated: false })
  t.same(read.is === 'answer' && read.records.map(({ text }) => text), [
    '10.0.0.1',
    '2001:db8::1',
    'www.shop.test',
    'shop.test',
    '10 mx.test',
    '1 2 8080 srv.test',
    'abc',
    'ns.test me.test 1 2 3 4 4000000000',
    '0101'
  ])
})

t.test('parseDnsAnswer says what is no answer, and runs in no circles', async t => {
  const query = formatQuery(7, 'shop.test', 1)
  t.match(parseDnsAnswer(query), { is: 'malformed', reason: 'it is a query' })
  t.match(parseDnsAnswer(Buffer.from('HTTP/1.1 200 OK\r\n')), { is: 'malformed' })
  t.match(parseDnsAnswer(Buffer.alloc(0)), { is: 'malformed' })
  const whole = dnsAnswer(query, { records: [a(10, 0, 0, 1)] })
  for (let length = 0; length < whole.length; length++) t.match(parseDnsAnswer(whole.subarray(0, length)), { is: 'malformed' })
  t.match(parseDnsAnswer(dnsAnswer(query, { records: [a(10, 0, 0)] })), { is: 'malformed' }, 'an address of three bytes')
  const self = dnsAnswer(query, { records: [{ type: 5, data: Buffer.from([0xc0, query.length + 12]) }] })
  t.match(parseDnsAnswer(self), { is: 'malformed' }, 'a pointer to itself')
  t.match(
    parseDnsAnswer(dnsAnswer(query, { records: [{ type: 5, data: Buffer.from([0xc0, 0xff]) }] })),
    { is: 'malformed' },
    'a pointer ahead'
  )
})

t.test('judgeDns judges code, type and data', async t => {
  const answer = (rcode: number, ...texts: [number, string][]) =>
    ({ is: 'answer', id: 1, rcode, isTruncated: false, records: texts.map(([type, text]) => ({ type, text })) }) as const
  t.match(judgeDns(spec, answer(0, [1, '10.0.0.1'])), { verdict: 'up', detail: 'NOERROR, 1 record' })
  t.match(judgeDns(spec, answer(0, [5, 'x.test'])), { verdict: 'down', detail: 'NOERROR, but no record that fits' })
  t.match(judgeDns({ ...spec, accepts: 'record' }, answer(0, [5, 'x.test'])), { verdict: 'up' })
  t.match(judgeDns({ ...spec, accepts: 'record' }, answer(0)), { verdict: 'down' })
  t.match(judgeDns({ ...spec, accepts: 'anything' }, answer(0)), { verdict: 'up' })
  t.match(judgeDns({ ...spec, recordType: 255 }, answer(0, [5, 'x.test'])), { verdict: 'up' })
  t.match(judgeDns(spec, answer(3)), { verdict: 'down', detail: 'answered NXDOMAIN' })
  t.match(judgeDns(spec, answer(11)), { detail: 'answered RCODE11' })
  t.match(judgeDns({ ...spec, isErrorAccepted: true, accepts: 'anything' }, answer(3)), { verdict: 'up' })
  const expecting = { ...spec, expected: '10.0.0.1' }
  t.match(judgeDns(expecting, answer(0, [1, '10.0.0.10'])), { verdict: 'down', detail: 'NOERROR, but without the expected record' })
  t.match(judgeDns(expecting, answer(0, [1, '10.0.0.10'], [1, '10.0.0.1'])), { verdict: 'up' })
  t.match(judgeDns({ ...spec, recordType: 16, expected: 'V=SPF1' }, answer(0, [16, 'v=spf1 -all'])), { verdict: 'up' })
})
