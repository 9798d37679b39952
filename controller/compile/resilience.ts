/** What a pool does about servers that fail, come and go, and about clients that are to stay with theirs. */
import { createHash } from 'node:crypto'
import type { FilledKind } from '#model/resource/catalogue.ts'
import type { FilledShape } from '#model/resource/field.ts'
import type { rateLimiter } from '#model/resource/ratelimit.ts'
import type { circuitBreaker, hedge, outlierDetection, serverReselect } from '#model/resource/pool.ts'
import type {
  BreakerSpec,
  HedgeSpec,
  OutlierSpec,
  PersistenceSpec,
  ReselectSpec,
  Resilience,
  RetryBudgetSpec,
  ServerRateSpec
} from '#model/snapshot/resilience.ts'
import type { ServerSpec } from '#model/snapshot/snapshot.ts'
import { CannotBuild } from './resources.ts'
import type { Read, Reader } from './resources.ts'

type Pool = FilledKind['pool']

/** Only what was asked for: a pool that asks for nothing costs nothing. */
export function resilienceOf(reader: Reader, { uuid, body }: Read<'pool'>, servers: readonly ServerSpec[]): Resilience {
  const { server_reselect: reselect, application_persistence_profile_ref: profile } = body
  return {
    ...(reselect?.enabled === true ? { reselect: reselectOf(reselect) } : {}),
    ...(body.hedge === undefined ? {} : { hedge: hedgeOf(body.hedge, reselect) }),
    ...(profile === undefined
      ? {}
      : { persistence: persistenceOf(reader, reader.need('applicationpersistenceprofile', profile), { uuid, body, servers }) }),
    ...(body.server_disable_type === 'ALLOW_NEW_CONNECTION_IF_PERSISTENCE_PRESENT' ? { keepsBoundWhenDisabled: true } : {}),
    ...(body.outlier_detection === undefined ? {} : { outliers: outliersOf(body.outlier_detection) }),
    ...(body.circuit_breaker === undefined ? {} : { breaker: breakerOf(body.circuit_breaker) }),
    ...(ramping.has(body.lb_algorithm) && body.connection_ramp_duration > 0 ? { rampS: body.connection_ramp_duration * 60 } : {}),
    ...(body.max_conn_rate_per_server === undefined ? {} : { serverRate: serverRateOf(body.max_conn_rate_per_server.rate_limiter) })
  }
}

/** The others give every server its exact share, or every client its server. */
const ramping: ReadonlySet<Pool['lb_algorithm']> = new Set([
  'LB_ALGORITHM_LEAST_CONNECTIONS',
  'LB_ALGORITHM_LEAST_LOAD',
  'LB_ALGORITHM_FASTEST_RESPONSE'
])

/** By what `burst_sz` says of itself when it is 0. */
function serverRateOf({ count, period, burst_sz: burst }: FilledShape<typeof rateLimiter>): ServerRateSpec {
  const least = Math.min(count, 20)
  return { count, periodMs: period * 1000, burst: burst > 0 ? burst : period === 1 ? Math.max(least, Math.floor(count / 20)) : count }
}

const blocks = { HTTP_RSP_4XX: { from: 400, to: 499 }, HTTP_RSP_5XX: { from: 500, to: 599 } } as const
const orNull = (value: number): number | null => (value === 0 ? null : value)

function outliersOf(given: FilledShape<typeof outlierDetection>): OutlierSpec {
  return {
    consecutive5xx: orNull(given.consecutive_5xx),
    consecutiveGatewayErrors: orNull(given.consecutive_gateway_errors),
    consecutiveLocalFailures: orNull(given.consecutive_local_failures),
    successRate:
      given.success_rate_deviation === 0
        ? null
        : {
            deviations: given.success_rate_deviation / 1000,
            minServers: given.success_rate_min_servers,
            minRequests: given.success_rate_min_requests
          },
    intervalS: given.interval,
    baseEjectionS: given.base_ejection_time,
    maxEjectionS: Math.max(given.base_ejection_time, given.max_ejection_time),
    maxEjectionPercent: given.max_ejection_percent
  }
}

function breakerOf(given: FilledShape<typeof circuitBreaker>): BreakerSpec {
  return { maxPending: orNull(given.max_pending), maxRequests: orNull(given.max_requests), maxRetries: orNull(given.max_retries) }
}

function reselectOf(given: FilledShape<typeof serverReselect>): ReselectSpec {
  const { codes = [], ranges = [], resp_code_block: classes = [] } = given.svr_resp_code ?? {}
  const { backoff, retry_budget: budget } = given
  return {
    maxRetries: given.num_retries,
    retriesNonIdempotent: given.retry_nonidempotent,
    statuses: [
      ...classes.map(name => blocks[name]),
      ...ranges.map(({ begin, end }) => ({ from: begin, to: end })),
      ...codes.map(code => ({ from: code, to: code }))
    ],
    tryTimeoutMs: orNull(given.per_try_timeout),
    retryTimeoutMs: orNull(given.retry_timeout) ?? orNull(given.per_try_timeout),
    budget: budget === undefined ? null : { percent: budget.percent, minPerS: budget.min_per_s },
    backoff: backoff === undefined ? null : { baseMs: backoff.base_interval, maxMs: Math.max(backoff.base_interval, backoff.max_interval) }
  }
}

/** What hedges may cost where the pool has no retry budget: what an empty `retry_budget` would be. */
const usualBudget: RetryBudgetSpec = { percent: 20, minPerS: 10 }

function hedgeOf(given: FilledShape<typeof hedge>, reselect: FilledShape<typeof serverReselect> | undefined): HedgeSpec {
  const budget = reselect?.enabled === true ? reselectOf(reselect).budget : null
  return { delayMs: given.delay, percentile: orNull(given.percentile), budget: budget ?? usualBudget }
}

const whenDownOf = {
  HM_DOWN_PICK_NEW_SERVER: 'pick-new',
  HM_DOWN_ABORT_CONNECTION: 'abort',
  HM_DOWN_CONTINUE_PERSISTENT_SERVER: 'continue'
} as const

/** The profile has none for headers: that of an application's cookie when it is not told. */
const HEADER_TIMEOUT_S = 20 * 60
/** What a TLS session lasts when it is not told. */
const TLS_TIMEOUT_S = 86_400

function persistenceOf(
  reader: Reader,
  { uuid, body: profile }: Read<'applicationpersistenceprofile'>,
  pool: { readonly uuid: string; readonly body: Pool; readonly servers: readonly ServerSpec[] }
): PersistenceSpec {
  const whenDown = whenDownOf[profile.server_hm_down_recovery]
  switch (profile.persistence_type) {
    case 'PERSISTENCE_TYPE_HTTP_COOKIE': {
      const cookie = profile.http_cookie_persistence_profile
      const own = cookie?.encryption_key ?? ''
      return {
        is: 'cookie',
        // Pools of one host must not overwrite each other's.
        name: cookie?.cookie_name ?? `WEIR-${sha256(pool.uuid).toString('hex').slice(0, 8)}`,
        keyBase64: own === '' ? reader.deriveSecret(`persistence ${uuid}`) : sha256(reader.openSecret(own)).toString('base64'),
        timeoutS: cookie === undefined || cookie.timeout === 0 ? null : cookie.timeout * 60,
        isKept: cookie?.is_persistent_cookie ?? false,
        isHttpOnly: cookie?.http_only ?? true,
        isAlwaysSent: cookie?.always_send_cookie ?? false,
        whenDown
      }
    }
    case 'PERSISTENCE_TYPE_CLIENT_IP_ADDRESS':
    case 'PERSISTENCE_TYPE_CLIENT_IPV6_ADDRESS': {
      const address = profile.ip_persistence_profile
      return {
        is: 'client-address',
        prefixLength: address?.ip_mask ?? 0,
        timeoutS: (address?.ip_persistent_timeout ?? 5) * 60,
        whenDown
      }
    }
    case 'PERSISTENCE_TYPE_CUSTOM_HTTP_HEADER': {
      const name = profile.hdr_persistence_profile?.prst_hdr_name
      if (name === undefined) throw new CannotBuild('its persistence profile does not name a header')
      return { is: 'header', name, servers: serversByValue(pool), timeoutS: HEADER_TIMEOUT_S, whenDown }
    }
    case 'PERSISTENCE_TYPE_APP_COOKIE': {
      const cookie = profile.app_cookie_persistence_profile
      if (cookie === undefined) throw new CannotBuild('its persistence profile does not name a cookie')
      return { is: 'app-cookie', name: cookie.prst_hdr_name, timeoutS: cookie.timeout * 60, whenDown }
    }
    case 'PERSISTENCE_TYPE_TLS':
      return { is: 'tls-session', timeoutS: TLS_TIMEOUT_S, whenDown }
  }
}

/** Listed servers come first, in order, in `servers`. */
function serversByValue({ body, servers }: { readonly body: Pool; readonly servers: readonly ServerSpec[] }): Record<string, string> {
  const byValue = (body.servers ?? []).flatMap(({ prst_hdr_val: value }, i) =>
    value === undefined || value === '' || servers[i] === undefined ? [] : [[value, servers[i].id] as const]
  )
  return Object.fromEntries(byValue)
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
