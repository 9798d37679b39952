import { Agent } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, closedPort, openHttpServer, openTcpServer, sendRaw, until, type OpenPlane } from '#test/support/data-plane.ts'

export function exchangeContract(t: Test, open: OpenPlane): void {
  t.test('an exchange reaches a server and comes back, with its address, id and protocol told', async t => {
    const web = await openHttpServer(t, (request, response) => {
      response.setHeader('x-server', 'one')
      response.end(JSON.stringify({ url: request.url, headers: request.headers }))
    })
    const { load, port, records, bugs } = open(t)
    t.same(await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] })), [])
    const answer = await ask(port(), { path: '/a?b=c', headers: { 'x-forwarded-for': '6.6.6.6', 'user-agent': 'test' } })
    t.equal(answer.status, 200)
    t.equal(answer.headers['x-server'], 'one')
    const seen = JSON.parse(answer.body)
    t.equal(seen.url, '/a?b=c')
    t.match(seen.headers, {
      host: `127.0.0.1:${port()}`,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-request-id': String
    })
    t.equal(answer.headers['x-request-id'], seen.headers['x-request-id'])
    await until(() => records.length === 1, 'a record')
    t.match(records[0], {
      status: 200,
      path: '/a?b=c',
      method: 'GET',
      poolName: 'web',
      server: `127.0.0.1:${web.port}`,
      userAgent: 'test',
      fault: '',
      clientIp: '127.0.0.1'
    })
    t.same(bugs, [])
  })

  t.test('connections to a server are kept and used again', async t => {
    const web = await openHttpServer(t, (_request, response) => response.end('ok'))
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    for (let i = 0; i < 20; i++) t.equal((await ask(port(), { agent })).body, 'ok')
    t.equal(web.connections(), 1)
    t.equal(web.requests.length, 20)
  })

  t.test('bodies pass both ways, by length and in chunks, whatever the method', async t => {
    const web = await openHttpServer(t, (request, response) => {
      void text(request).then(body =>
        response.end(`${request.method} ${request.headers['content-length'] ?? request.headers['transfer-encoding']} ${body.length}`)
      )
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const body = 'x'.repeat(300_000)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      t.equal((await ask(port(), { method, body, headers: { 'content-length': body.length } })).body, `${method} 300000 300000`)
      t.equal((await ask(port(), { method, body, headers: { 'transfer-encoding': 'chunked' } })).body, `${method} chunked 300000`)
    }
    t.equal(web.requests.length, 10, 'no body was taken for a request')
    t.match((await ask(port(), { method: 'POST' })).body, /^POST .* 0$/)
  })

  t.test('a large chunked answer passes whole and its repeats and order of fields stay', async t => {
    const big = Buffer.alloc(2_000_000, 'y')
    const web = await openHttpServer(t, (_request, response) => {
      response.setHeader('set-cookie', ['a=1', 'b=2'])
      response.write(big.subarray(0, 1000))
      response.end(big.subarray(1000))
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const answer = await ask(port())
    t.equal(answer.body.length, big.length)
    t.same(answer.headers['set-cookie'], ['a=1', 'b=2'])
    t.equal(answer.headers['transfer-encoding'], 'chunked')
  })

  t.test('HEAD, 204 and 304 have no body and keep the connection', async t => {
    const web = await openHttpServer(t, (request, response) => {
      if (request.url === '/204') response.writeHead(204).end()
      else if (request.url === '/304') response.writeHead(304, { etag: '"a"' }).end()
      else response.writeHead(200, { 'content-length': 5 }).end(request.method === 'HEAD' ? undefined : 'hello')
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const head = (method: string, path: string): string => `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    const { text } = await sendRaw(port(), head('HEAD', '/') + head('GET', '/204') + head('GET', '/304') + head('GET', '/'), {
      until: seen => seen.endsWith('hello')
    })
    t.same(text.match(/HTTP\/1.1 (\d+)/g), ['HTTP/1.1 200', 'HTTP/1.1 204', 'HTTP/1.1 304', 'HTTP/1.1 200'])
    t.equal(text.match(/content-length: 5/g)?.length, 2)
    t.notMatch(text, /transfer-encoding/i)
  })

  t.test('a server that refuses is passed over and no request is lost', async t => {
    const web = await openHttpServer(t, (request, response) => void text(request).then(body => response.end(body)))
    const { load, port, records } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([await closedPort(), web.port])] }))
    for (let i = 0; i < 10; i++) t.equal((await ask(port(), { method: 'POST', body: `body ${i}` })).body, `body ${i}`)
    await until(() => records.length === 10, 'the records')
    t.ok(records.every(record => record.server === `127.0.0.1:${web.port}` && record.status === 200))
  })

  t.test('without any server that answers the client is told 502, without a server 503', async t => {
    const { load, port, records } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([await closedPort()])] }))
    t.equal((await ask(port())).status, 502)
    await load(aSnapshot({ services: [aService()], pools: [aPool([])] }))
    t.equal((await ask(port())).status, 503)
    await load(aSnapshot({ services: [aService({ target: null })] }))
    t.equal((await ask(port())).status, 503)
    await until(() => records.length === 3, 'the records')
    t.same(
      records.map(record => record.fault),
      ['UPSTREAM_CONNECT_REFUSED', 'NO_AVAILABLE_SERVER', 'NO_TARGET']
    )
  })

  t.test('a response that breaks off reaches the client as broken off', async t => {
    const heads = ['HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n']
    for (const head of heads) {
      const tcp = await openTcpServer(t, socket => socket.once('data', () => socket.write(head, () => socket.resetAndDestroy())))
      const { load, port, records } = open(t)
      await load(aSnapshot({ services: [aService()], pools: [aPool([tcp.port])] }))
      await t.rejects(ask(port()), 'the client does not take it for whole')
      await until(() => records.length === 1, 'a record')
      t.match(records[0]?.fault, /UPSTREAM_RESET/)
    }
  })

  t.test('a kept connection that the server closed meanwhile costs no request', async t => {
    let isFirst = true
    const tcp = await openTcpServer(t, socket => {
      const dies = isFirst
      isFirst = false
      let count = 0
      socket.on('data', () => {
        count++
        if (dies && count === 2) socket.destroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([tcp.port])] }))
    t.equal((await ask(port())).body, 'ok')
    t.equal((await ask(port())).body, 'ok', 'sent again on a new connection')
  })

  t.test('a POST that a server may have acted on is not sent again', async t => {
    let requests = 0
    const tcp = await openTcpServer(t, socket => {
      socket.on('data', () => {
        requests++
        socket.destroy()
      })
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([tcp.port])] }))
    t.equal((await ask(port(), { method: 'POST', headers: { 'content-length': 0 } })).status, 502)
    t.equal(requests, 1)
  })

  t.test('a head of a server may be large, and one without a host goes on with one', async t => {
    const web = await openHttpServer(t, (request, response) => {
      response.setHeader('x-large', 'y'.repeat(40_000))
      for (let i = 0; i < 1200; i++) response.setHeader(`x-${i}`, '1')
      response.end(request.headers.host)
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    const { text } = await sendRaw(port(), 'GET / HTTP/1.0\r\n\r\n')
    t.match(text, /^HTTP\/1.1 200/)
    t.match(text, new RegExp(`\\r\\n\\r\\n127.0.0.1:${web.port}$`))
    t.match(text, /x-1199: 1/)
  })
}
