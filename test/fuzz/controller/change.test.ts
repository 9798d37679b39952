import fc from 'fast-check'
import t from 'tap'
import { kindNames } from '#model/resource/kind.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { kinds } from '#model/resource/catalogue.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import type { Write } from '#controller/change/order.ts'
import { aChange } from '#test/support/change.ts'

const SEED = 20_261_124
const RUNS = 1_500

const hostile = fc.constantFrom(
  '__proto__',
  'constructor',
  'toString',
  '<sensitive>',
  '/api/pool?name=a',
  '/api/tenant/admin',
  'admin',
  'sealed:v1:x',
  "'--",
  ''
)
const text = fc.oneof(hostile, fc.string({ maxLength: 12 }))
const value = fc.letrec<{ any: unknown }>(tie => ({
  any: fc.oneof(
    { maxDepth: 3 },
    text,
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(text, tie('any'), { maxKeys: 3 })
  )
})).any
// JSON as a client may send it: own properties of any name.
const asJson = (item: unknown): unknown => JSON.parse(JSON.stringify(item) ?? 'null') as unknown

const kind = fc.constantFrom<KindName>(...kindNames)
const bodyOf = (of: KindName): fc.Arbitrary<JsonObject> => {
  const fields = Object.keys(kinds[of].schema.properties)
  return fc
    .tuple(
      fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }),
      fc.dictionary(fc.oneof(fc.constantFrom(...fields), text), value, { maxKeys: 4 })
    )
    .map(([name, body]) => asJson({ ...body, ...(name === undefined ? {} : { name }) }) as JsonObject)
}

type Sketch = {
  readonly op: Write['op']
  readonly kind: KindName
  readonly body: JsonObject
  readonly part: 'add' | 'replace' | 'delete'
  readonly at: number
}
/** Documents that are right by themselves, so that orders come through and meet each other. */
const name = fc.constantFrom('a', 'b', 'c', 'd')
const sound: fc.Arbitrary<readonly [KindName, JsonObject]> = fc.oneof(
  fc.tuple(fc.constant<KindName>('tenant'), fc.record({ name })),
  fc.tuple(fc.constant<KindName>('pool'), fc.record({ name, description: text, enabled: fc.boolean() })),
  fc.tuple(
    fc.constant<KindName>('poolgroup'),
    fc.record({
      name,
      members: fc.uniqueArray(name, { maxLength: 2 }).map(names => names.map(pool => ({ pool_ref: `/api/pool?name=${pool}` })))
    })
  ),
  fc.tuple(fc.constant<KindName>('user'), fc.record({ name, is_superuser: fc.boolean(), is_active: fc.boolean() }))
)
const any: fc.Arbitrary<readonly [KindName, JsonObject]> = kind.chain(of => fc.tuple(fc.constant(of), bodyOf(of)))
const sketch: fc.Arbitrary<Sketch> = fc.oneof({ weight: 3, arbitrary: sound }, { weight: 1, arbitrary: any }).chain(([of, body]) =>
  fc.record({
    op: fc.constantFrom<Write['op']>('create', 'create', 'replace', 'patch', 'delete'),
    kind: fc.constant(of),
    body: fc.constant(body),
    part: fc.constantFrom('add', 'replace', 'delete'),
    at: fc.nat(50)
  })
)

t.test(`apply refuses or carries out, whatever it is told (seed ${SEED})`, async t => {
  const { store, apply } = await aChange(t)
  let done = 0
  await fc.assert(
    fc.asyncProperty(fc.array(sketch, { minLength: 1, maxLength: 3 }), fc.boolean(), async (sketches, isUnsupportedIgnored) => {
      const writes = sketches.map(({ op, kind: of, body, part, at }): Write => {
        const all = store.list(of)
        const uuid = all[at % Math.max(1, all.length)]?.uuid ?? 'none'
        if (op === 'create') return { op, kind: of, body }
        if (op === 'replace') return { op, kind: of, uuid, body }
        return op === 'patch' ? { op, kind: of, uuid, patch: { [part]: body } } : { op, kind: of, uuid }
      })
      const before = store.revision()
      try {
        await apply(writes, { isUnsupportedIgnored })
        done += 1
      } catch (error) {
        if (!(error instanceof ChangeRefused)) throw error
        if (store.revision() !== before) throw new Error('a refused order was written', { cause: error })
      }
    }),
    { numRuns: RUNS, seed: SEED }
  )
  t.ok(done > RUNS / 20, `${done} of ${RUNS} orders were carried out`)
  t.equal(({} as { polluted?: unknown }).polluted, undefined)

  // What is stored afterwards is whole: every reference leads somewhere, names are unique, secrets are closed.
  for (const of of kindNames) {
    const names = store.list(of).map(({ tenant, name }) => JSON.stringify([tenant, name]))
    t.equal(new Set(names).size, names.length, `${of}: names are unique`)
    for (const { uuid } of store.list(of))
      for (const reference of store.referencesOf(uuid))
        t.ok(store.get(reference.toKind, reference.toUuid), `${uuid}${reference.pointer} leads somewhere`)
  }
  t.equal(store.findByName('tenant', ADMIN_TENANT, 'admin')?.uuid, ADMIN_TENANT)
  t.ok(store.list('user').some(({ body }) => body['is_superuser'] === true))
  for (const { body } of store.list('user')) t.ok(body['password'] === undefined || (body['password'] as string).startsWith('$argon2id$'))
})
