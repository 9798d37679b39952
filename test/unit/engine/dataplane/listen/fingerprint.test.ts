import { createHash } from 'node:crypto'
import t from 'tap'
import { readFingerprint } from '#engine/dataplane/listen/fingerprint.ts'

type Extension = readonly [kind: number, ...bytes: number[]]

const two = (value: number): number[] => [value >> 8, value & 255]
const listed = (values: readonly number[]): number[] => [...two(values.length * 2), ...values.flatMap(two)]

/** A ClientHello in one record. */
function hello(version: number, ciphers: readonly number[], extensions: readonly Extension[]): Buffer {
  const carried = extensions.flatMap(([kind, ...bytes]) => [...two(kind), ...two(bytes.length), ...bytes])
  const body = [...two(version), ...Array<number>(32).fill(7), 0, ...listed(ciphers), 1, 0]
  if (extensions.length > 0) body.push(...two(carried.length), ...carried)
  return Buffer.from([22, 3, 1, ...two(body.length + 4), 1, 0, ...two(body.length), ...body])
}

const GREASE = 0x2a2a
const name: Extension = [0, 0, 4, 0, 0, 1, 97]
const alpn = (...names: readonly string[]): Extension => {
  const bytes = names.flatMap(one => [one.length, ...Buffer.from(one, 'latin1')])
  return [16, ...two(bytes.length), ...bytes]
}

t.test('readFingerprint knows the published JA4 of a browser, whatever its order and what it draws', async t => {
  const ciphers = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d, 0x2f, 0x35]
  const extensions: readonly Extension[] = [
    [0x1b, 2, 0, 2],
    name,
    [0x33],
    [0x10, ...alpn('h2', 'http/1.1').slice(1)],
    [0x4469],
    [0x17],
    [0x2d, 1, 1],
    [0x0d, ...listed([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601])],
    [0x05],
    [0x23],
    [0x12],
    [0x2b, 6, ...two(GREASE), 3, 4, 3, 3],
    [0xff01, 0],
    [0x0b, 1, 0],
    [0x0a, ...listed([GREASE, 29, 23, 24])],
    [0x15, 0, 0]
  ]
  const wanted = 't13d1516h2_8daaf6152771_e5627efa2ab1'
  const drawn = hello(0x0303, [GREASE, ...ciphers], [[GREASE], ...extensions, [0x1a1a, 0]])
  t.equal(readFingerprint(drawn)?.ja4, wanted)
  t.equal(readFingerprint(hello(0x0303, ciphers.toReversed(), extensions.toReversed()))?.ja4, wanted)
  t.equal(readFingerprint(drawn)?.ja3, readFingerprint(hello(0x0303, ciphers, extensions))?.ja3)
})

t.test('readFingerprint knows the published JA3 of an old client', async t => {
  const ciphers = [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4]
  const old = hello(769, ciphers, [name, [10, ...listed([23, 24, 25])], [11, 1, 0]])
  t.match(readFingerprint(old), { ja3: 'ada70206e40642a3e4461f35503241d5', ja4: /^t10d120300_[0-9a-f]{12}_[0-9a-f]{12}$/ })
})

t.test('readFingerprint of a client that says little', async t => {
  const cipher = createHash('sha256').update('002f').digest('hex').slice(0, 12)
  t.equal(readFingerprint(hello(0x0303, [0x2f], []))?.ja4, `t12i010000_${cipher}_000000000000`)
  t.match(readFingerprint(hello(0x0303, [0x2f], [alpn('\u00ab\u00cd')]))?.ja4, /^t12i0101ad_/)
  t.match(readFingerprint(hello(0x0303, [0x2f], [alpn('0')]))?.ja4, /^t12i010100_/)
  t.match(readFingerprint(hello(0x0200, [], [[0x2b, 0]]))?.ja4, /^t00i000100_000000000000_/)
  t.equal(readFingerprint(Buffer.from('GET / HTTP/1.1\r\n')), undefined)
})
