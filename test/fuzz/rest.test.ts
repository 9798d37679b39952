/** Whatever a signed-in stranger sends, the API answers below 500 and says why. */
import fc from 'fast-check'
import t from 'tap'
import { kindNames } from '#model/resource/kind.ts'
import { aRest } from '#test/support/rest.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)

const word = fc.oneof(
  fc.constantFrom(
    'name',
    'servers',
    'pool_ref',
    '__proto__',
    'constructor',
    'toString',
    'uuid',
    'services',
    'port',
    'enabled',
    '',
    '*',
    '%00',
    'replace',
    'data',
    'model_name'
  ),
  fc.string({ maxLength: 12 })
)
const json = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, 0, -1, 1e308, 70_000, '', 'Pool', '/api/pool/?name=x', '<sensitive>', '𝔘'),
    fc.string({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(word, tie('value'), { maxKeys: 5 })
  )
})).value

const path = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(...kindNames, 'macro', 'revision', 'pool-inventory', 'enrol', 'live', 'analytics/metrics/pool'),
      fc.constantFrom('', '/', '/x', '/x/runtime', '/admin', '/__proto__')
    )
    .map(([kind, rest]) => `/api/${kind}${rest}`),
  fc.constantFrom('/login', '/logout', '/', '/install/x', '/metrics')
)
const query = fc.dictionary(
  fc.oneof(word, fc.constantFrom('page', 'page_size', 'sort', 'fields', 'search', 'refers_to', 'name.in', 'dry_run', 'include_name')),
  fc.string({ maxLength: 10 }),
  { maxKeys: 3 }
)

t.test(`requests at random (WEIR_SEED=${seed})`, async t => {
  const { admin, errors } = await aRest(t, { loginsPerMinute: 20 })
  const property = fc.asyncProperty(
    fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
    path,
    query,
    fc.oneof(
      json.map(value => JSON.stringify(value) ?? ''),
      fc.string({ maxLength: 40 })
    ),
    async (method, where, queries, body) => {
      const search = new URLSearchParams(queries).toString()
      const answer = await admin.call(method as 'GET', `${where}${search === '' ? '' : `?${search}`}`, method === 'GET' ? undefined : body)
      // Neither the dashboard nor the installer is built here.
      const isAnswered = answer.status < 500 || answer.body['code'] === 'NOT_BUILT' || answer.body['code'] === 'NOT_PACKAGED'
      if (!isAnswered) throw new Error(`${method} ${where}?${search} ${body} answered ${answer.status} ${answer.text}`)
      if (answer.status >= 400 && answer.text !== '' && typeof answer.body['error'] !== 'string')
        throw new Error(`no reason: ${answer.text}`)
    }
  )
  await fc.assert(property, { seed, numRuns: 1_500, interruptAfterTimeLimit: 4_000 })
  t.same(errors, [])
})
