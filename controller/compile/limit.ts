/** Rate limits, of virtual services and of rules, in the engine's words. */
import type { FilledShape } from '#model/resource/field.ts'
import type { bandwidth } from '#model/resource/bandwidth.ts'
import type { connectionRate } from '#model/resource/networksecuritypolicy.ts'
import type { rateProfile, ruleRateProfile } from '#model/resource/ratelimit.ts'
import type { BandwidthSpec, LimitAction, RateLimitSpec, RequestRule, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { bodyOf, statusNumber } from './pool.ts'
import { redirectOf, type PieceRule } from './redirect.ts'

type Profile = FilledShape<typeof rateProfile> | FilledShape<typeof ruleRateProfile>
type Key = RateLimitSpec['key'][number]

/** A limit of a second must hold in its first second too; small ones and those of longer periods may be used up at once. */
const BURST_SHARE = 20

function burstOf({ count, period, burst_sz: burst }: Profile['rate_limiter']): number {
  if (burst > 0) return burst
  return period > 1 ? count : Math.max(Math.ceil(count / BURST_SHARE), Math.min(count, BURST_SHARE))
}

const keyOf = {
  RATE_KEY_CLIENT_IP: 'client-address',
  RATE_KEY_PATH: 'path',
  RATE_KEY_HOST: 'host',
  RATE_KEY_METHOD: 'method'
} as const

/** `rule`: the one whose limit it is. */
export function limitOf(profile: Profile, named: { readonly id: string; readonly name: string }, rule?: PieceRule): RateLimitSpec {
  const { rate_limiter: limiter, http_header: header, http_cookie: cookie, jwt_claim: claim } = profile
  const keys = new Set<(typeof keyOf)[keyof typeof keyOf]>((profile.key ?? []).map(key => keyOf[key]))
  if ('per_client_ip' in profile && profile.per_client_ip) keys.add('client-address')
  if ('per_uri_path' in profile && profile.per_uri_path) keys.add('path')
  const byName: Key[] = [
    ...(header === undefined ? [] : [{ by: 'header' as const, name: header }]),
    ...(cookie === undefined ? [] : [{ by: 'cookie' as const, name: cookie }]),
    ...(claim === undefined ? [] : [{ by: 'claim' as const, name: claim }])
  ]
  return {
    ...named,
    count: limiter.count,
    periodS: limiter.period,
    burst: burstOf(limiter),
    key: [...[...keys].map(by => ({ by })), ...byName],
    action: actionOf(profile.action, rule),
    isLogOnly: profile.log_only,
    ...(profile.quota === undefined
      ? {}
      : { quota: { count: profile.quota.count, period: profile.quota.period === 'QUOTA_DAY' ? ('day' as const) : ('month' as const) } })
  }
}

/** Left out where nothing is limited. */
export function bandwidthOf(
  uuid: string,
  given: FilledShape<typeof bandwidth> | undefined
): { readonly bandwidth?: readonly BandwidthSpec[] } {
  if (given === undefined) return {}
  const { down_bytes_per_s: down, up_bytes_per_s: up, client_down_bytes_per_s: clientDown, client_up_bytes_per_s: clientUp } = given
  const spec = (
    name: string,
    direction: BandwidthSpec['direction'],
    isPerClient: boolean,
    bytesPerS: number | undefined
  ): BandwidthSpec[] => (bytesPerS === undefined ? [] : [{ id: `${uuid}/bandwidth/${name}`, direction, isPerClient, bytesPerS }])
  const specs = [
    ...spec('down', 'down', false, down),
    ...spec('up', 'up', false, up),
    ...spec('client-down', 'down', true, clientDown),
    ...spec('client-up', 'up', true, clientUp)
  ]
  return specs.length === 0 ? {} : { bandwidth: specs }
}

/** Of a network rule. */
export function connectionLimitOf(
  rate: FilledShape<typeof connectionRate>,
  named: { readonly id: string; readonly name: string }
): RateLimitSpec {
  return {
    ...named,
    count: rate.max_rate,
    periodS: 1,
    burst: rate.burst_size,
    key: rate.per_client_ip ? [{ by: 'client-address' }] : [],
    action: { is: 'close' },
    isLogOnly: false
  }
}

type Limited = Pick<VirtualServicePart, 'id' | 'requestRules' | 'networkRules' | 'requestLimit' | 'connectionLimit' | 'bandwidth'>

/**
 * Its limits as those of so many engines together. A limit of a rule is of one virtual service, whoever else has the policy.
 *
 * Shapes  seed: 8 bytes and more in base64
 * Returns `part` itself where it has no limit
 */
export function withShares<T extends Limited>(part: T, engines: number, seed: () => string): T {
  const isLimited = (rule: RequestRule): boolean => rule.action?.is === 'rate-limit'
  const { requestLimit, connectionLimit, bandwidth, requestRules, networkRules } = part
  const isFree = requestLimit === undefined && connectionLimit === undefined && bandwidth === undefined
  if (isFree && !requestRules.some(isLimited) && networkRules.every(({ limit }) => limit === undefined)) return part
  const bytes = Buffer.from(seed(), 'base64')
  const shared = { ...(engines > 1 ? { engines } : {}), seed: [bytes.readInt32LE(0), bytes.readInt32LE(4)] as const }
  const own = (limit: RateLimitSpec): RateLimitSpec => ({ ...limit, ...shared, id: `${part.id}/${limit.id}` })
  return {
    ...part,
    networkRules: networkRules.map(rule => (rule.limit === undefined ? rule : { ...rule, limit: own(rule.limit) })),
    ...(requestLimit === undefined ? {} : { requestLimit: { ...requestLimit, ...shared } }),
    ...(connectionLimit === undefined ? {} : { connectionLimit: { ...connectionLimit, ...shared } }),
    ...(bandwidth === undefined ? {} : { bandwidth: bandwidth.map(spec => ({ ...spec, ...shared })) }),
    requestRules: requestRules.map(rule =>
      rule.action?.is === 'rate-limit' ? { ...rule, action: { ...rule.action, limit: own(rule.action.limit) } } : rule
    )
  }
}

function actionOf({ type, status_code: status, file, redirect }: Profile['action'], rule: PieceRule | undefined): LimitAction {
  switch (type) {
    case 'RL_ACTION_NONE':
      return { is: 'report' }
    case 'RL_ACTION_RESET_CONN':
      return { is: 'reset' }
    case 'RL_ACTION_DROP_CONN':
    case 'RL_ACTION_CLOSE_CONN':
      return { is: 'close' }
    case 'RL_ACTION_LOCAL_RSP':
      return { is: 'respond', status: statusNumber(status), ...bodyOf(file) }
    case 'RL_ACTION_REDIRECT':
      return redirect === undefined ? { is: 'close' } : redirectOf(redirect, rule)
  }
}
