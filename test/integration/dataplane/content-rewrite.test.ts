import { createBrotliCompress, gunzipSync, gzipSync } from 'node:zlib'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { openCachedOrigin } from '#test/support/cached-origin.ts'
import { ask, openHttpServer, openTestPlane, sendRaw } from '#test/support/data-plane.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

const contentRewrite = {
  contentTypes: ['text/html'],
  replacements: [
    { search: 'http://inner.test', isPattern: false, by: 'https://Öffentlich.test' },
    { search: 'id=[0-9]+', isPattern: true, by: 'id=0' }
  ]
}
const page = `<a href="http://inner.test/?id=17">ü</a>${'.'.repeat(70_000)}`
const rewritten = page.replace('http://inner.test', 'https://Öffentlich.test').replace('id=17', 'id=0')

t.test('texts in answers are replaced, with the framing made to fit', async t => {
  const web = await openHttpServer(t, (request, response) => {
    const headers = { 'content-type': 'text/html; charset=utf-8', etag: '"1"', 'accept-ranges': 'bytes' }
    if (request.url === '/json') return void response.writeHead(200, { 'content-type': 'application/json' }).end(page)
    if (request.url === '/fixed') return void response.writeHead(200, { ...headers, 'cache-control': 'no-transform' }).end(page)
    if (request.url === '/gzip') return void response.writeHead(200, { ...headers, 'content-encoding': 'gzip' }).end(gzipSync(page))
    if (request.url === '/odd') return void response.writeHead(200, { ...headers, 'content-encoding': 'odd' }).end(page)
    if (request.url === '/br') {
      const packer = createBrotliCompress()
      packer.pipe(response.writeHead(200, { ...headers, 'content-encoding': 'br' }))
      return void packer.end(page)
    }
    response.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(page) }).end(page)
  })
  const { load, port, bugs } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ contentRewrite })], pools: [aPool([web.port])] }))
  for (const path of ['/', '/gzip', '/br']) {
    const answer = await ask(port(), { path, headers: { 'accept-encoding': 'gzip', range: 'bytes=0-9' } })
    t.ok(answer.body === rewritten, path)
    t.match(answer.headers, { etag: 'W/"1"', 'transfer-encoding': 'chunked' })
    for (const name of ['content-length', 'content-encoding', 'accept-ranges']) t.notOk(name in answer.headers, `${path} ${name}`)
  }
  t.match(web.requests[0]!.headers, { 'accept-encoding': undefined, range: undefined })
  for (const path of ['/json', '/fixed', '/odd']) t.ok((await ask(port(), { path })).body === page, path)
  const head = await ask(port(), { method: 'HEAD' })
  t.notOk('content-length' in head.headers, 'what a GET would get is not known')
  const old = await sendRaw(port(), 'GET / HTTP/1.0\r\nhost: a.test\r\n\r\n')
  t.notMatch(old.text, /chunked/i)
  t.ok(old.text.endsWith(Buffer.from(rewritten).toString('latin1')))
  t.same(bugs, [])
})

t.test('what is kept is what the server sent, changed and packed for each client', async t => {
  const origin = await openCachedOrigin(t, {
    service: { contentRewrite, compression: { contentTypes: ['text/*'], minBytes: 10, level: 1, hidesAcceptEncoding: true } }
  })
  origin.answers = [{ headers: { 'cache-control': 'max-age=60', 'content-type': 'text/html', etag: '"1"' }, body: page }]
  for (const cache of [undefined, 'HIT']) {
    const answer = await ask(origin.port())
    t.ok(answer.body === rewritten)
    t.equal(answer.headers['x-cache'], cache)
  }
  const request = httpRequest({ host: '127.0.0.1', port: origin.port(), headers: { 'accept-encoding': 'gzip' }, agent: false }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  t.match(response.headers, { 'x-cache': 'HIT', 'content-encoding': 'gzip' })
  t.ok(gunzipSync(await buffer(response)).toString() === rewritten)
  t.match(await ask(origin.port(), { headers: { 'if-none-match': 'W/"1"' } }), { status: 304 })
  t.same(origin.bugs, [])
})

t.test('what cannot be unpacked looks like what broke off', async t => {
  const web = await openHttpServer(t, (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'gzip' }).end('no gzip at all')
  )
  const { load, port, bugs } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ contentRewrite })], pools: [aPool([web.port])] }))
  await t.rejects(ask(port()))
  await t.rejects(ask(port()), 'and the next one is served as well as it can be')
  t.same(bugs, [])
})
