import { X509Certificate } from 'node:crypto'
import forge from 'node-forge'
import t from 'tap'
import { certificateViolations, makeSelfSigned, readCertificate, withCertificateFacts } from '#controller/pki/certificate.ts'
import { anAuthority } from '#test/support/certificates.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const clock = manualClock()

t.test('makeSelfSigned makes a certificate that readCertificate reads', async t => {
  const made = await makeSelfSigned('www.example.com', ['www.example.com', '*.example.com', '192.0.2.1'], clock)
  const read = readCertificate(made.certificatePem, { keyPem: made.keyPem })
  t.match(read, {
    is: 'certificate',
    facts: { names: ['www.example.com', '*.example.com', '192.0.2.1'], keyType: 'ec', isSelfSigned: true, chainLength: 1 }
  })
  t.ok(new X509Certificate(made.certificatePem).checkHost('a.example.com'))
})

t.test('readCertificate says what is wrong, and never the key', async t => {
  const mine = await makeSelfSigned('a', [], clock)
  const other = await makeSelfSigned('b', [], clock)
  t.match(readCertificate('x'), { is: 'unusable', reason: /PEM/ })
  t.match(readCertificate(mine.certificatePem.replace('MII', 'XXX')), { is: 'unusable', reason: /PEM/ })
  t.match(readCertificate(mine.certificatePem, { keyPem: other.keyPem }), {
    is: 'unusable',
    reason: 'the key does not belong to the certificate'
  })
  t.match(readCertificate(mine.certificatePem, { keyPem: 'secret' }), { is: 'unusable', reason: 'the key must be a private key in PEM' })
  t.match(readCertificate('A'.repeat(300_000)), { is: 'unusable' })
  t.match(readCertificate(mine.certificatePem + other.certificatePem, { keyPem: mine.keyPem }), {
    is: 'certificate',
    facts: { chainLength: 2, names: ['a'] }
  })
})

t.test('readCertificate reads RSA, the common name when there is no other, and encrypted keys', async t => {
  const keys = forge.pki.rsa.generateKeyPair({ bits: 1024 })
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = keys.publicKey
  certificate.validity.notAfter = new Date(clock.nowEpochMs() + 86_400_000)
  certificate.setSubject([{ name: 'commonName', value: 'RSA.example.com' }])
  certificate.setIssuer([{ name: 'commonName', value: 'RSA.example.com' }])
  certificate.sign(keys.privateKey, forge.md.sha256.create())
  const certificatePem = forge.pki.certificateToPem(certificate)
  const keyPem = forge.pki.encryptRsaPrivateKey(keys.privateKey, 'open sesame')
  t.match(readCertificate(certificatePem, { keyPem, passphrase: 'open sesame' }), {
    is: 'certificate',
    facts: { keyType: 'rsa', names: ['rsa.example.com'] }
  })
  t.match(readCertificate(certificatePem, { keyPem }), { is: 'unusable', reason: /encrypted/ })
  t.match(readCertificate(certificatePem, { keyPem, passphrase: 'wrong' }), { is: 'unusable', reason: /passphrase/ })
})

t.test('certificateViolations finds what cannot be read and keys that do not fit, at their pointers', async t => {
  const [mine, other] = [await makeSelfSigned('a', [], clock), await makeSelfSigned('b', [], clock)]
  const body = (certificate: string, key: string) => ({ certificate: { certificate }, key })
  t.same(certificateViolations('sslkeyandcertificate', body(mine.certificatePem, mine.keyPem)), [])
  t.same(certificateViolations('sslkeyandcertificate', { certificate: { certificate: mine.certificatePem } }), [], 'a CA has no key')
  t.same(certificateViolations('sslkeyandcertificate', body(mine.certificatePem, other.keyPem)), [
    { pointer: '/key', message: 'must be the key of the certificate' }
  ])
  t.same(certificateViolations('sslkeyandcertificate', body(mine.certificatePem, 'x')), [
    { pointer: '/key', message: 'must be a private key in PEM' }
  ])
  const broken = mine.certificatePem.replace('MII', 'XXX')
  t.match(certificateViolations('sslkeyandcertificate', body(broken, mine.keyPem)), [{ pointer: '/certificate/certificate' }])
  t.same(certificateViolations('pkiprofile', { ca_certs: [{ certificate: mine.certificatePem }] }), [])
  t.match(certificateViolations('pkiprofile', { ca_certs: [{ certificate: mine.certificatePem }, { certificate: broken }] }), [
    { pointer: '/ca_certs/1/certificate' }
  ])
  t.same(certificateViolations('pool', { certificate: 'x' }), [])
})

t.test('certificateViolations wants revocation lists whole, and signed by an authority of the profile', async t => {
  const [ca, other] = await Promise.all([anAuthority('clients'), anAuthority('clients')])
  const profile = (body: string) => ({ name: 'clients', ca_certs: [{ certificate: ca.certificatePem }], crls: [{ body }] })
  const crl = await ca.revoke(['01'])
  t.same(certificateViolations('pkiprofile', profile(crl)), [])
  t.match(certificateViolations('pkiprofile', profile(await other.revoke([]))), [
    { pointer: '/crls/0/body', message: /signed by one of ca_certs/ }
  ])
  t.match(certificateViolations('pkiprofile', profile(crl.replace('MI', 'XX'))), [
    { pointer: '/crls/0/body', message: /whole revocation list/ }
  ])
  const { crls } = withCertificateFacts('pkiprofile', profile(crl), Date.now()) as { crls: readonly { next_update?: string }[] }
  t.match(crls[0]?.next_update, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
})
