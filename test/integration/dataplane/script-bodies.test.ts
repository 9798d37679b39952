/** Scripts that see the bodies of requests, and what servers get of those: never a message that could be read in two ways. */
import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { systemClock } from '#model/base/clock.ts'
import type { PoolPart, ScriptSetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { BODY_ROOM_BYTES } from '#engine/dataplane/filter/script/sets.ts'
import { makeForwarder } from '#engine/dataplane/http/forwarders.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, openHttpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import { askOn, collect, openHttp2Client, openHttp2Server } from '#test/support/http2.ts'
import { openRecordingServer } from '#test/support/recording-server.ts'
import { aScriptSet } from '#test/support/scripts.ts'
import { aListener, aPool, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
const certificate = await aCertificate('shop', ['shop.test'])
const LIMIT = 4_096
const bodies = { limitBytes: LIMIT, passesLarge: false }
const seeing = (source: string, given: Partial<ScriptSetSpec> = {}): ScriptSetSpec =>
  aScriptSet({ 'request-body': source }, { bodies, ...given })

type Tap = Parameters<typeof openHttpServer>[0]

/** A data plane with these scripts before these servers, over HTTP/1.1 and, on a second door, HTTP/2. */
async function openPlane(
  t: Tap,
  ports: readonly number[],
  sets: readonly ScriptSetSpec[],
  given: { readonly service?: Partial<Omit<VirtualServicePart, 'http'>>; readonly pool?: Partial<PoolPart> } = {}
) {
  const plane = openTestPlane(t)
  const listeners = [aListener(), aListener({ isTls: true, isHttp2: true })]
  const service = aService({ listeners, tls: aTls([certificate.id]), scripts: sets, ...given.service })
  const pools = [aPool(ports, given.pool ?? {}), aPool(ports, { ...given.pool, id: 'other', name: 'other' })]
  const violations = await plane.load(aSnapshot({ services: [service], pools, certificates: [certificate] }))
  if (violations.length > 0) throw new Error(JSON.stringify(violations))
  const [plain, tls] = plane.plane.bound().map(door => door.port) as [number, number]
  return { ...plane, plain, tls }
}

const post = (body: string, more = ''): string =>
  `POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`
const chunked = (parts: readonly string[], trailers = '', more = ''): string =>
  `POST /x HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n${more}\r\n${parts
    .map(part => `${part.length.toString(16)}\r\n${part}\r\n`)
    .join('')}0\r\n${trailers}\r\n`
const statusOf = (text: string): string => text.slice(9, 12)
const answered = (count: number) => ({ until: (seen: string) => (seen.match(/<POST/g)?.length ?? 0) >= count })

t.test('a script sees a body as text, bytes and JSON; one that it leaves alone goes on as it came', async t => {
  const web = await openRecordingServer(t)
  const { plain, records, bugs } = await openPlane(
    t,
    [web.port],
    [
      seeing(`
      const { body } = weir.request
      weir.log(weir.event, body.length, body.text(), body.bytes().length, body.json().a)
    `)
    ]
  )
  const text = '{"a":"ä"}'
  const raw = Buffer.from(text).toString('latin1')
  await sendRaw(
    plain,
    Buffer.from(`POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: ${raw.length}\r\n\r\n${raw}`, 'latin1'),
    answered(1)
  )
  await sendRaw(plain, Buffer.from(chunked([raw.slice(0, 3), raw.slice(3)], 'X-Sum: 1\r\n'), 'latin1'), answered(1))
  t.same(web.broken, [])
  t.match(web.requests[0], /content-length: 10\r\n\r\n\{"a":"Ã¤"\}$/)
  t.match(web.requests[1], /transfer-encoding: chunked\r\n\r\n\{"a":"Ã¤"\}x-sum: 1\r\n$/)
  await until(() => records.length === 2, 'records')
  for (const { notes } of records) t.equal(notes, `scripts/HTTP_REQ_DATA: request-body 10 ${text} 10 ä`)
  t.ok(bugs.every(line => line.includes('a script says')))
})

t.test('a body that is replaced goes with its length alone, without trailers and digests of what came', async t => {
  const web = await openRecordingServer(t)
  const { plain } = await openPlane(t, [web.port], [seeing("weir.request.body.replace('ä' + weir.request.body.text().toUpperCase())")])
  const digest = 'Content-MD5: x\r\nDigest: x\r\nContent-Digest: x\r\nRepr-Digest: x\r\n'
  await sendRaw(plain, post('hello', digest) + chunked(['he', 'llo'], 'X-Sum: 1\r\n', digest) + post('x'), answered(3))
  t.same(web.broken, [])
  t.equal(web.requests.length, 3, 'what follows on the connection is read as before')
  for (const request of web.requests.slice(0, 2)) {
    t.match(request, /content-length: 7\r\n\r\nÃ¤HELLO$/)
    t.notMatch(request, /transfer-encoding|digest|content-md5|x-sum/i)
  }
  t.match(web.requests[2], /content-length: 3\r\n\r\nÃ¤X$/)
})

t.test('it may become empty, and an empty chunked one may become something', async t => {
  const web = await openRecordingServer(t)
  const { plain } = await openPlane(t, [web.port], [seeing("weir.request.body.replace(weir.request.body.length === 0 ? 'now' : '')")])
  await sendRaw(plain, post('hello') + chunked([]) + chunked(['x']), answered(3))
  t.same(web.broken, [])
  t.match(web.requests[0], /content-length: 0\r\n\r\n$/)
  t.match(web.requests[1], /content-length: 3\r\n\r\nnow$/)
  t.match(web.requests[2], /content-length: 0\r\n\r\n$/)
})

t.test('scripts of one event see what those before them made of it', async t => {
  const web = await openRecordingServer(t)
  const first = { event: 'request-body', source: "weir.request.body.replace(weir.request.body.text() + '1')" } as const
  const second = {
    event: 'request-body',
    source: 'weir.request.body.replace(weir.request.body.bytes() + weir.request.body.length)'
  } as const
  const { plain } = await openPlane(t, [web.port], [seeing('', { programs: [first, second] })])
  await sendRaw(plain, post('abc'), answered(1))
  t.match(web.requests[0], /\r\n\r\nabc14$/)
})

t.test('a body decides: refused, sent elsewhere, its head changed', async t => {
  const web = await openHttpServer(t, (request, response) => void response.end(String(request.headers['x-found'])))
  const script = `
    const { body } = weir.request
    if (body.text().includes('DROP TABLE')) return weir.respond(403, { body: 'no\\n' })
    if (body.text() === 'close') return weir.close()
    weir.request.headers.set('x-found', body.text())
    weir.usePool('other')
  `
  const set = seeing(script, { pools: { other: { is: 'pool', poolId: 'other' } } })
  const { plain, records } = await openPlane(t, [web.port], [set])
  t.match(await ask(plain, { method: 'POST', body: "x'; DROP TABLE y" }), { status: 403, body: 'no\n' })
  t.match(await ask(plain, { method: 'POST', body: 'fine' }), { status: 200, body: 'fine' })
  await t.rejects(ask(plain, { method: 'POST', body: 'close' }))
  t.equal(web.requests.length, 1)
  await until(() => records.length === 3, 'records')
  t.match(records, [{ rule: 'scripts/HTTP_REQ_DATA', status: 403 }, { poolName: 'other' }, { fault: 'DENIED_BY_RULE' }])
})

t.test('requests without a body are not looked at', async t => {
  const web = await openRecordingServer(t)
  const { plain, records } = await openPlane(t, [web.port], [seeing('weir.respond(500)')])
  t.equal((await ask(plain)).status, 200)
  t.match((await sendRaw(plain, post(''), answered(1))).text, /^HTTP\/1.1 200/)
  await until(() => records.length === 2, 'records')
})

t.test('a longer body is refused before a server hears of it', async t => {
  const web = await openRecordingServer(t)
  const { plain, tls, records } = await openPlane(t, [web.port], [seeing('weir.respond(204)')])
  const fits = 'x'.repeat(LIMIT)
  t.equal(statusOf((await sendRaw(plain, post(fits), { until: seen => seen.includes('\r\n\r\n') })).text), '204')
  const head = `POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: ${LIMIT + 1}\r\n\r\n`
  const early = await sendRaw(plain, head)
  t.match(early.text, /^HTTP\/1.1 413 [^]*connection: close/, 'not one byte of it has to come')
  t.match((await sendRaw(plain, chunked([fits, 'x']))).text, /^HTTP\/1.1 413 /)
  const client = await openHttp2Client(t, tls)
  t.match(await askOn(client, { ':method': 'POST' }, `${fits}x`), { status: 413 })
  t.match(await askOn(client, { ':method': 'POST', 'content-length': fits.length + 1 }, `${fits}x`), { status: 413 })
  t.match(await askOn(client, { ':method': 'POST' }, fits), { status: 204 }, 'and the connection goes on')
  t.equal(web.connections(), 0)
  await until(() => records.length === 6, 'records')
  t.equal(records.filter(({ fault, rule }) => fault === 'DOWNSTREAM_BODY_TOO_LARGE' && rule === 'scripts/HTTP_REQ_DATA').length, 4)
})

for (const isHttp2 of [false, true])
  t.test(`a longer body passes where it may, byte for byte, to a server of HTTP/${isHttp2 ? '2' : '1.1'} (seed ${seed})`, async t => {
    const seen: string[] = []
    const note = (stream: AsyncIterable<Buffer>, done: (hash: string) => void): void => {
      const hash = createHash('sha256')
      void (async () => {
        for await (const chunk of stream) hash.update(chunk)
        seen.push(hash.digest('hex'))
        done(seen.at(-1)!)
      })()
    }
    const web = isHttp2
      ? await openHttp2Server(t, stream => note(stream, hash => (stream.respond({ ':status': 200 }), stream.end(hash))))
      : await openHttpServer(t, (request, response) => note(request as IncomingMessage & AsyncIterable<Buffer>, hash => response.end(hash)))
    const set = seeing('weir.respond(418)', { bodies: { limitBytes: LIMIT, passesLarge: true } })
    const { plain, tls, bugs } = await openPlane(t, [web.port], [set], { pool: { isHttp2 } })
    const client = await openHttp2Client(t, tls)
    for (const size of [LIMIT + 1, 65_536, 65_537, 300_000, 2_000_000]) {
      const body = randomBytes(size)
      const hash = createHash('sha256').update(body).digest('hex')
      t.match(await ask(plain, { method: 'POST', body }), { status: 200, body: hash }, `${size} by length`)
      const streamed = await ask(plain, { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } })
      t.match(streamed, { status: 200, body: hash }, `${size} chunked`)
      t.match(await askOn(client, { ':method': 'POST' }, body), { status: 200, body: hash }, `${size} on a stream`)
    }
    t.same(bugs, [])
  })

for (const isHttp2 of [false, true])
  t.test(`long bodies come whole to a server of HTTP/${isHttp2 ? '2' : '1.1'}, looked at or replaced`, async t => {
    const most = 262_144
    const answer = (stream: AsyncIterable<Buffer>, end: (text: string) => void): void =>
      void (async () => {
        const chunks: Buffer[] = []
        for await (const chunk of stream) chunks.push(chunk)
        const all = Buffer.concat(chunks)
        end(`${all.length} ${createHash('sha256').update(all).digest('hex')}`)
      })()
    const web = isHttp2
      ? await openHttp2Server(t, stream => answer(stream, text => (stream.respond({ ':status': 200 }), stream.end(text))))
      : await openHttpServer(t, (request, response) =>
          answer(request as IncomingMessage & AsyncIterable<Buffer>, text => response.end(text))
        )
    const script = "const { body } = weir.request\nif (weir.request.path === '/new') body.replace('y'.repeat(body.length))"
    const { plain, tls } = await openPlane(
      t,
      [web.port],
      [seeing(script, { bodies: { limitBytes: most, passesLarge: false }, timeLimitMs: 1000 })],
      {
        pool: { isHttp2 }
      }
    )
    const client = await openHttp2Client(t, tls)
    const told = (body: Buffer): string => `${body.length} ${createHash('sha256').update(body).digest('hex')}`
    for (const path of ['/old', '/new']) {
      const body = randomBytes(most)
      const wanted = path === '/old' ? told(body) : told(Buffer.from('y'.repeat(most)))
      t.equal((await ask(plain, { method: 'POST', path, body })).body, wanted)
      t.equal((await ask(plain, { method: 'POST', path, body, headers: { 'transfer-encoding': 'chunked' } })).body, wanted)
      t.equal((await askOn(client, { ':method': 'POST', ':path': path }, body)).body, wanted)
    }
  })

for (const isHttp2 of [false, true])
  t.test(`over HTTP/2, with a length said or not, to a server of HTTP/${isHttp2 ? '2' : '1.1'}`, async t => {
    const told: { headers: Record<string, unknown>; body: string }[] = []
    const web = isHttp2
      ? await openHttp2Server(t, (stream, headers) => {
          let body = ''
          stream.on('data', (chunk: Buffer) => (body += chunk.toString()))
          stream.on('end', () => {
            told.push({ headers, body })
            stream.respond({ ':status': 200 })
            stream.end('ok')
          })
        })
      : await openHttpServer(t, (request, response) => {
          let body = ''
          request.on('data', (chunk: Buffer) => (body += chunk.toString()))
          request.on('end', () => {
            told.push({ headers: request.headers, body })
            response.end('ok')
          })
        })
    const { tls } = await openPlane(t, [web.port], [seeing("weir.request.body.replace(weir.request.body.text() + '!')")], {
      pool: { isHttp2 }
    })
    const client = await openHttp2Client(t, tls)
    t.match(await askOn(client, { ':method': 'POST' }, 'hello'), { status: 200, body: 'ok' })
    t.match(await askOn(client, { ':method': 'POST', 'content-length': 5 }, 'hello'), { status: 200, body: 'ok' })
    const stream = client.request({ ':method': 'POST', ':path': '/' }, { endStream: false, waitForTrailers: true } as object)
    const answer = collect(stream)
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }))
    stream.end('hello')
    t.match(await answer, { status: 200 })
    for (const { headers, body } of told) {
      t.equal(body, 'hello!')
      t.equal(headers['content-length'], '6')
      t.equal(headers['transfer-encoding'], undefined)
    }
    t.equal(told.length, 3)
    const lying = client.request({ ':method': 'POST', ':path': '/', 'content-length': '9' }, { endStream: false })
    const refused = collect(lying)
    lying.end('hello')
    await refused
    t.equal(told.length, 3, 'a body that is not as long as it says is seen by nobody')
  })

t.test('calls of gRPC stream both ways, and are shown to no script for bodies', async t => {
  const web = await openHttp2Server(t, stream => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.on('data', (chunk: Buffer) => stream.write(chunk))
    stream.on('end', () => stream.end())
  })
  const { tls, plain } = await openPlane(t, [web.port], [seeing('weir.respond(403)')], { pool: { isHttp2: true } })
  const client = await openHttp2Client(t, tls)
  const stream = client.request(
    { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc', te: 'trailers' },
    { endStream: false }
  )
  let echoed = ''
  stream.on('data', (chunk: Buffer) => (echoed += chunk.toString()))
  const over = collect(stream)
  for (const text of ['one', 'two']) {
    stream.write(text)
    await until(() => echoed.endsWith(text), `an answer to ${text}, while the call is open`)
  }
  stream.end()
  t.match(await over, { status: 200, body: 'onetwo' })
  t.equal(
    (await ask(plain, { method: 'POST', body: 'x', headers: { 'content-type': 'application/grpc' } })).status,
    403,
    'HTTP/1.1 is no gRPC'
  )
})

t.test('who expects to be told to go on is told, once', async t => {
  const web = await openRecordingServer(t)
  const { plain } = await openPlane(t, [web.port], [seeing("weir.request.body.replace(weir.request.body.text() + '!')")])
  const socket = connect({ port: plain, host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  let seen = ''
  socket.on('data', chunk => (seen += chunk.toString('latin1')))
  socket.write('POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
  await until(() => seen === 'HTTP/1.1 100 Continue\r\n\r\n', 'it is told')
  t.equal(web.connections(), 0, 'no server was asked yet')
  socket.write('hello')
  await until(() => seen.includes('<POST /x>'), 'it is answered')
  t.equal(seen.match(/100 Continue/g)?.length, 1)
  t.match(web.requests[0], /content-length: 6\r\n\r\nhello!$/)
  t.notMatch(web.requests[0], /expect/i)
})

t.test('a body that does not come: no server is asked, and its room is given back', async t => {
  const web = await openRecordingServer(t)
  const service = { requestTimeoutMs: 300 }
  const { plain, tls, records, bugs } = await openPlane(t, [web.port], [seeing('')], { service })
  const half = 'POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 9\r\n\r\nhel'
  const socket = connect({ port: plain, host: '127.0.0.1' })
  socket.write(half, () => socket.destroy())
  await until(() => records.length === 1, 'the client went')
  t.match(records[0], { fault: 'DOWNSTREAM_RESET' })
  t.match((await sendRaw(plain, half, { until: seen => seen.includes('\r\n\r\n') })).text, /^HTTP\/1.1 504 /)
  const client = await openHttp2Client(t, tls)
  const stream = client.request({ ':method': 'POST', ':path': '/' }, { endStream: false })
  const answer = collect(stream)
  stream.write('hel')
  await until(() => stream.sentHeaders !== undefined && records.length === 3, 'the stream is answered')
  t.match(records.at(-1), { fault: 'REQUEST_TIMEOUT', status: 504 })
  stream.close()
  await answer
  for (const body of ['5\r\nhel', 'zz\r\n'])
    await sendRaw(plain, `POST /x HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)
  t.equal(web.connections(), 0)
  t.same(bugs, [])
})

t.test('too slow a body is answered with 408', async t => {
  const web = await openRecordingServer(t)
  const plane = openTestPlane(t)
  const http = { pace: { minBytesPerS: 1_000, graceMs: 200 }, bodyTimeoutMs: 200 }
  await plane.load(aSnapshot({ services: [aService({ scripts: [seeing('')], http })], pools: [aPool([web.port])] }))
  t.match((await sendRaw(plane.port(), 'POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 9\r\n\r\nhel')).text, /^HTTP\/1.1 408 /)
  t.equal(web.connections(), 0)
})

t.test('a body that was looked at can be sent to another server, as it was made', async t => {
  const bodiesSeen: string[] = []
  const note = (status: number) => (request: IncomingMessage, response: { statusCode: number; end: (text: string) => void }) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      bodiesSeen.push(`${status} ${body}`)
      response.statusCode = status
      response.end('')
    })
  }
  const [bad, good] = [await openHttpServer(t, note(503)), await openHttpServer(t, note(200))]
  const reselect = {
    maxRetries: 2,
    retriesNonIdempotent: false,
    statuses: [{ from: 500, to: 599 }],
    tryTimeoutMs: null,
    retryTimeoutMs: null,
    budget: null,
    backoff: null
  }
  const { plain } = await openPlane(t, [bad.port, good.port], [seeing("weir.request.body.replace(weir.request.body.text() + '!')")], {
    pool: { reselect, algorithm: { is: 'round-robin' } }
  })
  for (let n = 0; n < 4; n++) t.equal((await ask(plain, { method: 'PUT', body: `${n}` })).status, 200)
  for (let n = 0; n < 4; n++) t.ok(bodiesSeen.includes(`200 ${n}!`))
  t.ok(bodiesSeen.some(seen => seen.startsWith('503 ')) && bodiesSeen.every(seen => seen.endsWith('!')))
})

t.test('an empty chunked body is sent again as well', async t => {
  const ends: number[] = []
  const note = (status: number) => (request: IncomingMessage, response: { statusCode: number; end: () => void }) => {
    request.resume().on('end', () => {
      ends.push(status)
      response.statusCode = status
      response.end()
    })
  }
  const [bad, good] = [await openHttpServer(t, note(503)), await openHttpServer(t, note(200))]
  const reselect = {
    maxRetries: 2,
    retriesNonIdempotent: true,
    statuses: [{ from: 500, to: 599 }],
    tryTimeoutMs: 5_000,
    retryTimeoutMs: 5_000,
    budget: null,
    backoff: null
  }
  const plane = openTestPlane(t)
  await plane.load(
    aSnapshot({ services: [aService()], pools: [aPool([bad.port, good.port], { reselect, algorithm: { is: 'round-robin' } })] })
  )
  for (let n = 0; n < 4; n++)
    t.match((await sendRaw(plane.port(), chunked([]), { until: seen => seen.includes('\r\n\r\n') })).text, /^HTTP\/1.1 200 /)
  t.ok(ends.includes(503))
})

t.test('a script that fails: refused, or the body goes on as it came', async t => {
  const web = await openRecordingServer(t)
  const broken = "weir.request.body.replace('x')\nnothing.here()"
  for (const failsOpen of [false, true]) {
    const { plain, plane } = await openPlane(t, [web.port], [seeing(broken, { failsOpen })])
    const { text } = await sendRaw(plain, post('hello'), { until: seen => seen.includes('\r\n\r\n') })
    t.equal(statusOf(text), failsOpen ? '200' : '500')
    t.match(plane.scripts()[0], { failures: 1, lastError: /line 2: ReferenceError/ })
  }
  t.match(web.requests, [/\r\n\r\nhello$/])
})

t.test('a mirror gets what the server gets', async t => {
  const [web, copy] = [await openRecordingServer(t), await openRecordingServer(t)]
  const plane = openTestPlane(t)
  const scripts = [seeing("weir.request.body.replace('made of ' + weir.request.body.text())")]
  const mirror = { poolId: 'copies', percent: 100 }
  const pools = [aPool([web.port]), aPool([copy.port], { id: 'copies', name: 'copies' })]
  await plane.load(aSnapshot({ services: [aService({ scripts, mirror })], pools }))
  await sendRaw(plane.port(), chunked(['a', 'b']), answered(1))
  await until(() => copy.requests.length === 1, 'the copy')
  for (const { requests, broken } of [web, copy]) {
    t.same(broken, [])
    t.match(requests[0], /content-length: 10\r\n(?:[^]*\r\n)?\r\nmade of ab$/i)
  }
})

t.test('an engine that cannot take bodies says so', async t => {
  const web = await openRecordingServer(t)
  const plane = openTestPlane(t, { forwarder: makeForwarder('stock', { clock: systemClock }) })
  await plane.load(aSnapshot({ services: [aService({ scripts: [seeing('')] })], pools: [aPool([web.port])] }))
  t.equal((await ask(plane.port(), { method: 'POST', body: 'x' })).status, 500)
  t.match(plane.plane.scripts()[0], { failures: 1, lastError: 'this engine cannot take bodies' })
})

t.test('bodies that wait have bounded room, together', async t => {
  const web = await openRecordingServer(t)
  const limitBytes = 262_144
  const { plain, records, plane } = await openPlane(t, [web.port], [seeing('', { bodies: { limitBytes, passesLarge: false } })])
  const count = BODY_ROOM_BYTES / limitBytes
  const head = 'POST /x HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n'
  const sockets = Array.from({ length: count }, () => connect({ port: plain, host: '127.0.0.1' }))
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  for (const socket of sockets) socket.on('error', () => undefined).write(head)
  const full = async (): Promise<boolean> =>
    (await ask(plain, { method: 'POST', body: 'x', headers: { 'transfer-encoding': 'chunked' } })).status === 500
  const end = performance.now() + 20_000
  while (!(await full())) if (performance.now() > end) throw new Error('there is always room')
  t.match(plane.scripts()[0], { lastError: 'too many bodies are looked at already' })
  for (const socket of sockets) socket.destroy()
  await until(() => records.filter(({ fault }) => fault === 'DOWNSTREAM_RESET').length === count, 'all are gone')
  t.equal((await ask(plain, { method: 'POST', body: 'x', headers: { 'transfer-encoding': 'chunked' } })).status, 200)
})

t.test(`whatever comes, in whatever pieces, servers see sound requests and those that were meant (seed ${seed})`, async t => {
  const random = seededRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const web = await openRecordingServer(t)
  const script = "const text = weir.request.body.bytes()\nif (text.length % 3 === 0) weir.request.body.replace('[' + text.length + ']')"
  const { plain, bugs } = await openPlane(t, [web.port], [seeing(script)])
  const smuggled = 'GET /evil HTTP/1.1\r\nHost: x\r\n\r\n'
  for (let round = 0; round < 150; round++) {
    let bytes = ''
    let sound = 0
    for (let n = 0; n < 1 + Math.floor(random() * 4); n++) {
      const body = pick(['', 'a', smuggled, '0\r\n\r\n', 'x'.repeat(Math.floor(random() * 200)), 'x'.repeat(LIMIT)])
      if (random() < 0.5) bytes += post(body)
      else {
        const at = Math.floor(random() * body.length)
        bytes += chunked(
          [body.slice(0, at), body.slice(at)].filter(part => part !== ''),
          pick(['', 'X-T: 1\r\n'])
        )
      }
      sound++
    }
    const isBroken = random() < 0.5
    if (isBroken)
      bytes += pick([
        `POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
        `POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n${smuggled}`,
        `POST /x HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n${smuggled}`,
        `POST /x HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n${smuggled}`,
        `POST /x HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n${(LIMIT + 1).toString(16)}\r\n${'x'.repeat(LIMIT + 1)}\r\n0\r\n\r\n${smuggled}`
      ])
    const before = web.requests.length
    const over = new Promise<void>(resolve => {
      const socket = connect({ port: plain, host: '127.0.0.1' })
      let seen = ''
      socket.on('error', () => undefined).on('close', () => resolve())
      socket.on('data', chunk => {
        seen += chunk.toString('latin1')
        if ((seen.match(/HTTP\/1.1 \d/g)?.length ?? 0) >= sound + (isBroken ? 1 : 0)) socket.destroy()
      })
      for (let at = 0; at < bytes.length;) {
        const size = 1 + Math.floor(random() * random() * 2_000)
        socket.write(bytes.slice(at, at + size), 'latin1')
        at += size
      }
    })
    await over
    const got = web.requests.slice(before)
    t.equal(web.broken.length, 0, web.broken.join())
    if (got.length !== sound || got.some(request => !request.startsWith('POST /x ')))
      t.fail(`round ${round}: ${got.length} of ${sound}, ${JSON.stringify(bytes.slice(0, 2_000))}`)
  }
  t.same(bugs, [])
})
