import type { Filled, FilledShape, Written } from './field.ts'
import { defineKind } from './define.ts'
import {
  each,
  flag,
  headerName,
  inTenant,
  integer,
  ipAddr,
  list,
  localFile,
  localStatus,
  nested,
  oneOf,
  ref,
  shape,
  text,
  toolText
} from './common.ts'
import { canonicalAddress } from './address.ts'
import type { CheckContext, JsonObject } from './kind.ts'
import { matchTarget, matchViolations, responseMatchTarget } from './match.ts'
import { rateViolations, ruleRateProfile } from './ratelimit.ts'
import { locationAction, redirectAction, uriParam, uriViolations } from './redirect.ts'
import type { Violation } from './violation.ts'

/** Variables that the engine fills in; the names on the right are the engine's. */
export const variables = {
  HTTP_POLICY_VAR_CLIENT_IP: '$client_ip',
  HTTP_POLICY_VAR_SOURCE_IP: '$source_ip',
  HTTP_POLICY_VAR_VS_PORT: '$vs_port',
  HTTP_POLICY_VAR_VS_IP: '$vs_ip',
  HTTP_POLICY_VAR_REQUEST_ID: '$request_id',
  HTTP_POLICY_VAR_SSL_PROTOCOL: '$ssl_protocol',
  HTTP_POLICY_VAR_SSL_CIPHER: '$ssl_cipher',
  HTTP_POLICY_VAR_SSL_SERVER_NAME: '$ssl_server_name',
  HTTP_POLICY_VAR_SSL_CLIENT_FINGERPRINT: '$ssl_client_fingerprint',
  HTTP_POLICY_VAR_SSL_CLIENT_SERIAL: '$ssl_client_serial',
  HTTP_POLICY_VAR_SSL_CLIENT_ISSUER: '$ssl_client_issuer',
  HTTP_POLICY_VAR_SSL_CLIENT_SUBJECT: '$ssl_client_subject',
  HTTP_POLICY_VAR_SSL_CLIENT_RAW: '$ssl_client_raw',
  HTTP_POLICY_VAR_SSL_CLIENT_ESCAPED: '$ssl_client_escaped',
  HTTP_POLICY_VAR_SSL_CLIENT_VERSION: '$ssl_client_version',
  HTTP_POLICY_VAR_SSL_CLIENT_SIGALG: '$ssl_client_sigalg',
  HTTP_POLICY_VAR_SSL_CLIENT_NOTVALIDBEFORE: '$ssl_client_notvalidbefore',
  HTTP_POLICY_VAR_SSL_CLIENT_NOTVALIDAFTER: '$ssl_client_notvalidafter'
} as const

export const variableNames = [
  'HTTP_POLICY_VAR_CLIENT_IP',
  'HTTP_POLICY_VAR_SOURCE_IP',
  'HTTP_POLICY_VAR_VS_PORT',
  'HTTP_POLICY_VAR_VS_IP',
  'HTTP_POLICY_VAR_REQUEST_ID',
  'HTTP_POLICY_VAR_SSL_PROTOCOL',
  'HTTP_POLICY_VAR_SSL_CIPHER',
  'HTTP_POLICY_VAR_SSL_SERVER_NAME',
  'HTTP_POLICY_VAR_SSL_CLIENT_FINGERPRINT',
  'HTTP_POLICY_VAR_SSL_CLIENT_SERIAL',
  'HTTP_POLICY_VAR_SSL_CLIENT_ISSUER',
  'HTTP_POLICY_VAR_SSL_CLIENT_SUBJECT',
  'HTTP_POLICY_VAR_SSL_CLIENT_RAW',
  'HTTP_POLICY_VAR_SSL_CLIENT_ESCAPED',
  'HTTP_POLICY_VAR_SSL_CLIENT_VERSION',
  'HTTP_POLICY_VAR_SSL_CLIENT_SIGALG',
  'HTTP_POLICY_VAR_SSL_CLIENT_NOTVALIDBEFORE',
  'HTTP_POLICY_VAR_SSL_CLIENT_NOTVALIDAFTER'
] as const satisfies readonly (keyof typeof variables)[]

const headerValue = {
  maxLength: 4096,
  pattern: '^[\\t\\u0020-\\u007e\\u0080-\\u00ff]*$',
  say: 'must be a value of an HTTP header'
} as const

export const headerAction = shape(
  'header action',
  {
    action: oneOf(['HTTP_ADD_HDR', 'HTTP_REMOVE_HDR', 'HTTP_REPLACE_HDR'], 'What is done.', { required: true }),
    hdr: nested(
      shape('header', {
        name: text('Name of the header.', { required: true, minLength: 1, ...headerName }),
        value: nested(
          shape(
            'header value',
            {
              val: text('A text.', headerValue),
              var: oneOf(variableNames, 'Something that the engine knows.', {
                unsupported: ['HTTP_POLICY_VAR_HTTP_HDR', 'HTTP_POLICY_VAR_USER_NAME']
              })
            },
            { is_sensitive: false }
          ),
          'Its value.',
          {}
        )
      }),
      'The header, where the action is not for a cookie.',
      {}
    ),
    cookie: nested(
      shape('cookie', {
        name: text('Name of the cookie.', { required: true, minLength: 1, ...headerName }),
        value: text('Its value; in answers with its attributes (`dark; Path=/; HttpOnly`).', headerValue)
      }),
      'One cookie instead of a header: of the Cookie field of requests, or a Set-Cookie field of answers.',
      {}
    )
  },
  { hdr_index: 0 }
)

export const rewriteAction = shape('rewrite', {
  host_hdr: nested(uriParam, 'New Host header.', {}),
  path: nested(uriParam, 'New path.', {}),
  query: nested(
    shape('query rewrite', {
      keep_query: flag('Keep the query of the request.', { default: true }),
      add_string: text('Added to the query.', {})
    }),
    'New query.',
    {}
  )
})

export const switchingAction = shape('switching', {
  action: oneOf(
    ['HTTP_SWITCHING_SELECT_POOL', 'HTTP_SWITCHING_SELECT_POOLGROUP', 'HTTP_SWITCHING_SELECT_LOCAL'],
    'Where the request goes.',
    {
      required: true
    }
  ),
  pool_ref: ref('pool', 'For SELECT_POOL.', {}),
  pool_group_ref: ref('poolgroup', 'For SELECT_POOLGROUP.', {}),
  status_code: oneOf(localStatus, 'For SELECT_LOCAL: status of the answer.', {}),
  other_status_code: integer('For SELECT_LOCAL: status of the answer, when it is none of the named ones.', { min: 200, max: 599 }),
  file: nested(localFile, 'For SELECT_LOCAL: body of the answer.', {}),
  server: nested(
    shape('server of a pool', {
      ip: nested(ipAddr, 'Address of the server, or its name with type DNS.', { required: true, first: true }),
      hostname: text('Name of the server, where the pool has one.', { maxLength: 255 }),
      port: integer('Port; that of the pool when left out.', { min: 1, max: 65535, first: true })
    }),
    'For SELECT_POOL: the one server of the pool that gets the requests as long as it can; then the pool chooses.',
    {}
  )
})

export const securityAction = shape('security action', {
  action: oneOf(
    [
      'HTTP_SECURITY_ACTION_CLOSE_CONN',
      'HTTP_SECURITY_ACTION_SEND_RESPONSE',
      'HTTP_SECURITY_ACTION_ALLOW',
      'HTTP_SECURITY_ACTION_REDIRECT_TO_HTTPS',
      'HTTP_SECURITY_ACTION_RATE_LIMIT'
    ],
    'What is done. ALLOW ends the security rules; request rules still follow. RATE_LIMIT goes on with the next rule within its limit.',
    { required: true, unsupported: ['HTTP_SECURITY_ACTION_REQUEST_CHECK_ICAP'] }
  ),
  status_code: oneOf(localStatus, 'For SEND_RESPONSE: status of the answer.', {}),
  file: nested(localFile, 'For SEND_RESPONSE: body of the answer.', {}),
  https_port: integer('For REDIRECT_TO_HTTPS: port to go to; 443 when left out.', { min: 1, max: 65535 }),
  rate_profile: nested(ruleRateProfile, 'For RATE_LIMIT: how often, and what becomes of what is too much.', {})
})

const ruleFields = {
  name: text('Name of the rule.', { required: true, minLength: 1, maxLength: 255 }),
  index: integer('Order among the rules, lowest first.', { required: true }),
  enable: flag('When false the rule is passed over.', { default: true }),
  log: flag('Requests that match are always logged.', { default: false })
} as const

export const securityRule = shape('security rule', {
  ...ruleFields,
  match: nested(matchTarget, 'Requests that it is for; all when left out.', {}),
  action: nested(securityAction, 'What is done.', { required: true })
})

export const requestRule = shape(
  'request rule',
  {
    ...ruleFields,
    match: nested(matchTarget, 'Requests that it is for; all when left out.', {}),
    hdr_action: list(each(headerAction), 'Changes to headers.', { maxItems: 100 }),
    rewrite_url_action: nested(rewriteAction, 'Change to the URL that servers get.', {}),
    redirect_action: nested(redirectAction, 'Answer with a redirect.', {}),
    switching_action: nested(switchingAction, 'Go to a pool, or answer at once.', {})
  },
  { all_headers: false }
)

export const responseRule = shape(
  'response rule',
  {
    ...ruleFields,
    match: nested(responseMatchTarget, 'Answers that it is for; all when left out.', {}),
    hdr_action: list(each(headerAction), 'Changes to headers.', { maxItems: 100 }),
    loc_hdr_action: nested(locationAction, 'Change to the Location header.', {})
  },
  { all_headers: false }
)

const maxItems = 1000

export const httppolicyset = defineKind({
  kind: 'httppolicyset',
  title: 'HTTP policy',
  titlePlural: 'HTTP policies',
  description: 'Rules for requests and responses: who may pass, where requests go, which headers change.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    cloud_config_cksum: toolText.cloud_config_cksum,
    http_security_policy: nested(
      shape('security policy', { rules: list(each(securityRule), 'The rules.', { maxItems }) }),
      'Who may pass; the first rule that matches decides.',
      { first: true }
    ),
    http_request_policy: nested(
      shape('request policy', { rules: list(each(requestRule), 'The rules.', { maxItems }) }),
      'Where requests go, in order after the security rules.',
      { first: true }
    ),
    http_response_policy: nested(
      shape('response policy', { rules: list(each(responseRule), 'The rules.', { maxItems }) }),
      'What changes in answers.',
      { first: true }
    ),
    is_internal_policy: flag('Made by a tool; kept, without effect.', { default: false })
  },
  unsupported: {
    geo_db_ref: '',
    ip_reputation_db_ref: ''
  },
  check: (body, context) => {
    const violations: Violation[] = []
    for (const policy of ['http_security_policy', 'http_request_policy', 'http_response_policy'] as const)
      violations.push(...orderViolations(body[policy]?.rules ?? [], `/${policy}/rules`))
    for (const [i, rule] of (body.http_security_policy?.rules ?? []).entries())
      violations.push(
        ...matchViolations(rule.match, `/http_security_policy/rules/${i}/match`, context),
        ...securityViolations(rule, i, context)
      )
    for (const [i, rule] of (body.http_request_policy?.rules ?? []).entries())
      violations.push(
        ...matchViolations(rule.match, `/http_request_policy/rules/${i}/match`, context),
        ...requestViolations(rule, `/http_request_policy/rules/${i}`, context)
      )
    for (const [i, rule] of (body.http_response_policy?.rules ?? []).entries())
      violations.push(
        ...matchViolations(rule.match, `/http_response_policy/rules/${i}/match`, context),
        ...headerViolations(rule.hdr_action, `/http_response_policy/rules/${i}/hdr_action`, 'answer'),
        ...uriViolations(rule.loc_hdr_action?.host, `/http_response_policy/rules/${i}/loc_hdr_action/host`, { match: rule.match, context }),
        ...uriViolations(rule.loc_hdr_action?.path, `/http_response_policy/rules/${i}/loc_hdr_action/path`, { match: rule.match, context })
      )
    return violations
  }
})
export type HttpPolicySet = Written<typeof httppolicyset.fields>
export type FilledHttpPolicySet = Filled<typeof httppolicyset.fields>

/** Rules of one list: two with one index have no order, two with one name cannot be told apart in a log. */
export function orderViolations(rules: readonly { readonly index: number; readonly name: string }[], pointer: string): Violation[] {
  const violations: Violation[] = []
  for (const field of ['index', 'name'] as const) {
    const seen = new Map<number | string, number>()
    for (const [i, rule] of rules.entries()) {
      const other = seen.get(rule[field])
      if (other === undefined) seen.set(rule[field], i)
      else violations.push({ pointer: `${pointer}/${i}/${field}`, message: `is the same as that of ${pointer}/${other}` })
    }
  }
  return violations
}

function securityViolations({ action, match }: FilledShape<typeof securityRule>, index: number, context: CheckContext): Violation[] {
  const pointer = `/http_security_policy/rules/${index}/action`
  if (action.action === 'HTTP_SECURITY_ACTION_SEND_RESPONSE' && action.status_code === undefined)
    return [{ pointer: `${pointer}/status_code`, message: `is required, because action is ${action.action}` }]
  if (action.action === 'HTTP_SECURITY_ACTION_RATE_LIMIT' && action.rate_profile === undefined)
    return [{ pointer: `${pointer}/rate_profile`, message: `is required, because action is ${action.action}` }]
  return rateViolations(action.rate_profile, `${pointer}/rate_profile`, { match, context })
}

function headerViolations(
  actions: readonly FilledShape<typeof headerAction>[] | undefined,
  pointer: string,
  of: 'request' | 'answer'
): Violation[] {
  return (actions ?? []).flatMap(({ action, hdr, cookie }, i) => {
    if (hdr === undefined && cookie === undefined) return [{ pointer: `${pointer}/${i}/hdr`, message: 'is required, or cookie' }]
    if (hdr !== undefined && cookie !== undefined) return [{ pointer: `${pointer}/${i}/cookie`, message: 'must not be there beside hdr' }]
    if (action === 'HTTP_REMOVE_HDR') return []
    if (cookie !== undefined) return cookieViolations(cookie.value, `${pointer}/${i}/cookie/value`, action, of)
    if (hdr === undefined) return []
    if (hdr.value?.val !== undefined && hdr.value.var !== undefined)
      return [{ pointer: `${pointer}/${i}/hdr/value/var`, message: 'must not be there beside val' }]
    return hdr.value?.val === undefined && hdr.value?.var === undefined
      ? [{ pointer: `${pointer}/${i}/hdr/value`, message: `is required, because action is ${action}` }]
      : []
  })
}

function cookieViolations(value: string | undefined, pointer: string, action: string, of: 'request' | 'answer'): Violation[] {
  if (value === undefined) return [{ pointer, message: `is required, because action is ${action}` }]
  return of === 'request' && value.includes(';') ? [{ pointer, message: 'must not have ;, which ends a cookie of a request' }] : []
}

/** Servers of a group of addresses count as well; of those only the address is known here. */
function hasServer({ pool_ref: ref, server }: FilledShape<typeof switchingAction>, context: CheckContext): boolean {
  const pool = ref === undefined ? undefined : context.resource('pool', ref)
  if (pool === undefined || server === undefined || pool['ipaddrgroup_ref'] !== undefined) return true
  const defaultPort = pool['default_server_port'] ?? 80
  const wanted = canonicalAddress(server.ip.addr).toLowerCase()
  return ((pool['servers'] ?? []) as readonly JsonObject[]).some(({ ip, hostname, port }) => {
    const names = [(ip as JsonObject | undefined)?.['addr'], hostname].map(name =>
      canonicalAddress(typeof name === 'string' ? name : '').toLowerCase()
    )
    return names.includes(wanted) && (server.port ?? defaultPort) === (port === undefined || port === 0 ? defaultPort : port)
  })
}

function requestViolations(rule: FilledShape<typeof requestRule>, pointer: string, context: CheckContext): Violation[] {
  const violations = headerViolations(rule.hdr_action, `${pointer}/hdr_action`, 'request')
  const say = (at: string, message: string): number => violations.push({ pointer: pointer + at, message })
  const source = { match: rule.match, context }
  if (rule.redirect_action !== undefined && rule.switching_action !== undefined)
    say('/switching_action', 'must not be there beside redirect_action')
  for (const part of ['host', 'path'] as const)
    violations.push(...uriViolations(rule.redirect_action?.[part], `${pointer}/redirect_action/${part}`, source))
  for (const part of ['host_hdr', 'path'] as const)
    violations.push(...uriViolations(rule.rewrite_url_action?.[part], `${pointer}/rewrite_url_action/${part}`, source))
  const switching = rule.switching_action
  if (switching === undefined) return violations
  if (switching.action === 'HTTP_SWITCHING_SELECT_POOL' && switching.pool_ref === undefined)
    say('/switching_action/pool_ref', `is required, because action is ${switching.action}`)
  if (switching.server !== undefined && switching.action !== 'HTTP_SWITCHING_SELECT_POOL')
    say('/switching_action/server', 'must not be there, because no pool is selected')
  else if (switching.server !== undefined && !hasServer(switching, context)) say('/switching_action/server', 'must be a server of the pool')
  if (switching.action === 'HTTP_SWITCHING_SELECT_POOLGROUP' && switching.pool_group_ref === undefined)
    say('/switching_action/pool_group_ref', `is required, because action is ${switching.action}`)
  if (
    switching.action === 'HTTP_SWITCHING_SELECT_LOCAL' &&
    switching.status_code === undefined &&
    switching.other_status_code === undefined
  )
    say('/switching_action/status_code', `is required, because action is ${switching.action}`)
  return violations
}
