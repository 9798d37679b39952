import t from 'tap'
import { encodeBlock, HpackDecoder } from '#engine/dataplane/http/http2/hpack.ts'
import { decodeHuffman } from '#engine/dataplane/http/http2/huffman.ts'

const scratch = Buffer.alloc(65_536)
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

function decodeAll(decoder: HpackDecoder, blocks: readonly string[]): string[][] {
  return blocks.map(block => {
    const bytes = hex(block)
    return decoder.decode(bytes, 0, bytes.length) === 'fields' ? decoder.fields : ['broken']
  })
}

const requests = [
  [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'],
  [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com', 'cache-control', 'no-cache'],
  [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com', 'custom-key', 'custom-value']
]

// RFC 7541, Appendix C.
t.test('HpackDecoder reads the examples of the standard, in the clear and Huffman coded', async t => {
  t.same(
    decodeAll(new HpackDecoder(4_096, scratch), [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65'
    ]),
    requests
  )
  t.same(
    decodeAll(new HpackDecoder(4_096, scratch), [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf'
    ]),
    requests
  )
})

t.test('HpackDecoder forgets the oldest fields when the table is full, and all when it is made nothing', async t => {
  const decoder = new HpackDecoder(100_000, scratch)
  const insert = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.from([0x40, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
  for (let i = 0; i < 500; i++) {
    const block = insert(`n${i % 10}`, `v${i}`)
    t.equal(decoder.decode(block, 0, block.length), 'fields')
  }
  // 4,096 bytes hold 107 fields of 38.
  const newest = Buffer.from([0x80 | 62])
  t.equal(decoder.decode(newest, 0, 1), 'fields')
  t.same(decoder.fields, ['n9', 'v499'])
  const index = (value: number): Buffer => Buffer.from([0xff, value - 127])
  t.equal(decoder.decode(index(61 + 107), 0, 2), 'fields')
  t.same(decoder.fields, ['n3', 'v393'])
  t.equal(decoder.decode(index(61 + 108), 0, 2), 'broken')
  const other = new HpackDecoder(100_000, scratch)
  const first = insert('a', 'b')
  other.decode(first, 0, first.length)
  t.equal(other.decode(Buffer.from([0x20, 0xbe]), 0, 2), 'broken', 'gone with the size')
})

t.test('HpackDecoder goes on after a block that was too large', async t => {
  const decoder = new HpackDecoder(100, scratch)
  const large = encodeBlock(['x-large', 'y'.repeat(200)], true)
  t.equal(decoder.decode(large, 0, large.length), 'too-large')
  const small = encodeBlock(['x-small', 'y'], false)
  t.equal(decoder.decode(small, 0, small.length), 'fields')
  t.same(decoder.fields, ['x-small', 'y'])
})

t.test('encodeBlock says what it was given, and asks for no table', async t => {
  const fields = [
    ':status',
    '200',
    ':status',
    '418',
    'content-type',
    'text/html',
    'x-own',
    'é'.repeat(300),
    'date',
    '',
    'set-cookie',
    'a=b'
  ]
  const block = encodeBlock(fields, true)
  t.equal(block[0], 0x20)
  const decoder = new HpackDecoder(10_000, scratch)
  t.equal(decoder.decode(block, 0, block.length), 'fields')
  t.same(decoder.fields, fields)
  t.notOk([...block.subarray(1, 4)].some(byte => (byte & 0xc0) === 0x40))
})

t.test('decodeHuffman refuses what ends wrongly', async t => {
  const at = (text: string): number => decodeHuffman(hex(text), 0, hex(text).length, scratch)
  t.equal(at('a8eb 1064 9cbf'), 8)
  t.equal(at('ffff ffff'), -1, 'the end of a string')
  t.equal(at('ff'), -1, 'padding of a whole byte')
  t.equal(at('00'), -1, 'padding of zeros')
  t.equal(at(''), 0)
})
