/** What a virtual service may have besides: each as an operator would write it, and so wide that it refuses and delays nothing. */
import type { JsonObject, KindName } from '#model/resource/kind.ts'

export interface WrittenDocument {
  readonly kind: KindName
  readonly body: JsonObject
}

/** What the virtual service that has it is made of. */
export interface Featured {
  readonly service?: JsonObject
  readonly pool?: JsonObject
  readonly httpProfile?: JsonObject
  /** What those refer to. */
  readonly documents?: readonly WrittenDocument[]
}

export interface Feature {
  readonly name: string
  readonly title: string
  /** `servers`: those of the service's own pool. */
  readonly of: (servers: JsonObject) => Featured
  /** Not a part of all of them together. */
  readonly isAlone?: true
  /** It is there when another service sends to the same pool. */
  readonly isPoolShared?: true
}

/** More than one worker can do. */
const PLENTY = 1_000_000_000
const limited = (type: string): JsonObject => ({ rate_limiter: { count: PLENTY, period: 1 }, action: { type } })
const paths = (match_criteria: string, ...match_str: readonly string[]): JsonObject => ({ path: { match_criteria, match_str } })

const rule = (i: number): JsonObject => ({
  name: `rule ${i}`,
  index: i,
  enable: true,
  match: paths('BEGINS_WITH', `/elsewhere-${i}/`),
  switching_action: { action: 'HTTP_SWITCHING_SELECT_LOCAL', status_code: 'HTTP_LOCAL_RESPONSE_STATUS_CODE_404' }
})
const addsHeader = (name: string, index: number): JsonObject => ({
  name,
  index,
  enable: true,
  hdr_action: [{ action: 'HTTP_ADD_HDR', hdr: { name: 'X-Bench', value: { val: 'yes' } } }]
})

const single: readonly Feature[] = [
  {
    name: 'rules',
    title: '20 rules for other paths, one that adds a header to requests, one to answers',
    of: () => ({
      service: { http_policies: [{ index: 1, http_policy_set_ref: 'httppolicyset-rules' }] },
      documents: [
        {
          kind: 'httppolicyset',
          body: {
            name: 'rules',
            http_request_policy: { rules: [...Array.from({ length: 20 }, (_, i) => rule(i + 1)), addsHeader('all', 21)] },
            http_response_policy: { rules: [addsHeader('answers', 1)] }
          }
        }
      ]
    })
  },
  {
    name: 'network-rules',
    title: 'a network policy that denies 1,000 networks',
    of: () => ({
      service: { network_security_policy_ref: 'networksecuritypolicy-who' },
      documents: [
        {
          kind: 'ipaddrgroup',
          body: {
            name: 'bad',
            prefixes: Array.from({ length: 1_000 }, (_, i) => ({ ip_addr: { addr: `20.${i >> 8}.${i & 255}.0`, type: 'V4' }, mask: 24 }))
          }
        },
        {
          kind: 'networksecuritypolicy',
          body: {
            name: 'who',
            rules: [
              {
                index: 1,
                name: 'bad',
                enable: true,
                action: 'NETWORK_SECURITY_POLICY_ACTION_TYPE_DENY',
                match: { client_ip: { match_criteria: 'IS_IN', group_refs: ['ipaddrgroup-bad'] } }
              }
            ]
          }
        }
      ]
    })
  },
  {
    name: 'rate-limit',
    title: 'limits of requests, by client, and of connections',
    of: () => ({
      service: {
        requests_rate_limit: { ...limited('RL_ACTION_LOCAL_RSP'), key: ['RATE_KEY_CLIENT_IP'] },
        connections_rate_limit: limited('RL_ACTION_DROP_CONN')
      }
    })
  },
  {
    name: 'bandwidth',
    title: 'limits of bandwidth, for all and for each client',
    of: () => ({
      service: { bandwidth: { down_bytes_per_s: 100 * PLENTY, up_bytes_per_s: 100 * PLENTY, client_down_bytes_per_s: 100 * PLENTY } }
    })
  },
  {
    name: 'timeouts',
    title: 'a deadline for requests, a least rate for clients',
    of: () => ({ service: { timeouts: { request_ms: 60_000, min_bytes_per_s: 100 } } })
  },
  {
    name: 'retries',
    title: 'retries with a budget',
    of: () => ({
      pool: {
        server_reselect: {
          enabled: true,
          per_try_timeout: 30_000,
          svr_resp_code: { resp_code_block: ['HTTP_RSP_5XX'] },
          retry_budget: { percent: 20 }
        }
      }
    })
  },
  { name: 'hedging', title: 'hedging, by percentile', isAlone: true, of: () => ({ pool: { hedge: { delay: 10_000, percentile: 99 } } }) },
  {
    name: 'cookie',
    title: 'persistence by a cookie, set anew for each request',
    of: () => ({ pool: { application_persistence_profile_ref: 'applicationpersistenceprofile-System-Persistence-Http-Cookie' } })
  },
  {
    name: 'client-address',
    title: 'persistence by the address of the client',
    isAlone: true,
    of: () => ({ pool: { application_persistence_profile_ref: 'applicationpersistenceprofile-System-Persistence-Client-IP' } })
  },
  {
    name: 'outliers',
    title: 'servers that fail are left out, by counts and by success rate',
    of: () => ({ pool: { outlier_detection: { consecutive_gateway_errors: 5, success_rate_deviation: 1_900 } } })
  },
  {
    name: 'breaker',
    title: 'a circuit breaker',
    of: () => ({ pool: { circuit_breaker: { max_requests: 10_000, max_pending: 10_000, max_retries: 100 } } })
  },
  {
    name: 'server-limits',
    title: 'limits of connections and of requests for each server',
    of: () => ({
      pool: {
        max_concurrent_connections_per_server: 10_000,
        max_conn_rate_per_server: limited('RL_ACTION_CLOSE_CONN'),
        request_queue_enabled: true
      }
    })
  },
  {
    name: 'fault',
    title: 'failures on purpose, of other paths',
    of: () => ({ service: { fault: { match: paths('BEGINS_WITH', '/broken/'), delay: { ms: 1_000 }, abort: { status: 503 } } } })
  },
  {
    name: 'mirror',
    title: 'a copy of each request to another pool: twice the requests to servers',
    isAlone: true,
    of: servers => ({
      service: { mirror: { pool_ref: 'pool-mirror' } },
      documents: [{ kind: 'pool', body: { ...servers, name: 'mirror' } }]
    })
  },
  { name: 'cors', title: 'a CORS policy', of: () => ({ service: { cors_policy: { allowed_origins: ['https://app.test'] } } }) },
  {
    name: 'compression',
    title: 'compression, of answers that are too small for it',
    of: () => ({ httpProfile: { compression_profile: { compression: true } } })
  },
  {
    name: 'cache',
    title: 'a cache that has the answer: no server is asked',
    isAlone: true,
    of: () => ({ httpProfile: { cache_config: { enabled: true, aggressive: true, min_object_size: 1, default_expire: 86_400 } } })
  },
  {
    name: 'rewrite',
    title: 'texts of answers are replaced, of another type',
    of: () => ({
      service: {
        content_rewrite: {
          rsp_rewrite_rules: [
            {
              index: 1,
              name: 'links',
              enable: true,
              pairs: [{ search_string: { val: 'http://' }, replacement_string: { val: 'https://' } }]
            }
          ]
        }
      }
    })
  },
  {
    name: 'script',
    title: 'a script that adds a header to each request',
    of: () => ({
      service: { vs_datascripts: [{ index: 1, vs_datascript_set_ref: 'vsdatascriptset-adds' }] },
      documents: [
        {
          kind: 'vsdatascriptset',
          body: { name: 'adds', datascript: [{ evt: 'VS_DATASCRIPT_EVT_HTTP_REQ', script: "weir.request.headers.set('x-bench', 'yes')" }] }
        }
      ]
    })
  },
  {
    name: 'error-pages',
    title: 'error pages',
    of: () => ({
      service: { error_page_profile_ref: 'errorpageprofile-pages' },
      documents: [
        { kind: 'errorpagebody', body: { name: 'page', error_page_body: '<h1>Sorry</h1>' } },
        { kind: 'errorpageprofile', body: { name: 'pages', error_pages: [{ index: 1, error_page_body_ref: 'errorpagebody-page' }] } }
      ]
    })
  },
  {
    name: 'pool-group',
    title: 'a pool group of two pools, each client on its side',
    isAlone: true,
    of: servers => ({
      service: { pool_group_ref: 'poolgroup-both' },
      documents: [
        ...['left', 'right'].map((name): WrittenDocument => ({ kind: 'pool', body: { ...servers, name } })),
        {
          kind: 'poolgroup',
          body: { name: 'both', members: [{ pool_ref: 'pool-left' }, { pool_ref: 'pool-right' }], sticky: { by: 'CLIENT_IP' } }
        }
      ]
    })
  },
  { name: 'shared-pool', title: 'another virtual service sends to the same pool', isAlone: true, isPoolShared: true, of: () => ({}) }
]

const merged = (parts: readonly (JsonObject | undefined)[]): JsonObject => Object.assign({}, ...parts) as JsonObject

/** All that go together, as one. */
const everything: Feature = {
  name: 'everything',
  title: 'all of these at once that neither exclude each other nor change which servers are asked',
  of: servers => {
    const all = single.filter(feature => feature.isAlone !== true).map(feature => feature.of(servers))
    return {
      service: merged(all.map(one => one.service)),
      pool: merged(all.map(one => one.pool)),
      httpProfile: merged(all.map(one => one.httpProfile)),
      documents: all.flatMap(one => one.documents ?? [])
    }
  }
}

export const features: readonly Feature[] = [...single, everything]
