import type { Test } from 'tap'
import { aPool, aRule, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, openHttpServer, openTcpServer, sendRaw, until, type OpenPlane } from '#test/support/data-plane.ts'

/** Bytes of one connection -> the status that is due. Nothing of them may reach the server. */
const refused: readonly (readonly [what: string, bytes: string, status: number])[] = [
  ['length and coding', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['coding and length', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n', 400],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!', 400],
  ['two equal lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello', 400],
  ['a list of lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello', 400],
  ['a signed length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello', 400],
  ['a hexadecimal length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello', 400],
  ['an empty length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n', 400],
  ['a coding that is not chunked', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 400],
  ['a coding twice', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['a coding that is nearly chunked', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', 400],
  ['chunked last but one', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n', 400],
  ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['a bare line feed', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  ['a bare line feed in the fields', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: w\r\n\r\n', 400],
  ['a bare carriage return', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n', 400],
  ['a folded field', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n', 400],
  ['a space before the colon', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello', 400],
  ['a field without a name', 'GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n', 400],
  ['a NUL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n', 400],
  ['no host', 'GET / HTTP/1.1\r\nX: y\r\n\r\n', 400],
  ['two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['a host that is none', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a target for another host', 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target in no form', 'GET a/b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a hidden climb', 'GET /a%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a hidden backslash', 'GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a hidden NUL', 'GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a path that climbs out', 'GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a chunk size that is none', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n', 400],
  ['a chunk that is longer than it says', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n', 400],
  ['CONNECT', 'CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n', 501],
  ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 501],
  ['a method that is none', 'G@T / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['another protocol', 'SSH-2.0-OpenSSH_9.9\r\n\r\n', 400],
  ['a header over the limit', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
  ['too many fields', `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(300)}\r\n`, 431],
  ['an expectation that is not known', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n', 417]
]

export function strictnessContract(t: Test, open: OpenPlane): void {
  t.test('what is not understood exactly is refused, the connection closes and the server sees no whole request', async t => {
    const web = await openHttpServer(t, (_request, response) => response.end('reached'))
    const { load, port, records, bugs } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
    for (const [what, bytes, status] of refused) {
      const { text } = await sendRaw(port(), `${bytes}GET /second HTTP/1.1\r\nHost: a\r\n\r\n`)
      t.match(text, new RegExp(`^HTTP/1.1 ${status} `), what)
      t.equal(text.match(/HTTP\/1.1/g)?.length, 1, `${what}: what follows is not answered`)
      t.match(text, /connection: close/i, `${what}: said to be the last`)
    }
    t.equal((await ask(port())).body, 'reached', 'others are served')
    const whole = web.requests.filter(request => request.complete && request.url !== '/')
    t.same(whole, [])
    await until(() => records.length === refused.length + 1, `a record of each: ${records.length}`)
    t.same(bugs, [])
  })

  t.test('fields that end at this hop do not pass, either way, and nobody can have ours removed', async t => {
    const tcp = await openTcpServer(t, socket => {
      socket.once('data', chunk => {
        const body = chunk.toString()
        socket.write(
          `HTTP/1.1 200 OK\r\nConnection: x-secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nX-Kept: 1\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        )
      })
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([tcp.port])] }))
    const bytes = [
      'GET / HTTP/1.1',
      'Host: a',
      'Connection: close, X-Hop, X-Forwarded-For, X-Request-Id, Host',
      'X-Hop: 1',
      'Keep-Alive: 1',
      'Proxy-Connection: x',
      'Proxy-Authorization: x',
      'TE: trailers',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA',
      'X_Forwarded_For: 6.6.6.6',
      'X-Stays: 1'
    ]
    const { text } = await sendRaw(port(), `${bytes.join('\r\n')}\r\n\r\n`)
    t.match(text, /^HTTP\/1.1 200/)
    const [answer = '', seen = ''] = text.split(/\r\n\r\n/)
    for (const name of [
      'x-hop',
      'keep-alive: 1',
      'proxy-connection',
      'proxy-authorization',
      'te:',
      'h2c',
      'http2-settings',
      'x_forwarded_for'
    ])
      t.notMatch(seen.toLowerCase(), name)
    t.match(seen, /x-forwarded-for: 127.0.0.1/)
    t.match(seen, /x-request-id: /)
    t.match(seen, /x-stays: 1/)
    t.match(answer, /x-kept: 1/)
    t.notMatch(answer.toLowerCase(), /x-secret|proxy-authenticate|timeout=5/)
  })

  t.test('a deny rule on a path is not walked around', async t => {
    const web = await openHttpServer(t, (request, response) => response.end(`reached ${request.url}`))
    const { load, port } = open(t)
    const deny = aRule({
      name: 'policy / no admin',
      match: { path: { operator: 'begins-with', values: ['/admin'], isCaseSensitive: false } },
      action: { is: 'respond', status: 403, contentType: 'text/plain', bodyBase64: Buffer.from('denied').toString('base64') }
    })
    const exact = aRule({
      match: { path: { operator: 'equals', values: ['/secret'], isCaseSensitive: false } },
      action: { is: 'close' }
    })
    await load(aSnapshot({ services: [aService({ requestRules: [deny, exact] })], pools: [aPool([web.port])] }))
    const ways = [
      '/admin',
      '//admin',
      '/./admin',
      '/a/../admin',
      '/%61dmin',
      '/%2e/admin',
      '/a/%2E%2e/admin',
      '/ADMIN',
      '/admin;x=1',
      '///a/..//admin/b',
      '/admin?x',
      '/%2fadmin',
      '/admin%2Fx',
      'http://a/admin',
      'HTTP://A//admin'
    ]
    for (const way of ways) {
      const { text } = await sendRaw(port(), `GET ${way} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
      t.match(text, /^HTTP\/1.1 403 /, way)
    }
    for (const way of ['/..;/admin', '/a%2f..%2fadmin', '/a\\..\\admin', '/%5cadmin']) {
      t.match((await sendRaw(port(), `GET ${way} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)).text, /^HTTP\/1.1 400 /, way)
    }
    for (const way of ['/secret', '/secret;a=b', '//secret'])
      t.equal((await sendRaw(port(), `GET ${way} HTTP/1.1\r\nHost: a\r\n\r\n`)).text, '', way)
    t.same(web.requests, [])
    t.match((await sendRaw(port(), 'GET /x/../b%41//c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).text, /reached \/bA\/\/c/)
    t.match((await sendRaw(port(), 'GET /@x%2fy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).text, /reached \/@x%2Fy/)
  })

  t.test('the answer of a server that is not understood exactly does not pass', async t => {
    const answers: readonly (readonly [what: string, bytes: string])[] = [
      ['length and coding', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
      ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'],
      ['no HTTP', 'hello there\r\n\r\n'],
      [
        'a change of protocol that nobody asked for',
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
      ]
    ]
    for (const [what, bytes] of answers) {
      const tcp = await openTcpServer(t, socket => socket.once('data', () => socket.write(bytes)))
      const { load, port } = open(t)
      await load(aSnapshot({ services: [aService()], pools: [aPool([tcp.port])] }))
      t.match((await sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).text, /^HTTP\/1.1 502 /, what)
    }
  })

  t.test('bytes beyond a response are nobody else\u2019s answer', async t => {
    const tcp = await openTcpServer(t, socket => {
      socket.on('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'), 5)
      })
    })
    const { load, port } = open(t)
    await load(aSnapshot({ services: [aService()], pools: [aPool([tcp.port])] }))
    for (let i = 0; i < 5; i++) {
      t.equal((await ask(port())).body, 'ok')
      await new Promise(resolve => setTimeout(resolve, 15))
    }
  })
}
