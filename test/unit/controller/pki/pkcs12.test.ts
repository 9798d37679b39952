import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import forge from 'node-forge'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { makeSelfSigned, readCertificate } from '#controller/pki/certificate.ts'
import { openPkcs12, pkcs12ToPem } from '#controller/pki/pkcs12.ts'

function rsaFile(passphrase: string, count = 2048): string {
  const keys = forge.pki.rsa.generateKeyPair({ bits: 1024 })
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = keys.publicKey
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000)
  certificate.setSubject([{ name: 'commonName', value: 'rsa.example.com' }])
  certificate.setIssuer([{ name: 'commonName', value: 'rsa.example.com' }])
  certificate.sign(keys.privateKey, forge.md.sha256.create())
  const file = forge.pkcs12.toPkcs12Asn1(keys.privateKey, [certificate], passphrase, { algorithm: 'aes256', count })
  return Buffer.from(forge.asn1.toDer(file).getBytes(), 'latin1').toString('base64')
}

t.test('openPkcs12 opens a file with an RSA key; certificate and key fit', async t => {
  const opened = openPkcs12(rsaFile('open sesame'), 'open sesame')
  if (opened.is !== 'opened') return t.fail(opened.reason)
  t.match(readCertificate(opened.certificatePem, { keyPem: opened.keyPem }), {
    is: 'certificate',
    facts: { keyType: 'rsa', names: ['rsa.example.com'] }
  })
})

const skip = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not on this machine'

t.test('openPkcs12 opens a file with an EC key, as OpenSSL writes it', { skip }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-p12-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const made = await makeSelfSigned('ec.example.com', [], systemClock)
  writeFileSync(join(folder, 'all.pem'), made.keyPem + made.certificatePem)
  const out = join(folder, 'file.p12')
  t.equal(spawnSync('openssl', ['pkcs12', '-export', '-in', join(folder, 'all.pem'), '-out', out, '-passout', 'pass:secret']).status, 0)
  const opened = openPkcs12(readFileSync(out).toString('base64'), 'secret')
  t.match(opened, { is: 'opened' })
  if (opened.is === 'opened')
    t.match(readCertificate(opened.certificatePem, { keyPem: opened.keyPem }), { is: 'certificate', facts: { keyType: 'ec' } })
})

t.test('openPkcs12 says why a file cannot be used', async t => {
  t.match(openPkcs12('', ''), { reason: 'must be a PKCS#12 file in base64' })
  t.match(openPkcs12('not base64!', ''), { reason: 'must be a PKCS#12 file in base64' })
  t.match(openPkcs12('AAAA', ''), { is: 'unusable' })
  t.match(openPkcs12('A'.repeat(300_000), ''), { reason: /at most 128 KiB/ })
  t.match(openPkcs12(rsaFile('right'), 'wrong'), { reason: /passphrase is wrong/ })
  t.match(openPkcs12(rsaFile('x', 100_001), 'x'), { reason: /at most 100000 iterations/ })
})

t.test('openPkcs12 throws at no damaged file', async t => {
  const file = Buffer.from(rsaFile('x', 1), 'base64')
  for (let at = 0; at < file.length; at += 7) {
    const damaged = Buffer.from(file)
    damaged[at] = damaged[at]! ^ 0xff
    const opened = openPkcs12(damaged.toString('base64'), 'x')
    t.ok(opened.is === 'opened' || opened.reason !== '')
    t.match(openPkcs12(file.subarray(0, at).toString('base64'), 'x'), { is: 'unusable' })
  }
})

t.test('pkcs12ToPem keeps what is beside the file and refuses a second key', async t => {
  const made = pkcs12ToPem({ name: 'shop', format: 'SSL_PKCS12', key_passphrase: 'x', certificate: { certificate: rsaFile('x') } })
  t.match(made, { body: { name: 'shop', key: /PRIVATE KEY/, certificate: { certificate: /BEGIN CERTIFICATE/ } } })
  t.notOk('body' in made && ('key_passphrase' in made.body || 'format' in made.body))
  t.match(pkcs12ToPem({ key: 'k', certificate: { certificate: 'AAAA' } }), { violation: { pointer: '/key' } })
  t.match(pkcs12ToPem({}), { violation: { pointer: '/certificate/certificate' } })
})
