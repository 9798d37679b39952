import t from 'tap'
import { Fault } from '#engine/base/fault.ts'
import { BodyReader } from '#engine/dataplane/http/wire/body-reader.ts'
import { INCOMPLETE, RequestReader, ResponseReader } from '#engine/dataplane/http/wire/head-reader.ts'
import { lastChunk, responseText } from '#engine/dataplane/http/wire/compose.ts'

const limits = { maxHeaderBytes: 200, maxHeaderCount: 4 }
const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

t.test('RequestReader says what a head says, wherever it stands, and waits for all of it', async t => {
  const reader = new RequestReader(limits)
  const head = 'GET /a?b HTTP/1.1\r\nHOST: a\r\nX-Odd:  \tb c\t \r\nX:\r\n\r\n'
  const bytes = bytesOf(`....${head}body`)
  for (let to = 5; to < 4 + head.length; to++) t.equal(reader.read(bytes, 4, to), INCOMPLETE, `${to - 4} bytes`)
  t.equal(reader.read(bytes, 4, bytes.length), 4 + head.length)
  t.match(reader, { method: 'GET', target: '/a?b', version: '1.1' })
  t.same(reader.headers, ['host', 'a', 'x-odd', 'b c', 'x', ''])
})

t.test('RequestReader knows common names in any case, and no others by their looks', async t => {
  const reader = new RequestReader({ maxHeaderBytes: 2_000, maxHeaderCount: 50 })
  const names = [
    'hOsT',
    'CONTENT-LENGTH',
    'content-Length',
    'Content\u007eLength'.replace('\u007e', '~'),
    'hozt',
    'dat`',
    'h@st'.replace('@', '^')
  ]
  const bytes = bytesOf(`GET / HTTP/1.1\r\n${names.map(name => `${name}: 1\r\n`).join('')}\r\n`)
  t.equal(reader.read(bytes, 0, bytes.length), bytes.length)
  t.same(
    reader.headers.filter((_, i) => i % 2 === 0),
    names.map(name => name.toLowerCase())
  )
})

t.test('RequestReader refuses what is too long as soon as it is', async t => {
  const reader = new RequestReader(limits)
  const faultOf = (text: string): string | undefined => {
    const found = reader.read(bytesOf(text), 0, text.length)
    return found instanceof Fault ? found.code : undefined
  }
  t.equal(faultOf(`GET /${'x'.repeat(150)}`), undefined)
  t.equal(faultOf(`GET /${'x'.repeat(200)}`), 'DOWNSTREAM_TARGET_TOO_LONG')
  t.equal(faultOf(`GET / HTTP/1.1\r\nX: ${'x'.repeat(200)}`), 'DOWNSTREAM_HEADERS_TOO_LARGE')
  t.equal(faultOf(`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(5)}`), 'DOWNSTREAM_HEADERS_TOO_LARGE')
  t.equal(faultOf('GET / HTTP/2.0\r\n'), 'DOWNSTREAM_VERSION_REFUSED')
  t.equal(faultOf('GET / HTTP/1.1\nHost'), 'DOWNSTREAM_BAD_REQUEST', 'before its end')
})

t.test('ResponseReader says what a head says', async t => {
  const reader = new ResponseReader(limits)
  const head = 'HTTP/1.0 404 Not  here\r\nServer: x\r\n\r\n'
  t.equal(reader.read(bytesOf(`${head}body`), 0, head.length + 4), head.length)
  t.match(reader, { status: 404, reason: 'Not  here', version: '1.0', headers: ['server', 'x'] })
})

t.test('BodyReader joins chunks where they stand and leaves what is behind them', async t => {
  const body = new BodyReader()
  body.begin('chunked', -1)
  const bytes = bytesOf('3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 1\r\n\r\nGET /')
  const end = body.read(bytes, 0, bytes.length)
  t.equal(bytes.toString('latin1', body.dataAt, body.dataEnd), 'abcde')
  t.equal(bytes.toString('latin1', end), 'GET /')
  t.match(body, { isDone: true, isBroken: false, trailers: ['x-sum', '1'] })
  body.begin('length', 3)
  t.equal(body.read(bytesOf('abcdef'), 1, 6), 4)
  t.ok(body.isDone)
  body.begin('none', 0)
  t.ok(body.isDone)
  body.begin('close', 0)
  t.equal(body.read(bytesOf('abc'), 0, 3), 3)
  t.notOk(body.isDone)
})

t.test('heads that are sent frame the message by themselves, whatever the fields say', async t => {
  const head = { status: 200, reason: 'OK', headers: ['content-length', '9', 'connection', 'x', 'transfer-encoding', 'y', 'a', 'b'] }
  t.equal(
    responseText(head, { length: 3, isChunked: false, connection: '' }, 'now'),
    'HTTP/1.1 200 OK\r\na: b\r\ndate: now\r\ncontent-length: 3\r\n\r\n'
  )
  t.equal(lastChunk([]), '0\r\n\r\n')
  t.equal(lastChunk(['x', '1', 'content_length', '5', 'set-cookie', 'a', 'x_forwarded_for', 'b']), '0\r\nx: 1\r\n\r\n')
})
