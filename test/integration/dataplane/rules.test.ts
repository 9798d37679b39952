import t from 'tap'
import { aPool, aResponseRule, aRule, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, openHttpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'

t.test('rules switch by host and path, redirect, respond, close, rewrite and change fields', async t => {
  const blue = await openHttpServer(t, (request, response) =>
    response.end(`blue ${request.url} ${request.headers.host} ${String(request.headers['x-who'] ?? '')}`)
  )
  const green = await openHttpServer(t, (_request, response) => response.setHeader('x-version', '42').end('green'))
  const { load, port, records } = openTestPlane(t)
  const equals = (value: string) => ({ operator: 'equals', values: [value], isCaseSensitive: false }) as const
  const starts = (value: string) => ({ operator: 'begins-with', values: [value], isCaseSensitive: false }) as const
  const rules = [
    aRule({
      headerActions: [
        { is: 'add', name: 'X-Who', value: '$client_ip at $vs_name' },
        { is: 'remove', name: 'X-Gone', value: '' }
      ]
    }),
    aRule({ name: 'p / green', match: { host: equals('green.test') }, action: { is: 'switch', target: { is: 'pool', poolId: 'green' } } }),
    aRule({
      name: 'p / moved',
      match: { path: starts('/old/') },
      action: {
        is: 'redirect',
        status: 302,
        protocol: 'https',
        port: null,
        host: [{ literal: 'new.test' }],
        path: [{ literal: '/new/' }, { from: 'path', start: 1, end: 65535 }],
        keepsQuery: true
      }
    }),
    aRule({
      name: 'p / page',
      match: { path: equals('/page') },
      action: { is: 'respond', status: 418, contentType: 'text/html', bodyBase64: Buffer.from('<b>tea</b>').toString('base64') }
    }),
    aRule({ name: 'p / shut', match: { method: { isNegated: true, methods: ['GET', 'POST'] } }, action: { is: 'close' } }),
    aRule({
      name: 'p / rewritten',
      match: { path: starts('/api/') },
      rewrite: {
        host: [{ literal: 'inner.test' }],
        path: [{ literal: '/v1/' }, { from: 'path', start: 1, end: 65535 }],
        query: { keepsExisting: true, add: 'x=1' }
      }
    })
  ]
  const responseRules = [
    aResponseRule({ status: [{ from: 200, to: 299 }], headerActions: [{ is: 'replace', name: 'X-Version', value: 'hidden' }] })
  ]
  const snapshot = aSnapshot({
    services: [aService({ requestRules: rules, responseRules })],
    pools: [aPool([blue.port]), aPool([green.port], { id: 'green', name: 'green' })]
  })
  t.same(await load(snapshot), [])

  t.match((await ask(port(), { path: '/x', headers: { 'x-gone': '1' } })).body, /^blue \/x 127.0.0.1:\d+ 127.0.0.1 at shop$/)
  t.notOk(blue.requests[0]?.headers['x-gone'])
  const fromGreen = await ask(port(), { headers: { host: 'GREEN.test:80' } })
  t.match(fromGreen, { body: 'green', headers: { 'x-version': 'hidden' } })
  t.match(await ask(port(), { path: '/old/a/b?c=d' }), { status: 302, headers: { location: 'https://new.test/new/a/b?c=d' } })
  t.match(await ask(port(), { path: '/page' }), { status: 418, body: '<b>tea</b>', headers: { 'content-type': 'text/html' } })
  t.equal((await sendRaw(port(), 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')).text, '')
  t.match((await ask(port(), { path: '/api/items?y=2' })).body, /^blue \/v1\/items\?y=2&x=1 inner.test/)
  await until(() => records.length === 6, 'records')
  t.same(
    records.map(record => record.rule),
    ['', 'p / green', 'p / moved', 'p / page', 'p / shut', '']
  )
})

t.test('http goes to https, with HSTS said over TLS only', async t => {
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ http: { isHttpToHttps: true, hstsMaxAgeS: 100 } })] }))
  const answer = await ask(port(), { path: '/a?b', headers: { host: 'shop.test:8080' } })
  t.match(answer, { status: 301, headers: { location: 'https://shop.test/a?b' } })
  t.notOk(answer.headers['strict-transport-security'])
  t.equal((await ask(port(), { method: 'POST', headers: { host: 'shop.test' }, body: 'x' })).status, 308)
})

t.test('an address that a network rule denies is not served, and a service without traffic neither', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('ok'))
  const { load, port } = openTestPlane(t)
  const rule = { name: 'n / deny', ranges: ['127.0.0.0/8'], isNegated: false, ports: [], action: 'deny' } as const
  const pools = [aPool([web.port])]
  await load(aSnapshot({ services: [aService({ networkRules: [rule] })], pools }))
  t.equal((await sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).text, '')
  await load(aSnapshot({ services: [aService({ networkRules: [{ ...rule, isNegated: true }] })], pools }))
  t.equal((await ask(port())).body, 'ok')
  await load(aSnapshot({ services: [aService({ isTrafficEnabled: false })], pools }))
  t.equal((await sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).text, '')
})

t.test('a group sends by ratio to its highest priority that can, and says what it was told when none can', async t => {
  const [a, b, spare] = await Promise.all(['a', 'b', 'spare'].map(name => openHttpServer(t, (_request, response) => response.end(name))))
  const { load, port } = openTestPlane(t)
  const member = (poolId: string, ratio: number, priority: number) => ({ poolId, ratio, priority })
  const group = {
    is: 'group',
    id: 'g',
    name: 'group',
    members: [member('a', 3, 10), member('b', 1, 10), member('spare', 1, 1)],
    failAction: { is: 'respond', status: 503, contentType: 'text/plain', bodyBase64: Buffer.from('later').toString('base64') }
  } as const
  const services = [aService({ target: group })]
  const pool = (id: string, servers: readonly number[]) => aPool(servers, { id, name: id })
  const bodies = async (count: number): Promise<string[]> => {
    const seen: string[] = []
    for (let i = 0; i < count; i++) seen.push((await ask(port())).body)
    return seen
  }
  await load(aSnapshot({ services, pools: [pool('a', [a!.port]), pool('b', [b!.port]), pool('spare', [spare!.port])] }))
  const eight = await bodies(8)
  t.equal(eight.filter(body => body === 'a').length, 6)
  t.equal(eight.filter(body => body === 'b').length, 2)
  await load(aSnapshot({ services, pools: [pool('a', []), pool('b', []), pool('spare', [spare!.port])] }))
  t.same(await bodies(2), ['spare', 'spare'])
  await load(aSnapshot({ services, pools: [pool('a', []), pool('b', []), pool('spare', [])] }))
  t.same(await bodies(1), ['later'])
})

t.test('a limit on a server is kept over its exchanges: others wait in the queue, and one too many is told', async t => {
  let open = 0
  let most = 0
  const web = await openHttpServer(t, (_request, response) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open--
      response.end('ok')
    }, 10)
  })
  const { load, port, memory } = openTestPlane(t)
  const pools = (depth: number) => [aPool([web.port], { maxConnectionsPerServer: 2, queue: { depth } })]
  await load(aSnapshot({ services: [aService()], pools: pools(20) }))
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port())))
  t.ok(answers.every(answer => answer.status === 200))
  t.equal(most, 2)
  await load(aSnapshot({ services: [aService()], pools: pools(1) }))
  const statuses = (await Promise.all(Array.from({ length: 10 }, () => ask(port())))).map(answer => answer.status)
  t.ok(statuses.includes(503) && statuses.includes(200), `${statuses.join()}`)
  t.equal(memory.inFlight('pool-1', `127.0.0.1:${web.port}`), 0)
})

t.test('verdicts decide: what is down is not used, what is unknown only before anything is up', async t => {
  const [a, b] = await Promise.all(['a', 'b'].map(name => openHttpServer(t, (_request, response) => response.end(name))))
  const { load, port, memory } = openTestPlane(t)
  const monitors = [
    {
      id: 'm',
      name: 'm',
      probe: { is: 'tcp', request: null, response: null, maintenanceResponse: null, isHalfOpen: false },
      sendIntervalMs: 1000,
      receiveTimeoutMs: 500,
      successfulChecks: 1,
      failedChecks: 1,
      port: null,
      isQuickStart: true
    }
  ] as const
  await load(aSnapshot({ services: [aService()], pools: [aPool([a!.port, b!.port], { monitors })] }))
  const seen = async (): Promise<string> => {
    const bodies = new Set<string>()
    for (let i = 0; i < 6; i++) bodies.add((await ask(port())).body.slice(0, 3))
    return [...bodies].toSorted().join()
  }
  const judge = async (server: number, verdict: 'up' | 'down'): Promise<void> => {
    memory.judge('pool-1', `127.0.0.1:${server}`, verdict)
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  t.equal(await seen(), 'a,b')
  await judge(a!.port, 'up')
  t.equal(await seen(), 'a')
  await judge(b!.port, 'up')
  t.equal(await seen(), 'a,b')
  await judge(a!.port, 'down')
  t.equal(await seen(), 'b')
  await judge(b!.port, 'down')
  t.equal(await seen(), '503')
})

t.test('a rule that names a server of the pool reaches it for as long as it can, and the pool chooses otherwise', async t => {
  const servers = await Promise.all(['one', 'two', 'three'].map(name => openHttpServer(t, (_request, response) => response.end(name))))
  const { load, port } = openTestPlane(t)
  const pool = aPool(servers.map(server => server.port))
  const named = aRule({ action: { is: 'switch', target: { is: 'pool', poolId: 'pool-1' }, serverId: `127.0.0.1:${servers[1]!.port}` } })
  await load(aSnapshot({ services: [aService({ requestRules: [named] })], pools: [pool] }))
  for (let i = 0; i < 6; i++) t.equal((await ask(port())).body, 'two')
  const isEnabled = false
  const without = { ...pool, servers: pool.servers.map((server, i) => (i === 1 ? { ...server, isEnabled } : server)) }
  await load(aSnapshot({ revision: 2, services: [aService({ requestRules: [named] })], pools: [without] }))
  for (let i = 0; i < 6; i++) t.match((await ask(port())).body, /one|three/)
})

t.test('single cookies are added, replaced and taken out, on their way to servers and to clients', async t => {
  const web = await openHttpServer(t, (request, response) => {
    response.setHeader('set-cookie', ['theme=light; Path=/', 'session=7; HttpOnly']).end(request.headers.cookie ?? 'none')
  })
  const { load, port } = openTestPlane(t)
  const requestRules = [
    aRule({
      headerActions: [
        { is: 'remove', of: 'cookie', name: 'tracking', value: '' },
        { is: 'replace', of: 'cookie', name: 'side', value: '$vs_name' }
      ]
    })
  ]
  const responseRules = [
    aResponseRule({
      headerActions: [
        { is: 'remove', of: 'cookie', name: 'theme', value: '' },
        { is: 'add', of: 'cookie', name: 'seen', value: 'yes; Max-Age=60' }
      ]
    })
  ]
  t.same(await load(aSnapshot({ services: [aService({ requestRules, responseRules })], pools: [aPool([web.port])] })), [])
  const answer = await ask(port(), { headers: { cookie: 'tracking=1; id=2; side=other' } })
  t.equal(answer.body, 'id=2; side=shop')
  t.same(answer.headers['set-cookie'], ['session=7; HttpOnly', 'seen=yes; Max-Age=60'])
  t.equal((await ask(port(), { headers: { cookie: 'tracking=1' } })).body, 'side=shop')
})
