/** Whatever is sent, the checks answer; and what they let through, TypeBox's own validator lets through. */
import fc from 'fast-check'
import t from 'tap'
import { Check } from 'typebox/value'
import { checkResource, kinds, referencesIn, withDefaults, withoutDefaults, withoutUnsupported } from '#model/resource/catalogue.ts'
import { checkShape } from '#model/resource/check.ts'
import { formatAddress, parseAddress, rangeToCidrs } from '#model/resource/address.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { documentOf } from '#test/support/arbitrary-resource.ts'
import { emptyContext } from '#test/support/resources.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`seed ${seed}`)
const bounded = { seed, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false }

t.test('the check agrees with TypeBox about every shape', async t => {
  for (const kind of kindNames)
    fc.assert(
      fc.property(documentOf(kind), body => {
        const { violations, unsupported } = checkShape(kinds[kind].schema, body)
        const isSound = Check(kinds[kind].schema, body)
        // Rules inside nested objects are beyond the schema: there the check may refuse more.
        if (violations.length === 0 && unsupported.length === 0 && !isSound) return false
        const isRule = (message: string): boolean =>
          /because type is|must be of the same family|must not be below begin|must be an IP address|between 0 and (32|128)$/.test(message)
        return !isSound || violations.every(({ message }) => isRule(message))
      }),
      { ...bounded, numRuns: 60 }
    )
  t.pass('no disagreement')
})

t.test('what passes keeps passing with defaults, without them and without what is unsupported', async t => {
  for (const kind of kindNames)
    fc.assert(
      fc.property(documentOf(kind), body => {
        const { violations, unsupported } = checkShape(kinds[kind].schema, body)
        if (violations.length > 0) return true
        const sound = withoutUnsupported(kind, body as JsonObject)
        if (unsupported.length > 0 && checkShape(kinds[kind].schema, sound).violations.length > 0) return true
        const full = withDefaults(kind, sound)
        const isStill = (document: JsonObject): boolean => {
          const { violations: wrong, unsupported: refused } = checkShape(kinds[kind].schema, document)
          return wrong.length + refused.length === 0
        }
        return (
          isStill(full) &&
          isStill(withoutDefaults(kind, full)) &&
          JSON.stringify(withDefaults(kind, withoutDefaults(kind, full))).length > 1
        )
      }),
      { ...bounded, numRuns: 40 }
    )
  t.pass('all keep passing')
})

t.test('no JSON makes the check throw', async t => {
  fc.assert(
    fc.property(fc.constantFrom(...kindNames), fc.jsonValue({ maxDepth: 6 }), (kind, body) => {
      const { violations } = checkResource(kind, body, emptyContext)
      if (typeof body === 'object' && body !== null && !Array.isArray(body)) referencesIn(kind, body as JsonObject)
      return violations.every(({ pointer }) => pointer === '' || pointer.startsWith('/'))
    }),
    { ...bounded, numRuns: 3000 }
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...kindNames).chain(kind => documentOf(kind).map(body => ({ kind, body }))),
      ({ kind, body }) => {
        checkResource(kind, body, emptyContext)
      }
    ),
    { ...bounded, numRuns: 300 }
  )
  t.pass('nothing was thrown')
})

t.test('an address survives being written and read, and a range is covered exactly', async t => {
  const address = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map(value => ({ family: 4 as const, value })),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(value => ({ family: 6 as const, value }))
  )
  fc.assert(
    fc.property(address, one => {
      const read = parseAddress(formatAddress(one))
      return read?.family === one.family && read.value === one.value
    }),
    { ...bounded, numRuns: 2000 }
  )
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), (a, b) => {
      const [first, last] = a < b ? [a, b] : [b, a]
      let next = first
      for (const cidr of rangeToCidrs({ family: 4, value: first }, { family: 4, value: last })) {
        const [text = '', length = ''] = cidr.split('/')
        if (parseAddress(text)?.value !== next) return false
        next += 1n << BigInt(32 - Number(length))
      }
      return next === last + 1n
    }),
    { ...bounded, numRuns: 500 }
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 50 }), text => parseAddress(text) === undefined || /^[\da-f:.]+$/i.test(text)),
    { ...bounded, numRuns: 3000 }
  )
  t.pass('all hold')
})
