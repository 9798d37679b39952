/** What only the byte-level codec promises: time by one clock, memory that stays flat, interim responses and trailers that pass. */
import { connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { makeForwarder } from '#engine/dataplane/http/forwarders.ts'
import { manualClock, type ManualClock } from '#test/support/manual-clock.ts'
import { aPool, aRule, aService, aSnapshot, type plainHttp } from '#test/support/snapshot.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, sendRaw, until, type DataPlaneUnderTest } from '#test/support/data-plane.ts'

interface Scene {
  readonly plane: DataPlaneUnderTest
  readonly clock: ManualClock
  readonly port: number
}

async function openScene(t: Test, serverPort: number, http: Partial<typeof plainHttp> = {}): Promise<Scene> {
  const clock = manualClock()
  const plane = openTestPlane(t, { clock, forwarder: makeForwarder('wire', { clock }) })
  await plane.load(aSnapshot({ services: [aService({ http })], pools: [aPool([serverPort])] }))
  return { plane, clock, port: plane.port() }
}

interface Client {
  readonly socket: Socket
  readonly seen: () => string
  readonly isClosed: () => boolean
}

async function openClient(t: Test, port: number, bytes: string): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  let seen = ''
  let isClosed = false
  socket.on('data', chunk => (seen += chunk.toString('latin1')))
  socket
    .on('end', () => (isClosed = true))
    .on('close', () => (isClosed = true))
    .on('error', () => undefined)
  t.teardown(() => socket.destroy())
  await new Promise<void>(resolve => socket.write(bytes, () => resolve()))
  return { socket, seen: () => seen, isClosed: () => isClosed }
}

const connectionsOf = (scene: Scene): number => scene.plane.memory.readTotals().virtualServices[0]?.totals.openConnections ?? 0

/** What was sent has been read when a request behind it on another connection is answered. */
const settle = async (port: number): Promise<void> => void (await ask(port, { path: '/settle' }))

t.test('clients that are slow in their header, their body or between requests go in time, and hold no server meanwhile', async t => {
  const web = await openHttpServer(t, (request, response) => request.resume().on('end', () => response.end('ok')))
  const scene = await openScene(t, web.port, { headerTimeoutMs: 5_000, bodyTimeoutMs: 3_000, keepAliveTimeoutMs: 20_000 })
  const { port, clock } = scene
  const many = (bytes: string): Promise<Client[]> => Promise.all(Array.from({ length: 50 }, () => openClient(t, port, bytes)))
  const silent = await many('')
  const headers = await many('GET / HTTP/1.1\r\nHost: a\r\nX')
  await until(() => connectionsOf(scene) === 100, 'all are there')
  await settle(port)
  const opened = web.connections()
  t.ok(opened <= 1, 'without a header there is no connection to a server')
  const bodies = await many('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
  await until(() => web.requests.length === 51, 'the bodies have begun')
  const idle = await many('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => idle.every(client => client.seen().endsWith('ok')), 'the idle ones are answered')

  clock.advance(2_000)
  // A byte now and then is no progress.
  for (const client of headers) client.socket.write('y')
  await settle(port)
  clock.advance(1_300)
  await until(() => bodies.every(client => client.isClosed()), 'slow bodies')
  t.ok(bodies.every(client => client.seen().startsWith('HTTP/1.1 408 ')))
  t.ok(headers.every(client => !client.isClosed()))
  clock.advance(2_000)
  await until(() => [...silent, ...headers].every(client => client.isClosed()), 'slow headers')
  t.ok(headers.every(client => client.seen().startsWith('HTTP/1.1 408 ')))
  t.ok(
    silent.every(client => client.seen() === ''),
    'who said nothing is told nothing'
  )
  t.ok(idle.every(client => !client.isClosed()))
  clock.advance(16_000)
  await until(() => idle.every(client => client.isClosed()), 'idle ones')
  for (const client of [...silent, ...headers, ...bodies, ...idle]) client.socket.end()
  clock.advance(2_000)
  await until(() => connectionsOf(scene) === 0, 'every connection is closed')
  t.equal((await ask(port)).body, 'ok')
  t.same(scene.plane.bugs, [])
})

t.test('whatever the profile says, a first header has ten seconds, and a body a minimum rate', async t => {
  const web = await openHttpServer(t, (request, response) => request.resume().on('end', () => response.end('ok')))
  const { port, clock } = await openScene(t, web.port, { headerTimeoutMs: 600_000, bodyTimeoutMs: 600_000 })
  const header = await openClient(t, port, 'GET / HTTP/1.1\r\n')
  const slow = await openClient(t, port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n')
  const steady = await openClient(t, port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n')
  await until(() => web.requests.length === 2, 'the bodies have begun')
  for (let second = 0; second < 11; second++) {
    slow.socket.write('x'.repeat(100))
    steady.socket.write('x'.repeat(500))
    await settle(port)
    clock.advance(1_000)
  }
  await until(() => header.isClosed() && slow.isClosed(), 'the slow ones')
  t.match(slow.seen(), /^HTTP\/1.1 408 /)
  steady.socket.write('x'.repeat(4_500))
  await until(() => steady.seen().endsWith('ok'), 'the steady one')
})

t.test('a reader that stops is cut after ten seconds and holds little meanwhile; one that is slow goes on', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const chunk = Buffer.alloc(65_536, 'x')
  let written = 0
  const endless = await openTcpServer(t, socket => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n')
      const more = (): void => {
        do written += chunk.length
        while (socket.write(chunk))
      }
      socket.on('drain', more)
      more()
    })
  })
  const { port, clock, plane } = await openScene(t, endless.port)
  const standing = await openClient(t, port, '')
  standing.socket.pause()
  collect()
  const before = process.memoryUsage().arrayBuffers
  standing.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  let last = -1
  await until(() => {
    const isStill = written > 0 && written === last
    last = written
    return isStill
  }, 'the server stopped')
  collect()
  const held = process.memoryUsage().arrayBuffers - before
  t.ok(held < 1_048_576, `${held} bytes held, the client's own buffer among them`)

  let read = 0
  const slow = connect({ port, host: '127.0.0.1' })
  t.teardown(() => slow.destroy())
  slow.on('error', () => undefined)
  slow.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  let goal = 0
  slow.on('data', piece => {
    read += piece.length
    if (read >= goal) slow.pause()
  })
  for (let second = 0; second < 14; second++) {
    // Some megabytes a second: the kernel's buffers are large, and only what leaves them can be seen to be read.
    goal = read + 4_000_000
    slow.resume()
    await until(() => read >= goal || slow.destroyed, 'more is read')
    clock.advance(1_000)
  }
  t.notOk(slow.destroyed, 'the slow reader goes on')
  await until(() => {
    // What the kernel holds is looked up meanwhile, in another thread.
    clock.advance(100)
    return plane.records.length === 1
  }, 'a record of the standing one')
  // Only now: one that reads again would be no standing one.
  standing.socket.resume()
  await until(() => standing.isClosed(), 'the standing one is cut')
  t.match(plane.records[0], { status: 200, fault: 'DOWNSTREAM_IDLE' })
})

t.test('interim responses and trailers reach the client, and what a trailer may not say does not', async t => {
  const hints = await openTcpServer(t, socket => {
    socket.on('data', () => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n')
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a\r\n\r\n')
    })
  })
  const { port } = await openScene(t, hints.port)
  const { text } = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(text, /^HTTP\/1.1 103 Early Hints\r\nlink: <\/style.css>\r\n\r\nHTTP\/1.1 200 OK\r\n/)
  t.match(text, /2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n$/)
  const old = await sendRaw(port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  t.match(old.text, /^HTTP\/1.1 200 OK/, 'HTTP/1.0 knows no interim responses')
  t.match(old.text, /\r\n\r\nok$/)
})

t.test('a client that ends its side gets its answer, and is not waited for without end', async t => {
  let answer = (): void => undefined
  const web = await openHttpServer(t, (_request, response) => void (answer = () => response.end('late')))
  const { port, clock, plane } = await openScene(t, web.port)
  const first = await openClient(t, port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  first.socket.end()
  await until(() => web.requests.length === 1, 'the request')
  answer()
  await until(() => first.seen().endsWith('late') && first.isClosed(), 'the answer, and an end')
  const second = await openClient(t, port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  second.socket.end()
  await until(() => web.requests.length === 2, 'the request')
  await new Promise(resolve => setImmediate(resolve))
  await until(() => {
    clock.advance(500)
    return second.isClosed()
  }, 'the end of its patience')
  await until(() => plane.records.length === 2, 'the records')
  t.match(plane.records[1], { fault: 'DOWNSTREAM_RESET' })
  const cut = await openClient(t, port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe')
  cut.socket.end()
  await until(() => cut.isClosed(), 'half a body is none')
})

t.test('what a client still sends after an early answer is a body, or nothing, but no request', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(`reached ${request.url}`))
  const { load, port, bugs } = openTestPlane(t)
  const deny = aRule({
    match: { path: { operator: 'begins-with', values: ['/denied'], isCaseSensitive: false } },
    action: { is: 'respond', status: 401, contentType: '', bodyBase64: '' }
  })
  await load(aSnapshot({ services: [aService({ requestRules: [deny] })], pools: [aPool([web.port])] }))
  const after = 'GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const evil = 'GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n'
  for (const length of [evil.length, 1_000_000]) {
    const client = await openClient(t, port(), `POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`)
    await until(() => client.seen().startsWith('HTTP/1.1 401 '), 'an answer before the body')
    client.socket.write(evil + after)
    await until(client.isClosed, 'the end')
    const isNear = length === evil.length
    t.equal(client.seen().includes('reached /after'), isNear, isNear ? 'a small rest is read over' : 'a large one ends the connection')
    t.match(client.seen(), isNear ? /^HTTP\/1.1 401 [^]*HTTP\/1.1 200 / : /^HTTP\/1.1 401 [^]*connection: close/)
    t.notMatch(client.seen(), /evil/)
  }
  t.notOk(web.requests.some(request => request.url === '/evil'))
  t.same(bugs, [])
})

t.test('a thousand requests in one piece are answered in order, by servers and by rules', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(`<${request.url}>`))
  const { load, port } = openTestPlane(t)
  const deny = aRule({
    match: { path: { operator: 'begins-with', values: ['/own'], isCaseSensitive: true } },
    action: { is: 'respond', status: 200, contentType: 'text/plain', bodyBase64: Buffer.from('<own>').toString('base64') }
  })
  await load(aSnapshot({ services: [aService({ requestRules: [deny] })], pools: [aPool([web.port])] }))
  const paths = Array.from({ length: 1_000 }, (_, n) => (n % 3 === 0 ? `/${n}` : '/own'))
  const bytes = paths.map(path => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join('')
  const { text } = await sendRaw(port(), `${bytes}GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  t.same(text.match(/<[^>]+>/g), [...paths.map(path => (path === '/own' ? '<own>' : `<${path}>`)), '</end>'])
  t.ok(web.connections() <= 2, `${web.connections()} connections to the server`)
})

t.test('large bodies pass unharmed both ways, in chunks and by length, to a slow server and a slow client', async t => {
  const size = 5_000_000
  const bytes = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255))
  const echo = await openHttpServer(t, (request, response) => {
    if (request.headers['content-length'] !== undefined) response.setHeader('content-length', request.headers['content-length'])
    request.on('data', (chunk: Buffer) => {
      if (response.write(chunk)) return
      request.pause()
      response.once('drain', () => setImmediate(() => request.resume()))
    })
    request.on('end', () => response.end())
  })
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aService()], pools: [aPool([echo.port])] }))
  for (const framing of [`Content-Length: ${size}`, 'Transfer-Encoding: chunked']) {
    const socket = connect(port(), '127.0.0.1')
    t.teardown(() => socket.destroy())
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      socket.pause()
      setImmediate(() => socket.resume())
    })
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`)
    const isChunked = framing.startsWith('T')
    for (let at = 0; at < size; at += 50_000) {
      if (isChunked) socket.write('c350\r\n')
      socket.write(bytes.subarray(at, at + 50_000))
      if (isChunked) socket.write('\r\n')
    }
    if (isChunked) socket.write('0\r\n\r\n')
    await new Promise(resolve => socket.once('close', resolve))
    const all = Buffer.concat(chunks)
    const head = all.indexOf('\r\n\r\n') + 4
    const body = isChunked ? unchunked(all.subarray(head)) : all.subarray(head)
    t.ok(body.equals(bytes), `${framing}: ${body.length} bytes came back`)
  }
})

function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const line = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    if (!(size > 0)) return Buffer.concat(parts)
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}
