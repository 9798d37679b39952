import { once } from 'node:events'
import { connect } from 'node:http2'
import { buffer, text } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { aListener, aPool, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'
import { openHttpServer, openTestPlane, until } from '#test/support/data-plane.ts'

t.test('over HTTP/2 answers are packed and requests mirrored as over HTTP/1.1', async t => {
  const large = 'all work and no play '.repeat(100_000)
  const copies: string[] = []
  const web = await openHttpServer(t, (request, response) => {
    void text(request).then(() =>
      response.writeHead(200, { 'content-type': 'text/plain' }).end(request.url === '/small' ? 'x'.repeat(50) : large)
    )
  })
  const shadow = await openHttpServer(t, (request, response) => void text(request).then(body => (copies.push(body), response.end())))
  const { load, port, bugs } = openTestPlane(t)
  const service = aService({
    listeners: [aListener({ isTls: true, isHttp2: true })],
    tls: aTls(['shop']),
    compression: { contentTypes: ['text/*'], minBytes: 10, level: 1, hidesAcceptEncoding: true },
    mirror: { poolId: 'shadow', percent: 100 }
  })
  const pools = [aPool([web.port]), aPool([shadow.port], { id: 'shadow', name: 'shadow' })]
  t.same(await load(aSnapshot({ services: [service], pools, certificates: [await aCertificate('shop', ['shop.test'])] })), [])
  const session = connect(`https://127.0.0.1:${port()}`, { servername: 'shop.test', rejectUnauthorized: false })
  t.teardown(() => session.destroy())
  for (const path of ['/large', '/small']) {
    const stream = session.request({ ':path': path, ':method': 'POST', ':authority': 'shop.test', 'accept-encoding': 'gzip' })
    const answered = once(stream, 'response')
    stream.end(`body of ${path}`)
    const [headers] = (await answered) as [Record<string, unknown>]
    t.match(headers, { ':status': 200, 'content-encoding': 'gzip', vary: 'Accept-Encoding' })
    t.notOk(headers['content-length'])
    t.ok(gunzipSync(await buffer(stream)).toString() === (path === '/small' ? 'x'.repeat(50) : large), path)
  }
  await until(() => copies.length === 2, 'copies')
  t.same(copies, ['body of /large', 'body of /small'])
  t.same(bugs, [])
})
