/** Whatever is sent, the checks answer; and what they let through, TypeBox's own validator lets through. */
import fc from 'fast-check'
import t from 'tap'
import { Check } from 'typebox/value'
import { checkResource, kinds, referencesIn, withDefaults, withoutDefaults, withoutUnsupported } from '#model/resource/catalogue.ts'
import { checkShape, nodeOf } from '#model/resource/check.ts'
import type { SchemaNode } from '#model/resource/check.ts'
import { formatAddress, parseAddress, rangeToCidrs } from '#model/resource/address.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { emptyContext } from '#test/support/resources.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`seed ${seed}`)
const bounded = { seed, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false }

/** Values that a schema node describes, sometimes just beyond its edges. */
function valueOf(node: SchemaNode, depth: number): fc.Arbitrary<unknown> {
  const odd = fc.oneof(fc.constant(null), fc.integer(), fc.string({ maxLength: 8 }), fc.boolean(), fc.constant([]), fc.constant({}))
  const sound = soundValueOf(node, depth)
  return fc.oneof({ weight: 200, arbitrary: sound }, { weight: 1, arbitrary: odd })
}

// Not fc.option, whose depth bias leaves nearly all out.
const sometimes = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.tuple(fc.nat({ max: 3 }), value).map(([draw, given]) => (draw === 0 ? given : undefined))

function soundValueOf(node: SchemaNode, depth: number): fc.Arbitrary<unknown> {
  if (node['x-unsupported'] === true) return fc.constant(node.default)
  if (node.enum !== undefined)
    return fc.oneof({ weight: 50, arbitrary: fc.constantFrom(...node.enum) }, { weight: 1, arbitrary: fc.constant('OTHER') })
  switch (node.type) {
    case 'object': {
      if (typeof node.additionalProperties === 'object')
        return fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), fc.string({ maxLength: 5 }), { maxKeys: 3 })
      const required = new Set(node.required)
      // What the server owns is taken back in any shape, and never taken.
      const writable = Object.entries(node.properties ?? {}).filter(([, property]) => property.readOnly !== true)
      const entries = writable.map(([name, property]) => {
        const value = depth > 6 ? fc.constant(property.default) : valueOf(property, depth + 1)
        return [name, required.has(name) ? value : sometimes(value)] as const
      })
      return fc.record(Object.fromEntries(entries)).map(record => JSON.parse(JSON.stringify(record)) as unknown)
    }
    case 'array':
      return depth > 6 ? fc.constant([]) : fc.array(valueOf(node.items ?? {}, depth + 1), { maxLength: 2 })
    case 'integer':
    case 'number':
      return fc.oneof(
        { weight: 30, arbitrary: fc.integer({ min: node.minimum ?? -2, max: node.maximum ?? 100_000 }) },
        fc.constantFrom((node.minimum ?? 0) - 1, (node.maximum ?? 0) + 1, node.not?.minimum ?? 0.5)
      )
    case 'boolean':
      return fc.boolean()
    case 'string':
      return fc.oneof(
        { weight: 20, arbitrary: fc.constantFrom('a', '10.0.0.1', 'GET / HTTP/1.0') },
        fc.constantFrom('', 'a', '10.0.0.1', '::1', 'GET / HTTP/1.0', 'x'.repeat((node.maxLength ?? 8) + 1), 'ü€😀'),
        fc.string({ maxLength: 12, unit: 'grapheme' })
      )
    default:
      return fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>
  }
}

const documentOf = (kind: KindName): fc.Arbitrary<unknown> => soundValueOf(nodeOf(kinds[kind].schema), 0)

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
