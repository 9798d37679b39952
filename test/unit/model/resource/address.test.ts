import t from 'tap'
import { canonicalAddress, formatAddress, isHostname, isLoopback, parseAddress, rangeToCidrs } from '#model/resource/address.ts'

t.test('parseAddress reads what is an address and nothing else', async t => {
  for (const text of ['0.0.0.0', '255.255.255.255', '::', '::1', '2001:db8::a:b', '1:2:3:4:5:6:7:8', '::ffff:192.0.2.1', '1::'])
    t.ok(parseAddress(text), text)
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.4/8',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    'g::',
    '::1%eth0',
    '[::1]',
    ' 1.2.3.4',
    '12345::',
    '1:2:3:4:5:6:7::8',
    '1.2.3.4::'
  ])
    t.equal(parseAddress(text), undefined, text)
})

t.test('canonicalAddress gives every address one spelling', async t => {
  t.equal(canonicalAddress('2001:0DB8:0:0:0:0:0:1'), '2001:db8::1')
  t.equal(canonicalAddress('2001:db8:0:1:0:0:0:1'), '2001:db8:0:1::1', 'the longest run of zeros is shortened')
  t.equal(canonicalAddress('1:0:2:3:4:5:6:7'), '1:0:2:3:4:5:6:7', 'a single zero group is not')
  t.equal(canonicalAddress('0:0:0:0:0:0:0:0'), '::')
  t.equal(canonicalAddress('::ffff:192.0.2.1'), '::ffff:c000:201')
  t.equal(canonicalAddress('10.0.0.1'), '10.0.0.1')
  t.equal(canonicalAddress('web.example.com'), 'web.example.com')
})

t.test('rangeToCidrs covers a range exactly', async t => {
  const cidrs = (first: string, last: string): string[] => rangeToCidrs(parseAddress(first)!, parseAddress(last)!)
  t.same(cidrs('10.0.0.0', '10.0.0.255'), ['10.0.0.0/24'])
  t.same(cidrs('10.0.0.1', '10.0.0.6'), ['10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6/32'])
  t.same(cidrs('0.0.0.0', '255.255.255.255'), ['0.0.0.0/0'])
  t.same(cidrs('::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'), ['::/0'])
  t.same(cidrs('10.0.0.9', '10.0.0.9'), ['10.0.0.9/32'])
})

t.test('isHostname takes DNS names and no addresses', async t => {
  for (const name of ['a', 'web.example.com', 'web.example.com.', '_srv.x', 'xn--bcher-kva.example', 'a-b.c']) t.ok(isHostname(name), name)
  for (const name of ['', '.', 'a..b', '-a', 'a-', 'a b', '10.0.0.1', 'x'.repeat(64), `${'a.'.repeat(127)}aa`])
    t.notOk(isHostname(name), name)
})

t.test('isLoopback knows the addresses of every host', async t => {
  t.same(
    ['127.0.0.1', '127.9.9.9', '::1', '10.0.0.1', '::2'].map(text => isLoopback(parseAddress(text)!)),
    [true, true, true, false, false]
  )
  t.equal(formatAddress({ family: 4, value: 2130706433n }), '127.0.0.1')
})
