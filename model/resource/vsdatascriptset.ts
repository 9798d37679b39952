import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, inTenant, integer, list, oneOf, ref, shape, text } from './common.ts'

export const dataScript = shape('script', {
  evt: oneOf(
    [
      'VS_DATASCRIPT_EVT_HTTP_REQ',
      'VS_DATASCRIPT_EVT_HTTP_REQ_DATA',
      'VS_DATASCRIPT_EVT_HTTP_RESP',
      'VS_DATASCRIPT_EVT_HTTP_RESP_DATA',
      'VS_DATASCRIPT_EVT_HTTP_LB_FAILED'
    ],
    'When it runs: after the rules for requests, when the body of a request is there, after the rules for answers of servers, when the body of such an answer is there, or when no server can be chosen.',
    {
      required: true,
      first: true,
      unsupported: [
        'VS_DATASCRIPT_EVT_HTTP_RESP_FAILED',
        'VS_DATASCRIPT_EVT_HTTP_LB_DONE',
        'VS_DATASCRIPT_EVT_HTTP_AUTH',
        'VS_DATASCRIPT_EVT_HTTP_POST_AUTH',
        'VS_DATASCRIPT_EVT_TCP_CLIENT_ACCEPT',
        'VS_DATASCRIPT_EVT_SSL_HANDSHAKE_DONE',
        'VS_DATASCRIPT_EVT_CLIENT_SSL_PRE_CONNECT',
        'VS_DATASCRIPT_EVT_CLIENT_SSL_CLIENT_HELLO',
        'VS_DATASCRIPT_EVT_DNS_REQ',
        'VS_DATASCRIPT_EVT_DNS_RESP',
        'VS_DATASCRIPT_EVT_L4_REQUEST',
        'VS_DATASCRIPT_EVT_L4_RESPONSE',
        'VS_DATASCRIPT_EVT_MAX'
      ]
    }
  ),
  script: text('The script, in JavaScript: the body of a function of `weir`.', {
    required: true,
    first: true,
    minLength: 1,
    maxLength: 65536,
    code: true
  })
})

export const vsdatascriptset = defineKind({
  kind: 'vsdatascriptset',
  title: 'Script set',
  titlePlural: 'Script sets',
  description: 'Scripts that decide on requests and answers where rules do not reach.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    datascript: list(each(dataScript), 'The scripts; those of one event run in this order.', {
      required: true,
      first: true,
      minItems: 1,
      maxItems: 20
    }),
    on_error: oneOf(
      ['SCRIPT_FAIL_CLOSED', 'SCRIPT_FAIL_OPEN'],
      'What becomes of an exchange whose script fails: an error answer, or it goes on as if the script were not there. Not a field of Avi.',
      { default: 'SCRIPT_FAIL_CLOSED' }
    ),
    time_limit: integer('Processor time that one run may take. Not a field of Avi.', { default: 50, min: 1, max: 1000, unit: 'ms' }),
    body_limit: integer('The longest body that scripts of REQ_DATA and RESP_DATA are shown. Not a field of Avi.', {
      default: 32,
      min: 1,
      max: 256,
      unit: 'KB'
    }),
    on_large_body: oneOf(
      ['SCRIPT_LARGE_BODY_REFUSE', 'SCRIPT_LARGE_BODY_PASS'],
      'What becomes of a longer one: a request is refused with 413 and an answer replaced by 500, or it passes without that these scripts run. Not a field of Avi.',
      { default: 'SCRIPT_LARGE_BODY_REFUSE' }
    ),
    pool_refs: list(ref('pool', 'A pool.', {}), 'Pools that the scripts may choose, by their names.', { maxItems: 100 }),
    pool_group_refs: list(ref('poolgroup', 'A pool group.', {}), 'Pool groups that the scripts may choose, by their names.', {
      maxItems: 100
    }),
    string_group_refs: list(ref('stringgroup', 'A string group.', {}), 'String groups that the scripts may ask, by their names.', {
      maxItems: 100
    }),
    ipgroup_refs: list(ref('ipaddrgroup', 'An address group.', {}), 'Address groups that the scripts may ask, by their names.', {
      maxItems: 100
    })
  },
  unsupported: {
    geo_db_ref: '',
    ip_reputation_db_ref: '',
    pki_profile_refs: [],
    protocol_parser_refs: [],
    rate_limiters: [],
    ssl_key_certificate_refs: [],
    ssl_profile_refs: []
  },
  check: ({ datascript }, { script: judge }) =>
    datascript.flatMap(({ script }, i) => {
      const problem = judge?.(script)
      if (problem === undefined) return []
      const where = problem.line === 0 ? '' : `line ${problem.line}, column ${problem.column}: `
      return [{ pointer: `/datascript/${i}/script`, message: `${where}${problem.message}` }]
    })
})
export type VsDataScriptSet = Written<typeof vsdatascriptset.fields>
export type FilledVsDataScriptSet = Filled<typeof vsdatascriptset.fields>
