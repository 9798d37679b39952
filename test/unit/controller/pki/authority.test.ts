import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import { CsrRefused } from '#controller/pki/port.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { EC } from '#controller/pki/x509.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aCsr } from '#test/support/csr.ts'

const seal = makeSeal(new Uint8Array(32).fill(7))
const DAY = 24 * 60 * 60 * 1000

t.test('the authority is made once and found again', async t => {
  const store = openMemoryStore()
  const clock = manualClock()
  const first = await openAuthority({ store, seal, clock, log: silentLog })
  const second = await openAuthority({ store, seal, clock, log: silentLog })
  t.equal(second.caPem, first.caPem)
  t.equal(second.serverKeyPin, first.serverKeyPin)
  t.equal(second.serverCertificate().certificatePem, first.serverCertificate().certificatePem)
  t.match(first.caFingerprint, /^[A-Za-z0-9_-]{43}$/)
  t.match(first.serverKeyPin, /^sha256\/\/[A-Za-z0-9+/]{43}=$/)
  const ca = new X509Certificate(first.caPem)
  t.ok(ca.ca)
  t.ok(ca.validToDate.getTime() - clock.nowEpochMs() > 3_650 * DAY)
  t.notMatch(JSON.stringify(store.table('pki').entries()), /PRIVATE KEY/, 'no key in the clear at rest')
  const other = makeSeal(new Uint8Array(32).fill(8))
  await t.rejects(openAuthority({ store, seal: other, clock, log: silentLog }), { name: 'SealBroken' })
})

t.test('the server certificate is for this host, from the authority, and goes with the root', async t => {
  const authority = await openAuthority({
    store: openMemoryStore(),
    seal,
    clock: manualClock(),
    log: silentLog,
    hostnames: ['lb.example.com', '192.0.2.7']
  })
  const { certificatePem } = authority.serverCertificate()
  const [leafPem, rootPem] = certificatePem.split(/(?<=-----END CERTIFICATE-----\n)/)
  const leaf = new X509Certificate(leafPem!)
  const root = new X509Certificate(rootPem!)
  t.ok(leaf.verify(root.publicKey) && leaf.checkIssued(root))
  for (const name of ['localhost', 'lb.example.com']) t.ok(leaf.checkHost(name), name)
  for (const address of ['127.0.0.1', '::1', '192.0.2.7']) t.ok(leaf.checkIP(address), address)
  t.match(leaf.subjectAltName, /URI:spiffe:\/\/weir\/controller/)
  t.same(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1'], 'serverAuth and nothing else')
})

t.test('the server certificate renews at half of its life; its key stays', async t => {
  const store = openMemoryStore()
  const clock = manualClock()
  const authority = await openAuthority({ store, seal, clock, log: silentLog })
  t.teardown(authority.stop)
  const before = authority.serverCertificate()
  clock.advance(44 * DAY)
  t.equal(authority.serverCertificate().certificatePem, before.certificatePem)
  const renewed = new Promise<void>(resolve => void authority.onServerRenewed(resolve))
  clock.advance(2 * DAY)
  await renewed
  const after = authority.serverCertificate()
  t.not(after.certificatePem, before.certificatePem)
  t.equal(after.keyPem, before.keyPem)
  t.ok(new X509Certificate(after.certificatePem).validToDate.getTime() > clock.nowEpochMs() + 89 * DAY)
  const again = await openAuthority({ store, seal, clock, log: silentLog })
  t.equal(again.serverCertificate().certificatePem, after.certificatePem)
  t.equal(again.serverKeyPin, authority.serverKeyPin)
})

t.test('the server certificate is issued anew when this host is to be known by another name', async t => {
  const store = openMemoryStore()
  const clock = manualClock()
  const first = await openAuthority({ store, seal, clock, log: silentLog })
  const second = await openAuthority({ store, seal, clock, log: silentLog, hostnames: ['new.example.com'] })
  t.ok(new X509Certificate(second.serverCertificate().certificatePem).checkHost('new.example.com'))
  t.equal(second.serverKeyPin, first.serverKeyPin)
})

t.test('signEngine gives the identity that we name, for 30 days, whatever the request says', async t => {
  const clock = manualClock()
  const authority = await openAuthority({ store: openMemoryStore(), seal, clock, log: silentLog })
  const { csrPem } = await aCsr('CN=spiffe://weir/engine/somebody-else')
  const signed = await authority.signEngine(csrPem, 'serviceengine-1')
  const certificate = new X509Certificate(signed.certificatePem)
  t.equal(certificate.subjectAltName, 'URI:spiffe://weir/engine/serviceengine-1')
  t.same(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'], 'clientAuth and nothing else')
  t.equal(certificate.ca, false)
  t.ok(certificate.verify(new X509Certificate(authority.caPem).publicKey))
  t.equal(signed.notAfterEpochMs, clock.nowEpochMs() + 30 * DAY)
  t.equal(certificate.serialNumber.toLowerCase(), signed.serialNumber)
  t.equal(signed.serialNumber.length, 32)
  t.not((await authority.signEngine(csrPem, 'serviceengine-1')).serialNumber, signed.serialNumber)
})

t.test('signEngine refuses a request that is none, proves nothing or has another kind of key', async t => {
  const authority = await openAuthority({ store: openMemoryStore(), seal, clock: manualClock(), log: silentLog })
  const { csrPem } = await aCsr('CN=x')
  const other = await aCsr('CN=y')
  const der = (pem: string): Buffer => Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
  // The body of one request under the signature of another.
  const mixed = Buffer.concat([der(csrPem).subarray(0, -70), der(other.csrPem).subarray(-70)])
  const toPem = (bytes: Buffer): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  const p384 = await aCsr('CN=z', { ...EC, namedCurve: 'P-384' })
  for (const bad of [
    '',
    'x',
    '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----',
    toPem(mixed),
    p384.csrPem,
    'A'.repeat(9_000),
    authority.caPem
  ])
    await t.rejects(authority.signEngine(bad, 'serviceengine-1'), CsrRefused, bad.slice(0, 40))
})
