import t from 'tap'
import {
  checkResource,
  isKindName,
  kinds,
  readOnlyIn,
  referencesIn,
  secretsIn,
  withDefaults,
  withoutDefaults,
  withoutReadOnly,
  withoutUnsupported,
  withReferences,
  withSecrets
} from '#model/resource/catalogue.ts'
import { checkShape, nodeOf } from '#model/resource/check.ts'
import type { SchemaNode } from '#model/resource/check.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { defaultDocuments, document, emptyContext, minimal, pointersOf } from '#test/support/resources.ts'

/** Every field of a schema, with its path. */
function fieldsOf(node: SchemaNode, path: string): { readonly path: string; readonly node: SchemaNode }[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([name, property]) => [
    { path: `${path}.${name}`, node: property },
    ...fieldsOf(property, `${path}.${name}`)
  ])
  return node.items === undefined ? own : [...own, ...fieldsOf(node.items, `${path}[]`)]
}
const fields = kindNames.flatMap(kind => fieldsOf(nodeOf(kinds[kind].schema), kind))

t.test('every kind is described and its fields are in order', async t => {
  for (const kind of kindNames) {
    const { title, titlePlural, description, schema } = kinds[kind]
    t.ok(title !== '' && titlePlural !== '' && description.endsWith('.'), kind)
    const first = Object.values(nodeOf(schema).properties ?? {}).filter(node => node['x-first'] === true)
    t.ok(first.length > 0 && first.length <= 8, `${kind} shows ${first.length} fields first`)
    t.same(JSON.parse(JSON.stringify(schema)).type, 'object', `${kind} is plain JSON`)
  }
  t.ok(isKindName('pool'))
  t.notOk(isKindName('toString'))
})

t.test('every field is described, refers to what exists and has a default that it accepts', async t => {
  const wrong: string[] = []
  for (const { path, node } of fields) {
    if (node.description === undefined) wrong.push(`${path} has no description`)
    if (node['x-ref'] !== undefined && !isKindName(node['x-ref'])) wrong.push(`${path} refers to ${node['x-ref']}`)
    if (node.default !== undefined && node['x-unsupported'] !== true && checkShape(node, node.default).violations.length > 0)
      wrong.push(`${path} refuses its default`)
    if (
      node.type === 'string' &&
      node.enum === undefined &&
      node.maxLength === undefined &&
      node.readOnly !== true &&
      node['x-unsupported'] !== true
    )
      wrong.push(`${path} has no bound`)
    if (node.type === 'array' && node.maxItems === undefined && node['x-unsupported'] !== true) wrong.push(`${path} has no bound`)
  }
  t.same(wrong, [])
})

t.test('a minimal document of every kind passes, and so does what GET makes of it', async t => {
  for (const kind of kindNames) {
    const body = minimal[kind] as JsonObject
    t.same(pointersOf(kind, body), [], kind)
    const answer = { ...withDefaults(kind, body), uuid: `${kind}-1`, url: 'https://weir/api', _last_modified: '1' }
    t.same(pointersOf(kind, answer), [], `${kind} with defaults`)
    t.same(withoutDefaults(kind, withDefaults(kind, body)), withoutDefaults(kind, body), `${kind} without defaults again`)
    t.same(withoutReadOnly(kind, answer), withDefaults(kind, body), `${kind} without what the server owns`)
    t.same(withDefaults(kind, withDefaults(kind, body)), withDefaults(kind, body), `${kind} twice`)
  }
})

t.test('the default objects are valid, and the first ones refer to nothing that comes later', async t => {
  const seen = new Set<string>()
  for (const { kind, uuid, body } of defaultDocuments) {
    t.same(pointersOf(kind, body), [], uuid)
    for (const { value } of referencesIn(kind, body)) t.ok(seen.has(value), `${uuid} refers to ${value}`)
    seen.add(uuid)
  }
  for (const name of [
    'tenant-admin',
    'cloud-Default-Cloud',
    'serviceenginegroup-Default-Group',
    'applicationprofile-System-HTTP',
    'sslprofile-System-Standard',
    'role-System-Admin'
  ])
    t.ok(seen.has(name), name)
})

t.test('checkResource tells every violation at once', async t => {
  const { violations } = checkResource(
    'pool',
    {
      name: '',
      servers: [{ ip: { addr: '10.0.0.1', type: 'V4' }, port: 70000, weight: 2 }, { ip: { addr: '::1', type: 'V4' } }],
      default_server_port: 'http',
      color: 'red'
    },
    emptyContext
  )
  t.same(violations, [
    { pointer: '/name', message: 'must not be empty' },
    { pointer: '/servers/0/port', message: 'must be between 0 and 65535' },
    { pointer: '/servers/0/weight', message: 'is not a field of server' },
    { pointer: '/servers/1/ip/addr', message: 'must be an IPv4 address, because type is V4' },
    { pointer: '/default_server_port', message: 'must be a whole number' },
    { pointer: '/color', message: 'is not a field of pool' }
  ])
})

t.test('checkResource keeps what is not supported apart', async t => {
  const body = {
    name: 'web',
    lb_algorithm: 'LB_ALGORITHM_TOPOLOGY',
    inline_health_monitor: false,
    connection_ramp_duration: 10,
    server_reselect: { enabled: false, num_retries: 4, retry_nonidempotent: false },
    networks: []
  }
  const { violations, unsupported } = checkResource('pool', body, emptyContext)
  t.same(violations, [])
  t.same(
    unsupported.map(({ pointer }) => pointer),
    ['/lb_algorithm', '/inline_health_monitor']
  )
  t.match(unsupported[0]!.message, /^LB_ALGORITHM_TOPOLOGY is not supported yet: must be one of LB_ALGORITHM_LEAST_CONNECTIONS, /)
  t.equal(unsupported[1]!.message, 'is not supported yet: leave it out or at its default true')
  t.same(pointersOf('pool', { ...body, horizon_profile: { enabled: true } }), [
    '/horizon_profile?',
    '/inline_health_monitor?',
    '/lb_algorithm?'
  ])
  t.same(withoutUnsupported('pool', body), {
    name: 'web',
    connection_ramp_duration: 10,
    server_reselect: body.server_reselect,
    networks: []
  })
})

t.test('an unsupported word that is required stays a violation when unsupported ones are ignored', async t => {
  const { violations, unsupported } = checkResource('healthmonitor', { name: 'x', type: 'HEALTH_MONITOR_SIP' }, emptyContext)
  t.same(violations, [{ pointer: '/type', message: 'is required' }])
  t.equal(unsupported.length, 1)
})

t.test('checkResource refuses names that reach a prototype, and what is too deep or too large', async t => {
  t.same(pointersOf('pool', JSON.parse('{"name":"x","__proto__":{"a":1},"constructor":{},"prototype":1}')), [
    '/__proto__',
    '/constructor',
    '/prototype'
  ])
  t.same(pointersOf('serviceengine', JSON.parse('{"name":"x","labels":{"__proto__":"a"}}')), ['/labels/__proto__'])
  t.same(pointersOf('pool', JSON.parse('{"name":"x","networks":[{"__proto__":1}]}')), ['/networks/0/__proto__'])
  t.same(pointersOf('pool', JSON.parse('{"name":"x","toString":1}')), ['/toString'])
  const deep = JSON.parse(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`)
  t.same(
    checkResource('pool', { name: 'x', horizon_profile: deep }, emptyContext).violations.map(({ message }) => message),
    ['is nested too deeply']
  )
  const many = Array.from({ length: 300_000 }, () => 1)
  t.match(checkResource('pool', { name: 'x', networks: many }, emptyContext).violations, [{ message: 'is too large' }])
  t.match(checkResource('pool', { name: 'x', servers: many }, emptyContext).violations, [
    { pointer: '/servers', message: 'must have at most 5000 entries' }
  ])
  for (const value of [null, undefined, 1, 'x', [], true])
    t.match(checkResource('pool', value, emptyContext).violations, [{ pointer: '', message: 'must be an object' }])
})

t.test('no walk over an unchecked document reaches a prototype', async t => {
  const body = JSON.parse('{"name":"x","__proto__":{"polluted":1},"servers":[{"__proto__":{"polluted":2}}]}') as JsonObject
  for (const walk of [withDefaults, withoutDefaults, withoutReadOnly, withoutUnsupported]) {
    const out = walk('pool', body) as { readonly polluted?: unknown; readonly servers: readonly { readonly polluted?: unknown }[] }
    t.equal(out.polluted, undefined)
    t.equal(out.servers[0]!.polluted, undefined)
  }
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
})

t.test('at most 200 violations are told', async t => {
  const body = { name: 'x', servers: Array.from({ length: 1000 }, () => ({ port: -1 })) }
  const { violations } = checkResource('pool', body, emptyContext)
  t.ok(violations.length >= 200 && violations.length < 210)
})

t.test('references are found and rewritten at any depth', async t => {
  const body = {
    name: 'rules',
    http_request_policy: {
      rules: [
        {
          name: 'a',
          index: 1,
          enable: true,
          match: { client_ip: { match_criteria: 'IS_IN', group_refs: ['g1', 'g2'] } },
          switching_action: { action: 'HTTP_SWITCHING_SELECT_POOL', pool_ref: 'p' }
        }
      ]
    }
  }
  t.same(referencesIn('httppolicyset', body), [
    { pointer: '/http_request_policy/rules/0/match/client_ip/group_refs/0', toKind: 'ipaddrgroup', value: 'g1' },
    { pointer: '/http_request_policy/rules/0/match/client_ip/group_refs/1', toKind: 'ipaddrgroup', value: 'g2' },
    { pointer: '/http_request_policy/rules/0/switching_action/pool_ref', toKind: 'pool', value: 'p' }
  ])
  const renamed = withReferences('httppolicyset', body, ({ toKind, value }) => `/api/${toKind}/${value}`)
  t.same(
    referencesIn('httppolicyset', renamed).map(({ value }) => value),
    ['/api/ipaddrgroup/g1', '/api/ipaddrgroup/g2', '/api/pool/p']
  )
  t.equal(body.http_request_policy.rules[0]!.switching_action.pool_ref, 'p', 'the document itself stays')
  t.equal(
    withReferences('httppolicyset', body, ({ value }) => value),
    body,
    'nothing changed, nothing copied'
  )
})

t.test('secrets are found and replaced, and what the server owns is found', async t => {
  const monitor = { name: 'm', type: 'HEALTH_MONITOR_HTTP', authentication: { username: 'u', password: 'p' } }
  t.same(secretsIn('healthmonitor', monitor), ['/authentication/password'])
  t.same(withSecrets('healthmonitor', monitor, ({ value }) => `sealed ${value}`)['authentication'], { username: 'u', password: 'sealed p' })
  t.same(withSecrets('healthmonitor', monitor, () => undefined)['authentication'], { username: 'u' })
  t.same(secretsIn('sslkeyandcertificate', minimal.sslkeyandcertificate as JsonObject), ['/key'])
  t.same(readOnlyIn('jointoken', { uuid: 'x', uses: 1, uses_left: 1, token_hash: 'h' }), ['/uuid', '/uses_left', '/token_hash'])
})

t.test('document of the support builders has the uuid that references use', async t => {
  t.equal(document('pool', minimal.pool as JsonObject).uuid, 'pool-web')
})
