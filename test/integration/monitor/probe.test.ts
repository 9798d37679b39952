import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createTls } from 'node:tls'
import t from 'tap'
import { makeProbe } from '#engine/monitor/catalogue.ts'
import { makePingProbe } from '#engine/monitor/ping/ping.ts'
import type { ProbeServices } from '#engine/monitor/probe.ts'
import type { ProbeSpec, UpstreamTlsSpec } from '#model/snapshot/snapshot.ts'
import { at, probeContract, serve } from '#test/contract/monitor.ts'
import { selfSigned } from '#test/support/self-signed.ts'

const services: ProbeServices = { certificate: () => undefined }

type Http = Extract<ProbeSpec, { is: 'http' | 'https' }>
const http: Http = {
  is: 'http',
  request: 'GET /health HTTP/1.0',
  isExactRequest: false,
  statusRanges: [{ from: 200, to: 399 }],
  bodyContains: null,
  maintenanceStatuses: [],
  maintenanceBody: null,
  tls: null,
  authorization: null
}
type Tcp = Extract<ProbeSpec, { is: 'tcp' }>
const tcp: Tcp = { is: 'tcp', request: null, response: null, maintenanceResponse: null, isHalfOpen: false }
const tls: UpstreamTlsSpec = {
  isSniEnabled: true,
  serverName: 'shop.test',
  trustedPem: null,
  isHostChecked: false,
  clientCertificateId: null,
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: ''
}

const { certificatePem, keyPem } = await selfSigned(['shop.test'])
const answer = (text: string) => (socket: { once: (name: 'data', call: () => void) => void; end: (text: string) => void }) =>
  socket.once('data', () => socket.end(text))
const ok = answer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')

probeContract({ name: 'tcp', make: () => makeProbe(tcp, services), healthy: () => undefined })
probeContract({
  name: 'tcp with an exchange',
  make: () => makeProbe({ ...tcp, request: 'PING\r\n', response: 'PONG' }, services),
  healthy: answer('+PONG\r\n')
})
probeContract({ name: 'http', make: () => makeProbe(http, services), healthy: ok })
probeContract({
  name: 'https',
  make: () => makeProbe({ ...http, is: 'https' }, services),
  healthy: ok,
  listen: handle => createTls({ cert: certificatePem, key: keyPem }, handle).on('tlsClientError', () => undefined)
})

async function seen(test: Pick<typeof t, 'teardown'>, spec: ProbeSpec, text: string): Promise<{ verdict: string; detail: string }> {
  const port = await serve(test, answer(text))
  return makeProbe(spec, services).attempt(at(port), 10_000)
}

t.test('http judges status, text and maintenance', async t => {
  const text = (status: number, body: string): string => `HTTP/1.1 ${status} X\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  t.match(await seen(t, http, text(404, '')), { verdict: 'down', detail: 'status 404' })
  t.match(await seen(t, { ...http, statusRanges: [] }, text(404, '')), { verdict: 'up', detail: '404' })
  const withText: Http = { ...http, bodyContains: 'all is well' }
  t.match(await seen(t, withText, text(200, `${'x'.repeat(1_000)}all is well`)), { verdict: 'up' })
  t.match(await seen(t, withText, text(200, `${'x'.repeat(2_048)}all is well`)), { verdict: 'down' })
  t.match(await seen(t, withText, text(200, 'no')), { verdict: 'down', detail: /expected text/ })
  t.match(await seen(t, { ...http, maintenanceStatuses: [503] }, text(503, '')), { verdict: 'down', detail: '503, maintenance' })
  t.match(await seen(t, { ...http, maintenanceBody: 'back soon' }, text(200, 'back soon')), { verdict: 'down', detail: '200, maintenance' })
})

t.test('http says what it did not understand, harmlessly', async t => {
  t.match(await seen(t, http, 'SSH-2.0-OpenSSH_9.2\r\n'), { verdict: 'down', detail: 'the answer cannot be read: it is not HTTP' })
  t.match(await seen(t, http, ''), { verdict: 'down' })
  t.match(await seen(t, http, 'HTTP/1.1 2000 OK\r\n\r\n'), { verdict: 'down', detail: /status line/ })
  const { detail } = await seen(t, { ...tcp, request: 'x', response: 'PONG' }, '\u001b[31m\r\n\u0000'.repeat(100))
  t.match(detail, /^[\x20-\x7e]{1,140}$/)
})

t.test('http gives up on a server that does not answer', async t => {
  const port = await serve(t, () => undefined)
  t.match(await makeProbe(http, services).attempt(at(port), 50), { verdict: 'down', detail: 'no answer within 50 ms' })
})

t.test('tcp that only knows a maintenance answer takes silence for health', async t => {
  const port = await serve(t, () => undefined)
  const probe = makeProbe({ ...tcp, maintenanceResponse: 'MAINT' }, services)
  t.match(await probe.attempt(at(port), 50), { verdict: 'up' })
  t.match(await seen(t, { ...tcp, request: 'x', maintenanceResponse: 'MAINT' }, 'in MAINT'), { verdict: 'down', detail: 'maintenance' })
})

t.test('https sends the name and verifies only when asked to', async t => {
  let servername: unknown
  const listen = (handle: Parameters<typeof createTls>[1]) =>
    createTls({ cert: certificatePem, key: keyPem }, socket => {
      servername = (socket as unknown as { servername: unknown }).servername
      handle?.(socket)
    }).on('tlsClientError', () => undefined)
  const port = await serve(t, ok, handle => listen(handle))
  const probe = (spec: UpstreamTlsSpec) => makeProbe({ ...http, is: 'https', tls: spec }, services).attempt(at(port), 10_000)
  t.match(await probe(tls), { verdict: 'up' })
  t.equal(servername, 'shop.test')
  t.match(await probe({ ...tls, trustedPem: certificatePem, isHostChecked: true }), { verdict: 'up' })
  const { certificatePem: stranger } = await selfSigned(['other.test'])
  t.match(await probe({ ...tls, trustedPem: stranger, isHostChecked: true }), { verdict: 'down' })
  t.match(await probe({ ...tls, trustedPem: certificatePem, serverName: 'other.test', isHostChecked: true }), { verdict: 'down' })
})

t.test('ping tells no answer from not being able to ask', async t => {
  const target = at(0)
  const ping = (code: number | null, output = '') => makePingProbe(() => Promise.resolve({ code, output })).attempt(target, 1_000)
  t.match(await ping(0), { verdict: 'up' })
  t.match(await ping(1), { verdict: 'down', detail: 'no answer within 1000 ms' })
  t.match(await ping(null), { verdict: 'unknown', detail: 'ping is not available on this host' })
  t.match(await ping(2, 'ping: socket: Operation not permitted'), { verdict: 'unknown' })
  t.match(await ping(2, 'connect: Network is unreachable'), { verdict: 'down' })
})

t.test('udp asks with one datagram', async t => {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  socket.on('message', (datagram, from) => {
    const asked = datagram.toString()
    if (asked !== 'silence') socket.send(asked === 'PING' ? 'PONG' : asked, from.port, from.address)
  })
  const { port } = socket.address()
  const udp = { is: 'udp', request: 'PING', response: 'PONG', maintenanceResponse: 'MAINT' } as const
  const seenOf = (spec: Partial<Extract<ProbeSpec, { is: 'udp' }>>, timeoutMs: number) =>
    makeProbe({ ...udp, ...spec }, services).attempt(at(port), timeoutMs)
  t.match(await seenOf({}, 10_000), { verdict: 'up', detail: 'answered as expected' })
  t.match(await seenOf({ request: 'in MAINT' }, 10_000), { verdict: 'down', detail: 'maintenance' })
  t.match(await seenOf({ request: 'NO\u0007' }, 100), { verdict: 'down', detail: 'answered "NO"' })
  t.match(await seenOf({ request: 'silence' }, 50), { verdict: 'down', detail: 'no answer within 50 ms' })
  t.match(await seenOf({ request: 'silence', response: null }, 50), { verdict: 'up', detail: 'nothing came back' })
  await new Promise<void>(resolve => void socket.close(resolve))
  t.match(await seenOf({ response: null }, 10_000), { verdict: 'down', detail: 'connection refused' })
})
