import t from 'tap'
import { compileRevocation, crlBase64, readCrl, readLeaf } from '#model/base/crl.ts'
import { DER, derHex, derInside, derOf, derTime, readDer } from '#model/base/der.ts'
import { anAuthority } from '#test/support/certificates.ts'

const ca = await anAuthority('clients')
const nextUpdate = new Date('2036-01-02T03:04:05Z')
const bytesOf = (pem: string): Buffer => Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')

t.test('readDer takes one whole value, its length in the shortest form', async t => {
  t.same(readDer(Uint8Array.of(4, 2, 1, 2)), { tag: 4, from: 0, start: 2, end: 4 })
  const long = derOf(4, new Uint8Array(300))
  t.same(readDer(long), { tag: 4, from: 0, start: 4, end: 304 })
  for (const bad of [
    [],
    [4],
    [4, 2, 1],
    [4, 0x80, 0, 0],
    [4, 0x81, 5, 1, 2, 3, 4, 5],
    [4, 0x82, 0, 200],
    [0x1f, 1, 1],
    [4, 0x85, 1, 1, 1, 1, 1]
  ])
    t.equal(readDer(Uint8Array.from(bad)), undefined, bad.join(' '))
  t.equal(derInside(Uint8Array.of(0x30, 3, 4, 2, 1), { tag: 0x30, from: 0, start: 2, end: 5 }), undefined)
})

t.test('derTime reads both forms, derHex leaves out the sign', async t => {
  const time = (tag: number, text: string) => {
    const bytes = derOf(tag, Buffer.from(text))
    return derTime(bytes, readDer(bytes)!)
  }
  t.equal(time(DER.UTC_TIME, '491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59))
  t.equal(time(DER.UTC_TIME, '500101000000Z'), Date.UTC(1950, 0, 1))
  t.equal(time(DER.GENERALIZED_TIME, '20360102030405Z'), nextUpdate.getTime())
  for (const bad of ['20360102030405', '2036010203Z', '', '20360102030405.5Z']) t.equal(time(DER.GENERALIZED_TIME, bad), undefined)
  const integer = derOf(DER.INTEGER, Uint8Array.of(0, 0xbb, 2))
  t.equal(derHex(integer, readDer(integer)!), 'bb02')
})

t.test('readCrl reads who is revoked; readLeaf who a certificate is', async t => {
  const pem = await ca.revoke(['bb02', '01'], nextUpdate)
  const crl = readCrl(Buffer.from(crlBase64(pem)!, 'base64'))!
  t.match(crl, { serials: ['bb02', '01'], nextUpdateEpochMs: nextUpdate.getTime() })
  const issued = await ca.issue({ subject: 'CN=rob', serial: 'bb02' })
  const leaf = readLeaf(bytesOf(issued.certificatePem))!
  t.same(leaf, { serial: 'bb02', issuer: crl.issuer, version: 3 })
  const refusal = compileRevocation([crl])
  t.equal(refusal(bytesOf(issued.certificatePem), 0), 'is revoked')
  const good = bytesOf((await ca.issue({ subject: 'CN=ana', serial: 'bb03' })).certificatePem)
  t.equal(refusal(good, nextUpdate.getTime()), undefined)
  t.match(refusal(good, nextUpdate.getTime() + 1), /without a revocation list of now/)
  t.equal(refusal(Buffer.from('x'), 0), 'cannot be read')
  t.equal(crlBase64(pem + pem), undefined)
  t.equal(crlBase64(issued.certificatePem), undefined)
})
