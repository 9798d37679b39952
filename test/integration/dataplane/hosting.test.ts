import { once } from 'node:events'
import { X509Certificate } from 'node:crypto'
import { connect as tlsConnect } from 'node:tls'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { aListener, aPool, aRule, aService, aSnapshot, aTls, noMatch } from '#test/support/snapshot.ts'
import { ask, openHttpServer, openTestPlane, until } from '#test/support/data-plane.ts'

async function shown(port: number, servername: string): Promise<string> {
  const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername })
  await once(socket, 'secureConnect')
  const { subject } = new X509Certificate(socket.getPeerCertificate().raw)
  socket.destroy()
  return subject.replace('CN=', '')
}

t.test('children by SNI have their certificates, rules, pools and figures; another name on their connection is misdirected', async t => {
  const [own, other] = await Promise.all([aCertificate('own', ['parent.test']), aCertificate('other', ['unrelated.test'])])
  const [a, b] = await Promise.all(['a', 'b'].map(name => openHttpServer(t, (_request, response) => response.end(name))))
  const { load, port, records, memory } = openTestPlane(t)
  const parent = aService({
    listeners: [aListener({ isTls: true })],
    tls: { ...aTls(['own', 'other']), certificateIdsByName: { 'b.test': ['other'] } },
    target: { is: 'pool', poolId: 'pool-a' },
    hosting: {
      by: 'sni',
      names: [
        { name: 'b.test', childId: 'vs-b', match: null },
        { name: 'gone.test', childId: 'vs-gone', match: null }
      ]
    }
  })
  const deny = aRule({
    name: 'p / secret',
    match: { path: { operator: 'equals', values: ['/secret'], isCaseSensitive: false } },
    action: { is: 'respond', status: 403, contentType: '', bodyBase64: '' }
  })
  const child = aService({ id: 'vs-b', name: 'b', listeners: [], target: { is: 'pool', poolId: 'pool-b' }, requestRules: [deny] })
  const pools = [aPool([a!.port], { id: 'pool-a', name: 'a' }), aPool([b!.port], { id: 'pool-b', name: 'b' })]
  t.same(await load(aSnapshot({ services: [parent, child], pools, certificates: [own, other] })), [])
  t.equal(await shown(port(), 'parent.test'), 'own')
  t.equal(await shown(port(), 'b.test'), 'other')
  const over = (servername: string, host: string, path = '/') =>
    ask(port(), { isTls: true, rejectUnauthorized: false, servername, path, headers: { host } })
  t.match(await over('parent.test', 'parent.test'), { status: 200, body: 'a' })
  t.match(await over('b.test', 'b.test'), { status: 200, body: 'b' })
  t.equal((await over('b.test', 'b.test', '/secret')).status, 403)
  t.equal((await over('parent.test', 'b.test', '/secret')).status, 421)
  t.equal((await over('gone.test', 'gone.test')).status, 503, 'a child that does not run is not its parent')
  await until(() => records.length === 5, 'records')
  t.same(
    records.map(record => record.virtualServiceId),
    ['vs-1', 'vs-b', 'vs-b', 'vs-1', 'vs-1']
  )
  t.equal(memory.readTotals().virtualServices.find(one => one.id === 'vs-b')?.totals.requests, 2)
})

t.test('children by host share an address, and change without a cut', async t => {
  const [web, api] = await Promise.all(['web', 'api'].map(name => openHttpServer(t, (_request, response) => response.end(name))))
  const { load, port, plane } = openTestPlane(t)
  const match = { ...noMatch, path: { operator: 'begins-with', values: ['/api/'], isCaseSensitive: false } } as const
  const parent = aService({
    target: null,
    hosting: {
      by: 'host',
      names: [
        { name: '*.shop.test', childId: 'vs-api', match },
        { name: '*.shop.test', childId: 'vs-web', match: null }
      ]
    }
  })
  const child = (name: string, poolId: string) => aService({ id: `vs-${name}`, name, listeners: [], target: { is: 'pool', poolId } })
  const pools = [aPool([web!.port], { id: 'pool-web', name: 'web' }), aPool([api!.port], { id: 'pool-api', name: 'api' })]
  await load(aSnapshot({ services: [parent, child('web', 'pool-web'), child('api', 'pool-api')], pools }))
  const at = port()
  const get = async (host: string, path: string) => (await ask(at, { path, headers: { host } })).body
  t.same([await get('eu.shop.test', '/api/x'), await get('eu.shop.test', '/x')], ['api', 'web'])
  t.equal((await ask(at, { headers: { host: 'other.test' } })).status, 503, 'the parent has no pool')
  const question = {
    virtualServiceId: 'vs-1',
    method: 'GET',
    host: 'eu.shop.test',
    path: '/api/x',
    headers: [],
    clientIp: '192.0.2.1',
    scheme: ''
  } as const
  t.match(plane.explain(question), { steps: [{ rule: 'child api', action: 'child' }], verdict: 'forward', poolName: 'api' })
  await load(aSnapshot({ services: [parent, child('web', 'pool-api'), child('api', 'pool-api')], pools, revision: 2 }))
  t.equal(await get('eu.shop.test', '/x'), 'api')
  t.equal(port(), at)
})
