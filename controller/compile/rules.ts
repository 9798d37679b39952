/** Policies as the engine walks them: security rules of every policy first, then request rules. */
import { canonicalAddress } from '#model/resource/address.ts'
import { variables } from '#model/resource/httppolicyset.ts'
import type { headerAction, requestRule, rewriteAction, securityRule, switchingAction } from '#model/resource/httppolicyset.ts'
import type { FilledKind } from '#model/resource/catalogue.ts'
import type { FilledShape } from '#model/resource/field.ts'
import type { HeaderAction, NetworkRule, RequestRule, ResponseRule, RewriteSpec, RuleAction } from '#model/snapshot/snapshot.ts'
import { connectionLimitOf, limitOf } from './limit.ts'
import { clientRanges, matchOf, statusRanges } from './match.ts'
import { bodyOf, serverId, statusNumber, targetOf } from './pool.ts'
import { locationOf, redirectOf, tokensOf, type PieceRule } from './redirect.ts'
import type { Read, Reader } from './resources.ts'

type Ordered = { readonly index: number; readonly enable: boolean }
const inOrder = <R extends Ordered>(rules: readonly R[] | undefined): R[] =>
  (rules ?? []).filter(rule => rule.enable).toSorted((a, b) => a.index - b.index)

export function networkRules(reader: Reader, policyRef: string | undefined): NetworkRule[] {
  if (policyRef === undefined) return []
  const { uuid, name: policy, body } = reader.need('networksecuritypolicy', policyRef)
  return inOrder(body.rules).flatMap(({ name, action, match, rl_param: rate }): NetworkRule[] => {
    const client = match.client_ip
    const ranges = client === undefined ? [] : clientRanges(reader, client)
    // To the engine no ranges are every client: an empty group is nobody, and not in an empty group is everybody.
    const isNobody = client !== undefined && ranges.length === 0 && client.match_criteria === 'IS_IN'
    if (isNobody) return []
    return [
      {
        name: `${policy}/${name}`,
        ranges,
        isNegated: ranges.length > 0 && client?.match_criteria === 'IS_NOT_IN',
        ports: match.vs_port?.ports ?? [],
        ...(match.vs_port?.match_criteria === 'IS_NOT_IN' ? { hasOtherPorts: true as const } : {}),
        action: networkActionOf[action],
        ...(action === 'NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT' && rate !== undefined
          ? { limit: connectionLimitOf(rate, { id: `${uuid}/network/${name}`, name: `${policy}/${name}` }) }
          : {})
      }
    ]
  })
}

const networkActionOf = {
  NETWORK_SECURITY_POLICY_ACTION_TYPE_ALLOW: 'allow',
  NETWORK_SECURITY_POLICY_ACTION_TYPE_DENY: 'deny',
  NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT: 'limit'
} as const

export interface HttpRules {
  readonly requestRules: readonly RequestRule[]
  readonly responseRules: readonly ResponseRule[]
}

export function httpRules(reader: Reader, references: FilledKind['virtualservice']['http_policies']): HttpRules {
  const policies = (references ?? [])
    .toSorted((a, b) => a.index - b.index)
    .map(({ http_policy_set_ref: ref }) => reader.need('httppolicyset', ref))
  return {
    requestRules: [
      ...policies.flatMap(policy => inOrder(policy.body.http_security_policy?.rules).map(rule => securityRuleOf(reader, policy, rule))),
      ...policies.flatMap(policy => inOrder(policy.body.http_request_policy?.rules).map(rule => requestRuleOf(reader, policy, rule)))
    ],
    responseRules: policies.flatMap(policy =>
      inOrder(policy.body.http_response_policy?.rules).map(rule => ({
        id: `${policy.uuid}/response/${rule.index}`,
        name: `${policy.name}/${rule.name}`,
        match: matchOf(reader, rule.match),
        status: statusRanges(rule.match?.status),
        headerActions: headerActionsOf(rule.hdr_action),
        isLogged: rule.log,
        ...(rule.loc_hdr_action === undefined ? {} : { location: locationOf(rule.loc_hdr_action, { reader, match: rule.match }) })
      }))
    )
  }
}

type Policy = Read<'httppolicyset'>

function securityRuleOf(reader: Reader, policy: Policy, rule: FilledShape<typeof securityRule>): RequestRule {
  return {
    id: `${policy.uuid}/security/${rule.index}`,
    name: `${policy.name}/${rule.name}`,
    phase: 'security',
    match: matchOf(reader, rule.match),
    headerActions: [],
    rewrite: null,
    action: securityActionOf(
      rule.action,
      { reader, match: rule.match },
      { id: `${policy.uuid}/security/${rule.name}`, name: `${policy.name}/${rule.name}` }
    ),
    isLogged: rule.log
  }
}

function securityActionOf(
  action: FilledShape<typeof securityRule>['action'],
  pieces: PieceRule,
  rule: { readonly id: string; readonly name: string }
): RuleAction | null {
  switch (action.action) {
    case 'HTTP_SECURITY_ACTION_CLOSE_CONN':
      return { is: 'close' }
    case 'HTTP_SECURITY_ACTION_ALLOW':
      return { is: 'allow' }
    case 'HTTP_SECURITY_ACTION_SEND_RESPONSE':
      return { is: 'respond', status: statusNumber(action.status_code ?? '403'), ...bodyOf(action.file) }
    case 'HTTP_SECURITY_ACTION_RATE_LIMIT':
      return action.rate_profile === undefined ? null : { is: 'rate-limit', limit: limitOf(action.rate_profile, rule, pieces) }
    case 'HTTP_SECURITY_ACTION_REDIRECT_TO_HTTPS': {
      const port = action.https_port === undefined || action.https_port === 443 ? null : action.https_port
      return { is: 'redirect', status: 302, protocol: 'https', port, host: null, path: null, keepsQuery: true }
    }
  }
}

function requestRuleOf(reader: Reader, policy: Policy, rule: FilledShape<typeof requestRule>): RequestRule {
  const pieces: PieceRule = { reader, match: rule.match }
  return {
    id: `${policy.uuid}/request/${rule.index}`,
    name: `${policy.name}/${rule.name}`,
    phase: 'request',
    match: matchOf(reader, rule.match),
    headerActions: headerActionsOf(rule.hdr_action),
    rewrite: rule.rewrite_url_action === undefined ? null : rewriteOf(rule.rewrite_url_action, pieces),
    action:
      rule.redirect_action !== undefined
        ? redirectOf(rule.redirect_action, pieces)
        : rule.switching_action === undefined
          ? null
          : switchingOf(reader, rule.switching_action),
    isLogged: rule.log
  }
}

function switchingOf(reader: Reader, action: FilledShape<typeof switchingAction>): RuleAction | null {
  if (action.action === 'HTTP_SWITCHING_SELECT_LOCAL') {
    const status = action.status_code === undefined ? (action.other_status_code ?? 200) : statusNumber(action.status_code)
    return { is: 'respond', status, ...bodyOf(action.file) }
  }
  const isPool = action.action === 'HTTP_SWITCHING_SELECT_POOL'
  const target = targetOf(reader, { pool: isPool ? action.pool_ref : undefined, group: isPool ? undefined : action.pool_group_ref })
  if (target === null) return null
  const { server } = action
  if (server === undefined || action.pool_ref === undefined) return { is: 'switch', target }
  const { body } = reader.need('pool', action.pool_ref)
  const host = server.ip.type === 'DNS' ? (server.hostname ?? server.ip.addr).toLowerCase() : canonicalAddress(server.ip.addr)
  return { is: 'switch', target, serverId: serverId(host, server.port ?? body.default_server_port) }
}

function rewriteOf({ host_hdr: host, path, query }: FilledShape<typeof rewriteAction>, rule: PieceRule): RewriteSpec {
  const added = query?.add_string
  return {
    host: tokensOf(host, '.', rule),
    path: tokensOf(path, '/', rule),
    query: query === undefined ? null : { keepsExisting: query.keep_query, add: added === undefined || added === '' ? null : added }
  }
}

const actionOf = { HTTP_ADD_HDR: 'add', HTTP_REPLACE_HDR: 'replace', HTTP_REMOVE_HDR: 'remove' } as const

function headerActionsOf(actions: readonly FilledShape<typeof headerAction>[] | undefined): HeaderAction[] {
  return (actions ?? []).flatMap(({ action, hdr, cookie }): HeaderAction[] => {
    const is = actionOf[action]
    const valueOf = (text: string): string => (action === 'HTTP_REMOVE_HDR' ? '' : text)
    if (cookie !== undefined) return [{ is, of: 'cookie', name: cookie.name, value: valueOf(cookie.value ?? '') }]
    if (hdr === undefined) return []
    const { name, value } = hdr
    return [{ is, name, value: valueOf(value?.var === undefined ? (value?.val ?? '') : variables[value.var]) }]
  })
}
