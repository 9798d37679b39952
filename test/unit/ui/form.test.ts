import t from 'tap'
import { kinds } from '#model/resource/catalogue.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { parseServers } from '../../../ui/form/address.ts'
import { curlOf } from '../../../ui/form/curl.ts'
import { diffOf } from '../../../ui/form/diff.ts'
import { hasViolationUnder, layViolations, valueAt, withValueAt } from '../../../ui/form/pointer.ts'
import { applies, blankDocument, choiceLabels, countChanged, fieldsOf, labelOf, withinSentence } from '../../../ui/form/schema.ts'
import type { Field } from '../../../ui/form/schema.ts'
import { inLargerUnits, unitWritten } from '../../../ui/form/unit.ts'
import { documentYaml, yamlOf } from '../../../ui/form/yaml.ts'

const fieldsOfKind = (kind: keyof typeof kinds): readonly Field[] =>
  fieldsOf(kinds[kind].schema as unknown as Readonly<Record<string, unknown>>)
const fieldIn = (fields: readonly Field[], name: string): Field => {
  const found = fields.find(field => field.name === name)
  if (!found) throw new Error(`no field ${name}`)
  return found
}

t.test('fieldsOf gives each field the input that its schema asks for', async t => {
  const fields = fieldsOfKind('pool')
  t.match(fieldIn(fields, 'health_monitor_refs').shape, { is: 'references', kind: 'healthmonitor' })
  t.match(fieldIn(fields, 'default_server_port').shape, { is: 'number', min: 1, max: 65535, isWhole: true })
  t.match(fieldIn(fields, 'enabled').shape, { is: 'toggle' })
  const servers = fieldIn(fields, 'servers').shape
  t.equal(servers.is, 'list')
  if (servers.is !== 'list' || servers.item.is !== 'group') return t.fail('servers are a list of groups')
  t.match(fieldIn(servers.item.fields, 'ip').shape, { is: 'address', allowsName: true })
  t.match(servers.blank, { ip: { addr: '', type: 'V4' } })
})

t.test('fieldsOf leaves out what the server owns and what is not supported', async t => {
  const names = fieldsOfKind('pool').map(field => field.name)
  for (const name of ['uuid', 'url', '_last_modified', 'autoscale_launch_config_ref']) t.notOk(names.includes(name), name)
  const { shape } = fieldIn(fieldsOfKind('pool'), 'lb_algorithm')
  if (shape.is !== 'choice') return t.fail('a choice')
  t.notOk(
    shape.options.some(option => option.value === 'LB_ALGORITHM_TOPOLOGY'),
    'a word that is refused is no choice'
  )
})

t.test('every kind has a form with its name in it, and a blank document of what must be there', async t => {
  for (const kind of kindNames) {
    const fields = fieldsOfKind(kind)
    t.ok(fields.length > 0, kind)
    for (const field of fields) if (field.isRequired) t.ok(field.name in blankDocument(fields), `${kind} ${field.name}`)
  }
})

t.test('labelOf and choiceLabels say it in words', async t => {
  t.equal(labelOf('lb_algorithm_hash'), 'LB algorithm hash')
  t.equal(labelOf('health_monitor_refs'), 'Health monitors')
  t.same(
    choiceLabels(['LB_ALGORITHM_ROUND_ROBIN', 'LB_ALGORITHM_RANDOM']).map(option => option.label),
    ['Round robin', 'Random']
  )
  t.same(
    choiceLabels(['V4', 'V6', 'DNS']).map(option => option.label),
    ['V4', 'V6', 'DNS']
  )
})

t.test('a form speaks in its own words, of its fields and its choices', async t => {
  t.equal(labelOf('upstream_connpool_conn_idle_tmo'), 'Upstream connection pool connection idle timeout')
  t.equal(labelOf('ipaddrgroup_ref'), 'IP address group')
  t.same([withinSentence('TLS profile'), withinSentence('Virtual service')], ['TLS profile', 'virtual service'])
  const fields = fieldsOf({
    type: 'object',
    properties: {
      created_by: { type: 'string', 'x-last': true },
      type: { type: 'string', enum: ['ACT_SOURCE_IP', 'ACT_LOCAL_RSP', 'ACT_NONE'], 'x-unsupported-values': ['ACT_NONE'] },
      only: { type: 'string', enum: ['VS_TYPE_NORMAL', 'VS_TYPE_CHILD'], 'x-unsupported-values': ['VS_TYPE_CHILD'] },
      keys: { type: 'array', items: { type: 'string', enum: ['KEY_PATH', 'KEY_CLIENT_IP'] } },
      file: { type: 'string', description: 'For LOCAL_RSP over HTTP; see created_by and NOTHING.' }
    }
  })
  t.same(
    fields.map(field => field.name),
    ['type', 'only', 'keys', 'file', 'created_by'],
    'what tools keep comes last'
  )
  const labels = ({ shape }: Field): readonly string[] =>
    shape.is === 'choice' || shape.is === 'choices' ? shape.options.map(option => option.label) : []
  t.same(labels(fieldIn(fields, 'type')), ['Source IP', 'Local response'])
  t.same(labels(fieldIn(fields, 'only')), ['Normal'])
  const said = (...values: string[]): readonly string[] => choiceLabels(values).map(option => option.label)
  t.same(said('HTTP_METHOD_GET', 'HTTP_METHOD_DELETE'), ['GET', 'DELETE'])
  t.same(said('ONE_ONE', 'TWO_ZERO'), ['1.1', '2.0'])
  t.same(said('SSL_VERSION_TLS1', 'SSL_VERSION_TLS1_3'), ['TLS 1.0', 'TLS 1.3'])
  t.same(said('PERMISSION_POOLGROUP', 'PERMISSION_USER'), ['Pool group', 'User'])
  t.same(labels(fieldIn(fields, 'keys')), ['Path', 'Client IP'])
  t.equal(fieldIn(fields, 'file').description, 'For “Local response” over HTTP; see “Created by” and NOTHING.')
})

t.test('a field that belongs to one choice is shown with it, or when it says something', async t => {
  const fields = fieldsOf({
    type: 'object',
    properties: {
      type: { type: 'string', enum: ['RL_NONE', 'RL_LOCAL_RSP', 'RL_REDIRECT'], default: 'RL_NONE' },
      both: { type: 'string', description: 'For LOCAL_RSP and REDIRECT: where.' },
      one: { type: 'string', description: 'For RL_REDIRECT.' },
      all: { type: 'string', description: 'For ROBOTS: nobody says so.' }
    }
  })
  const shown = (object: JsonObject): readonly string[] => fields.filter(field => applies(field, fields, object)).map(field => field.name)
  t.same(shown({}), ['type', 'all'])
  t.same(shown({ type: 'RL_LOCAL_RSP' }), ['type', 'both', 'all'])
  t.same(shown({ type: 'RL_REDIRECT' }), ['type', 'both', 'one', 'all'])
  t.same(shown({ type: 'RL_NONE', one: 'x' }), ['type', 'one', 'all'], 'what was written is never hidden')
})

t.test('inLargerUnits says what many small ones come to', async t => {
  t.equal(inLargerUnits(60_000, 'ms'), '1 min')
  t.equal(inLargerUnits(5_400, 'sec'), '1 h 30 min')
  t.equal(inLargerUnits(2_048, 'KB'), '2 MiB')
  for (const [value, unit] of [
    [30, 's'],
    [0, 'ms'],
    [-1, 'min'],
    [86_399, 's'],
    [5, 'requests/s']
  ] as const)
    t.equal(inLargerUnits(value, unit), undefined, `${value} ${unit}`)
  t.same(['sec', 'hours', 'percent'].map(unitWritten), ['s', 'h', 'percent'])
})

t.test('countChanged counts what says something else than its default', async t => {
  const fields = fieldsOfKind('pool')
  t.equal(countChanged(fields, {}), 0)
  t.equal(countChanged(fields, { enabled: true, default_server_port: 80 }), 0)
  t.equal(countChanged(fields, { enabled: false, default_server_port: 80, servers: [] }), 1)
})

t.test('withValueAt changes one place and copies only the way to it', async t => {
  const before: JsonObject = { name: 'web', servers: [{ ip: { addr: 'a' } }, { ip: { addr: 'b' } }] }
  const after = withValueAt(before, '/servers/1/ip/addr', 'c')
  t.equal(valueAt(after, '/servers/1/ip/addr'), 'c')
  t.equal(valueAt(before, '/servers/1/ip/addr'), 'b')
  t.equal((after['servers'] as unknown[])[0], (before['servers'] as unknown[])[0])
  t.same(withValueAt(before, '/servers/0', undefined)['servers'], [{ ip: { addr: 'b' } }])
  t.same(withValueAt({ a: 1, b: 2 }, '/a', undefined), { b: 2 })
  t.same(withValueAt({}, '/a~1b/c', 1), { 'a/b': { c: 1 } })
})

t.test('layViolations shows each at the deepest field that is drawn, the rest on top', async t => {
  const fields = fieldsOfKind('pool')
  const { byPointer, others } = layViolations(
    [
      { pointer: '/servers/1/ip/addr', message: 'must be an address' },
      { pointer: '/default_server_port', message: 'must be at least 1' },
      { pointer: '', message: 'is wrong as a whole' },
      { pointer: '/nonsense/0', message: 'is not a field of pool' }
    ],
    fields
  )
  t.same([...byPointer.keys()], ['/servers/1/ip', '/default_server_port'])
  t.same(
    others.map(violation => violation.pointer),
    ['', '/nonsense/0']
  )
  t.ok(hasViolationUnder(byPointer, '/servers'))
  t.notOk(hasViolationUnder(byPointer, '/server'))
})

t.test('layViolations takes off the prefix of a nested document', async t => {
  const { byPointer, others } = layViolations(
    [
      { pointer: '/data/pool_ref_data/name', message: 'is required' },
      { pointer: '/data/name', message: 'is required' }
    ],
    fieldsOfKind('pool'),
    '/data/pool_ref_data'
  )
  t.same([...byPointer.keys()], ['/name'])
  t.same(
    others.map(violation => violation.pointer),
    ['/data/name']
  )
})

t.test('diffOf names the smallest values that differ', async t => {
  t.same(diffOf({ a: 1, b: { c: 2 }, d: [1, 2] }, { a: 1, b: { c: 3 }, d: [1], e: 5 }), [
    { pointer: '/b/c', before: 2, after: 3 },
    { pointer: '/d', before: [1, 2], after: [1] },
    { pointer: '/e', after: 5 }
  ])
  t.same(diffOf({ a: 1, b: 2 }, { b: 2, a: 1 }), [])
})

t.test('parseServers reads what one types', async t => {
  t.same(parseServers('10.0.0.1\n10.0.0.2:8080, [::1]:81\n\n::2\napp.example:90'), [
    { ip: { addr: '10.0.0.1', type: 'V4' } },
    { ip: { addr: '10.0.0.2', type: 'V4' }, port: 8080 },
    { ip: { addr: '::1', type: 'V6' }, port: 81 },
    { ip: { addr: '::2', type: 'V6' } },
    { ip: { addr: 'app.example', type: 'DNS' }, port: 90, hostname: 'app.example', resolve_server_by_dns: true }
  ])
})

t.test('curlOf quotes what a shell would take apart', async t => {
  const text = curlOf({
    origin: 'https://c:9443',
    method: 'POST',
    path: '/api/pool',
    body: { name: "it's $HOME" },
    userName: 'admin',
    tenant: 'shop'
  })
  t.match(text, `it'\\''s $HOME`)
  t.match(text, '-X POST')
  t.match(text, '$WEIR_PASSWORD', 'no secret in it')
  t.match(text, 'X-Weir-Tenant: shop')
})

t.test('documentYaml writes what another controller takes: names for references, nothing of the server', async t => {
  t.equal(
    documentYaml('pool', {
      uuid: 'pool-1',
      url: 'https://c:9443/api/pool/pool-1',
      _last_modified: '17',
      name: 'web',
      health_monitor_refs: ['https://c:9443/api/healthmonitor/healthmonitor-1#System-HTTP', '/api/healthmonitor/healthmonitor-2'],
      servers: [
        { ip: { addr: '10.0.0.1', type: 'V4' }, ratio: 2 },
        { ip: { addr: '::1', type: 'V6' }, enabled: false }
      ],
      markers: []
    }),
    `kind: pool
name: web
health_monitor_refs:
  - "/api/healthmonitor?name=System-HTTP"
  - /api/healthmonitor/healthmonitor-2
servers:
  - ip:
      addr: "10.0.0.1"
      type: V4
    ratio: 2
  - ip:
      addr: "::1"
      type: V6
    enabled: false
markers: []
`
  )
})

t.test('yamlOf quotes what YAML would take for something else', async t => {
  t.equal(
    yamlOf({ a: 'no', b: 'true', c: '1.5', d: '', e: 'x: y', f: ' x', g: '# x', h: null, i: 1, j: true, 'k l': 'm n', '1': '-' }),
    [
      '"1": "-"',
      'a: "no"',
      'b: "true"',
      'c: "1.5"',
      'd: ""',
      'e: "x: y"',
      'f: " x"',
      'g: "# x"',
      'h: null',
      'i: 1',
      'j: true',
      'k l: m n',
      ''
    ].join('\n')
  )
  t.equal(yamlOf({ pem: '-----BEGIN\nabc\n-----END\n', two: 'a\n\nb' }), 'pem: |\n  -----BEGIN\n  abc\n  -----END\ntwo: |-\n  a\n\n  b\n')
  t.equal(yamlOf({ odd: ' a\nb', end: 'a \nb', many: 'a\n\n' }), 'odd: " a\\nb"\nend: "a \\nb"\nmany: "a\\n\\n"\n')
  t.equal(yamlOf([[1, [2]], { a: [{}] }, []]), '- - 1\n  - - 2\n- a:\n    - {}\n- []\n')
})
