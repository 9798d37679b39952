import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { aPool, aRule, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, closedPort, openHttpServer, openTcpServer, sendRaw, until, type OpenPlane } from '#test/support/data-plane.ts'

export function conversationContract(t: Test, open: OpenPlane): void {
  t.test('a WebSocket passes both ways, by the same rules and balancing, and ends when a side ends', async t => {
    const web = await openHttpServer(t, (_request, response) => response.end('plain'))
    const sockets = new WebSocketServer({ server: web.server })
    sockets.on('connection', (socket, request) => {
      socket.send(`hello ${request.url} ${String(request.headers['x-forwarded-for'])}`)
      socket.on('message', data => socket.send(data, { binary: false }))
    })
    const { load, port, records, memory } = open(t)
    const closed = await closedPort()
    const deny = aRule({
      match: { path: { operator: 'begins-with', values: ['/no'], isCaseSensitive: false } },
      action: { is: 'respond', status: 403, contentType: '', bodyBase64: '' }
    })
    await load(aSnapshot({ services: [aService({ requestRules: [deny] })], pools: [aPool([closed, web.port])] }))
    for (let i = 0; i < 4; i++) {
      const client = new WebSocket(`ws://127.0.0.1:${port()}/chat?${i}`)
      const messages: string[] = []
      client.on('message', data => messages.push((data as Buffer).toString()))
      await until(() => messages.length === 1, 'a greeting')
      t.equal(messages[0], `hello /chat?${i} 127.0.0.1`)
      client.send('x'.repeat(100_000))
      await until(() => messages.length === 2, 'an echo')
      t.equal(messages[1]?.length, 100_000)
      t.equal(memory.inFlight('pool-1', `127.0.0.1:${web.port}`), 1)
      client.close()
      await until(() => records.length === i + 1, 'a record')
      t.match(records[i], { status: 101, fault: '' })
      t.ok((records[i]?.bytesIn ?? 0) > 100_000)
    }
    t.equal(memory.inFlight('pool-1', `127.0.0.1:${web.port}`), 0)
    const denied = new WebSocket(`ws://127.0.0.1:${port()}/no`)
    const error = await new Promise<Error>(resolve => denied.once('error', resolve))
    t.match(error.message, /403/)
  })

  t.test('what is no sound handshake is no tunnel', async t => {
    const web = await openHttpServer(t, (request, response) => response.end(`plain ${request.headers.upgrade ?? 'no upgrade'}`))
    const { load, port } = open(t)
    const pools = [aPool([web.port])]
    await load(aSnapshot({ services: [aService()], pools }))
    const handshake = (version: string): string =>
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ${version}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
    t.match((await sendRaw(port(), handshake('777'))).text, /^HTTP\/1.1 400 /)
    t.match((await sendRaw(port(), handshake('13'))).text, /^HTTP\/1.1 200 OK[^]*plain websocket/, 'a server may decline')
    await load(aSnapshot({ services: [aService({ http: { isWebsocketEnabled: false } })], pools }))
    t.match((await sendRaw(port(), handshake('13'))).text, /^HTTP\/1.1 200 OK[^]*plain no upgrade/)
    const liar = await openTcpServer(t, socket =>
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: bm8=\r\n\r\n')
      )
    )
    await load(aSnapshot({ services: [aService()], pools: [aPool([liar.port])] }))
    t.match((await sendRaw(port(), handshake('13'))).text, /^HTTP\/1.1 502 /)
  })

  t.test('100-continue is said when the body is wanted, and not when the answer is known', async t => {
    const web = await openHttpServer(t, (request, response) => {
      let size = 0
      request.on('data', (chunk: Buffer) => (size += chunk.length))
      request.on('end', () => response.end(`got ${size} ${request.headers.expect ?? 'unexpected'}`))
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService({ http: { maxBodyBytes: 10 } })], pools: [aPool([web.port])] }))
    const head = (length: number): string => `POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`
    const socket = connect(port(), '127.0.0.1')
    t.teardown(() => socket.destroy())
    let seen = ''
    socket.on('data', chunk => (seen += chunk.toString()))
    socket.write(head(5))
    await until(() => seen.includes('100 Continue'), 'the go-ahead')
    socket.write('hello')
    await until(() => seen.endsWith('got 5 unexpected'), 'the answer')
    t.equal(seen.match(/HTTP\/1.1/g)?.length, 2)
    const { text } = await sendRaw(port(), head(11))
    t.match(text, /^HTTP\/1.1 413 /)
    t.notMatch(text, /100 Continue/)
  })

  t.test('a body over the limit is refused, also when it does not say so', async t => {
    const web = await openHttpServer(t, (request, response) => {
      request.resume()
      request.on('end', () => response.end('whole'))
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService({ http: { maxBodyBytes: 100_000 } })], pools: [aPool([web.port])] }))
    t.match((await sendRaw(port(), `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n`)).text, /^HTTP\/1.1 413 /)
    const chunk = `2710\r\n${'x'.repeat(10_000)}\r\n`
    const { text } = await sendRaw(port(), `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(11)}0\r\n\r\n`)
    t.match(text, /^HTTP\/1.1 413 /)
    t.equal((await ask(port(), { method: 'POST', body: 'x'.repeat(100_000) })).body, 'whole')
  })

  t.test('a header or a body that does not come is answered 408', async t => {
    const web = await openHttpServer(t, (request, response) => request.resume().on('end', () => response.end()))
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService({ http: { headerTimeoutMs: 300, bodyTimeoutMs: 300 } })], pools: [aPool([web.port])] }))
    const [header, body, silent] = await Promise.all([
      sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\n'),
      sendRaw(port(), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf'),
      sendRaw(port(), '')
    ])
    t.match(header.text, /^HTTP\/1.1 408 /)
    t.match(body.text, /^HTTP\/1.1 408 /)
    t.equal(silent.text, '', 'who said nothing is told nothing')
  })

  t.test('a server that does not answer in time is 504, one that does not take the connection too', async t => {
    const silent = await openTcpServer(t, () => undefined)
    const { load, port, memory } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([silent.port], { serverTimeoutMs: 100 })] }))
    t.equal((await ask(port())).status, 504)
    t.equal(memory.inFlight('pool-1', `127.0.0.1:${silent.port}`), 0)
  })

  t.test('an answer ahead of the request reaches the client, and the connection ends', async t => {
    const web = await openHttpServer(t, (_request, response) => response.writeHead(401, { 'content-length': 2 }).end('no'))
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const { text } = await sendRaw(port(), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nthe beginning')
    t.match(text, /^HTTP\/1.1 401 [^]*connection: close[^]*no$/i)
    t.equal((await ask(port())).status, 401)
  })

  t.test('pipelined requests are answered in order', async t => {
    const web = await openHttpServer(
      t,
      (request, response) => void setTimeout(() => response.end(`<${request.url}>`), request.url === '/1' ? 30 : 0)
    )
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const requests = [1, 2, 3].map(
      n => `POST /${n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n${n === 3 ? 'Connection: close\r\n' : ''}\r\nabc`
    )
    const { text } = await sendRaw(port(), requests.join(''))
    t.same(text.match(/<\/\d>/g), ['</1>', '</2>', '</3>'])
  })

  t.test('a connection has so many requests as the profile says', async t => {
    const web = await openHttpServer(t, (_request, response) => response.end('ok'))
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService({ http: { maxRequestsPerConnection: 2 } })], pools: [aPool([web.port])] }))
    const { text } = await sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3))
    t.equal(text.match(/HTTP\/1.1 200/g)?.length, 2)
    t.equal(text.match(/connection: close/gi)?.length, 1)
  })

  t.test('a client that goes takes its request along, and nothing stays in flight', async t => {
    let gone = 0
    const web = await openHttpServer(t, (_request, response) => response.on('close', () => gone++))
    const { load, port, memory, records } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const socket: Socket = connect(port(), '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => web.requests.length === 1, 'the request')
    socket.destroy()
    await until(() => gone === 1 && records.length === 1, 'the end')
    t.equal(records[0]?.fault, 'DOWNSTREAM_RESET')
    t.equal(memory.inFlight('pool-1', `127.0.0.1:${web.port}`), 0)
  })

  t.test('HTTP/1.0 clients get an answer that ends with the connection', async t => {
    const web = await openHttpServer(t, (_request, response) => {
      response.write('a')
      response.end('b')
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const { text } = await sendRaw(port(), 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
    t.match(text, /^HTTP\/1.1 200 OK/)
    t.notMatch(text, /chunked/i)
    t.match(text, /\r\n\r\nab$/)
  })

  t.test('memory is bounded: a reader that stops stops the server', async t => {
    let written = 0
    const web = await openHttpServer(t, (_request, response) => {
      const chunk = Buffer.alloc(65_536)
      const more = (): void => {
        do written += chunk.length
        while (response.write(chunk) && written < 200_000_000)
      }
      response.on('drain', more)
      more()
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const socket = connect(port(), '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.pause()
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => written > 0, 'a beginning')
    let before = -1
    await until(() => {
      const isStill = written === before
      before = written
      return isStill
    }, 'the server stopped')
    t.ok(written < 100_000_000, `${written} bytes written to nobody`)
  })
}
