import t from 'tap'
import { aPool, aResponseRule, aRule, aService, aSnapshot, noMatch } from '#test/support/snapshot.ts'
import { ask, closedPort, openHttpServer, openTestPlane, until } from '#test/support/data-plane.ts'

const regex = (...values: string[]) => ({ operator: 'regex', values, isCaseSensitive: false }) as const

t.test('patterns choose by path and query; a text too long for its pattern passes nowhere', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const api = await openHttpServer(t, (_request, response) => response.end('api'))
  const { load, port, bugs } = openTestPlane(t)
  const rules = [
    aRule({ match: { path: regex('^/V[0-9]+/') }, action: { is: 'switch', target: { is: 'pool', poolId: 'api' } } }),
    aRule({ match: { query: regex('(^|&)(a+)+=1$') }, action: { is: 'respond', status: 418, contentType: '', bodyBase64: '' } }),
    aRule({ match: { path: regex(`^/(?:${'a?'.repeat(100)})b$`) }, action: { is: 'close' } })
  ]
  t.same(
    await load(
      aSnapshot({
        services: [aService({ requestRules: rules })],
        pools: [aPool([web.port]), aPool([api.port], { id: 'api', name: 'api' })]
      })
    ),
    []
  )
  t.equal((await ask(port(), { path: '/v12/x' })).body, 'api')
  t.equal((await ask(port(), { path: '/vx/x' })).body, 'web')
  t.equal((await ask(port(), { path: '/?b=2&aaa=1' })).status, 418)
  t.equal((await ask(port(), { path: `/${'a'.repeat(5_000)}` })).status, 414, 'neither answer would be safe')
  t.same(bugs, [])
})

t.test('a Location of a server is made anew where a rule for answers matches it', async t => {
  const web = await openHttpServer(t, (request, response) => {
    response.writeHead(302, { location: request.url === '/out' ? 'http://other.test/a' : 'http://inner.test:8080/a/b?c=1' }).end()
  })
  const { load, port } = openTestPlane(t)
  const starts = { operator: 'begins-with', values: ['http://inner.'], isCaseSensitive: false } as const
  const rule = aResponseRule({
    match: { ...noMatch, responseHeaders: [{ name: 'Location', ...starts }] },
    location: {
      protocol: 'https',
      port: null,
      host: [{ literal: 'shop.test' }],
      path: [{ from: 'path', start: 1, end: 65535 }],
      keepsQuery: true
    }
  })
  await load(aSnapshot({ services: [aService({ responseRules: [rule] })], pools: [aPool([web.port])] }))
  t.equal((await ask(port(), { path: '/in' })).headers.location, 'https://shop.test/b?c=1')
  t.equal((await ask(port(), { path: '/out' })).headers.location, 'http://other.test/a')
})

t.test('a pool that is down is stood in for, and an operator says what an error looks like', async t => {
  const spare = await openHttpServer(t, (_request, response) => response.end('spare'))
  const { load, port } = openTestPlane(t)
  const down = aPool([], { failAction: { is: 'pool', poolId: 'spare' } })
  const errorPages = [
    {
      status: [{ from: 503, to: 503 }],
      location: null,
      contentType: 'text/html',
      bodyBase64: Buffer.from('<h1>soon</h1>').toString('base64')
    }
  ]
  const services = [aService({ errorPages })]
  await load(aSnapshot({ services, pools: [down, aPool([spare.port], { id: 'spare', name: 'spare' })] }))
  t.equal((await ask(port())).body, 'spare')
  await load(aSnapshot({ services, pools: [down, aPool([], { id: 'spare', name: 'spare' })], revision: 2 }))
  t.match(await ask(port()), { status: 503, body: '<h1>soon</h1>', headers: { 'content-type': 'text/html' } })
  // A server's own error is not ours to dress.
  const broken = await openHttpServer(t, (_request, response) => response.writeHead(503).end('theirs'))
  await load(aSnapshot({ services, pools: [aPool([broken.port])], revision: 3 }))
  t.match(await ask(port()), { status: 503, body: 'theirs' })
  await load(aSnapshot({ services, pools: [aPool([await closedPort()])], revision: 4 }))
  t.match(await ask(port()), { status: 502, body: /502/ })
})

t.test('URLs are made of what a pattern caught and of the values of text groups', async t => {
  const web = await openHttpServer(t, (request, response) => {
    const location = request.url?.startsWith('/moved') === true ? { location: 'http://inner.test/x/y' } : {}
    response.writeHead(200, location).end(`${request.headers.host ?? ''} ${request.url ?? ''}`)
  })
  const { load, port, bugs } = openTestPlane(t)
  const caught = (pattern: string, start: number, end: number, of: 'path' | 'query' = 'path') =>
    ({ from: 'caught', of, patterns: [pattern], isCaseSensitive: false, start, end }) as const
  const to = { is: 'redirect', status: 302, protocol: 'https', port: null, host: null, path: null, keepsQuery: false } as const
  const user = '^/u/([^/]+)/(.*)$'
  const lang = '(^|&)lang=(..)'
  const keys = { operator: 'begins-with', values: ['/shop', '/shop/new'], isCaseSensitive: false } as const
  const rules = [
    aRule({
      match: { path: regex(user), query: regex(lang) },
      action: {
        ...to,
        host: [caught(user, 1, 1), { literal: '.' }, { literal: 'users.test' }],
        path: [caught(lang, 2, 2, 'query'), { literal: '/' }, caught(user, 2, 65_535)]
      }
    }),
    aRule({
      match: { path: keys },
      action: {
        ...to,
        path: [
          {
            from: 'pair',
            of: 'path',
            operator: 'begins-with',
            isCaseSensitive: false,
            pairs: [
              ['/shop/new', '/2'],
              ['/shop', '/1']
            ]
          }
        ]
      }
    }),
    aRule({
      match: { path: regex('^/t/(\\w+)') },
      rewrite: { host: [caught('^/t/(\\w+)', 1, 1), { literal: '.inner.test' }], path: [caught('^/t/(\\w+)', 0, 0)], query: null }
    })
  ]
  const moved = '^/moved/(\\w+)'
  const responseRules = [
    aResponseRule({
      match: { ...noMatch, path: regex(moved) },
      location: {
        protocol: 'https',
        port: null,
        host: null,
        path: [caught(moved, 1, 1), { literal: '/' }, { from: 'path', start: 1, end: 1 }],
        keepsQuery: true
      }
    })
  ]
  const services = [aService({ requestRules: rules, responseRules })]
  t.same(await load(aSnapshot({ services, pools: [aPool([web.port])] })), [])
  const location = async (path: string): Promise<unknown> => (await ask(port(), { path, headers: { host: 'a.test' } })).headers.location
  t.equal(await location('/U/Ann/Photos/1?x&Lang=de'), 'https://Ann.users.test/de/Photos/1')
  t.equal(await location('/u/evil.test%23/x?lang=de'), 'https://evil.test.23.users.test/de/x')
  t.equal(await location('/u/ann/x'), undefined, 'no rule without the query')
  t.equal(await location('/Shop/New/x'), 'https://a.test/2')
  t.equal(await location('/shop'), 'https://a.test/1')
  t.equal(await location('/moved/here'), 'https://inner.test/here/y')
  t.equal((await ask(port(), { path: '/T/blue/rest' })).body, 'blue.inner.test /T/blue')
  t.same(bugs, [])
})

t.test('patterns choose by headers, cookies and hosts, and by what a server answers', async t => {
  const web = await openHttpServer(t, (request, response) =>
    response.setHeader('x-kind', request.url === '/old' ? 'v1.9' : 'v2.0').end('web')
  )
  const { load, port, bugs } = openTestPlane(t)
  const respond = (status: number) => ({ is: 'respond', status, contentType: '', bodyBase64: '' }) as const
  const requestRules = [
    aRule({ match: { headers: [{ name: 'User-Agent', ...regex('^(curl|wget)/') }] }, action: respond(401) }),
    aRule({ match: { cookie: { name: 'side', ...regex('^b(eta)?$') } }, action: respond(402) }),
    aRule({ match: { host: regex('^shop-[0-9]+\\.test$') }, action: respond(403) }),
    aRule({
      match: { headers: [{ name: 'X-Must', operator: 'not-regex', values: ['^[a-z]+$'], isCaseSensitive: true }] },
      action: respond(404)
    })
  ]
  const responseRules = [
    aResponseRule({
      match: { ...noMatch, responseHeaders: [{ name: 'X-Kind', ...regex('^V1\\.') }] },
      headerActions: [{ is: 'replace', name: 'Warning', value: 'old' }]
    })
  ]
  const services = [aService({ requestRules, responseRules })]
  t.same(await load(aSnapshot({ services, pools: [aPool([web.port])] })), [])
  const asked = async (headers: Record<string, string>, path = '/') => ask(port(), { path, headers: { 'x-must': 'yes', ...headers } })
  t.equal((await asked({ 'user-agent': 'Curl/8' })).status, 401)
  t.equal((await asked({ cookie: 'x=1; side=BETA' })).status, 402)
  t.equal((await asked({ cookie: 'side=better' })).status, 200)
  t.equal((await asked({ host: 'SHOP-12.test:80' })).status, 403)
  t.equal((await asked({ host: 'shop-x.test' })).status, 200)
  t.equal((await asked({ 'x-must': 'Yes' })).status, 404)
  t.equal((await ask(port())).status, 404, 'what is not there does not match')
  t.equal((await asked({}, '/old')).headers['warning'], 'old')
  t.equal((await asked({}, '/new')).headers['warning'], undefined)
  t.same(bugs, [])
})

t.test('an answer that a rule cannot be asked about does not go out, and nothing else ends', async t => {
  const web = await openHttpServer(t, (request, response) =>
    response.setHeader('x-long', 'a'.repeat(request.url === '/long' ? 6_000 : 6)).end('web')
  )
  const { load, port, bugs, records } = openTestPlane(t)
  const long = regex(`^/?(?:${'a?'.repeat(100)})b$`)
  const rules = [
    aResponseRule({ match: { ...noMatch, path: long }, headerActions: [{ is: 'add', name: 'x-a', value: '1' }] }),
    aResponseRule({
      match: { ...noMatch, responseHeaders: [{ name: 'X-Long', ...long }] },
      headerActions: [{ is: 'add', name: 'x-b', value: '1' }]
    })
  ]
  t.same(await load(aSnapshot({ services: [aService({ responseRules: rules })], pools: [aPool([web.port])] })), [])
  t.equal((await ask(port(), { path: '/aab' })).headers['x-a'], '1')
  await t.rejects(ask(port(), { path: `/${'a'.repeat(5_000)}` }))
  await t.rejects(ask(port(), { path: '/long' }))
  t.equal((await ask(port(), { path: '/short' })).body, 'web')
  await until(() => records.length === 4, 'records')
  t.same(
    records.map(({ fault }) => fault),
    ['', 'DOWNSTREAM_TARGET_TOO_LONG', 'DOWNSTREAM_TARGET_TOO_LONG', '']
  )
  t.same(bugs, [])
})
