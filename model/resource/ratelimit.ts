/** How often something may happen, and what becomes of what is too much. */
import { flag, headerName, integer, list, localFile, localStatus, nested, oneOf, shape, text } from './common.ts'
import type { FilledShape } from './field.ts'
import { redirectAction, uriViolations, type PieceSource } from './redirect.ts'
import type { Violation } from './violation.ts'

export const rateLimiter = shape('rate limiter', {
  name: text('A name for it.', {}),
  count: integer('How many in one period.', { required: true, min: 1, max: 1000000000, first: true }),
  period: integer('Length of the period.', { required: true, min: 1, max: 1000000000, unit: 's', first: true }),
  burst_sz: integer('How many at once after a quiet time.', {
    default: 0,
    min: 0,
    max: 1000000000,
    special: { '0': 'all of count; for a period of one second a twentieth of it, but up to 20 in any case' }
  })
})

export const rateLimiterAction = shape('rate limiter action', {
  type: oneOf(
    ['RL_ACTION_NONE', 'RL_ACTION_DROP_CONN', 'RL_ACTION_RESET_CONN', 'RL_ACTION_CLOSE_CONN', 'RL_ACTION_LOCAL_RSP', 'RL_ACTION_REDIRECT'],
    'What becomes of what is too much. NONE lets it pass and says so in the log.',
    { default: 'RL_ACTION_NONE' }
  ),
  status_code: oneOf(localStatus, 'For LOCAL_RSP: status of the answer.', { default: 'HTTP_LOCAL_RESPONSE_STATUS_CODE_429' }),
  file: nested(localFile, 'For LOCAL_RSP: body of the answer.', {}),
  redirect: nested(redirectAction, 'For REDIRECT.', {})
})

export const rateKey = oneOf(['RATE_KEY_CLIENT_IP', 'RATE_KEY_PATH', 'RATE_KEY_HOST', 'RATE_KEY_METHOD'], 'What is counted apart.', {})

export const quota = shape('quota', {
  count: integer('How many in one day or month.', { required: true, min: 1, max: 1000000000, first: true }),
  period: oneOf(['QUOTA_DAY', 'QUOTA_MONTH'], 'Of the calendar, in UTC.', { default: 'QUOTA_DAY' })
})

const shared = {
  rate_limiter: nested(rateLimiter, 'How often.', { required: true, first: true }),
  action: nested(rateLimiterAction, 'What becomes of what is too much.', { required: true }),
  key: list(rateKey, 'What is counted apart; together with the fields below. One limit for all without any. Not a field of Avi.', {
    maxItems: 4
  }),
  http_header: text('Requests with different values of this header are counted apart.', headerName),
  http_cookie: text('Requests with different values of this cookie are counted apart.', headerName),
  jwt_claim: text(
    'Requests whose bearer token has different values of this claim are counted apart. The token is read, not verified: whoever makes one up is counted as what it says. Not a field of Avi.',
    { minLength: 1, maxLength: 128 }
  ),
  quota: nested(
    quota,
    'How many of those that the limit lets through, in a day or month; kept by the controller over all restarts. Not a field of Avi.',
    {}
  ),
  log_only: flag('Nothing is refused; what would be is logged. Not a field of Avi.', { default: false })
} as const

/** A limit of a virtual service. */
export const rateProfile = shape('rate profile', shared, { explicit_tracking: false, fine_grain: false })

/** A limit of a security rule. */
export const ruleRateProfile = shape('rate profile', {
  ...shared,
  per_client_ip: flag('Clients are counted apart.', { default: false }),
  per_uri_path: flag('Paths are counted apart.', { default: false })
})

type Profile = FilledShape<typeof rateProfile> | FilledShape<typeof ruleRateProfile>

/**
 * An action must carry what its type needs; connections have neither paths nor headers.
 *
 * Shapes  of: a rule, with what it matches by; what is counted for a whole virtual service
 */
export function rateViolations(profile: Profile | undefined, pointer: string, of: PieceSource | 'requests' | 'connections'): Violation[] {
  if (profile === undefined) return []
  const violations: Violation[] = []
  const say = (at: string, message: string): number => violations.push({ pointer: pointer + at, message })
  const { action } = profile
  if (action.type === 'RL_ACTION_REDIRECT' && action.redirect === undefined)
    say('/action/redirect', `is required, because type is ${action.type}`)
  for (const part of ['host', 'path'] as const)
    violations.push(
      ...uriViolations(action.redirect?.[part], `${pointer}/action/redirect/${part}`, typeof of === 'string' ? undefined : of)
    )
  if (of !== 'connections') return violations
  if (action.type === 'RL_ACTION_LOCAL_RSP' || action.type === 'RL_ACTION_REDIRECT')
    say('/action/type', 'must close, drop or reset: a connection has no answer')
  for (const [i, key] of (profile.key ?? []).entries())
    if (key !== 'RATE_KEY_CLIENT_IP') say(`/key/${i}`, 'must be RATE_KEY_CLIENT_IP: nothing else is known of a connection')
  for (const name of ['http_header', 'http_cookie', 'jwt_claim'] as const)
    if (profile[name] !== undefined) say(`/${name}`, 'must not be there: a connection has no headers')
  if (profile.quota !== undefined) say('/quota', 'must not be there: connections have no quota')
  return violations
}
