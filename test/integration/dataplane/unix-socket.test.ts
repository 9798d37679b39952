/** Servers on Unix sockets of the engine's host. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { converse, makeProbeTls } from '#engine/monitor/connect.ts'
import { up } from '#engine/monitor/probe.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, openerOf, openTestPlane, sendRaw } from '#test/support/data-plane.ts'
import { aPool, aServer, aService, aSnapshot, anUpstreamTls } from '#test/support/snapshot.ts'

function aPath(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'unix-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'app.sock')
}

const atPath = (path: string) => aServer(80, { id: `unix:${path}`, host: 'app.local', path })

for (const kind of ['wire', 'stock'] as const)
  t.test(`${kind}: HTTP to a path, named by its host, and 502 when nobody is there`, async t => {
    const path = aPath(t)
    const server = createHttpServer((request, response) => {
      request.resume().on('end', () => response.end(`${request.method} ${request.headers.host}`))
    }).listen(path)
    await once(server, 'listening')
    const { load, port, records, bugs } = openerOf(kind)(t)
    t.same(await load(aSnapshot({ services: [aService()], pools: [aPool([atPath(path)])] })), [])
    t.match(await ask(port(), { headers: { host: 'shop.test' } }), { status: 200, body: 'GET shop.test' })
    t.match(await ask(port(), { method: 'POST', body: 'x'.repeat(100_000), headers: { host: 'shop.test' } }), {
      status: 200,
      body: 'POST shop.test'
    })
    t.match(records[0], { server: `unix:${path}`, fault: '' })
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
    t.equal((await ask(port())).status, 502)
    t.match(records.at(-1), { fault: 'UPSTREAM_CONNECT_REFUSED' })
    t.same(bugs, [])
  })

t.test('TCP to a path', async t => {
  const path = aPath(t)
  const server = createServer(socket => socket.pipe(socket)).listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ application: 'tcp' })], pools: [aPool([atPath(path)])] }))
  t.match(await sendRaw(port(), 'hello', { until: seen => seen === 'hello' }), { text: 'hello' })
})

t.test('a monitor probes the path, with TLS where the pool speaks it', async t => {
  const path = aPath(t)
  const shop = await aCertificate('shop', ['shop.test'])
  const plainPath = `${path}.plain`
  const servers = [
    createTlsServer({ cert: shop.certificatePem, key: shop.keyPem }, socket => socket.end('ready')).listen(path),
    createServer(socket => socket.end('ready')).listen(plainPath)
  ]
  await Promise.all(servers.map(server => once(server, 'listening')))
  t.teardown(() => servers.forEach(server => server.close()))
  const spec = anUpstreamTls({ serverName: 'shop.test', trustedPem: shop.certificatePem, isHostChecked: true })
  const probe = (at: string, tls: ReturnType<typeof makeProbeTls> | null) =>
    converse({
      target: { ip: 'app.local', port: 80, path: at, host: 'app.local', hostHeader: null },
      timeoutMs: 5_000,
      tls,
      request: '',
      judge: answer => (answer === 'ready' ? up('ready') : undefined),
      maxAnswerBytes: 100
    })
  t.match(await probe(path, makeProbeTls(spec, { certificate: () => undefined })), { verdict: 'up' })
  t.match(await probe(plainPath, null), { verdict: 'up' })
  t.match(await probe(`${path}.none`, null), { verdict: 'down' })
})
