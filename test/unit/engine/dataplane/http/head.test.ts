import t from 'tap'
import { Fault } from '#engine/base/fault.ts'
import { stripHopByHop } from '#engine/dataplane/exchange/headers.ts'
import { readHead } from '#engine/dataplane/http/head.ts'
import { aHead, aRawHead } from '#test/support/exchange.ts'

const host = ['Host', 'shop.test']

t.test('readHead brings a head into one form', async t => {
  const head = aHead({
    target: 'http://Shop.Test:8080/a/./b?c',
    headers: ['Host', 'shop.test:8080', 'X-A', '1', 'x-a', '2', 'Connection', 'close, X-Gone', 'X-Gone', '1']
  })
  t.match(head, {
    host: 'shop.test',
    authority: 'shop.test:8080',
    target: '/a/b?c',
    path: '/a/b',
    query: 'c',
    framing: 'none',
    contentLength: 0,
    isWebSocket: false
  })
  t.same(head.headers, ['x-a', '1', 'x-a', '2'])
  t.match(aHead({ method: 'POST', headers: [...host, 'Content-Length', '12'] }), { framing: 'length', contentLength: 12 })
  t.match(aHead({ method: 'POST', headers: [...host, 'Transfer-Encoding', 'Chunked'] }), {
    framing: 'chunked',
    contentLength: -1,
    headers: []
  })
  t.match(aHead({ version: '1.0', headers: [] }), { host: '', authority: '' })
  t.match(aHead({ headers: ['Host', '[2001:DB8::1]:80'] }), { host: '[2001:db8::1]' })
  t.match(aHead({ headers: ['Host', 'shop.test.'] }), { host: 'shop.test' })
  t.match(aHead({ method: 'OPTIONS', target: '*' }), { target: '*', path: '*' })
})

t.test('readHead refuses what is not understood exactly', async t => {
  const refused: readonly (readonly [what: string, raw: Parameters<typeof aRawHead>[0], code?: string])[] = [
    ['a method that is none', { method: 'G T' }],
    ['CONNECT', { method: 'CONNECT' }, 'DOWNSTREAM_METHOD_REFUSED'],
    ['another version', { version: '1.2' }],
    ['no host', { headers: [] }],
    ['two hosts', { headers: [...host, ...host] }],
    ['a host with a path', { headers: ['Host', 'a/b'] }],
    ['a host with a user', { headers: ['Host', 'me@a'] }],
    ['a host with a port that is none', { headers: ['Host', 'a:99999'] }],
    ['a host with a space', { headers: ['Host', 'a b'] }],
    ['an address that is none', { headers: ['Host', '[::zz]'] }],
    ['an asterisk', { target: '*' }],
    ['another host in the target', { target: 'http://other.test/' }],
    ['another scheme', { target: 'ftp://shop.test/' }],
    ['a name with a space', { headers: [...host, 'a b', 'c'] }],
    ['an empty name', { headers: [...host, '', 'c'] }],
    ['a line break in a value', { headers: [...host, 'a', 'b\r\nc'] }],
    ['too many fields', { headers: [...host, ...Array.from({ length: 100 }, () => ['a', 'b']).flat()] }, 'DOWNSTREAM_HEADERS_TOO_LARGE'],
    ['length beside coding', { headers: [...host, 'content-length', '1', 'transfer-encoding', 'chunked'] }],
    ['a coding in HTTP/1.0', { version: '1.0', headers: [...host, 'transfer-encoding', 'chunked'] }],
    ...['', '-1', '+1', '1,1', '1 ', '0x1', '1e3', '9'.repeat(16)].map(
      value => [`a length of ${value}`, { headers: [...host, 'content-length', value] }] as const
    ),
    ...['gzip', 'chunked, chunked', 'gzip, chunked', ' chunked', 'chunked;a=b', 'identity'].map(
      value => [`a coding of ${value}`, { headers: [...host, 'transfer-encoding', value] }] as const
    )
  ]
  for (const [what, raw, code = 'DOWNSTREAM_BAD_REQUEST'] of refused) {
    const head = readHead(aRawHead(raw), { maxHeaderCount: 100 })
    t.equal(head instanceof Fault ? head.code : 'taken', code, what)
  }
})

t.test('readHead drops what servers could take for our own fields', async t => {
  t.same(aHead({ headers: [...host, 'X_Forwarded_For', '1', 'x_real_ip', '1', 'content_length', '4', 'my_field', '2'] }).headers, [
    'my_field',
    '2'
  ])
})

t.test('readHead knows a WebSocket handshake and nothing that is nearly one', async t => {
  const fields = {
    Upgrade: 'websocket',
    Connection: 'keep-alive, Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA=='
  }
  const withFields = (change: Record<string, string>) => aHead({ headers: [...host, ...Object.entries({ ...fields, ...change }).flat()] })
  t.ok(withFields({}).isWebSocket)
  t.ok(withFields({ Upgrade: 'WebSocket' }).isWebSocket)
  for (const change of [
    { Upgrade: 'h2c' },
    { Connection: 'close' },
    { 'Sec-WebSocket-Version': '8' },
    { 'Sec-WebSocket-Key': 'short' },
    { 'Content-Length': '0' }
  ]) {
    const head = withFields(change)
    t.notOk(head.isWebSocket, JSON.stringify(change))
    t.notOk(head.headers.includes('upgrade'), 'it goes no further')
  }
})

t.test('stripHopByHop removes the fixed ones and the nominated, but never what is not for a peer to remove', async t => {
  const headers = [
    'connection',
    'x-a, Content-Length, cookie',
    'x-a',
    '1',
    'te',
    'trailers',
    'content-length',
    '5',
    'cookie',
    'c',
    'connection',
    'x-b',
    'x-b',
    '2',
    'x-c',
    '3'
  ]
  stripHopByHop(headers)
  t.same(headers, ['content-length', '5', 'cookie', 'c', 'x-c', '3'])
})
