import { randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import { connect as netConnect, type AddressInfo } from 'node:net'
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { aListener, aPool, aRule, aService, aSnapshot, aTls, anUpstreamTls } from '#test/support/snapshot.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, until } from '#test/support/data-plane.ts'

const [shop, wild, other, shopRsa] = await Promise.all([
  aCertificate('shop', ['shop.test', 'www.shop.test']),
  aCertificate('wild', ['*.apps.test']),
  aCertificate('other', ['other.test']),
  aCertificate('shop-rsa', ['shop.test'], 'rsa')
])

/** The subject of the certificate that is shown for a name. */
async function shown(
  port: number,
  options: ConnectionOptions = {}
): Promise<{ name: string; isEc: boolean; protocol: string | false | null }> {
  const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  await once(socket, 'secureConnect')
  const certificate = new X509Certificate(socket.getPeerCertificate().raw)
  const answer = {
    name: certificate.subject.replace('CN=', ''),
    isEc: certificate.publicKey.asymmetricKeyType === 'ec',
    protocol: socket.alpnProtocol
  }
  socket.destroy()
  return answer
}

t.test('each name is shown its certificate, RSA and EC side by side, and they swap without a new listener', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(String(request.headers['x-forwarded-proto'])))
  const { load, port, records, memory } = openTestPlane(t)
  const snapshot = (ids: readonly string[]) =>
    aSnapshot({
      services: [aService({ listeners: [aListener({ isTls: true })], tls: aTls(ids), http: { hstsMaxAgeS: 60 } })],
      pools: [aPool([web.port])],
      certificates: [shop, wild, other, shopRsa]
    })
  t.same(await load(snapshot(['shop', 'wild', 'shop-rsa'])), [])
  const at = port()
  t.equal((await shown(at, { servername: 'shop.test' })).name, 'shop')
  t.equal((await shown(at, { servername: 'WWW.shop.test' })).name, 'shop')
  t.equal((await shown(at, { servername: 'a.apps.test' })).name, 'wild')
  t.equal((await shown(at, { servername: 'unknown.test' })).name, 'shop', 'the first when no name matches')
  t.equal((await shown(at)).name, 'shop', 'and without a name')
  const rsaOnly = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } as const
  t.same(await shown(at, { servername: 'shop.test', ...rsaOnly, ALPNProtocols: ['h2', 'http/1.1'] }), {
    name: 'shop-rsa',
    isEc: false,
    protocol: 'http/1.1'
  })
  const answer = await ask(at, { isTls: true, rejectUnauthorized: false, servername: 'shop.test' })
  t.match(answer, { body: 'https', headers: { 'strict-transport-security': 'max-age=60' } })
  t.match(records.at(-1), { scheme: 'https' })

  const held = tlsConnect({ port: at, host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false })
  t.teardown(() => held.destroy())
  await once(held, 'secureConnect')
  t.same(await load(snapshot(['other'])), [])
  t.equal(port(), at)
  t.equal((await shown(at, { servername: 'shop.test' })).name, 'other')
  held.write('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n')
  const [chunk] = (await once(held, 'data')) as [Buffer]
  t.match(chunk.toString(), /^HTTP\/1.1 200/, 'a connection from before goes on')
  held.destroy()
  await until(() => memory.readTotals().virtualServices[0]?.totals.openConnections === 0, 'every connection is closed')
})

t.test('old versions are refused, and what is no handshake ends', async t => {
  const { load, port, memory } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ listeners: [aListener({ isTls: true })], tls: aTls(['shop']) })], certificates: [shop] }))
  await t.rejects(shown(port(), { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }))
  const socket = netConnect(port(), '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'))
  socket.resume().on('error', () => undefined)
  await once(socket, 'close')
  const half = tlsConnect({ port: port(), host: '127.0.0.1', rejectUnauthorized: false })
  await once(half, 'connect')
  half.destroy()
  await until(() => memory.readTotals().virtualServices[0]?.totals.openConnections === 0, 'an end in the handshake is an end', 8000)
})

t.test('a certificate that is none, or is missing, is a violation and what ran goes on', async t => {
  const { load, port } = openTestPlane(t)
  const services = [aService({ listeners: [aListener({ isTls: true })], tls: aTls(['shop']) })]
  await load(aSnapshot({ services, certificates: [shop] }))
  const at = port()
  t.match(await load(aSnapshot({ services, certificates: [] })), [
    { pointer: '/virtual-service/vs-1/tls/certificateIds/0' },
    { pointer: '/virtual-service/vs-1/tls' }
  ])
  t.match(await load(aSnapshot({ services, certificates: [{ ...shop, keyPem: other.keyPem }] })), [
    { pointer: '/virtual-service/vs-1/tls', message: String }
  ])
  t.equal((await shown(at)).name, 'shop')
})

t.test('TLS to servers is verified when roots are given, and names are sent', async t => {
  const names: (string | false)[] = []
  const server = createHttpsServer({ cert: shop.certificatePem, key: shop.keyPem }, (_request, response) => response.end('secure'))
  server.on('secureConnection', socket => names.push((socket as typeof socket & { servername: string | false }).servername))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port: serverPort } = server.address() as AddressInfo
  const { load, port, records } = openTestPlane(t)
  const answerWith = async (tls: ReturnType<typeof anUpstreamTls>): Promise<number> => {
    await load(aSnapshot({ services: [aService()], pools: [aPool([serverPort], { tls })] }))
    return (await ask(port())).status
  }
  t.equal(await answerWith(anUpstreamTls({ serverName: 'anything.test' })), 200, 'not verified without roots')
  t.equal(await answerWith(anUpstreamTls({ serverName: 'shop.test', trustedPem: shop.certificatePem, isHostChecked: true })), 200)
  t.equal(await answerWith(anUpstreamTls({ serverName: 'evil.test', trustedPem: shop.certificatePem, isHostChecked: true })), 502)
  t.equal(await answerWith(anUpstreamTls({ serverName: 'shop.test', trustedPem: other.certificatePem })), 502)
  t.equal(await answerWith(anUpstreamTls({ isSniEnabled: false })), 200)
  t.same([...new Set(names)].slice(0, 2), ['anything.test', 'shop.test'])
  t.equal(names.at(-1), false)
  t.same(new Set(records.map(record => record.fault)), new Set(['', 'UPSTREAM_TLS_FAILED']))
})

t.test('a TCP service ends TLS and relays what is inside', async t => {
  const echo = await openTcpServer(t, socket => socket.pipe(socket))
  const { load, port } = openTestPlane(t)
  await load(
    aSnapshot({
      services: [aService({ application: 'tcp', listeners: [aListener({ isTls: true })], tls: aTls(['shop']) })],
      pools: [aPool([echo.port])],
      certificates: [shop]
    })
  )
  const socket = tlsConnect({ port: port(), host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false })
  t.teardown(() => socket.destroy())
  socket.write('hello')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  t.equal(chunk.toString(), 'hello')
  socket.end(' and goodbye')
  const [rest] = (await once(socket, 'data')) as [Buffer]
  t.equal(rest.toString(), ' and goodbye')
  await once(socket, 'close')
})

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
  t.test(`a session of ${maxVersion} resumes on another engine of the group, over a rotation, and nowhere else`, async t => {
    const [first, second, third, strange] = Array.from({ length: 4 }, () => randomBytes(32).toString('base64')) as [
      string,
      string,
      string,
      string
    ]
    const services = [
      aService({ listeners: [aListener({ isTls: true })], tls: aTls(['shop', 'other']) }),
      aService({ id: 'vs-2', listeners: [aListener({ isTls: true })], tls: aTls(['shop']) })
    ]
    const snapshot = (ticketKeys: readonly string[]) => aSnapshot({ services, certificates: [shop, other], ticketKeys })
    const [a, b, far] = [openTestPlane(t), openTestPlane(t), openTestPlane(t)]
    await Promise.all([a.load(snapshot([first, second])), b.load(snapshot([first, second])), far.load(snapshot([strange]))])
    const sessionAt = async (port: number, servername = 'shop.test'): Promise<Buffer> => {
      const socket = tlsConnect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false, maxVersion })
      const [session] = (await once(socket, 'session')) as [Buffer]
      socket.destroy()
      return session
    }
    const resumes = async (port: number, session: Buffer, servername = 'shop.test'): Promise<boolean> => {
      const socket = tlsConnect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false, session, maxVersion })
      await once(socket, 'secureConnect')
      const isReused = socket.isSessionReused()
      socket.destroy()
      return isReused
    }
    const session = await sessionAt(a.port())
    t.equal(await resumes(a.port(), session), true)
    t.equal(await resumes(b.port(), session), true, 'on another engine')
    t.equal(await resumes(far.port(), session), false, 'not on one of another group')
    t.equal(await resumes(b.port('vs-2'), session), false, 'not at another virtual service')
    t.equal(await resumes(b.port(), session, 'other.test'), false, 'not by another certificate')
    await a.load(snapshot([second, third, first]))
    t.equal(await resumes(a.port(), session), true, 'after a rotation')
    const fresh = await sessionAt(a.port())
    t.equal(await resumes(b.port(), fresh), true, 'on one that the rotation has not reached yet')
    await b.load(snapshot([third, strange]))
    t.equal(await resumes(b.port(), session), false, 'not by a key that is gone')
    t.equal(await resumes(b.port(), await sessionAt(b.port())), true)
    t.same([...a.bugs, ...b.bugs], [])
  })

t.test('rules tell programs apart by their fingerprints', async t => {
  const web = await openHttpServer(t, (request, response) =>
    response.end(`${String(request.headers['x-ja3'])} ${String(request.headers['x-ja4'])}`)
  )
  const { load, port, records } = openTestPlane(t)
  const fingerprint = (ja4: string) => ({ isNegated: false, values: [ja4] })
  const snapshot = (revision: number, ja4: string) =>
    aSnapshot({
      revision,
      services: [
        aService({
          listeners: [aListener({ isTls: true })],
          tls: { ...aTls(['shop']), readsFingerprint: true },
          requestRules: [
            aRule({ match: { fingerprint: fingerprint(ja4) }, action: { is: 'respond', status: 403, contentType: '', bodyBase64: '' } }),
            aRule({
              headerActions: [
                { is: 'replace', name: 'X-JA3', value: '$ssl_ja3' },
                { is: 'replace', name: 'X-JA4', value: '$ssl_ja4' }
              ]
            })
          ]
        })
      ],
      pools: [aPool([web.port])],
      certificates: [shop]
    })
  t.same(await load(snapshot(1, 'none')), [])
  const one = { isTls: true, rejectUnauthorized: false, servername: 'shop.test' } as const
  const other = { ...one, maxVersion: 'TLSv1.2' } as const
  const first = (await ask(port(), one)).body
  t.match(first, /^[0-9a-f]{32} t13d\d{4}\w\w_[0-9a-f]{12}_[0-9a-f]{12}$/)
  t.equal((await ask(port(), one)).body.split(' ')[1], first.split(' ')[1], 'the same program is the same')
  const second = (await ask(port(), other)).body
  t.match(second, /^[0-9a-f]{32} t12d/)
  await load(snapshot(2, first.split(' ')[1]!))
  t.equal((await ask(port(), one)).status, 403)
  await until(() => records.some(({ status }) => status === 403), 'a record')
  t.match(records.find(({ status }) => status === 403)?.fingerprint, { ja4: first.split(' ')[1] })
  t.equal((await ask(port(), other)).status, 200)
})
