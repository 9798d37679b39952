import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createSecureServer, createServer as createHttp2, type ServerHttp2Stream } from 'node:http2'
import { createServer as createTcp, type AddressInfo } from 'node:net'
import { createServer as createTls } from 'node:tls'
import t from 'tap'
import { makeProbe } from '#engine/monitor/catalogue.ts'
import { makePingProbe } from '#engine/monitor/ping/ping.ts'
import type { ProbeResult, ProbeServices } from '#engine/monitor/probe.ts'
import type { ProbeSpec, UpstreamTlsSpec } from '#model/snapshot/snapshot.ts'
import { at, probeContract, serve } from '#test/contract/monitor.ts'
import { dnsAnswer } from '#test/support/dns-answer.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
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

async function seen(test: Pick<typeof t, 'teardown'>, spec: ProbeSpec, text: string): Promise<ProbeResult> {
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

t.test('a probe keeps what was asked and answered, without credentials', async t => {
  const result = await seen(t, { ...http, authorization: 'Basic c2VjcmV0' }, 'HTTP/1.1 200 OK\r\nX-Load: \u0007\r\n\r\nfine')
  t.match(result, {
    request: /^GET \/health HTTP\/1.0\nHost: [^]*\nAuthorization: \(hidden\)/,
    answer: 'HTTP/1.1 200 OK\nX-Load: .\n\nfine'
  })
  t.notMatch(JSON.stringify(result), /c2VjcmV0/)
})

t.test('http sends a body and looks as far as it is told', async t => {
  let asked = ''
  const port = await serve(t, socket => {
    socket.on('data', chunk => {
      asked += chunk.toString()
      if (asked.endsWith('ping')) socket.end(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(4_000)}all is well`)
    })
  })
  const spec: Http = { ...http, request: 'POST /health HTTP/1.0', body: 'ping', bodyContains: 'all is well' }
  t.match(await makeProbe({ ...spec, maxBodyBytes: 8_192 }, services).attempt(at(port), 10_000), { verdict: 'up' })
  t.match(asked, /Content-Length: 4\r\n\r\nping$/)
  asked = ''
  t.match(await makeProbe(spec, services).attempt(at(port), 10_000), { verdict: 'down', detail: /first 2048 bytes/ })
})

t.test('http and tcp hear how much a server can take', async t => {
  const weighed: Http = { ...http, weightHeader: 'x-weight' }
  t.match(await seen(t, weighed, 'HTTP/1.1 200 OK\r\nX-Weight: 30%\r\n\r\n'), {
    verdict: 'up',
    detail: '200, takes 30 %',
    weightPercent: 30
  })
  t.equal('weightPercent' in (await seen(t, weighed, 'HTTP/1.1 200 OK\r\n\r\n')), false)
  const agent: Tcp = { ...tcp, isAgent: true }
  const port = await serve(t, socket => void socket.write('up 60%\n'))
  t.match(await makeProbe(agent, services).attempt(at(port), 10_000), { verdict: 'up', weightPercent: 60, answer: 'up 60%\n' })
  t.match(await seen(t, { ...agent, request: 'x' }, 'down'), { verdict: 'down' })
  const silent = await serve(t, () => undefined)
  t.match(await makeProbe(agent, services).attempt(at(silent), 50), { verdict: 'down', detail: 'no answer within 50 ms' })
})

t.test('dns asks over UDP, and over TCP when the answer is cut off', async t => {
  const record = { type: 1, data: Buffer.from([10, 0, 0, 1]) }
  // One number for both protocols, and so not one of those that the kernel gives to clients of either.
  const [port] = (await freePorts(1)) as [number]
  const socket = createSocket('udp4')
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  let isTruncated = false
  socket.on('message', (query, from) => {
    // An answer to another question does not count.
    const other = Buffer.from(query)
    other.writeUInt16BE(query.readUInt16BE(0) ^ 1, 0)
    socket.send(dnsAnswer(other, {}), from.port, from.address)
    const isKnown = query.includes('shop')
    socket.send(dnsAnswer(query, isKnown ? { isTruncated, records: isTruncated ? [] : [record] } : { rcode: 3 }), from.port, from.address)
  })
  const server = createTcp(connection => {
    connection.on('error', () => undefined)
    connection.once('data', (chunk: Buffer) => {
      const answer = dnsAnswer(chunk.subarray(2), { records: [record, { type: 1, data: Buffer.from([10, 0, 0, 2]) }] })
      const length = Buffer.from([answer.length >> 8, answer.length & 255])
      connection.write(Buffer.concat([length, answer.subarray(0, 5)]))
      setImmediate(() => connection.write(answer.subarray(5)))
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const dns = { is: 'dns', name: 'shop.test', recordType: 1, accepts: 'type', isErrorAccepted: false, expected: null } as const
  const ask = (over: Partial<Extract<ProbeSpec, { is: 'dns' }>> = {}) => makeProbe({ ...dns, ...over }, services).attempt(at(port), 10_000)
  t.match(await ask(), {
    verdict: 'up',
    detail: 'NOERROR, 1 record',
    request: 'UDP: shop.test type 1',
    answer: 'NOERROR\ntype 1: 10.0.0.1'
  })
  t.match(await ask({ name: 'other.test' }), { verdict: 'down', detail: 'answered NXDOMAIN' })
  t.match(await ask({ expected: '10.0.0.2' }), { verdict: 'down' })
  isTruncated = true
  t.match(await ask({ expected: '10.0.0.2' }), { verdict: 'up', detail: 'NOERROR, 2 records', request: /^TCP/ })
  const silent = createSocket('udp4')
  silent.bind(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  t.match(await makeProbe(dns, services).attempt(at(silent.address().port), 50), { verdict: 'down', detail: 'no answer within 50 ms' })
})

t.test('grpc asks the health service, in the clear and over TLS', async t => {
  const answerGrpc = (stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>): void => {
    stream.on('error', () => undefined)
    const parts: Buffer[] = []
    stream.on('data', (chunk: Buffer) => parts.push(chunk))
    stream.on('end', () => {
      const service = Buffer.concat(parts).subarray(7).toString()
      if (headers[':path'] !== '/grpc.health.v1.Health/Check' || service === 'unknown')
        return stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' }, { endStream: true })
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, service === 'resting' ? 2 : 1]))
    })
  }
  const open = async (server: ReturnType<typeof createHttp2> | ReturnType<typeof createSecureServer>): Promise<number> => {
    const sessions = new Set<{ destroy: () => void }>()
    server.on('session', session => {
      sessions.add(session)
      session.on('error', () => undefined)
    })
    server.on('stream', answerGrpc)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      for (const session of sessions) session.destroy()
      server.close()
    })
    return (server.address() as AddressInfo).port
  }
  const ask = (port: number, service: string, over: UpstreamTlsSpec | null = null, timeoutMs = 10_000) =>
    makeProbe({ is: 'grpc', service, tls: over }, services).attempt(at(port), timeoutMs)
  const clear = await open(createHttp2())
  t.match(await ask(clear, ''), { verdict: 'up', detail: 'SERVING', request: /Health\/Check/, answer: /grpc-status: 0/ })
  t.match(await ask(clear, 'shop.Cart'), { verdict: 'up' })
  t.match(await ask(clear, 'resting'), { verdict: 'down', detail: 'NOT_SERVING' })
  t.match(await ask(clear, 'unknown'), { verdict: 'down', detail: /does not know/ })
  const secure = await open(createSecureServer({ cert: certificatePem, key: keyPem }))
  t.match(await ask(secure, '', tls), { verdict: 'up' })
  t.match(await ask(secure, '', { ...tls, trustedPem: certificatePem, isHostChecked: true }), { verdict: 'up' })
  t.match(await ask(secure, '', { ...tls, trustedPem: (await selfSigned(['other.test'])).certificatePem }), { verdict: 'down' })
  const http1 = await serve(t, ok, handle => createTls({ cert: certificatePem, key: keyPem }, handle).on('tlsClientError', () => undefined))
  t.match(await ask(http1, '', tls), { verdict: 'down' })
  t.match(await ask(await serve(t, ok), ''), { verdict: 'down' })
  t.match(await ask(await serve(t, () => undefined), '', null, 100), { verdict: 'down', detail: 'no answer within 100 ms' })
})

t.test('a script is run with bounds, and only where it is allowed', async t => {
  const external = { is: 'external', parameters: ['one'], variables: { COLOUR: 'blue' } } as const
  const scriptUser = {
    uid: process.getuid!() === 0 ? 65_534 : process.getuid!(),
    gid: process.getuid!() === 0 ? 65_534 : process.getgid!()
  }
  const run = (code: string, timeoutMs = 30_000) =>
    makeProbe({ ...external, code }, { ...services, scriptUser }).attempt(at(4711), timeoutMs)
  t.match(await makeProbe({ ...external, code: 'echo ok' }, services).attempt(at(1), 1_000), {
    verdict: 'unknown',
    detail: /switched off on this engine/
  })
  t.match(await run('echo "$IP $PORT $1 $2 $3 $COLOUR"'), { verdict: 'up', detail: '127.0.0.1 4711 127.0.0.1 4711 one blue' })
  t.match(await run('#!/bin/sh -e\nfalse\necho never'), { verdict: 'down', detail: 'ended with status 1' })
  t.match(await run('true'), { verdict: 'down', detail: /wrote nothing/ })
  t.match(await run('echo broken >&2; exit 3'), { verdict: 'down', detail: 'ended with status 3: broken', answer: /broken/ })
  t.match(await run('#!/no/such/interpreter\n'), { verdict: 'unknown', detail: /cannot run here/ })
  t.match(await run('id -u'), { verdict: 'up', detail: String(scriptUser.uid) })
  process.env['WEIR_SECRET_OF_TEST'] = 'hidden'
  t.teardown(() => delete process.env['WEIR_SECRET_OF_TEST'])
  t.notMatch(await run('env'), /WEIR_SECRET_OF_TEST/)
  const flood = await run('yes | head -c 3000000; echo end')
  t.match(flood, { verdict: 'up' })
  t.ok((flood.answer ?? '').length <= 512)
  const memory = await run('ulimit -v')
  t.match(memory, { detail: '524288' })
  const slow = await run('sleep 600 & echo "$$ $!"; sleep 600', 1_000)
  t.match(slow, { verdict: 'down', detail: 'did not end within 1000 ms' })
  const group = (slow.answer ?? '').trim().split(' ').map(Number)
  t.equal(group.length, 2)
  const isAlive = (pid: number): boolean => {
    try {
      return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
    } catch {
      return false
    }
  }
  await until('the whole group is gone', () => !group.some(isAlive))
  const stopped = makeProbe({ ...external, code: 'sleep 600' }, { ...services, scriptUser })
  const attempt = stopped.attempt(at(4711), 600_000)
  stopped.stop?.()
  t.match(await attempt, { verdict: 'unknown', detail: 'the engine stopped' })
  // What is left behind does not hold up the verdict.
  t.match(await run('sleep 600 & echo "$HOME"'), { verdict: 'up' })
  const { detail: home } = await run('pwd')
  t.equal(existsSync(home), false, 'its folder is removed')
})
