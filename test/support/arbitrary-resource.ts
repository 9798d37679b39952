/** Documents of every kind as fast-check draws them from the schemas, mostly sound and sometimes just beyond an edge. */
import fc from 'fast-check'
import { kinds } from '#model/resource/catalogue.ts'
import { nodeOf } from '#model/resource/check.ts'
import type { SchemaNode } from '#model/resource/check.ts'
import type { KindName } from '#model/resource/kind.ts'

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

export const documentOf = (kind: KindName): fc.Arbitrary<unknown> => soundValueOf(nodeOf(kinds[kind].schema), 0)
