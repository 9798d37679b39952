/** Many virtual services on the addresses of one: a parent that listens, and children that are chosen by name. */
import { each, list, nested, shape, text } from './common.ts'
import { isHostname } from './address.ts'
import type { CheckContext, JsonObject } from './kind.ts'
import { matchTarget, matchViolations } from './match.ts'
import type { FilledShape } from './field.ts'
import type { Violation } from './violation.ts'

export const vhDomain = text('A name, or *.shop.test for all below.', { minLength: 1, maxLength: 253 })

export const vhMatch = shape('virtual host match', {
  host: text('A name, or *.shop.test for all below.', { required: true, minLength: 1, maxLength: 253 }),
  rules: list(
    each(
      shape('virtual host rule', {
        name: text('Name of the rule.', { required: true, minLength: 1, maxLength: 255 }),
        matches: nested(matchTarget, 'Requests that it is for.', { required: true })
      })
    ),
    'Requests of that host that are for this child; all when left out.',
    { maxItems: 100 }
  )
})

export interface VirtualHost {
  readonly name: string
  readonly type: string
  readonly vh_type: string
  readonly vh_parent_vs_ref?: string
  readonly vh_domain_name?: readonly string[]
  readonly vh_matches?: readonly FilledShape<typeof vhMatch>[]
  readonly services: readonly unknown[]
  readonly vsvip_ref?: string
  readonly connections_rate_limit?: unknown
  readonly advertise_down_vs: boolean
}

const CHILD = 'VS_TYPE_VH_CHILD'
const PARENT = 'VS_TYPE_VH_PARENT'

/** What parents and children must have, and what they must leave to each other. */
export function virtualHostViolations(body: VirtualHost, context: CheckContext): Violation[] {
  const violations: Violation[] = []
  const say = (pointer: string, message: string): number => violations.push({ pointer, message })
  if (body.type !== CHILD) {
    if (body.vsvip_ref === undefined) say('/vsvip_ref', 'is required')
    if (body.services.length === 0) say('/services', 'must have at least 1 item')
    for (const name of ['vh_parent_vs_ref', 'vh_domain_name', 'vh_matches'] as const)
      if (body[name] !== undefined && body[name].length > 0) say(`/${name}`, `needs type ${CHILD}`)
    return [...violations, ...parentViolations(body, context)]
  }
  if (body.vsvip_ref !== undefined) say('/vsvip_ref', 'must not be there: a child has the addresses of its parent')
  if (body.services.length > 0) say('/services', 'must not be there: a child has the ports of its parent')
  if (body.connections_rate_limit !== undefined) say('/connections_rate_limit', 'must not be there: connections are those of its parent')
  if (body.advertise_down_vs) say('/advertise_down_vs', 'must be false: a child has the addresses of its parent')
  const isSni = body.vh_type === 'VS_TYPE_VH_SNI'
  const [needed, other] = isSni ? (['vh_domain_name', 'vh_matches'] as const) : (['vh_matches', 'vh_domain_name'] as const)
  if ((body[needed] ?? []).length === 0) say(`/${needed}`, `is required, because vh_type is ${body.vh_type}`)
  if ((body[other] ?? []).length > 0) say(`/${other}`, `must not be there, because vh_type is ${body.vh_type}`)
  for (const [i, name] of (body.vh_domain_name ?? []).entries())
    if (!isName(name)) say(`/vh_domain_name/${i}`, 'must be a host name, or *. and one')
  for (const [i, { host, rules }] of (body.vh_matches ?? []).entries()) {
    if (!isName(host)) say(`/vh_matches/${i}/host`, 'must be a host name, or *. and one')
    for (const [j, rule] of (rules ?? []).entries())
      violations.push(...matchViolations(rule.matches, `/vh_matches/${i}/rules/${j}/matches`, context))
  }
  const parent = body.vh_parent_vs_ref === undefined ? undefined : context.resource('virtualservice', body.vh_parent_vs_ref)
  if (body.vh_parent_vs_ref === undefined) say('/vh_parent_vs_ref', `is required, because type is ${CHILD}`)
  else if (parent !== undefined && parent['type'] !== PARENT) say('/vh_parent_vs_ref', `must refer to a virtual service of type ${PARENT}`)
  else if (parent !== undefined && typeOf(parent) !== body.vh_type) say('/vh_type', `must be that of its parent: ${typeOf(parent)}`)
  return [...violations, ...nameConflicts(body, context)]
}

const isName = (name: string): boolean => isHostname(name.startsWith('*.') ? name.slice(2) : name)
const nameOf = ({ name }: JsonObject): string => (typeof name === 'string' ? name : '')
const typeOf = (body: JsonObject): string => (typeof body['vh_type'] === 'string' ? body['vh_type'] : 'VS_TYPE_VH_SNI')

/** One that has children must stay what they need. */
function parentViolations(body: VirtualHost, context: CheckContext): Violation[] {
  const { uuid } = context
  const child = uuid === undefined ? undefined : childrenOf(uuid, context)[0]
  if (child === undefined) return []
  const name = nameOf(child.body)
  if (body.type !== PARENT) return [{ pointer: '/type', message: `must be ${PARENT}, because virtual service ${name} is a child of it` }]
  return typeOf(child.body) === body.vh_type
    ? []
    : [{ pointer: '/vh_type', message: `must be that of its child ${name}: ${typeOf(child.body)}` }]
}

const childrenOf = (parent: string, context: CheckContext): readonly { readonly uuid: string; readonly body: JsonObject }[] =>
  context.referrers('virtualservice', parent).filter(({ body }) => body['vh_parent_vs_ref'] === parent && body['type'] === CHILD)

interface Claim {
  readonly pointer: string
  /** The name in lower case; claims of one parent that are equal conflict. */
  readonly name: string
}

/** The names that a child takes for itself; a host with rules leaves what they do not match to others. */
function claimsOf(body: Pick<VirtualHost, 'vh_domain_name' | 'vh_matches'>): Claim[] {
  const domains = (body.vh_domain_name ?? []).map((name, i) => ({ pointer: `/vh_domain_name/${i}`, name: name.toLowerCase() }))
  const hosts = (body.vh_matches ?? []).flatMap(({ host, rules }, i) =>
    (rules ?? []).length === 0 ? [{ pointer: `/vh_matches/${i}/host`, name: host.toLowerCase() }] : []
  )
  return [...domains, ...hosts]
}

function nameConflicts(body: VirtualHost, context: CheckContext): Violation[] {
  const violations: Violation[] = []
  const taken = new Map<string, string>()
  for (const { uuid, body: other } of body.vh_parent_vs_ref === undefined ? [] : childrenOf(body.vh_parent_vs_ref, context))
    if (uuid !== context.uuid) for (const { name } of claimsOf(other as unknown as VirtualHost)) taken.set(name, nameOf(other))
  for (const { pointer, name } of claimsOf(body)) {
    const owner = taken.get(name)
    if (owner !== undefined)
      violations.push({ pointer, message: `${name} of virtual service ${body.name} already leads to virtual service ${owner}` })
    taken.set(name, body.name)
  }
  return violations
}
