/** What a rule of a policy looks at. */
import {
  headerName,
  ipAddrMatch,
  list,
  matchOperation,
  nested,
  oneOf,
  portMatch,
  ref,
  shape,
  statusRange,
  text,
  each,
  integer
} from './common.ts'
import type { FilledShape } from './field.ts'
import type { CheckContext, Json, JsonObject } from './kind.ts'
import type { Violation } from './violation.ts'

const matchCase = oneOf(['SENSITIVE', 'INSENSITIVE'], 'Whether upper and lower case differ.', { default: 'INSENSITIVE' })
const matchText = text('A text.', { maxLength: 4096 })
const groupRefs = list(ref('stringgroup', 'A group of texts.', {}), 'Groups of texts.', { maxItems: 100 })

const headerCriteria = [
  'HDR_EXISTS',
  'HDR_DOES_NOT_EXIST',
  'HDR_BEGINS_WITH',
  'HDR_DOES_NOT_BEGIN_WITH',
  'HDR_CONTAINS',
  'HDR_DOES_NOT_CONTAIN',
  'HDR_ENDS_WITH',
  'HDR_DOES_NOT_END_WITH',
  'HDR_EQUALS',
  'HDR_DOES_NOT_EQUAL',
  'HDR_REGEX_MATCH',
  'HDR_REGEX_DOES_NOT_MATCH'
] as const
const headerComparison = oneOf(headerCriteria, 'How it is compared. HDR_REGEX_MATCH and HDR_REGEX_DOES_NOT_MATCH are not words of Avi.', {
  required: true
})

export const pathMatch = shape(
  'path match',
  {
    match_criteria: oneOf(
      [
        'BEGINS_WITH',
        'DOES_NOT_BEGIN_WITH',
        'CONTAINS',
        'DOES_NOT_CONTAIN',
        'ENDS_WITH',
        'DOES_NOT_END_WITH',
        'EQUALS',
        'DOES_NOT_EQUAL',
        'REGEX_MATCH',
        'REGEX_DOES_NOT_MATCH'
      ],
      'How it is compared. BEGINS_WITH knows no segments: /admin matches /adminx.',
      { required: true }
    ),
    match_case: matchCase,
    match_str: list(matchText, 'Any of them matches.', {}),
    string_group_refs: groupRefs
  },
  { match_decoded_string: true }
)

export const queryMatch = shape(
  'query match',
  {
    match_criteria: oneOf(
      [
        'QUERY_MATCH_CONTAINS',
        'QUERY_MATCH_DOES_NOT_CONTAIN',
        'QUERY_MATCH_EXISTS',
        'QUERY_MATCH_DOES_NOT_EXIST',
        'QUERY_MATCH_BEGINS_WITH',
        'QUERY_MATCH_DOES_NOT_BEGIN_WITH',
        'QUERY_MATCH_ENDS_WITH',
        'QUERY_MATCH_DOES_NOT_END_WITH',
        'QUERY_MATCH_EQUALS',
        'QUERY_MATCH_DOES_NOT_EQUAL',
        'QUERY_MATCH_REGEX_MATCH',
        'QUERY_MATCH_REGEX_DOES_NOT_MATCH'
      ],
      'How it is compared.',
      { required: true }
    ),
    match_case: matchCase,
    match_str: list(matchText, 'Any of them matches.', {}),
    string_group_refs: groupRefs
  },
  { match_decoded_string: true }
)

export const headerMatch = shape('header match', {
  hdr: text('Name of the header.', { required: true, minLength: 1, ...headerName }),
  match_criteria: headerComparison,
  match_case: matchCase,
  value: list(matchText, 'Any of them matches.', {})
})

export const hostMatch = shape('host match', {
  match_criteria: headerComparison,
  match_case: matchCase,
  value: list(matchText, 'Any of them matches.', {})
})

export const cookieMatch = shape('cookie match', {
  name: text('Name of the cookie.', { required: true, minLength: 1, ...headerName }),
  match_criteria: headerComparison,
  match_case: matchCase,
  value: matchText
})

export const methods = [
  'HTTP_METHOD_GET',
  'HTTP_METHOD_HEAD',
  'HTTP_METHOD_PUT',
  'HTTP_METHOD_DELETE',
  'HTTP_METHOD_POST',
  'HTTP_METHOD_OPTIONS',
  'HTTP_METHOD_TRACE',
  'HTTP_METHOD_CONNECT',
  'HTTP_METHOD_PATCH',
  'HTTP_METHOD_PROPFIND',
  'HTTP_METHOD_PROPPATCH',
  'HTTP_METHOD_MKCOL',
  'HTTP_METHOD_COPY',
  'HTTP_METHOD_MOVE',
  'HTTP_METHOD_LOCK',
  'HTTP_METHOD_UNLOCK'
] as const

const common = {
  client_ip: nested(ipAddrMatch, 'Address of the client.', {}),
  source_ip: nested(
    ipAddrMatch,
    'Address that the connection came from: that of the proxy where a PROXY protocol header names the client.',
    {}
  ),
  vs_port: nested(portMatch, 'Port of the virtual service.', {}),
  protocol: nested(
    shape('protocol match', { match_criteria: matchOperation, protocols: oneOf(['HTTP', 'HTTPS'], 'The protocol.', { required: true }) }),
    'Whether the client used TLS.',
    {}
  ),
  method: nested(
    shape('method match', {
      match_criteria: matchOperation,
      methods: list(oneOf(methods, 'A method.', {}), 'Methods.', { required: true, minItems: 1 })
    }),
    'Method of the request.',
    {}
  ),
  version: nested(
    shape('version match', {
      match_criteria: matchOperation,
      versions: list(oneOf(['ZERO_NINE', 'ONE_ZERO', 'ONE_ONE', 'TWO_ZERO'], 'A version.', {}), 'Versions.', {
        required: true,
        minItems: 1
      })
    }),
    'HTTP version of the request.',
    {}
  ),
  path: nested(pathMatch, 'Path of the request.', {}),
  query: nested(queryMatch, 'Query of the request.', {}),
  hdrs: list(each(headerMatch), 'Headers of the request; all must match.', { maxItems: 100 }),
  cookie: nested(cookieMatch, 'A cookie of the request.', {}),
  host_hdr: nested(hostMatch, 'Host that the request is for.', {})
} as const

/** All parts that are there must match. */
export const matchTarget = shape(
  'match',
  {
    ...common,
    tls_fingerprint_match: nested(
      shape('fingerprint match', {
        match_operation: matchOperation,
        fingerprints: list(
          text('A JA3 (32 hexadecimal digits) or a JA4 (`t13d1516h2_8daaf6152771_e5627efa2ab1`).', {
            pattern: '^([0-9a-fA-F]{32}|[tT][0-9a-zA-Z]{9}_[0-9a-fA-F]{12}_[0-9a-fA-F]{12})$',
            say: 'must be a JA3 or a JA4'
          }),
          'Any of them matches.',
          {}
        ),
        string_group_refs: groupRefs
      }),
      'Program of the client, by its TLS ClientHello.',
      {}
    )
  },
  {
    geo_matches: [],
    ip_reputation_type: {},
    bot_detection_result: {}
  }
)

export const statusMatch = shape('status match', {
  match_criteria: matchOperation,
  status_codes: list(integer('A status.', { min: 100, max: 999 }), 'Status codes.', {}),
  ranges: list(each(statusRange), 'Ranges of status codes.', {})
})

export const responseMatchTarget = shape('match', {
  ...common,
  status: nested(statusMatch, 'Status of the answer.', {}),
  loc_hdr: nested(hostMatch, 'Location header of the answer.', {}),
  rsp_hdrs: list(each(headerMatch), 'Headers of the answer; all must match.', { maxItems: 100 })
})

/** Undefined matches everything. */
export type Matched = FilledShape<typeof matchTarget> | FilledShape<typeof responseMatchTarget> | undefined

/** A comparison needs something to compare with, and a pattern must be one that engines can run. */
export function matchViolations(match: Matched, pointer: string, context: CheckContext): Violation[] {
  const violations: Violation[] = []
  const empty = (list: readonly unknown[] | undefined): boolean => (list ?? []).length === 0
  const needsValue = (criteria: string): boolean => !criteria.endsWith('EXISTS') && !criteria.endsWith('NOT_EXIST')
  for (const name of ['path', 'query'] as const) {
    const part = match?.[name]
    if (part !== undefined) violations.push(...textViolations(part, `${pointer}/${name}`, context))
  }
  const answer = match !== undefined && 'rsp_hdrs' in match ? match : undefined
  const valued = [
    ...(match?.hdrs ?? []).map((part, i) => [part, `/hdrs/${i}`] as const),
    ...(answer?.rsp_hdrs ?? []).map((part, i) => [part, `/rsp_hdrs/${i}`] as const),
    [match?.host_hdr, '/host_hdr'] as const,
    [match !== undefined && 'loc_hdr' in match ? match.loc_hdr : undefined, '/loc_hdr'] as const
  ]
  for (const [part, at] of valued) {
    if (part === undefined) continue
    if (needsValue(part.match_criteria) && empty(part.value))
      violations.push({ pointer: `${pointer}${at}/value`, message: `is required, because match_criteria is ${part.match_criteria}` })
    for (const [i, text] of (part.value ?? []).entries())
      violations.push(...valueViolations(part, text, `${pointer}${at}/value/${i}`, context))
  }
  const cookie = match?.cookie
  if (cookie !== undefined && needsValue(cookie.match_criteria) && cookie.value === undefined)
    violations.push({ pointer: `${pointer}/cookie/value`, message: `is required, because match_criteria is ${cookie.match_criteria}` })
  if (cookie?.value !== undefined) violations.push(...valueViolations(cookie, cookie.value, `${pointer}/cookie/value`, context))
  const program = match !== undefined && 'tls_fingerprint_match' in match ? match.tls_fingerprint_match : undefined
  if (program !== undefined && empty(program.fingerprints) && empty(program.string_group_refs))
    violations.push({ pointer: `${pointer}/tls_fingerprint_match`, message: 'must have fingerprints or string_group_refs' })
  for (const name of ['client_ip', 'source_ip'] as const) {
    const client = match?.[name]
    if (client !== undefined && empty(client.addrs) && empty(client.prefixes) && empty(client.ranges) && empty(client.group_refs))
      violations.push({ pointer: `${pointer}/${name}`, message: 'must have addrs, prefixes, ranges or group_refs' })
  }
  return violations
}

/** Of a path or a query that stands alone. */
export function textViolations(part: TextMatch, pointer: string, context: CheckContext): Violation[] {
  const { match_criteria: criteria, match_str: texts = [], string_group_refs: groups = [] } = part
  const hasNone = !/EXISTS?$/.test(criteria) && texts.length === 0 && groups.length === 0
  return [
    ...(hasNone ? [{ pointer: `${pointer}/match_str`, message: 'is required, or string_group_refs' }] : []),
    ...(isPattern(criteria) ? patternViolations(part, pointer, context) : [])
  ]
}

const isPattern = (criteria: string): boolean => criteria.includes('REGEX')

interface Comparison {
  readonly match_criteria: string
  readonly match_case: 'SENSITIVE' | 'INSENSITIVE'
}

/** Of one text that a comparison has, where it is by patterns. */
function valueViolations(
  { match_criteria: criteria, match_case: matchCase }: Comparison,
  text: string,
  pointer: string,
  { pattern }: CheckContext
): Violation[] {
  const message = isPattern(criteria) ? pattern?.(text, matchCase === 'SENSITIVE') : undefined
  return message === undefined ? [] : [{ pointer, message }]
}

type TextMatch = FilledShape<typeof pathMatch> | FilledShape<typeof queryMatch>

function patternViolations(match: TextMatch, pointer: string, { pattern, resource }: CheckContext): Violation[] {
  const isCaseSensitive = match.match_case === 'SENSITIVE'
  const wrong = (text: string): string | undefined => pattern?.(text, isCaseSensitive)
  const own = (match.match_str ?? []).flatMap((text, i) => {
    const message = wrong(text)
    return message === undefined ? [] : [{ pointer: `${pointer}/match_str/${i}`, message }]
  })
  const grouped = (match.string_group_refs ?? []).flatMap((ref, i) => {
    const texts = keysOf(resource('stringgroup', ref)).filter(text => wrong(text) !== undefined)
    return texts.slice(0, 1).map(text => ({ pointer: `${pointer}/string_group_refs/${i}`, message: `has a text that ${wrong(text)}` }))
  })
  return [...own, ...grouped]
}

function keysOf(group: JsonObject | undefined): string[] {
  const pairs = group?.['kv']
  return Array.isArray(pairs) ? pairs.flatMap((pair: { readonly key?: unknown }) => (typeof pair.key === 'string' ? [pair.key] : [])) : []
}

/** The parts of any document that match by the patterns of a text group. */
export function patternUsesIn(body: Json, group: string): { readonly isCaseSensitive: boolean }[] {
  if (body === null || typeof body !== 'object') return []
  if (Array.isArray(body)) return body.flatMap(item => patternUsesIn(item as Json, group))
  const one = body as JsonObject
  const { match_criteria: criteria, string_group_refs: refs, match_case: matchCase } = one
  const isUse = typeof criteria === 'string' && isPattern(criteria) && Array.isArray(refs) && refs.includes(group)
  const below = Object.values(one).flatMap(item => patternUsesIn(item, group))
  return isUse ? [{ isCaseSensitive: matchCase === 'SENSITIVE' }, ...below] : below
}
