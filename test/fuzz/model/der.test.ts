/** Bytes of strangers: whatever they are, the readers of certificates and lists answer, and never throw. */
import fc from 'fast-check'
import t from 'tap'
import { crlBase64, readCrl, readLeaf } from '#model/base/crl.ts'
import { derInside, readDer } from '#model/base/der.ts'
import { readSigned } from '#controller/pki/signed.ts'
import { anAuthority } from '#test/support/certificates.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const ca = await anAuthority('clients')
const crl = Buffer.from(crlBase64(await ca.revoke(['bb02', '01']))!, 'base64')
const certificate = Buffer.from((await ca.issue({ subject: 'CN=ana' })).certificatePem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')

const damaged = fc
  .tuple(fc.constantFrom(crl, certificate), fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 4 }), fc.nat(600))
  .map(([bytes, changes, cut]) => {
    const copy = Buffer.from(bytes)
    for (const [at, value] of changes) copy[at % copy.length] = value
    return copy.subarray(0, cut % 3 === 0 ? cut : copy.length)
  })

t.test(`DER of strangers is read within its bounds (seed ${seed})`, async t => {
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), bytes => {
      readCrl(bytes)
      readLeaf(bytes)
      readSigned(Buffer.from(bytes))
      const node = readDer(bytes)
      if (node === undefined) return
      if (node.end > bytes.length || node.start > node.end) throw new Error('beyond its end')
      for (const inner of derInside(bytes, node) ?? [])
        if (inner.end > node.end || inner.from < node.start) throw new Error('beyond its parent')
    }),
    { seed, numRuns: 5_000 }
  )
  t.pass()
})
