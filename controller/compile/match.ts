/** What rules look at: groups are resolved, names become the engine's. */
import { bitsOf, canonicalAddress, parseAddress, rangeToCidrs } from '#model/resource/address.ts'
import type { FilledShape } from '#model/resource/field.ts'
import type { ipAddrMatch } from '#model/resource/common.ts'
import type { matchTarget, pathMatch, queryMatch, responseMatchTarget } from '#model/resource/match.ts'
import type { Match, StringMatch } from '#model/snapshot/snapshot.ts'
import { CannotBuild } from './resources.ts'
import type { Reader } from './resources.ts'

type AddressMatch = FilledShape<typeof ipAddrMatch>
type Target = FilledShape<typeof matchTarget> | FilledShape<typeof responseMatchTarget>

type Addresses = Pick<AddressMatch, 'addrs' | 'prefixes' | 'ranges'>

function rangesIn({ addrs, prefixes, ranges }: Addresses): string[] {
  const blocks = (ranges ?? []).flatMap(({ begin, end }) => {
    const first = parseAddress(begin.addr)
    const last = parseAddress(end.addr)
    return first === undefined || last === undefined ? [] : rangeToCidrs(first, last)
  })
  return [
    ...(addrs ?? []).map(({ addr }) => canonicalAddress(addr)),
    ...(prefixes ?? []).map(({ ip_addr: { addr }, mask }) => networkOf(addr, mask)),
    ...blocks
  ]
}

/** The network with its host bits cleared, so that two spellings of one network are one. */
function networkOf(addr: string, mask: number): string {
  const address = parseAddress(addr)
  if (address === undefined) return `${addr}/${mask}`
  const host = BigInt(bitsOf(address.family) - mask)
  const first = (address.value >> host) << host
  return rangeToCidrs({ family: address.family, value: first }, { family: address.family, value: first + (1n << host) - 1n })[0]!
}

/** Every address of a group; one that names none is a mistake that must not mean everybody. */
export function groupRanges(reader: Reader, group: string): string[] {
  const { name, body } = reader.need('ipaddrgroup', group)
  const ranges = rangesIn(body)
  if (ranges.length === 0) throw new CannotBuild(`the group ${name} names no address`)
  return [...new Set(ranges)]
}

/** Every address that a match names, groups included. */
export function clientRanges(reader: Reader, match: AddressMatch): string[] {
  const groups = (match.group_refs ?? []).flatMap(ref => rangesIn(reader.need('ipaddrgroup', ref).body))
  return [...new Set([...rangesIn(match), ...groups])]
}

const isNegated = (criteria: 'IS_IN' | 'IS_NOT_IN'): boolean => criteria === 'IS_NOT_IN'

const operatorOf = {
  BEGINS_WITH: 'begins-with',
  DOES_NOT_BEGIN_WITH: 'not-begins-with',
  CONTAINS: 'contains',
  DOES_NOT_CONTAIN: 'not-contains',
  ENDS_WITH: 'ends-with',
  DOES_NOT_END_WITH: 'not-ends-with',
  EQUALS: 'equals',
  DOES_NOT_EQUAL: 'not-equals',
  REGEX_MATCH: 'regex',
  REGEX_DOES_NOT_MATCH: 'not-regex',
  EXISTS: 'exists',
  DOES_NOT_EXIST: 'not-exists'
} as const
type Operator = keyof typeof operatorOf
type Criteria = Operator | `HDR_${Operator}` | `QUERY_MATCH_${Operator}`

function stringMatch(criteria: Criteria, matchCase: 'SENSITIVE' | 'INSENSITIVE', values: readonly string[]): StringMatch {
  const operator = operatorOf[criteria.replace(/^(HDR|QUERY_MATCH)_/, '') as Operator]
  return { operator, values: operator.endsWith('exists') ? [] : values, isCaseSensitive: matchCase === 'SENSITIVE' }
}

export function textMatch(reader: Reader, match: FilledShape<typeof pathMatch> | FilledShape<typeof queryMatch>): StringMatch {
  const texts = [...(match.match_str ?? []), ...keysOf(reader, match.string_group_refs)]
  return stringMatch(match.match_criteria, match.match_case, [...new Set(texts)])
}

const keysOf = (reader: Reader, groups: readonly string[] = []): string[] =>
  groups.flatMap(ref => (reader.need('stringgroup', ref).body.kv ?? []).map(({ key }) => key))

const versionOf = { ZERO_NINE: '0.9', ONE_ZERO: '1.0', ONE_ONE: '1.1', TWO_ZERO: '2' } as const

function headerMatches(headers: Target['hdrs']): Match['headers'] {
  return (headers ?? []).map(({ hdr, match_criteria: criteria, match_case: matchCase, value }) => ({
    name: hdr,
    ...stringMatch(criteria, matchCase, value ?? [])
  }))
}

/** A match as the engine takes it; null matches everything. */
export function matchOf(reader: Reader, target: Target | undefined): Match | null {
  if (target === undefined) return null
  const {
    client_ip: client,
    source_ip: source,
    vs_port: port,
    protocol,
    method,
    version,
    path,
    query,
    hdrs,
    cookie,
    host_hdr: host
  } = target
  const match: Match = {
    clientAddress: client === undefined ? null : { isNegated: isNegated(client.match_criteria), ranges: clientRanges(reader, client) },
    ...(source === undefined
      ? {}
      : { sourceAddress: { isNegated: isNegated(source.match_criteria), ranges: clientRanges(reader, source) } }),
    port: port === undefined ? null : { isNegated: isNegated(port.match_criteria), ports: port.ports },
    protocol:
      protocol === undefined
        ? null
        : { isNegated: isNegated(protocol.match_criteria), protocol: protocol.protocols === 'HTTPS' ? 'https' : 'http' },
    method:
      method === undefined
        ? null
        : { isNegated: isNegated(method.match_criteria), methods: method.methods.map(name => name.slice('HTTP_METHOD_'.length)) },
    version:
      version === undefined
        ? null
        : { isNegated: isNegated(version.match_criteria), versions: version.versions.map(name => versionOf[name]) },
    host: host === undefined ? null : stringMatch(host.match_criteria, host.match_case, host.value ?? []),
    path: path === undefined ? null : textMatch(reader, path),
    query: query === undefined ? null : textMatch(reader, query),
    headers: headerMatches(hdrs),
    cookie:
      cookie === undefined
        ? null
        : { name: cookie.name, ...stringMatch(cookie.match_criteria, cookie.match_case, cookie.value === undefined ? [] : [cookie.value]) }
  }
  const program = 'tls_fingerprint_match' in target ? target.tls_fingerprint_match : undefined
  if (program !== undefined) return { ...match, fingerprint: fingerprintOf(reader, program) }
  if ('rsp_hdrs' in target || 'loc_hdr' in target) {
    const answer = headerMatches([
      ...(target.rsp_hdrs ?? []),
      ...(target.loc_hdr === undefined ? [] : [{ ...target.loc_hdr, hdr: 'Location' }])
    ])
    if (answer.length > 0) return { ...match, responseHeaders: answer }
  }
  const isEmpty = Object.values(match).every(part => part === null || (Array.isArray(part) && part.length === 0))
  return isEmpty ? null : match
}

function fingerprintOf(
  reader: Reader,
  {
    match_operation: operation,
    fingerprints,
    string_group_refs: refs
  }: NonNullable<FilledShape<typeof matchTarget>['tls_fingerprint_match']>
): NonNullable<Match['fingerprint']> {
  const values = [...(fingerprints ?? []), ...keysOf(reader, refs)].map(text => text.toLowerCase())
  return { isNegated: isNegated(operation), values: [...new Set(values)] }
}

interface StatusMatch {
  readonly match_criteria: 'IS_IN' | 'IS_NOT_IN'
  readonly status_codes?: readonly number[]
  readonly ranges?: readonly { readonly begin: number; readonly end: number }[]
}

/** Inclusive ranges of status; `IS_NOT_IN` becomes the ranges between. */
export function statusRanges(match: StatusMatch | undefined): { readonly from: number; readonly to: number }[] {
  if (match === undefined) return []
  const given = [
    ...(match.status_codes ?? []).map(status => ({ from: status, to: status })),
    ...(match.ranges ?? []).map(({ begin, end }) => ({ from: begin, to: end }))
  ]
  if (match.match_criteria === 'IS_IN' || given.length === 0) return given
  const between: { from: number; to: number }[] = []
  let next = 100
  for (const { from, to } of given.toSorted((a, b) => a.from - b.from)) {
    if (from > next) between.push({ from: next, to: from - 1 })
    next = Math.max(next, to + 1)
  }
  return next <= 999 ? [...between, { from: next, to: 999 }] : between
}
