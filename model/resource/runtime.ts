/**
 * What the REST API says about a resource beyond what an operator wrote: where it runs, how it is, how loaded.
 * The dashboard and the command line read these shapes; snake_case as everything that travels over REST.
 */
import type { AutoscaleDecision } from './autoscale.ts'

/** Avi's OperationalStatus states, the ones that Weir uses. */
export type OperState =
  | 'OPER_UP'
  | 'OPER_DOWN'
  | 'OPER_PARTITIONED'
  | 'OPER_DISABLED'
  | 'OPER_CREATING'
  | 'OPER_INITIALIZING'
  | 'OPER_UNKNOWN'

export interface OperStatus {
  readonly state: OperState
  /** Why, in words; empty when the state speaks for itself. */
  readonly reason: readonly string[]
  /** Epoch milliseconds of the last change of state. */
  readonly last_changed_time: number
}

/** How well a thing does, 0..100, and every deduction by name. */
export interface HealthScore {
  readonly score: number
  /** What was taken off and why, worst first; the points add up to 100 - score (bounded at 0). */
  readonly reasons: readonly { readonly reason: string; readonly points: number }[]
}

/** The last second of traffic. */
export interface LiveFigures {
  readonly requests_per_s: number
  /** Answers 5xx, from a server or of our own, per second. */
  readonly errors_5xx_per_s: number
  readonly errors_4xx_per_s: number
  readonly bytes_in_per_s: number
  readonly bytes_out_per_s: number
  readonly open_connections: number
  readonly new_connections_per_s: number
  /** Milliseconds; null when there was no traffic. */
  readonly latency_p50_ms: number | null
  readonly latency_p95_ms: number | null
  readonly latency_p99_ms: number | null
  /** Epoch milliseconds of the newest sample in it; null before the first. */
  readonly at: number | null
}

/** Of a thing that carried nothing yet. */
export const noFigures: LiveFigures = {
  requests_per_s: 0,
  errors_5xx_per_s: 0,
  errors_4xx_per_s: 0,
  bytes_in_per_s: 0,
  bytes_out_per_s: 0,
  open_connections: 0,
  new_connections_per_s: 0,
  latency_p50_ms: null,
  latency_p95_ms: null,
  latency_p99_ms: null,
  at: null
}

export interface PlacedOn {
  readonly engine_uuid: string
  readonly engine_name: string
  readonly state: OperState
  /** The first of its engines: it owns the addresses where one engine has to; none where all announce them (`address_mode` BGP). */
  readonly primary: boolean
  /** Of an active/standby group, and not active for it: ready, without its addresses. */
  readonly standby: boolean
  /** It alone has the addresses on its interface now (`address_mode` L2). */
  readonly owns_addresses: boolean
  /** Routers learn of the addresses from its host's BIRD (`address_mode` BGP), or so it seems where BIRD cannot be asked. */
  readonly announces_addresses: boolean
  /** Why they do not, where they should; else ''. */
  readonly announce_reason: string
  /** `leaving`: it goes on here until it runs where it moves to. */
  readonly phase: 'starting' | 'running' | 'leaving'
  readonly wanted_revision: number
  readonly running_revision: number
}

/** An address at which a service is reached, and the engine there. */
export interface AnswersAt {
  readonly address: string
  readonly engine_uuid: string
  readonly engine_name: string
  /** The engine runs it, has the address, and sees a server that is not down. */
  readonly answers: boolean
  /** Why it does not; else ''. */
  readonly reason: string
}

/** How much of a quota was used in its day or month. */
export interface QuotaRuntime {
  readonly count: number
  /** Of a quota that counts keys apart: by the key that used the most. */
  readonly used: number
  readonly left: number
  /** How many keys were counted. */
  readonly keys: number
  /** Epoch milliseconds. */
  readonly ends_at: number
}

/** A rate limit as it runs, once something was asked of it. */
export interface LimitRuntime {
  /** Where it is set: `requests`, `connections`, the rule that has it, or `bandwidth/...`, whose figures are bytes. */
  readonly name: string
  readonly admitted_per_s: number
  /** Over the limit; of a bandwidth, bytes after which more had to wait; with `log_only` and `RL_ACTION_NONE` they get through all the same. */
  readonly refused_per_s: number
  /** Left out where it has none, or nothing of it was used. */
  readonly quota?: QuotaRuntime
  readonly engines: readonly {
    readonly engine_uuid: string
    readonly engine_name: string
    /** 0..1 of the budget; of a limit that counts keys apart, what a new key starts with. */
    readonly share: number
    readonly admitted_per_s: number
    readonly refused_per_s: number
    /** Since the engine started. */
    readonly admitted: number
    readonly refused: number
  }[]
}

/** Clients of a pool that are elsewhere than where every engine would send them by itself, and those of sessions that were learnt. */
export interface PersistenceRuntime {
  readonly count: number
  readonly servers: readonly { readonly server: string; readonly count: number }[]
  /** The last used first. */
  readonly results: readonly {
    /** A hash: neither address nor cookie is kept. */
    readonly client: string
    readonly server: string
    readonly bound_s: number
    readonly idle_s: number
    /** Idle for longer, it is forgotten. */
    readonly timeout_s: number
  }[]
}

/** Answers that are kept, over all engines; totals since each engine started, but `objects` and `bytes`, which are now. */
export interface CacheRuntime {
  readonly hits: number
  readonly misses: number
  readonly stale: number
  readonly revalidated: number
  readonly bypassed: number
  /** 0..1 of the requests that were looked up were answered from what is kept; null before the first. */
  readonly hit_ratio: number | null
  /** Of bodies, that no server had to send. */
  readonly saved_bytes: number
  readonly objects: number
  readonly bytes: number
  /** Newest first. */
  readonly purges: readonly CachePurgeRuntime[]
}

export interface CachePurgeRuntime {
  readonly what: 'all' | 'url' | 'prefix' | 'tag'
  readonly value: string
  readonly by: string
  readonly at: number
  readonly objects: number
  readonly engines: readonly {
    readonly engine_uuid: string
    readonly engine_name: string
    /** WAITING: it is away, and is told when it is back. */
    readonly state: 'PURGED' | 'WAITING'
    readonly objects: number
  }[]
}

/** One script of a virtual service: totals since its engines started. */
export interface ScriptRuntime {
  /** `set name/event`. */
  readonly name: string
  readonly runs: number
  readonly failures: number
  /** With its line; '' before the first. */
  readonly last_error: string
  /** Milliseconds since 1970. */
  readonly last_error_at: number | null
  /** What it counts itself. */
  readonly counters: readonly { readonly name: string; readonly count: number }[]
}

export interface VirtualServiceRuntime {
  readonly oper_status: OperStatus
  readonly placed_on: readonly PlacedOn[]
  /** What clients may be sent to, by DNS for one; left out of a child, which is where its parent is. */
  readonly answers_at?: readonly AnswersAt[]
  /** How many engines the group's settings ask for. */
  readonly engines_wanted: number
  /** Left out where there is none. */
  readonly limits?: readonly LimitRuntime[]
  /** Left out where there is none. */
  readonly scripts?: readonly ScriptRuntime[]
  /** Left out where nothing is kept. */
  readonly cache?: CacheRuntime
  /** The newest decision of scaling by load; told by the live feed, left out where there is none. */
  readonly autoscale?: AutoscaleDecision
  readonly live: LiveFigures
  readonly health_score: HealthScore
}

/** One attempt of a health monitor. */
export interface ProbeReport {
  readonly monitor_name: string
  readonly monitor_uuid: string
  readonly verdict: 'up' | 'down' | 'unknown'
  /** "200 in 3 ms", "connection refused": what the last attempt saw. */
  readonly detail: string
  /** What the last attempt sent and what came back, legible, at most 512 characters each; '' where nothing did. */
  readonly request: string
  readonly answer: string
  readonly duration_ms: number
  readonly at: number
}

export interface ServerRuntime {
  /** As its operator says; left out: nobody said. */
  readonly zone?: string
  /** Servers of the lowest order that are up get everything; left out: 1. */
  readonly preference_order?: number
  /** Address or name as the operator wrote it. */
  readonly server: string
  readonly ip: string
  readonly port: number
  readonly enabled: boolean
  readonly ratio: number
  readonly oper_status: OperStatus
  /** One entry for each engine that carries the pool. */
  readonly engines: readonly {
    readonly engine_uuid: string
    readonly engine_name: string
    readonly verdict: 'up' | 'down' | 'unknown'
    /** How much of its ratio the server says that it can take; 100 when it says nothing. */
    readonly weight_percent: number
    /** With locality: whether it is of the engine's zone. */
    readonly own_zone?: boolean
    readonly probes: readonly ProbeReport[]
  }[]
  readonly live: LiveFigures
}

export interface ZoneRuntime {
  readonly engine_uuid: string
  readonly engine_name: string
  /** '' for an engine without the label. */
  readonly zone: string
  /** The part of its requests that servers of its zone get now, by those that are up; null where zones make no difference to it. */
  readonly own_percent: number | null
  /** Requests and flows since it started, each try of one. */
  readonly own_requests: number
  readonly other_requests: number
}

export interface PoolUser {
  readonly uuid: string
  readonly name: string
  /** What it sends to the pool, where others do as well; connections belong to servers and are 0 here. */
  readonly live?: LiveFigures
}

export interface PoolRuntime {
  readonly oper_status: OperStatus
  readonly servers: readonly ServerRuntime[]
  readonly num_servers: number
  readonly num_servers_up: number
  readonly num_servers_enabled: number
  readonly live: LiveFigures
  readonly health_score: HealthScore
  /** Requests that went to a second server as well, and those that it answered first, since the engines started. */
  readonly hedges?: { readonly sent: number; readonly won: number }
  /** With locality: where the requests of each engine go. */
  readonly locality?: readonly ZoneRuntime[]
  /** Virtual services that use the pool. */
  readonly virtualservices: readonly PoolUser[]
}

export interface HostFigures {
  /** 0..1 of all cores. */
  readonly cpu_ratio: number
  readonly memory_used_bytes: number
  readonly memory_total_bytes: number
  readonly network_received_bytes_per_s: number
  readonly network_sent_bytes_per_s: number
}

/** What an engine announces by its host's BIRD. */
export interface BgpRuntime {
  /** Of BIRD's sessions with routers: `down` without any; `unknown`: BIRD cannot be asked. */
  readonly state: 'up' | 'down' | 'unknown'
  readonly reason: string
  readonly sessions: readonly { readonly name: string; readonly up: boolean; readonly state: string }[]
  readonly vips: readonly {
    readonly vsvip_uuid: string
    readonly vsvip_name: string
    readonly announced: boolean
    /** Why it is not. */
    readonly reason: string
  }[]
}

export interface ServiceEngineRuntime {
  readonly oper_status: OperStatus
  readonly connected: boolean
  /** Epoch milliseconds; null when it never connected. */
  readonly last_seen: number | null
  readonly wanted_revision: number
  readonly running_revision: number
  /** It runs what was committed after the copy that the controller was restored from: nothing is pushed to it until it is taken over. */
  readonly held?: {
    /** The newest revision that the controller had when it was restored. */
    readonly known_revision: number
    /** Epoch milliseconds. */
    readonly since: number
  }
  /** What the engine refused in the wanted revision, if it did. */
  readonly violations: readonly { readonly pointer: string; readonly message: string }[]
  readonly version: string
  /** SHA-256 of the archive that it was installed from, and its machine (`linux-x64`); '' where its host does not say. */
  readonly build: string
  readonly platform: string
  /** What became of the last order to change its program; null before one. */
  readonly upgrade_ended: { readonly id: string; readonly outcome: 'done' | 'failed'; readonly reason: string } | null
  readonly hostname: string
  readonly addresses: readonly string[]
  readonly workers: number
  /** What this build and its host can do: `http-wire`, `udp`, `l4-kernel` ...; empty before it said hello. */
  readonly abilities: readonly string[]
  /** Left out where nothing is to be announced (`address_mode` BGP). */
  readonly bgp?: BgpRuntime
  readonly host: HostFigures | null
  readonly live: LiveFigures
  readonly health_score: HealthScore
  readonly virtualservices: readonly { readonly uuid: string; readonly name: string }[]
  /** Epoch milliseconds when the engine's certificate ends. */
  readonly certificate_not_after: number | null
}

/** One row of `GET /api/<kind>-inventory`: everything that a list page shows, in one request. */
export interface InventoryRow<Config, Runtime> {
  readonly uuid: string
  readonly config: Config
  readonly runtime: Runtime
  readonly health_score: HealthScore
  readonly alert: { readonly low: number; readonly medium: number; readonly high: number }
}

/** `GET /api/analytics/metrics/<kind>/<uuid>`: Avi's CollectionResponse. */
export interface MetricsAnswer {
  readonly series: readonly {
    readonly header: {
      readonly name: string
      readonly entity_uuid: string
      readonly units: string
      readonly statistics: { readonly min: number; readonly max: number; readonly mean: number; readonly num_samples: number }
    }
    /** A step without a sample is absent: a gap is shown as a gap. */
    readonly data: readonly { readonly timestamp: string; readonly value: number }[]
  }[]
  readonly metric_id: string
  readonly start: string
  readonly stop: string
  readonly step: number
  readonly limit: number
}

/** Client to server on the dashboard's WebSocket `/api/live`: the whole set of things on screen, replacing the last. */
export interface LiveSubscribe {
  readonly type: 'subscribe'
  readonly topics: readonly LiveTopic[]
}
/** `virtualservice` = every one of the kind; `virtualservice:<uuid>` = one, with details (servers of a pool). */
export type LiveTopic =
  | 'virtualservice'
  | 'pool'
  | 'serviceengine'
  | `virtualservice:${string}`
  | `pool:${string}`
  | `serviceengine:${string}`

/** Server to client, once a second for what is subscribed, and at once when a state changes. */
export type LiveMessage =
  | {
      readonly type: 'runtime'
      readonly kind: 'virtualservice'
      readonly items: readonly { readonly uuid: string; readonly runtime: VirtualServiceRuntime }[]
      readonly at: number
    }
  | {
      readonly type: 'runtime'
      readonly kind: 'pool'
      readonly items: readonly { readonly uuid: string; readonly runtime: PoolRuntime }[]
      readonly at: number
    }
  | {
      readonly type: 'runtime'
      readonly kind: 'serviceengine'
      readonly items: readonly { readonly uuid: string; readonly runtime: ServiceEngineRuntime }[]
      readonly at: number
    }
  /** Something was committed: lists that show these kinds read again. */
  | { readonly type: 'changed'; readonly revision: number; readonly kinds: readonly string[] }
