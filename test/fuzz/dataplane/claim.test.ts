import fc from 'fast-check'
import t from 'tap'
import { claimOf } from '#engine/dataplane/route/claim.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)
const run = <T>(property: fc.IProperty<T>): void => fc.assert(property, { seed, numRuns: 3_000, interruptAfterTimeLimit: 3_000 })

const part = (bytes: string | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString('base64url')
const scheme = fc.constantFrom('Bearer ', 'bearer ', 'BEARER  ')

t.test('what a token says is found, and what it does not say is not', async () => {
  run(
    fc.property(
      scheme,
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.string(),
      fc.string({ unit: 'grapheme' }),
      (bearer, rest, name, value) => {
        const payload = JSON.stringify(Object.fromEntries([...Object.entries(rest), [name, value]]))
        const header = `${bearer}${part('{}')}.${part(payload)}.c2ln`
        // What cannot be written in UTF-8 does not come back as it was.
        const isWhole = value.isWellFormed() && name.isWellFormed() && name !== '__proto__'
        return !isWhole || header.length > 8_192 || claimOf(['authorization', header], name) === value
      }
    )
  )
})

t.test('nothing crashes, and an answer is a text', async () => {
  const noise = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }).map(text => `Bearer ${text}`),
    fc.tuple(scheme, fc.uint8Array({ maxLength: 400 })).map(([bearer, bytes]) => `${bearer}e30.${part(bytes)}.`),
    fc.tuple(scheme, fc.json()).map(([bearer, json]) => `${bearer}e30.${part(json)}.`),
    fc.nat(9_000).map(depth => `Bearer e30.${part('['.repeat(depth))}.`)
  )
  run(
    fc.property(noise, fc.string(), (header, name) => {
      const found = claimOf(['authorization', header], name)
      return found === undefined || (typeof found === 'string' && found.length <= 8_192)
    })
  )
})
