/** Calls of gRPC, as bytes: unary, streams both ways, errors in the head alone. */
import { once } from 'node:events'
import { constants, type ClientHttp2Session, type ClientHttp2Stream, type ServerHttp2Stream } from 'node:http2'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { closedPort, until } from '#test/support/data-plane.ts'
import { collect, openHttp2Client, openHttp2Plane, openHttp2Server } from '#test/support/http2.ts'

const certificate = await aCertificate('shop', ['shop.test'])

/** Length-prefixed, not compressed. */
function message(text: string): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(Buffer.byteLength(text), 1)
  return Buffer.concat([head, Buffer.from(text)])
}

/** Hands on messages, however they were cut. */
function onMessages(stream: ServerHttp2Stream | ClientHttp2Stream, onMessage: (text: string) => void): void {
  let seen: Buffer = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk])
    while (seen.length >= 5 && seen.length >= 5 + seen.readUInt32BE(1)) {
      const end = 5 + seen.readUInt32BE(1)
      onMessage(seen.toString('utf8', 5, end))
      seen = seen.subarray(end)
    }
  })
}

const call = (client: ClientHttp2Session, path: string): ClientHttp2Stream =>
  client.request(
    { ':method': 'POST', ':path': path, 'content-type': 'application/grpc+proto', te: 'trailers', 'grpc-timeout': '5S' },
    { endStream: false }
  )

const answers = { ':status': 200, 'content-type': 'application/grpc+proto' }

/** Echoes messages; `/shop.Test/Fail` fails in its head, `/shop.Test/Late` after a message. */
const serve = (stream: ServerHttp2Stream, path: string): void => {
  if (path === '/shop.Test/Fail') return stream.respond({ ...answers, 'grpc-status': '5', 'grpc-message': 'not here' }, { endStream: true })
  stream.respond(answers, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': path === '/shop.Test/Late' ? '13' : '0', 'x-cost': '7' }))
  if (path === '/shop.Test/Many') for (let i = 0; i < 50; i++) stream.write(message(`part ${i}`))
  onMessages(stream, text => stream.write(message(`echo ${text}`)))
  stream.on('end', () => stream.end())
}

async function openGrpc(t: Parameters<typeof openHttp2Server>[0]) {
  const server = await openHttp2Server(t, (stream, headers) => serve(stream, headers[':path'] ?? ''))
  const plane = await openHttp2Plane(t, { certificate, ports: [server.port], pool: { isHttp2: true } })
  return { server, plane, client: await openHttp2Client(t, plane.port()) }
}

t.test('a unary call, its status in the trailers', async t => {
  const { server, plane, client } = await openGrpc(t)
  const stream = call(client, '/shop.Test/Echo')
  const answer = collect(stream)
  stream.end(message('hello'))
  t.match(await answer, {
    status: 200,
    headers: { 'content-type': 'application/grpc+proto' },
    body: message('echo hello').toString('latin1'),
    trailers: { 'grpc-status': '0', 'x-cost': '7' },
    code: 0
  })
  t.match(server.requests[0], { te: 'trailers', 'grpc-timeout': '5S', 'content-type': 'application/grpc+proto' })
  t.same(plane.bugs, [])
})

t.test('an error in the head alone ends the stream with it, and one after messages comes as trailers', async t => {
  const { client } = await openGrpc(t)
  const failing = call(client, '/shop.Test/Fail')
  const failed = collect(failing)
  failing.end(message('x'))
  const answer = await failed
  t.match(answer, { status: 200, headers: { 'grpc-status': '5', 'grpc-message': 'not here' }, isHeadOnly: true, body: '', code: 0 })
  t.notOk('content-length' in answer.headers)
  const late = call(client, '/shop.Test/Late')
  const ended = collect(late)
  late.end(message('x'))
  t.match(await ended, { status: 200, trailers: { 'grpc-status': '13' }, isHeadOnly: false })
})

t.test('a stream of the server, and one of the client', async t => {
  const { client } = await openGrpc(t)
  const many = call(client, '/shop.Test/Many')
  const parts: string[] = []
  onMessages(many, text => parts.push(text))
  many.end(message('last'))
  await once(many, 'close')
  t.equal(parts.length, 51)
  t.equal(parts.at(-1), 'echo last')

  const sending = call(client, '/shop.Test/Echo')
  const echoes: string[] = []
  onMessages(sending, text => echoes.push(text))
  for (let i = 0; i < 200; i++) sending.write(message('x'.repeat(i * 11)))
  sending.end()
  await once(sending, 'close')
  t.equal(echoes.length, 200)
})

t.test('both sides speak in turn on one stream', async t => {
  const { client, plane } = await openGrpc(t)
  const stream = call(client, '/shop.Test/Echo')
  let got = ''
  onMessages(stream, text => (got = text))
  const [fields] = (await once(stream, 'response')) as [{ ':status': number }]
  t.equal(fields[':status'], 200, 'the head comes before the first message')
  for (let i = 0; i < 20; i++) {
    stream.write(message(`turn ${i}`))
    await until(() => got === `echo turn ${i}`, `turn ${i}`)
  }
  const trailers = once(stream, 'trailers')
  stream.end()
  t.match((await trailers)[0], { 'grpc-status': '0' })
  await until(() => plane.records.length === 1, 'a record')
  t.match(plane.records[0], { fault: '', status: 200 })
})

t.test('a call that the client cancels is cancelled at the server', async t => {
  const { client, server } = await openGrpc(t)
  const stream = call(client, '/shop.Test/Echo')
  await once(stream, 'response')
  const session = server.sessions[0]!
  let closed = 0
  const before = call(client, '/shop.Test/Echo')
  await once(before, 'response')
  stream.on('close', () => closed++)
  stream.close(constants.NGHTTP2_CANCEL)
  await until(() => closed === 1, 'it is closed')
  before.end(message('goes on'))
  t.match(await collect(before), { trailers: { 'grpc-status': '0' } })
  t.notOk(session.destroyed, 'the connection to the server stays')
})

t.test('what cannot be served is an error of gRPC, without a body', async t => {
  const plane = await openHttp2Plane(t, { certificate, ports: [await closedPort()], pool: { isHttp2: true } })
  const client = await openHttp2Client(t, plane.port())
  const stream = call(client, '/shop.Test/Echo')
  const answer = collect(stream)
  stream.end(message('hello'))
  t.match(await answer, { status: 200, headers: { 'grpc-status': '14', 'content-type': 'application/grpc' }, isHeadOnly: true, body: '' })
  await until(() => plane.records.length === 1, 'a record')
  t.match(plane.records[0], { fault: 'UPSTREAM_CONNECT_REFUSED' })
  t.ok((plane.records[0]?.status ?? 0) >= 500, 'logs say what happened')
})
