import { once } from 'node:events'
import { connect } from 'node:http2'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, closedPort, openHttpServer, openTestPlane, until } from '#test/support/data-plane.ts'
import { aScriptSet } from '#test/support/scripts.ts'
import { aListener, aPool, aRule, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'

t.test('a script changes what goes to the server, and what comes back', async t => {
  const web = await openHttpServer(t, (_request, response) => {
    response.writeHead(200, { 'x-server': 'web', 'content-type': 'text/plain' }).end('hello')
  })
  const { load, port, bugs, records } = openTestPlane(t)
  const request = `
    const { request } = weir
    request.headers.set('x-was', request.path + '?' + request.query)
    request.headers.set('host', 'inner.test')
    request.headers.add('x-cookie', request.cookie('b'))
    request.headers.remove('x-drop')
    request.path = '/new' + request.path
    request.query = 'y=2'
    weir.log('seen', request.method, weir.client.ip)
  `
  const response = `
    weir.response.headers.remove('x-server')
    weir.response.headers.set('x-status', weir.response.status)
    weir.response.status = 202
  `
  const scripts = [aScriptSet({ request, response })]
  t.same(await load(aSnapshot({ services: [aService({ scripts })], pools: [aPool([web.port])] })), [])
  const answer = await ask(port(), { path: '/a?x=1', headers: { cookie: 'a=1; b=2', 'x-drop': '1' } })
  t.match(answer, { status: 202, body: 'hello', headers: { 'x-status': '200' } })
  t.notOk(answer.headers['x-server'])
  const [seen] = web.requests
  t.equal(seen?.url, '/new/a?y=2')
  t.match(seen?.headers, { 'x-was': '/a?x=1', host: 'inner.test', 'x-cookie': '2' })
  t.notOk(seen?.headers['x-drop'])
  t.match(records[0], { notes: 'scripts/HTTP_REQ: seen GET 127.0.0.1' })
  t.ok(bugs.every(line => line.includes('a script says')))
})

t.test('a script says what requests are spread by, where the pool goes by that', async t => {
  const servers = await Promise.all(['a', 'b', 'c', 'd'].map(name => openHttpServer(t, (_request, response) => response.end(name))))
  const { load, port, bugs } = openTestPlane(t)
  const scripts = [aScriptSet({ request: "weir.spreadBy(weir.request.path.split('/')[1])" })]
  const ports = servers.map(server => server.port)
  const run = (by: 'text' | 'source-address', revision: number) =>
    load(
      aSnapshot({
        revision,
        services: [aService({ scripts })],
        pools: [aPool(ports, { algorithm: { is: 'consistent-hash', by, header: null } })]
      })
    )
  t.same(await run('text', 1), [])
  const reached = new Set<string>()
  for (let n = 0; n < 40; n++) {
    const { body } = await ask(port(), { path: `/tenant-${n}/x` })
    t.equal((await ask(port(), { path: `/tenant-${n}/y?z=1` })).body, body, `tenant ${n}`)
    reached.add(body)
  }
  t.equal(reached.size, 4, 'all of them get some')
  await run('source-address', 2)
  const others = new Set(
    await Promise.all(Array.from({ length: 10 }, async (_, n) => (await ask(port(), { path: `/tenant-${n}/x` })).body))
  )
  t.equal(others.size, 1, 'a pool that goes by something else does not listen to it')
  t.same(bugs, [])
})

t.test('a script answers, redirects and closes; what it answers is not shown to scripts for answers of servers', async t => {
  const web = await openHttpServer(t, (_request, response) => void response.end('web'))
  const { load, port, records } = openTestPlane(t)
  const request = `
    const { path } = weir.request
    if (path === '/answer') return weir.respond(403, { body: 'no\\n', headers: { 'x-why': ['a', 'b'] } })
    if (path === '/go') return weir.redirect('https://shop.test/', 308)
    if (path === '/close') return weir.close()
  `
  const scripts = [aScriptSet({ request, response: "weir.response.headers.set('x-script', '1')" })]
  t.same(await load(aSnapshot({ services: [aService({ scripts })], pools: [aPool([web.port])] })), [])
  const refused = await ask(port(), { path: '/answer' })
  t.match(refused, { status: 403, body: 'no\n', headers: { 'x-why': 'a, b', 'content-type': 'text/plain; charset=utf-8' } })
  t.notOk(refused.headers['x-script'])
  t.match(await ask(port(), { path: '/go' }), { status: 308, headers: { location: 'https://shop.test/' } })
  await t.rejects(ask(port(), { path: '/close' }))
  t.match(await ask(port(), { path: '/' }), { status: 200, headers: { 'x-script': '1' } })
  await until(() => records.length === 4, 'records')
  t.match(
    records.map(({ rule }) => rule),
    ['scripts/HTTP_REQ', 'scripts/HTTP_REQ', 'scripts/HTTP_REQ', '']
  )
})

t.test('a script chooses pool, group and server, and asks groups; what is not declared is not there', async t => {
  const servers = await Promise.all(['a', 'b', 'c'].map(name => openHttpServer(t, (_request, response) => void response.end(name))))
  const [a, b, c] = servers.map(({ port }) => port) as [number, number, number]
  const { load, port } = openTestPlane(t)
  const request = `
    if (weir.stringGroup('words').get(weir.request.path) === 'b') return weir.usePool('b')
    if (weir.stringGroup('words').has(weir.request.path)) return weir.usePoolGroup('all')
    if (weir.request.path === '/server') return weir.useServer('both', '127.0.0.1', ${c})
    if (weir.request.path === '/inside') return weir.respond(200, { body: String(weir.ipGroup('office').has(weir.client.ip)) })
    if (weir.request.path === '/other') weir.usePool('secret')
  `
  const set = aScriptSet(
    { request },
    {
      pools: { b: { is: 'pool', poolId: 'pool-b' }, both: { is: 'pool', poolId: 'pool-both' } },
      poolGroups: {
        all: {
          is: 'group',
          id: 'g',
          name: 'all',
          members: [{ poolId: 'pool-b', ratio: 1, priority: 1 }],
          failAction: { is: 'close' }
        }
      },
      stringGroups: { words: { '/b': 'b', '/group': '' } },
      ipGroups: { office: ['127.0.0.0/8'] }
    }
  )
  const pools = [aPool([a]), aPool([b], { id: 'pool-b', name: 'b' }), aPool([a, b, c], { id: 'pool-both', name: 'both' })]
  t.same(await load(aSnapshot({ services: [aService({ scripts: [set] })], pools })), [])
  t.match(await ask(port(), { path: '/' }), { body: 'a' })
  t.match(await ask(port(), { path: '/b' }), { body: 'b' })
  t.match(await ask(port(), { path: '/group' }), { body: 'b' })
  for (let i = 0; i < 6; i++) t.match(await ask(port(), { path: '/server' }), { body: 'c' })
  t.match(await ask(port(), { path: '/inside' }), { body: 'true' })
  t.match(await ask(port(), { path: '/other' }), { status: 500 })
})

t.test('a script that fails closes or opens as its set says, and is named with its line', async t => {
  const web = await openHttpServer(t, (_request, response) => void response.end('web'))
  const { load, port, records, plane, bugs } = openTestPlane(t)
  const request = `weir.log('before')
    weir.request.headers.set('x-half', '1')
    if (weir.request.path === '/spin') for (;;);
    if (weir.request.path === '/throw') missing.thing()
    if (weir.request.path === '/memory') { const all = []; for (;;) all.push('x'.repeat(1000)) }`
  for (const failsOpen of [false, true]) {
    const set = aScriptSet({ request }, { failsOpen })
    t.same(await load(aSnapshot({ services: [aService({ scripts: [set] })], pools: [aPool([web.port])] })), [])
    for (const path of ['/throw', '/spin', '/memory']) {
      const before = records.length
      t.match(await ask(port(), { path }), failsOpen ? { status: 200, body: 'web' } : { status: 500 }, path)
      await until(() => records.length > before, 'a record')
      t.match(records.at(-1), { fault: failsOpen ? '' : 'SCRIPT_FAILED', rule: failsOpen ? '' : 'scripts/HTTP_REQ' })
    }
    t.match(await ask(port(), { path: '/' }), { status: 200 })
  }
  t.notOk(web.requests[1]?.headers['x-half'], 'what a failed run had changed is not done')
  t.equal(web.requests.at(-1)?.headers['x-half'], '1')
  t.match(records[0], { notes: /^scripts\/HTTP_REQ: before\nscripts\/HTTP_REQ: line 4: ReferenceError: 'missing' is not defined$/ })
  t.match(records[1], { notes: /line 3: took longer than 100 ms/ })
  t.match(plane.scripts(), [{ virtualServiceId: 'vs-1', name: 'scripts/HTTP_REQ', runs: 8, failures: 6 }])
  t.ok(bugs.some(line => line.includes('a script failed')))
})

t.test('a script for answers that fails keeps the answer back, unless its set fails open', async t => {
  const web = await openHttpServer(t, (_request, response) => void response.end('secret'))
  const { load, port, records } = openTestPlane(t)
  for (const failsOpen of [false, true]) {
    const set = aScriptSet({ response: 'weir.respond(200)' }, { failsOpen })
    t.same(await load(aSnapshot({ services: [aService({ scripts: [set] })], pools: [aPool([web.port])] })), [])
    const answer = await ask(port(), {})
    t.match(answer, failsOpen ? { status: 200, body: 'secret' } : { status: 500, body: /^500/ })
  }
  t.match(records[0], { fault: 'SCRIPT_FAILED', notes: /a server has answered already/ })
})

t.test('a script says what to do when no server can be chosen', async t => {
  const spare = await openHttpServer(t, (_request, response) => void response.end('spare'))
  const gone = await closedPort()
  const { load, port } = openTestPlane(t)
  const script = `
    if (weir.request.path === '/spare') return weir.usePool('spare')
    if (weir.request.path === '/self') return weir.usePool('none')
    if (weir.request.path === '/sorry') return weir.respond(503, { body: weir.failure })
  `
  const set = aScriptSet(
    { 'lb-failed': script },
    { pools: { spare: { is: 'pool', poolId: 'spare' }, none: { is: 'pool', poolId: 'none' } } }
  )
  const pools = [aPool([gone], { id: 'none', name: 'none', servers: [] }), aPool([spare.port], { id: 'spare', name: 'spare' })]
  const service = aService({ scripts: [set], target: { is: 'pool', poolId: 'none' } })
  t.same(await load(aSnapshot({ services: [service], pools })), [])
  t.match(await ask(port(), { path: '/spare' }), { status: 200, body: 'spare' })
  t.match(await ask(port(), { path: '/sorry' }), { status: 503, body: 'NO_AVAILABLE_SERVER' })
  t.match(await ask(port(), { path: '/self' }), { status: 503 })
  t.match(await ask(port(), { path: '/' }), { status: 503 })
})

t.test('scripts run after rules, sets in their order, and nothing goes from one exchange to another but by the table', async t => {
  const web = await openHttpServer(t, (request, response) => void response.end(String(request.headers['x-trace'])))
  const { load, port, plane } = openTestPlane(t)
  const first = aScriptSet({
    request: `
      const trace = weir.request.headers.get('x-trace') ?? ''
      let kept = 'nothing'
      try { globalThis.secret = weir.request.query } catch { kept = 'no' }
      if (typeof secret !== 'undefined') kept = secret
      weir.request.headers.set('x-trace', trace + ' first ' + kept + ' ' + weir.table.increment('n'))
      weir.count('seen')`
  })
  const second = aScriptSet(
    { request: "weir.request.headers.set('x-trace', weir.request.headers.get('x-trace') + ' second')" },
    { id: 'two', name: 'second' }
  )
  const rule = aRule({ headerActions: [{ is: 'replace', name: 'X-Trace', value: 'rule' }] })
  const service = aService({ requestRules: [rule], scripts: [first, second] })
  t.same(await load(aSnapshot({ services: [service], pools: [aPool([web.port])] })), [])
  t.match(await ask(port(), { path: '/?a=1' }), { body: 'rule first no 1 second' })
  t.match(await ask(port(), { path: '/?a=2' }), { body: 'rule first no 2 second' })
  const [stats] = plane.scripts()
  t.same([...(stats?.counters ?? [])], [['seen', 2]])
  const steps = plane.explain({
    virtualServiceId: 'vs-1',
    method: 'GET',
    host: 'shop.test',
    path: '/',
    headers: [],
    clientIp: '',
    scheme: ''
  })
  t.match(
    steps.steps.map(step => step.rule),
    [/./, 'script scripts/HTTP_REQ', 'script second/HTTP_REQ']
  )
  t.equal(stats?.runs, 2, 'an explanation counts nothing')
  t.match(await ask(port(), { path: '/' }), { body: 'rule first no 3 second' })
})

t.test('over HTTP/2 scripts do what they do over HTTP/1.1', async t => {
  const web = await openHttpServer(t, (request, response) => void response.writeHead(200, { 'x-path': request.url ?? '' }).end('web'))
  const { load, port, bugs } = openTestPlane(t)
  const request = `
    if (weir.request.path === '/no') return weir.respond(403, { body: weir.tls.version + ' ' + weir.request.version })
    if (weir.request.path === '/fail') throw new Error('on purpose')
    weir.request.path = '/moved'`
  const service = aService({
    listeners: [aListener({ isTls: true, isHttp2: true })],
    tls: aTls(['shop']),
    scripts: [aScriptSet({ request, response: "weir.response.headers.set('x-script', 'yes')" })]
  })
  const certificates = [await aCertificate('shop', ['shop.test'])]
  t.same(await load(aSnapshot({ services: [service], pools: [aPool([web.port])], certificates })), [])
  const session = connect(`https://127.0.0.1:${port()}`, { servername: 'shop.test', rejectUnauthorized: false })
  t.teardown(() => session.destroy())
  const get = async (path: string): Promise<{ readonly head: Record<string, unknown>; readonly body: string }> => {
    const stream = session.request({ ':path': path, ':authority': 'shop.test' })
    const answered = once(stream, 'response')
    stream.end()
    const [head] = (await answered) as [Record<string, unknown>]
    return { head, body: await text(stream) }
  }
  t.match(await get('/'), { head: { ':status': 200, 'x-script': 'yes', 'x-path': '/moved' }, body: 'web' })
  t.match(await get('/no'), { head: { ':status': 403 }, body: 'TLSv1.3 2' })
  t.match(await get('/fail'), { head: { ':status': 500 } })
  t.ok(bugs.every(line => line.includes('a script failed')))
})
