import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { brotliDecompressSync, createGunzip, gunzipSync, zstdDecompressSync } from 'node:zlib'
import t from 'tap'
import { aCache } from '#test/support/cached-origin.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, closedPort, openHttpServer, openTcpServer, openTestPlane, until } from '#test/support/data-plane.ts'

const compression = { contentTypes: ['text/*'], minBytes: 10, level: 1, hidesAcceptEncoding: true }

/** The body as bytes. */
function fetchBytes(
  port: number,
  headers: Record<string, string>,
  path = '/'
): Promise<{ headers: Record<string, unknown>; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, headers, agent: false }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end()
  })
}

t.test('answers are packed as they come, small ones and large ones', async t => {
  const large = 'all work and no play '.repeat(200_000)
  const web = await openHttpServer(t, (request, response) => {
    response.setHeader('content-type', 'text/plain')
    response.setHeader('etag', '"1"')
    if (request.url === '/large') return void response.end(large)
    if (request.url === '/empty') return void response.end()
    response.setHeader('content-length', 20)
    response.end('x'.repeat(20))
  })
  const { load, port, bugs } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ compression })], pools: [aPool([web.port])] }))
  const unpack = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync } as const
  for (const coding of ['gzip', 'br', 'zstd'] as const) {
    const small = await fetchBytes(port(), { 'accept-encoding': coding })
    t.match(small.headers, { 'content-encoding': coding, vary: 'Accept-Encoding', etag: 'W/"1"', 'transfer-encoding': 'chunked' })
    t.notOk(small.headers['content-length'])
    t.equal(unpack[coding](small.body).toString(), 'x'.repeat(20))
    const packed = await fetchBytes(port(), { 'accept-encoding': coding }, '/large')
    t.ok(packed.body.length < large.length / 10)
    t.ok(unpack[coding](packed.body).toString() === large, coding)
  }
  t.notOk(web.requests[0]?.headers['accept-encoding'])
  t.equal((await fetchBytes(port(), {})).body.toString(), 'x'.repeat(20))
  t.equal((await fetchBytes(port(), { 'accept-encoding': 'gzip' }, '/empty')).body.length, 0)
  t.same(bugs, [])
})

t.test('a packed answer that streams is not held back', async t => {
  let more = (): void => undefined
  const web = await openHttpServer(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: one\n\n')
    more = () => response.end('data: two\n\n')
  })
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ compression })], pools: [aPool([web.port])] }))
  const request = httpRequest({ host: '127.0.0.1', port: port(), headers: { 'accept-encoding': 'gzip' }, agent: false }).end()
  const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream]
  const plain = response.pipe(createGunzip())
  const [first] = (await once(plain, 'data')) as [Buffer]
  t.equal(first.toString(), 'data: one\n\n')
  const rest = text(plain)
  more()
  t.equal(await rest, 'data: two\n\n')
})

t.test('a reader that is slow gets all of a packed answer', async t => {
  const noise = Buffer.alloc(3_000_000, 'abcdefghij')
  for (let i = 0; i < noise.length; i += 3) noise[i] = (i * 2_654_435_761) >>> 24
  const web = await openHttpServer(t, (_request, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end(noise))
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ compression })], pools: [aPool([web.port])] }))
  const request = httpRequest({ host: '127.0.0.1', port: port(), headers: { 'accept-encoding': 'gzip' }, agent: false }).end()
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) {
    chunks.push(chunk as Buffer)
    await new Promise(resolve => setImmediate(resolve))
  }
  t.ok(gunzipSync(Buffer.concat(chunks)).equals(noise))
})

t.test('a mirror gets the request whole, and its answers, its slowness and its absence concern nobody', async t => {
  const seen: string[] = []
  const web = await openHttpServer(t, (request, response) => void text(request).then(body => response.end(`web ${body}`)))
  const shadow = await openHttpServer(t, (request, response) => {
    void text(request).then(body => {
      seen.push(`${request.method} ${request.url} ${request.headers.host} ${body}`)
      response.writeHead(500).end('never seen')
    })
  })
  const deaf = await openTcpServer(t, () => undefined)
  const { load, port, bugs } = openTestPlane(t)
  const service = aService({ mirror: { poolId: 'shadow', percent: 100 } })
  const load2 = (shadowPort: number, revision: number) =>
    load(aSnapshot({ services: [service], pools: [aPool([web.port]), aPool([shadowPort], { id: 'shadow', name: 'shadow' })], revision }))
  await load2(shadow.port, 1)
  t.match(await ask(port(), { path: '/a?b', headers: { host: 'shop.test' } }), { status: 200, body: 'web ' })
  t.match(await ask(port(), { method: 'POST', path: '/c', headers: { host: 'shop.test' }, body: 'x'.repeat(100_000) }), { status: 200 })
  await until(() => seen.length === 2, 'both copies came')
  t.same(
    seen.toSorted((a, b) => a.length - b.length),
    ['GET /a?b shop.test ', `POST /c shop.test ${'x'.repeat(100_000)}`]
  )
  await load2(deaf.port, 2)
  t.match(await ask(port(), { method: 'POST', body: 'y'.repeat(3_000_000) }), { status: 200 })
  await load2(await closedPort(), 3)
  t.match(await ask(port()), { status: 200 })
  t.same(bugs, [])
})

t.test('a copy that is let go, because no server was asked, is no fault of the mirror', async t => {
  const web = await openHttpServer(t, (_request, response) => response.writeHead(200, { 'cache-control': 'max-age=60' }).end('web'))
  const shadow = await openHttpServer(t, (_request, response) => response.end())
  const { load, port, memory } = openTestPlane(t)
  const service = aService({ cache: aCache(), mirror: { poolId: 'shadow', percent: 100 } })
  await load(aSnapshot({ services: [service], pools: [aPool([web.port]), aPool([shadow.port], { id: 'shadow' })] }))
  const mirrored = () => memory.readTotals().pools.find(pool => pool.id === 'shadow')!.totals
  await ask(port())
  await until(() => mirrored().requests === 1, 'the copy of the first')
  for (let i = 0; i < 5; i++) t.equal((await ask(port())).headers['x-cache'], 'HIT')
  await ask(port(), { method: 'POST', body: 'x' })
  await until(() => mirrored().requests === 2, 'the copy of the last')
  await until(() => memory.inFlight('shadow', `127.0.0.1:${shadow.port}`) === 0, 'the others are let go')
  t.match(mirrored(), { requests: 2, responses2xx: 2, faultsUpstream: 0 })
})

t.test('a share of the requests fails and waits, on purpose', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port, records } = openTestPlane(t)
  const fault = {
    match: null,
    delay: { percent: 100, ms: 30 },
    abort: { percent: 50, status: 503 }
  }
  await load(aSnapshot({ services: [aService({ fault })], pools: [aPool([web.port])] }))
  const statuses = await Promise.all(Array.from({ length: 60 }, async () => (await ask(port())).status))
  const failed = statuses.filter(status => status === 503).length
  t.ok(failed > 5 && failed < 55, `${failed} of 60`)
  t.equal(web.requests.length, 60 - failed)
  await until(() => records.length === 60, 'records')
  t.ok(records.every(record => record.totalUs >= 25_000 && record.rule.startsWith('fault: delay')))
})

t.test('another site’s page may read what it is let', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port } = openTestPlane(t)
  const cors = { origins: ['https://app.test'], methods: ['GET'], headers: [], exposedHeaders: [], hasCredentials: false, maxAgeS: 60 }
  await load(aSnapshot({ services: [aService({ cors })], pools: [aPool([web.port])] }))
  const question = { origin: 'https://app.test', 'access-control-request-method': 'GET' }
  t.match(await ask(port(), { method: 'OPTIONS', headers: question }), {
    status: 204,
    headers: { 'access-control-allow-origin': 'https://app.test', 'access-control-allow-methods': 'GET' }
  })
  t.equal((await ask(port(), { method: 'OPTIONS', headers: { ...question, origin: 'https://evil.test' } })).status, 403)
  t.equal(web.requests.length, 0)
  t.match(await ask(port(), { headers: { origin: 'https://app.test' } }), {
    body: 'web',
    headers: { 'access-control-allow-origin': 'https://app.test' }
  })
  t.notOk((await ask(port(), { headers: { origin: 'https://evil.test' } })).headers['access-control-allow-origin'])
})
