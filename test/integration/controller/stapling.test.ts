/** OCSP from a real responder to a client of an engine. */
import { spawn, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import t, { type Test } from 'tap'
import { silentLog } from '#model/base/log.ts'
import { makeOcspRequest, readOcspResponse } from '#controller/pki/ocsp.ts'
import { isReachable, makeResponderClient } from '#controller/pki/responder.ts'
import { STAPLE_TABLE, startStapling, type AskResponder, type StapleRow } from '#controller/pki/stapling.ts'
import { withCertificateFacts } from '#controller/pki/certificate.ts'
import { aCertificate, anAuthority, keyToPem, type Issued } from '#test/support/certificates.ts'
import { aChange } from '#test/support/change.ts'
import { openTestPlane } from '#test/support/data-plane.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { freePorts } from '#test/support/ports.ts'
import { aListener, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const DAY_MS = 86_400_000
const authority = await anAuthority('responder')
const client = makeResponderClient(() => true)

/** `openssl ocsp` over an index of certificates. */
async function aResponder(
  t: Test
): Promise<{ url: string; say: (line: 'V' | 'R', serial: string) => void; restart: () => Promise<void>; stop: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'ocsp-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [port] = (await freePorts(1)) as [number]
  const path = (name: string): string => join(folder, name)
  writeFileSync(path('ca.pem'), authority.certificatePem)
  writeFileSync(path('ca.key'), await keyToPem(authority.keys.privateKey))
  writeFileSync(path('index.txt'), '')
  const args = [
    'ocsp',
    '-port',
    String(port),
    '-index',
    path('index.txt'),
    '-CA',
    path('ca.pem'),
    '-rsigner',
    path('ca.pem'),
    '-rkey',
    path('ca.key'),
    '-nmin',
    '60'
  ]
  let child: ReturnType<typeof spawn> | undefined
  const stop = (): void => void child?.kill('SIGKILL')
  t.teardown(stop)
  const restart = async (): Promise<void> => {
    const before = child
    if (before !== undefined && before.exitCode === null && before.signalCode === null) {
      stop()
      await once(before, 'exit')
    }
    const started = spawn('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child = started
    let said = ''
    for (const stream of [started.stdout, started.stderr]) stream.on('data', chunk => (said += String(chunk)))
    await until('the responder waits for requests', () => /waiting for/.test(said))
  }
  const say = (state: 'V' | 'R', serial: string): void => {
    const revoked = state === 'R' ? '260101000000Z,keyCompromise' : ''
    writeFileSync(path('index.txt'), `${state}\t361231235959Z\t${revoked}\t${serial.toUpperCase()}\tunknown\t/CN=${serial}\n`)
  }
  return { url: `http://127.0.0.1:${port}/`, say, restart, stop }
}

async function aJob(t: Test, issued: Issued) {
  const { store, create } = await aChange(t)
  const made = await create('sslkeyandcertificate', {
    name: 'shop',
    certificate: { certificate: issued.certificatePem + authority.certificatePem },
    key: issued.keyPem,
    enable_ocsp_stapling: true,
    ocsp_config: { ocsp_req_interval: 60, failed_ocsp_jobs_retry_interval: 60 }
  })
  const uuid = made.uuid
  const clock = manualClock(Date.now())
  let changes = 0
  let pending = 0
  const ask: AskResponder = async (...asked) => {
    pending++
    try {
      return await client(...asked)
    } finally {
      pending--
    }
  }
  const stapling = startStapling({ store, clock, random: () => 0.5, log: silentLog, ask, changed: () => changes++ })
  t.teardown(stapling.stop)
  const row = (): StapleRow | undefined => store.table<StapleRow>(STAPLE_TABLE).get(uuid)
  const facts = () => withCertificateFacts('sslkeyandcertificate', store.get('sslkeyandcertificate', uuid)!.body, clock.nowEpochMs(), row())
  /** Moves on until the job has asked again. */
  const again = async (): Promise<StapleRow> => {
    const before = JSON.stringify(row())
    return until('another answer', async () => {
      if (pending === 0 && JSON.stringify(row()) === before) clock.advance(5_000)
      await new Promise(resolve => setImmediate(resolve))
      const now = row()
      return pending === 0 && now !== undefined && JSON.stringify(now) !== before ? now : undefined
    })
  }
  return { store, uuid, clock, stapling, row, facts, again, changes: () => changes }
}

t.test('a response is fetched, checked, stapled and shown', { skip: hasOpenssl ? false : 'needs openssl' }, async t => {
  const responder = await aResponder(t)
  responder.say('V', '0a')
  await responder.restart()
  const issued = await authority.issue({ subject: 'CN=shop.test', serial: '0a', names: ['shop.test'], ocspUrl: responder.url })
  const job = await aJob(t, issued)
  const first = await job.again()
  t.match(first, { status: 'good', error: '', url: responder.url, failures: 0 })
  t.equal(job.changes(), 1)
  const staple = job.stapling.of(job.uuid)!
  t.match(job.facts(), {
    ocsp_error_status: 'OCSP_ERR_CERTSTATUS_GOOD',
    ocsp_responder_url_list_from_certs: [responder.url],
    ocsp_response_info: { cert_status: 'OCSP_CERTSTATUS_GOOD', stapled: true },
    certificate: { expiry_status: 'SSL_CERTIFICATE_EXPIRY_WARNING', days_until_expire: 0 }
  })

  const { load, port } = openTestPlane(t)
  const part = { ...(await aCertificate('shop', ['shop.test'])), ...issued, staple }
  const shown = async (given: typeof part, requestOCSP = true): Promise<Buffer | null> => {
    await load(aSnapshot({ services: [aService({ listeners: [aListener({ isTls: true })], tls: aTls(['shop']) })], certificates: [given] }))
    const socket = tlsConnect({ port: port(), host: '127.0.0.1', servername: 'shop.test', ca: authority.certificatePem, requestOCSP })
    let response: Buffer | null = null
    socket.on('OCSPResponse', (bytes: Buffer | null) => (response = bytes))
    await once(socket, 'secureConnect')
    socket.destroy()
    return response
  }
  t.equal((await shown(part))?.toString('base64'), staple.response)
  t.equal(await shown({ ...part, staple: { ...staple, untilEpochMs: Date.now() - 1 } }), null, 'not when it has ended')

  const [leaf, issuer] = [new X509Certificate(issued.certificatePem), new X509Certificate(authority.certificatePem)]
  const bytes = Buffer.from(staple.response, 'base64')
  t.match(readOcspResponse(bytes, leaf, issuer, Date.now()), { is: 'answer', answer: { status: 'good' } })
  t.match(readOcspResponse(bytes, leaf, issuer, Date.now() + DAY_MS), { is: 'refused', reason: /has ended/ })
  t.match(readOcspResponse(bytes, leaf, issuer, Date.now() - DAY_MS), { is: 'refused', reason: /begins later/ })
  const stranger = await anAuthority('responder')
  t.match(readOcspResponse(bytes, leaf, new X509Certificate(stranger.certificatePem), Date.now()), { is: 'refused', reason: /not signed/ })
  const other = new X509Certificate((await authority.issue({ subject: 'CN=other', serial: '0b' })).certificatePem)
  t.match(readOcspResponse(bytes, other, issuer, Date.now()), { is: 'refused', reason: /not about this certificate/ })
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes)
    damaged[at]! ^= 0x41
    const read = readOcspResponse(damaged, leaf, issuer, Date.now())
    // What is not signed (a certificate beside it) may be anything.
    if (read.is === 'answer' && read.answer.status !== 'good') t.fail(`byte ${at}`)
    if (readOcspResponse(bytes.subarray(0, at), leaf, issuer, Date.now()).is === 'answer') t.fail(`cut at ${at}`)
  }

  responder.stop()
  const failed = await job.again()
  t.match(failed, { status: 'good', error: 'HTTP_REQ', failures: 1, response: staple.response }, 'the last good one stays')
  t.equal(job.changes(), 1)
  responder.say('R', '0a')
  await responder.restart()
  t.match(await job.again(), { status: 'revoked', response: '', revokedEpochMs: Date.UTC(2026, 0, 1) })
  t.equal(job.stapling.of(job.uuid), undefined)
  t.match(job.facts(), { ocsp_error_status: 'OCSP_ERR_CERTSTATUS_REVOKED', ocsp_response_info: { stapled: false } })
})

t.test('without a responder that helps, the reason is told and nothing grows', async t => {
  const answers: { status: number; body: Buffer }[] = []
  const server = createServer((request, response) => {
    request.resume()
    const { status, body } = answers.shift() ?? { status: 200, body: Buffer.alloc(0) }
    response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const issued = await authority.issue({ subject: 'CN=shop.test', serial: '0c', ocspUrl: url })
  const job = await aJob(t, issued)
  for (const [answer, error, detail] of [
    [{ status: 302, body: Buffer.alloc(0) }, 'HTTP_REQ', /answered 302/],
    [{ status: 200, body: Buffer.from('no DER') }, 'HTTP_RESP', /no OCSP response/],
    [{ status: 200, body: Buffer.from('30030a0106', 'hex') }, 'HTTP_RESP', /unauthorized/],
    [{ status: 200, body: Buffer.alloc(100_000) }, 'HTTP_REQ', /too much|aborted|reset/]
  ] as const) {
    answers.length = 0
    for (let i = 0; i < 10; i++) answers.push(answer)
    t.match(await job.again(), { status: '', error, detail, response: '' })
  }
  t.equal(job.changes(), 0)
  t.match(await (await aJob(t, await authority.issue({ subject: 'CN=x', serial: '0d' }))).again(), { error: 'URL_LIST' })
  const alone = await aCertificate('alone', ['alone.test'])
  t.match(await (await aJob(t, { ...alone, certificatePem: `${alone.certificatePem}\n` })).again(), { error: 'SELFSIGNED' })
})

t.test('a responder is not looked for on this host or its links', async t => {
  for (const ip of ['127.0.0.1', '169.254.169.254', '0.0.0.0', '::1', 'fe80::1', '224.0.0.1', '::ffff:127.0.0.1'])
    t.notOk(isReachable(ip), ip)
  for (const ip of ['10.0.0.1', '192.0.2.1', '2001:db8::1']) t.ok(isReachable(ip), ip)
  const ask = makeResponderClient()
  await t.rejects(ask('http://127.0.0.1:1/', Buffer.alloc(0), 500), /not asked/)
  await t.rejects(ask('http://localhost:1/', Buffer.alloc(0), 500), /not asked/)
  await t.rejects(ask('http://[::1]:1/', Buffer.alloc(0), 500), /not asked/)
  await t.rejects(ask('file:///etc/passwd', Buffer.alloc(0), 500), /http or https/)
  t.ok(makeOcspRequest(new X509Certificate(authority.certificatePem), new X509Certificate(authority.certificatePem)))
})
