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
  'HDR_DOES_NOT_EQUAL'
] as const

export const pathMatch = shape(
  'path match',
  {
    match_criteria: oneOf(
      ['BEGINS_WITH', 'DOES_NOT_BEGIN_WITH', 'CONTAINS', 'DOES_NOT_CONTAIN', 'ENDS_WITH', 'DOES_NOT_END_WITH', 'EQUALS', 'DOES_NOT_EQUAL'],
      'How it is compared. BEGINS_WITH knows no segments: /admin matches /adminx.',
      { required: true, unsupported: ['REGEX_MATCH', 'REGEX_DOES_NOT_MATCH'] }
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
        'QUERY_MATCH_DOES_NOT_EQUAL'
      ],
      'How it is compared.',
      { required: true, unsupported: ['QUERY_MATCH_REGEX_MATCH', 'QUERY_MATCH_REGEX_DOES_NOT_MATCH'] }
    ),
    match_case: matchCase,
    match_str: list(matchText, 'Any of them matches.', {}),
    string_group_refs: groupRefs
  },
  { match_decoded_string: true }
)

export const headerMatch = shape('header match', {
  hdr: text('Name of the header.', { required: true, minLength: 1, ...headerName }),
  match_criteria: oneOf(headerCriteria, 'How it is compared.', { required: true }),
  match_case: matchCase,
  value: list(matchText, 'Any of them matches.', {})
})

export const hostMatch = shape('host match', {
  match_criteria: oneOf(headerCriteria, 'How it is compared.', { required: true }),
  match_case: matchCase,
  value: list(matchText, 'Any of them matches.', {})
})

export const cookieMatch = shape('cookie match', {
  name: text('Name of the cookie.', { required: true, minLength: 1, ...headerName }),
  match_criteria: oneOf(headerCriteria, 'How it is compared.', { required: true }),
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
export const matchTarget = shape('match', common, {
  source_ip: {},
  geo_matches: [],
  ip_reputation_type: {},
  bot_detection_result: {},
  tls_fingerprint_match: {}
})

export const responseMatchTarget = shape(
  'match',
  {
    ...common,
    status: nested(
      shape('status match', {
        match_criteria: matchOperation,
        status_codes: list(integer('A status.', { min: 100, max: 999 }), 'Status codes.', {}),
        ranges: list(each(statusRange), 'Ranges of status codes.', {})
      }),
      'Status of the answer.',
      {}
    )
  },
  { source_ip: {}, loc_hdr: {}, rsp_hdrs: [] }
)
