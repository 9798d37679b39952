import t from 'tap'
import { readProxyHeader, writeProxyHeader } from '#engine/dataplane/listen/proxy-protocol.ts'

const signature = '0d0a0d0a000d0a515549540a'
const v2 = (hex: string): Buffer => Buffer.from(signature + hex, 'hex')
const read = (text: string) => readProxyHeader(Buffer.from(text, 'latin1'))

t.test('version 1', async t => {
  const line = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'
  t.same(read(`${line}GET / HTTP/1.1\r\n`), {
    is: 'header',
    length: line.length,
    source: { ip: '192.0.2.1', port: 56324 },
    destination: { ip: '198.51.100.7', port: 443 }
  })
  t.match(read('PROXY TCP6 2001:DB8:0:0::1 ::1 1 2\r\n'), { source: { ip: '2001:db8::1', port: 1 }, destination: { ip: '::1', port: 2 } })
  t.match(read('PROXY TCP6 ::ffff:192.0.2.1 ::1 0 65535\r\n'), { source: { ip: '192.0.2.1' } }, 'one address has one spelling')
  t.match(read('PROXY UNKNOWN\r\nx'), { is: 'header', length: 15, source: null, destination: null })
  t.match(read('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), { is: 'header', source: null })
})

t.test('version 1 that is none', async t => {
  for (const line of [
    'GET / HTTP/1.1\r\n',
    ' PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n',
    'PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n',
    'PROXY TCP4 ::1 ::1 1 2\r\n',
    'PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n',
    'PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n',
    `PROXY UNKNOWN ${'x'.repeat(200)}\r\n`
  ])
    t.equal(read(line).is, 'bad', line)
})

t.test('version 2', async t => {
  const bytes = v2('2111000cc0000201c6336407dc0401bb')
  t.same(readProxyHeader(Buffer.concat([bytes, Buffer.from('more')])), {
    is: 'header',
    length: 28,
    source: { ip: '192.0.2.1', port: 56324 },
    destination: { ip: '198.51.100.7', port: 443 }
  })
  const six = v2('2121002420010db80000000000000000000000010000000000000000000000000000000100010002')
  t.equal(readProxyHeader(six.subarray(0, -1)).is, 'incomplete')
  t.match(readProxyHeader(six), { source: { ip: '2001:db8::1', port: 1 }, destination: { ip: '::1', port: 2 } })
  t.match(readProxyHeader(v2('20000000')), { is: 'header', length: 16, source: null }, 'the proxy speaks for itself')
  t.match(readProxyHeader(v2('21110011c0000201c6336407dc0401bb0400020000')), { is: 'header', length: 33 }, 'with an addition')
})

t.test('version 2 that is none', async t => {
  for (const [what, hex] of [
    ['version 1', '1111000cc0000201c6336407dc0401bb'],
    ['an unknown command', '2211000cc0000201c6336407dc0401bb'],
    ['datagrams', '2112000cc0000201c6336407dc0401bb'],
    ['a socket of the host', '213100d8'.padEnd(8 + 432, '0')],
    ['no family', '21000000'],
    ['too short for its addresses', '2111000bc0000201c6336407dc0401'],
    ['longer than anybody sends', '2111ffff'],
    ['an addition that runs over', '21110010c0000201c6336407dc0401bb04000200']
  ] as const)
    t.equal(readProxyHeader(v2(hex)).is, 'bad', what)
})

t.test('what is written is read', async t => {
  for (const version of [1, 2] as const)
    for (const [from, to] of [
      ['192.0.2.1', '198.51.100.7'],
      ['2001:db8::1', '2001:db8::ffff:2'],
      ['::', '::1'],
      ['1:2:3:4:5:6:7:8', '64:ff9b::192.0.2.1']
    ] as const) {
      const header = writeProxyHeader(version, { ip: from, port: 1 }, { ip: to, port: 65535 })
      const found = readProxyHeader(header)
      t.match(found, { is: 'header', length: header.length, source: { ip: from, port: 1 }, destination: { port: 65535 } })
    }
  const mixed = writeProxyHeader(1, { ip: '2001:db8::1', port: 1 }, { ip: '192.0.2.1', port: 2 }).toString()
  t.equal(mixed, 'PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 2\r\n')
  t.equal(
    writeProxyHeader(2, { ip: '192.0.2.1', port: 56324 }, { ip: '198.51.100.7', port: 443 }).toString('hex'),
    `${signature}2111000cc0000201c6336407dc0401bb`
  )
})
