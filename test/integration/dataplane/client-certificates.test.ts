/** Clients that are asked who they are, by a certificate in the TLS handshake. */
import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import t from 'tap'
import { crlBase64, readCrl, type RevokedSerials } from '#model/base/crl.ts'
import { variables } from '#model/resource/httppolicyset.ts'
import type { ClientAuthSpec, UpstreamTlsSpec } from '#model/snapshot/snapshot.ts'
import { aCertificate, anAuthority, type Issued } from '#test/support/certificates.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, type AnswerSeen } from '#test/support/data-plane.ts'
import { aListener, aPool, aService, aSnapshot, aTls, anUpstreamTls } from '#test/support/snapshot.ts'

const [shop, admin, ca, evilCa] = await Promise.all([
  aCertificate('shop', ['shop.test']),
  aCertificate('admin', ['admin.test']),
  anAuthority('clients'),
  anAuthority('clients')
])
const [good, revoked, old, forged, strange] = await Promise.all([
  ca.issue({ subject: 'CN=ana,O=Čapek & Sons', serial: 'aa01' }),
  ca.issue({ subject: 'CN=rob', serial: 'bb02' }),
  ca.issue({ subject: 'CN=old', serial: 'cc03', notAfter: new Date(Date.now() - 60_000) }),
  evilCa.issue({ subject: 'CN=ana', serial: 'aa01' }),
  ca.issue({ subject: 'CN=two\\0Ax-admin: yes', serial: 'dd04' })
])

const crlOf = (pem: string): RevokedSerials => readCrl(Buffer.from(crlBase64(pem)!, 'base64'))!

const leafCrl = crlOf(await ca.revoke(['bb02']))
const staleCrl = crlOf(await ca.revoke([], new Date(Date.now() - 60_000)))

const anAuth = (given: Partial<ClientAuthSpec> = {}): ClientAuthSpec => ({
  id: createHash('sha256').update(JSON.stringify(given)).digest('hex'),
  isRequired: true,
  closesOnBad: given.isRequired ?? true,
  trustedPem: ca.certificatePem,
  ...given
})

const headers = Object.entries(variables)
  .filter(([name]) => name.includes('SSL_CLIENT'))
  .map(([name, value]) => ({ name: `X-${name.slice('HTTP_POLICY_VAR_SSL_CLIENT_'.length)}`, value }))

const clientOf = (issued: Issued | null): ConnectionOptions => (issued === null ? {} : { cert: issued.certificatePem, key: issued.keyPem })

async function openAsking(t: Parameters<typeof openTestPlane>[0], auth: ClientAuthSpec) {
  const web = await openHttpServer(t, (request, response) => response.end(JSON.stringify(request.headers)))
  const under = openTestPlane(t)
  const load = (given: ClientAuthSpec) =>
    under.load(
      aSnapshot({
        services: [
          aService({
            listeners: [aListener({ isTls: true, isHttp2: true })],
            tls: { ...aTls(['shop']), clientAuth: given },
            clientCertificate: { authId: given.id, headers }
          })
        ],
        pools: [aPool([web.port])],
        certificates: [shop]
      })
    )
  await load(auth)
  const as = (issued: Issued | null, more: Parameters<typeof ask>[1] = {}): Promise<AnswerSeen> =>
    ask(under.port(), { isTls: true, rejectUnauthorized: false, servername: 'shop.test', ...clientOf(issued), ...more })
  return { ...under, loadAuth: load, as, web }
}

t.test('a required certificate opens the connection, and servers are told of it', async t => {
  const { as, bugs } = await openAsking(t, anAuth())
  const answer = await as(good, { headers: { 'X-Subject': 'CN=root', X_Subject: 'CN=root', 'x-serial': '1' } })
  t.equal(answer.status, 200)
  const seen = JSON.parse(answer.body) as Record<string, string>
  const shown = new X509Certificate(good.certificatePem)
  t.match(seen, {
    'x-subject': 'O=\\C4\\8Capek & Sons,CN=ana',
    'x-issuer': 'CN=clients',
    'x-serial': 'AA01',
    'x-fingerprint': shown.fingerprint256.replaceAll(':', '').toLowerCase(),
    'x-raw': shown.raw.toString('base64'),
    'x-version': '3',
    'x-sigalg': 'ecdsa-with-SHA256',
    'x-notvalidbefore': shown.validFrom,
    'x-notvalidafter': shown.validTo
  })
  t.equal(decodeURIComponent(seen['x-escaped'] ?? ''), shown.toString())
  t.notOk('x_subject' in seen, 'nor does a name that servers read alike get through')
  const odd = JSON.parse((await as(strange)).body) as Record<string, string>
  t.match(odd['x-subject'], /^CN=two\\0[Aa]/, 'what would be a line of its own is escaped')
  t.equal(odd['x-admin'], undefined)
  for (const issued of [null, forged, old]) await t.rejects(as(issued))
  t.same(bugs, [])
})

t.test('the same over HTTP/2', async t => {
  const { port } = await openAsking(t, anAuth())
  const session: ClientHttp2Session = connectHttp2(`https://127.0.0.1:${port()}`, {
    servername: 'shop.test',
    rejectUnauthorized: false,
    ...clientOf(good)
  })
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/', ':authority': 'shop.test', 'x-subject': 'CN=root' })
  let body = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
  await once(stream, 'end')
  t.match(JSON.parse(body), { 'x-serial': 'AA01' })
  const refused = connectHttp2(`https://127.0.0.1:${port()}`, { servername: 'shop.test', rejectUnauthorized: false })
  refused.on('error', () => undefined)
  const asked = refused.request({ ':path': '/' })
  asked.on('error', () => undefined)
  asked.on('response', () => t.fail('answered without a certificate'))
  await once(refused, 'close')
})

t.test('a requested certificate may be left out; one that is not good counts as none, or closes', async t => {
  const { as, loadAuth } = await openAsking(t, anAuth({ isRequired: false, closesOnBad: false }))
  const subject = async (issued: Issued | null): Promise<string> =>
    String((JSON.parse((await as(issued, { headers: { 'x-subject': 'CN=root' } })).body) as Record<string, string>)['x-subject'])
  t.match(await subject(good), /CN=ana/)
  for (const issued of [null, forged, old]) t.equal(await subject(issued), 'undefined')
  await loadAuth(anAuth({ isRequired: false, closesOnBad: true }))
  t.equal(await subject(null), 'undefined')
  for (const issued of [forged, old]) await t.rejects(as(issued))
})

t.test('what is revoked is not good, in a chain and for the certificate alone', async t => {
  const { as, loadAuth } = await openAsking(t, anAuth({ leafCrls: [leafCrl] }))
  t.equal((await as(good)).status, 200)
  await t.rejects(as(revoked))
  await loadAuth(anAuth({ leafCrls: [staleCrl] }))
  await t.rejects(as(good), 'a list that is too old says nothing')
  await loadAuth(anAuth({ leafCrls: [{ ...staleCrl, nextUpdateEpochMs: null }] }))
  t.equal((await as(good)).status, 200, 'unless that is allowed')
  await loadAuth(anAuth({ leafCrls: [{ ...leafCrl, issuer: '3000' }] }))
  await t.rejects(as(good), 'no list of its authority')
  await loadAuth(anAuth({ crlPem: await ca.revoke(['bb02']) }))
  t.equal((await as(good)).status, 200)
  await t.rejects(as(revoked))
})

/** A session ticket; null when the connection is closed before one came. */
async function sessionOf(port: number, options: ConnectionOptions): Promise<Buffer | null> {
  const socket = tlsConnect({ port, host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false, ...options })
  socket.on('error', () => undefined)
  const session = await new Promise<Buffer | null>(resolve => socket.once('session', resolve).once('close', () => resolve(null)))
  socket.destroy()
  return session
}

async function resume(port: number, session: Buffer, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = tlsConnect({ port, host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false, session, ...options })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  t.test(`a session of ${maxVersion} without a good certificate opens nothing when it is resumed`, async t => {
    const { port, as, loadAuth } = await openAsking(t, anAuth({ leafCrls: [leafCrl] }))
    const answered = async (socket: TLSSocket): Promise<string> => {
      socket.write('GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n')
      let text = ''
      socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
      await once(socket, 'close')
      return text.slice(0, 12)
    }
    for (const issued of [null, revoked]) {
      // Its ticket may have gone out before the connection was closed.
      const session = await sessionOf(port(), { maxVersion, ...clientOf(issued) })
      if (session === null) continue
      t.equal(await answered(await resume(port(), session, { maxVersion })), '')
    }
    const session = (await sessionOf(port(), { maxVersion, ...clientOf(good) }))!
    const resumed = await resume(port(), session, { maxVersion })
    t.ok(resumed.isSessionReused())
    t.equal(await answered(resumed), 'HTTP/1.1 200', 'a good one is known again')
    t.equal((await as(good)).status, 200)
    await loadAuth(anAuth({ leafCrls: [{ ...leafCrl, serials: ['aa01'] }] }))
    const after = await resume(port(), session, { maxVersion, ...clientOf(good) }).catch(() => null)
    t.notOk(after?.isSessionReused(), 'a session is none under other rules')
    if (after !== null) t.equal(await answered(after), '')
  })
}

t.test('children ask as they are told, and a request cannot walk around it', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(String(request.headers['x-subject'])))
  for (const by of ['sni', 'host'] as const) {
    const { load, port } = openTestPlane(t)
    const auth = anAuth()
    const child = aService({
      id: 'admin',
      name: 'admin',
      listeners: [],
      clientCertificate: { authId: auth.id, headers: [{ name: 'X-Subject', value: '$ssl_client_subject' }] }
    })
    const parent = aService({
      listeners: [aListener({ isTls: true })],
      tls: { ...aTls(['shop', 'admin']), certificateIdsByName: { 'admin.test': ['admin'] }, clientAuthByName: { 'admin.test': auth } },
      hosting: { by, names: [{ name: 'admin.test', childId: 'admin', match: null }] }
    })
    t.same(await load(aSnapshot({ services: [parent, child], pools: [aPool([web.port])], certificates: [shop, admin] })), [])
    const at = (servername: string, host: string, issued: Issued | null) =>
      ask(port(), { isTls: true, rejectUnauthorized: false, servername, headers: { host }, ...clientOf(issued) })
    t.match(await at('admin.test', 'admin.test', good), { status: 200, body: /CN=ana/ })
    await t.rejects(at('admin.test', 'admin.test', null))
    t.equal((await at('shop.test', 'shop.test', null)).status, 200, `the parent asks nobody (${by})`)
    t.equal((await at('shop.test', 'admin.test', null)).status, 421, `another name leads not past it (${by})`)
  }
})

t.test('a TCP service closes on who has no good certificate', async t => {
  const echo = await openTcpServer(t, socket => socket.pipe(socket))
  const { load, port } = openTestPlane(t)
  await load(
    aSnapshot({
      services: [
        aService({ application: 'tcp', listeners: [aListener({ isTls: true })], tls: { ...aTls(['shop']), clientAuth: anAuth() } })
      ],
      pools: [aPool([echo.port])],
      certificates: [shop]
    })
  )
  const talk = async (issued: Issued | null): Promise<string> => {
    const socket = tlsConnect({ port: port(), host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false, ...clientOf(issued) })
    socket.on('error', () => undefined)
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      socket.end()
    })
    socket.write('hello')
    await once(socket, 'close')
    return text
  }
  t.equal(await talk(good), 'hello')
  t.equal(await talk(null), '')
  t.equal(await talk(forged), '')
})

t.test('a revoked server is not spoken to', async t => {
  const issued = await ca.issue({ subject: 'CN=web', serial: 'ee05', names: ['web.test'] })
  const server = createHttpsServer({ cert: issued.certificatePem, key: issued.keyPem }, (_request, response) => response.end('secure'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port: serverPort } = server.address() as AddressInfo
  const { load, port } = openTestPlane(t)
  const statusWith = async (given: Partial<UpstreamTlsSpec>): Promise<number> => {
    const tls = anUpstreamTls({ serverName: 'web.test', trustedPem: ca.certificatePem, isHostChecked: true, ...given })
    await load(aSnapshot({ services: [aService()], pools: [aPool([serverPort], { tls })] }))
    return (await ask(port())).status
  }
  t.equal(await statusWith({ leafCrls: [leafCrl] }), 200)
  t.equal(await statusWith({ leafCrls: [{ ...leafCrl, serials: ['ee05'] }] }), 502)
  t.equal(await statusWith({ crlPem: await ca.revoke([]) }), 200)
  t.equal(await statusWith({ crlPem: await ca.revoke(['ee05']) }), 502)
})
