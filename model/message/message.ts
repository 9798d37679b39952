/**
 * What controller and agent say to each other over the engine's WebSocket, one JSON object a text frame. An order is
 * imperative, a fact is past tense. Fields are only ever added; a receiver ignores what it does not know and counts it.
 */
import type { Violation } from '#model/resource/violation.ts'
import type { Manifest, Part } from '#model/snapshot/snapshot.ts'
import type { SparseHistogram } from './histogram.ts'
import type { SignedOrder, UpgradeOutcome } from './upgrade.ts'

/** The two sides speak when their numbers are equal or one apart. */
export const PROTOCOL = 1
export const HEARTBEAT_INTERVAL_MS = 500
/** Silence on an open connection for so long means the peer is gone. */
export const HEARTBEAT_TIMEOUT_MS = 2_000

/** An engine closes its connection with this code when another process of its host serves and connects next: what is placed there stays. */
export const HANDED_OVER = 4_001

/** Engines that one exchanges heartbeats with, and groups of addresses that one owns, at most. */
export const PEERS_MAX = 32
export const OWNED_VIPS_MAX = 1_000

// --- controller to agent ------------------------------------------------------------------------------------------

export type HubMessage =
  | Welcome
  | ApplySnapshot
  | HubHeartbeat
  | CertificateRenewed
  | StandDown
  | ExplainRequest
  | ShareLimits
  | QuotasLeft
  | PurgeCache
  | TraceRequests
  | PeersSeen
  | BindClients
  | UpgradeEngine

export interface Welcome {
  readonly type: 'Welcome'
  readonly protocol: number
  readonly controllerVersion: string
  readonly engineId: string
  readonly engineName: string
  readonly atEpochMs: number
}

export interface ApplySnapshot {
  readonly type: 'ApplySnapshot'
  readonly manifest: Manifest
  /** The parts that the engine is not known to hold; the agent asks with `PartsWanted` for others that it lacks. */
  readonly parts: readonly Part[]
}

export interface HubHeartbeat {
  readonly type: 'Heartbeat'
  readonly sequence: number
}

export interface CertificateRenewed {
  readonly type: 'CertificateRenewed'
  readonly certificatePem: string
  readonly caPem: string
}

/** The engine is no longer trusted (revoked, deleted): stop serving, do not reconnect with this identity. */
export interface StandDown {
  readonly type: 'StandDown'
  readonly reason: string
}

/** What would become of this request? Answered by `RequestExplained` with the same id. */
export interface ExplainRequest {
  readonly type: 'ExplainRequest'
  readonly id: string
  readonly question: RequestQuestion
}

/** Trace requests as they come; each is told by `RequestTraced` with the order's id. */
export interface TraceRequests {
  readonly type: 'TraceRequests'
  readonly order: TraceOrder
}

export interface TraceOrder {
  readonly id: string
  readonly virtualServiceId: string
  /** What a request must be like; '' for any. */
  readonly clientIp: string
  readonly method: string
  readonly pathPrefix: string
  readonly requestId: string
  /** So many at most; 0 ends it. */
  readonly count: number
  readonly durationMs: number
}

export interface RequestQuestion {
  readonly virtualServiceId: string
  readonly method: string
  readonly host: string
  /** With its query. */
  readonly path: string
  /** Flat: name, value, name, value ... */
  readonly headers: readonly string[]
  readonly clientIp: string
  /** '': http where the virtual service speaks it. */
  readonly scheme: '' | 'http' | 'https'
}

/** How much of the budgets of shared limits the engine has from now on; only to engines with the ability `shared-limits`. */
export interface ShareLimits {
  readonly type: 'ShareLimits'
  readonly shares: readonly LimitShare[]
}

export interface LimitShare {
  readonly virtualServiceId: string
  readonly limitId: string
  readonly bucket: number
  /** 0..1 of the whole budget; those of all engines together are no more than 1. */
  readonly share: number
  /** How empty the part of the bucket is that comes with a larger share: until it would be full. */
  readonly owedMs: number
}

/** Answers that are kept are taken out. Answered by `CachePurged` with the same sequence. */
export interface PurgeCache {
  readonly type: 'PurgeCache'
  /** Of all purges of this controller; one that comes again is done again. */
  readonly sequence: number
  readonly virtualServiceId: string
  readonly purge: CachePurge
}

/** `url` and `prefix`: scheme, host in lower case without port, path and query. */
export type CachePurge = { readonly by: 'all' } | { readonly by: 'url' | 'prefix' | 'tag'; readonly value: string }

/** What all engines together have left of quotas that are in use; only to engines with the ability `shared-limits`. */
export interface QuotasLeft {
  readonly type: 'QuotasLeft'
  readonly quotas: readonly QuotaLeft[]
}

export interface QuotaLeft {
  readonly limitId: string
  readonly bucket: number
  /** Names the window. */
  readonly endsAtEpochMs: number
  readonly left: number
}

/** Answers `AskPeers`: what the controller knows of each that is connected. */
export interface PeersSeen {
  readonly type: 'PeersSeen'
  readonly peers: readonly SeenPeer[]
}

export interface SeenPeer {
  readonly engineId: string
  /** Since the controller heard anything of it. */
  readonly silentMs: number
  readonly owned: readonly OwnedVip[]
}

/** The addresses of one vsvip, and the term of the engine's claim. */
export interface OwnedVip {
  readonly id: string
  readonly term: number
}

/** Clients that other engines have given to servers; only to engines with the ability `shared-bindings`. */
export interface BindClients {
  readonly type: 'BindClients'
  readonly bindings: readonly ClientBinding[]
}

export interface ClientBinding {
  readonly poolId: string
  /** A hash of pool and client in 16 hexadecimal digits, the same on all engines: neither address nor cookie travels. */
  readonly client: string
  readonly serverId: string
  /** What the client's place among the servers is computed from; 0 where it is not. */
  readonly spread: number
  /** Ages, so that clocks need not agree. Of two bindings of a client the younger holds. */
  readonly boundAgoMs: number
  readonly idleS: number
  /** A client that is away for longer is forgotten. */
  readonly timeoutS: number
}

/** Change the engine's program; only to engines with the ability `upgrade`. What becomes of it is told by `UpgradeEnded`. */
export interface UpgradeEngine extends SignedOrder {
  readonly type: 'UpgradeEngine'
  readonly id: string
}

// --- agent to controller ------------------------------------------------------------------------------------------

export type AgentMessage =
  | Hello
  | SnapshotApplied
  | SnapshotRefused
  | PartsWanted
  | RenewCertificate
  | AgentHeartbeat
  | SampleTaken
  | ServersJudged
  | RequestExplained
  | RequestTraced
  | LimitsUsed
  | CachePurged
  | QuotasUsed
  | AddressesOwned
  | AddressesAnnounced
  | AskPeers
  | ClientsBound
  | UpgradeEnded

export interface Hello {
  readonly type: 'Hello'
  readonly protocol: number
  readonly version: string
  /** SHA-256 of the archive that this process was installed from, and its machine (`linux-x64`); left out where the host has no such thing. */
  readonly build?: string
  readonly platform?: string
  /** The newest version of a snapshot that it reads; left out by engines that read 1. */
  readonly snapshotVersion?: number
  /** New at each start of the engine's process. */
  readonly bootId: string
  readonly hostname: string
  readonly addresses: readonly string[]
  readonly cpuCount: number
  readonly memoryBytes: number
  readonly workers: number
  /** The last purge that it has done; left out by one that keeps nothing from before. */
  readonly purgedSequence?: number
  /** Of the snapshot that runs; 0 and '' when none does. */
  readonly runningRevision: number
  readonly runningHash: string
  /** Hashes of all parts that it holds. */
  readonly heldParts: readonly string[]
  /** Where it takes heartbeats of its peers; left out by one that cannot own addresses. */
  readonly peerPort?: number
  /** The same for engines that share one host's ports; left out where the host does not tell. */
  readonly networkId?: string
  /** `http-stock`, `tcp`, `ipv6` ...: what this build and host can do. */
  readonly abilities: readonly string[]
}

/** All that the engine owns now; at each change and after each Welcome. */
export interface AddressesOwned {
  readonly type: 'AddressesOwned'
  readonly vips: readonly OwnedVip[]
}

/** The vsvips of its services where they are announced (`address_mode` BGP); at each change and after each Welcome. */
export interface AddressesAnnounced extends Announcing {
  readonly type: 'AddressesAnnounced'
}

export interface Announcing {
  readonly vips: readonly AnnouncedVip[]
  readonly bird: BirdState
}

/** What the host's BIRD says of its sessions with routers. */
export interface BirdState {
  /** `unknown`: it cannot be asked. */
  readonly is: 'up' | 'down' | 'unknown'
  /** Why it is not up, in words. */
  readonly reason: string
  readonly sessions: readonly BirdSession[]
}

export interface BirdSession {
  readonly name: string
  readonly isUp: boolean
  /** As BIRD writes it, with its last error. */
  readonly state: string
}

export interface AnnouncedVip {
  readonly id: string
  /** Why it is not announced, in words; '': it is. */
  readonly reason: string
}

/** The last order to change its program is over; told after each Welcome too. */
export interface UpgradeEnded extends UpgradeOutcome {
  readonly type: 'UpgradeEnded'
}

/** Engines of its group that it does not hear: does the controller? */
export interface AskPeers {
  readonly type: 'AskPeers'
  readonly engineIds: readonly string[]
}

export interface SnapshotApplied {
  readonly type: 'SnapshotApplied'
  readonly revision: number
  readonly hash: string
  /** From message to swap. */
  readonly tookMs: number
}

export interface SnapshotRefused {
  readonly type: 'SnapshotRefused'
  readonly revision: number
  readonly hash: string
  /** The pointer starts with the part: `/virtual-service/<id>/listeners/0`. */
  readonly violations: readonly Violation[]
}

export interface PartsWanted {
  readonly type: 'PartsWanted'
  readonly hashes: readonly string[]
}

export interface RenewCertificate {
  readonly type: 'RenewCertificate'
  readonly csrPem: string
}

export interface AgentHeartbeat {
  readonly type: 'Heartbeat'
  readonly sequence: number
}

/** Totals since boot, so that a lost sample loses resolution and not truth. */
export interface SampleTaken {
  readonly type: 'SampleTaken'
  readonly sample: Sample
}

export interface Sample {
  readonly bootId: string
  readonly sequence: number
  readonly atEpochMs: number
  /** Samples thrown away since boot because the link was slow. */
  readonly droppedSamples: number
  readonly droppedLogLines: number
  readonly host: HostSample
  readonly virtualServices: readonly TrafficSample[]
  readonly pools: readonly PoolSample[]
  readonly servers: readonly ServerSample[]
  /** Of pools that several virtual services of the engine send to, the part of each; left out by engines that do not tell them apart. */
  readonly uses?: readonly UseSample[]
  /** Rate limits that something was asked of since the engine started. */
  readonly limits?: readonly LimitSample[]
  /** What became of the runs of scripts. */
  readonly scripts?: readonly ScriptSample[]
}

/** Totals since boot, of one script of one virtual service. */
export interface ScriptSample {
  readonly virtualServiceId: string
  /** `set name/event`. */
  readonly name: string
  readonly runs: number
  readonly failures: number
  /** With its line; '' before the first. */
  readonly lastError: string
  readonly lastErrorAtEpochMs: number
  /** What it counts itself. */
  readonly counters: readonly { readonly name: string; readonly count: number }[]
}

export interface LimitSample {
  readonly virtualServiceId: string
  readonly id: string
  /** Totals since boot. */
  readonly admitted: number
  readonly refused: number
  /** 0..1 of the budget; of a limit that counts keys apart, what a new key starts with. */
  readonly share: number
}

export interface HostSample {
  readonly cpuRatio: number
  readonly processCpuRatio: number
  readonly memoryUsedBytes: number
  readonly memoryTotalBytes: number
  readonly processRssBytes: number
  /** Totals since the host's boot. */
  readonly networkReceivedBytes: number
  readonly networkSentBytes: number
}

/** Totals since the engine's boot, except `open*`, which is now. */
export interface Totals {
  readonly requests: number
  readonly responses1xx: number
  readonly responses2xx: number
  readonly responses3xx: number
  readonly responses4xx: number
  readonly responses5xx: number
  /** Exchanges or flows that ended by a fault, by where it arose. */
  readonly faultsDownstream: number
  readonly faultsEngine: number
  readonly faultsUpstream: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly connections: number
  readonly openConnections: number
}

export interface TrafficSample {
  readonly id: string
  readonly totals: Totals
  /** Time of a whole exchange (HTTP) or flow (TCP) in microseconds, since boot. */
  readonly latency: SparseHistogram
  /** Of a virtual service that keeps answers. */
  readonly cache?: CacheTotals
  /** Of a pool that hedges. */
  readonly hedges?: HedgeTotals
  /** Of a pool that prefers servers of the engine's zone. */
  readonly zones?: ZoneTotals
}

/** Requests and flows since the engine's boot, each try of one: to servers of its own zone, and to others. */
export interface ZoneTotals {
  readonly own: number
  readonly others: number
}

export interface PoolSample extends TrafficSample {
  /** The one virtual service of the engine that sends to it; left out where several do. */
  readonly onlyOf?: string
}

/** What one virtual service, the `id`, sends to a pool. Connections belong to servers and are not counted here. */
export interface UseSample extends TrafficSample {
  readonly poolId: string
}

/** Totals since the engine's boot. */
export interface HedgeTotals {
  /** Requests that went to a second server as well. */
  readonly sent: number
  /** Those that the second server answered first. */
  readonly won: number
}

/** Totals since the engine's boot, except `objects` and `bytes`, which are now. */
export interface CacheTotals {
  readonly hits: number
  readonly misses: number
  readonly stale: number
  readonly revalidated: number
  readonly bypassed: number
  /** Of bodies, that no server had to send. */
  readonly savedBytes: number
  readonly objects: number
  readonly bytes: number
}

export interface ServerSample extends TrafficSample {
  readonly poolId: string
  /** The engine leaves it out now, for what it failed. */
  readonly ejection?: Ejection
}

export interface Ejection {
  /** In words. */
  readonly reason: string
  readonly untilEpochMs: number
}

/** Sent at once when a verdict changes, and whole after each Welcome. */
export interface ServersJudged {
  readonly type: 'ServersJudged'
  readonly servers: readonly ServerJudgement[]
}

export interface ServerJudgement {
  readonly poolId: string
  readonly serverId: string
  /** Address probed; differs from the server's host when that is a name. */
  readonly ip: string
  readonly verdict: Verdict
  readonly sinceEpochMs: number
  /** How much of its share it says that it can take, 0 to 100; left out: all of it. */
  readonly weightPercent?: number
  readonly probes: readonly {
    readonly monitorId: string
    readonly verdict: Verdict
    readonly detail: string
    /** What was sent and what came back last, legible and short; left out where nothing was. */
    readonly request?: string
    readonly answer?: string
    readonly durationMs: number
    readonly atEpochMs: number
  }[]
}

export type Verdict = 'up' | 'down' | 'unknown'

/** At most so many bindings are told of at once; the rest waits for the next message. */
export const BINDINGS_TOLD_MAX = 1_024
/** How often engines look for some to tell. */
export const BINDINGS_INTERVAL_MS = 250

/** Clients that are not where every engine would send them by itself. A controller without them does not understand it. */
export interface ClientsBound {
  readonly type: 'ClientsBound'
  readonly bindings: readonly ClientBinding[]
}

/** At most so many buckets are told of at once: the busiest. */
export const LIMIT_USES_MAX = 1_024
/** How often engines tell, and the controller divides. */
export const LIMIT_INTERVAL_MS = 250

/** Sent while limits that engines share are in use. */
export interface LimitsUsed {
  readonly type: 'LimitsUsed'
  readonly limits: readonly LimitUse[]
}

export interface LimitUse {
  readonly virtualServiceId: string
  readonly limitId: string
  /** Which of the limit's buckets: a hash of limit and key below 2^45, the same on all engines. */
  readonly bucket: number
  /** That the engine has of the budget, 0..1. */
  readonly share: number
  /** Tokens that were asked for since the engine told last. */
  readonly asked: number
  /** Until the bucket is full again. */
  readonly owedMs: number
}

/** Sent while quotas are in use. A controller without them does not understand it. */
export interface QuotasUsed {
  readonly type: 'QuotasUsed'
  readonly quotas: readonly QuotaUse[]
}

export interface QuotaUse {
  readonly virtualServiceId: string
  readonly limitId: string
  readonly bucket: number
  /** Of the whole quota. */
  readonly count: number
  /** Names the window. */
  readonly endsAtEpochMs: number
  /** Since the engine told last; 0 where it was asked in vain. */
  readonly used: number
}

export interface RequestExplained {
  readonly type: 'RequestExplained'
  readonly id: string
  readonly explanation: Explanation
}

export interface CachePurged {
  readonly type: 'CachePurged'
  readonly sequence: number
  /** Answers that were taken out, of all workers. */
  readonly objects: number
}

export interface Explanation {
  /** Every rule that was tried, in order. */
  readonly steps: readonly {
    readonly rule: string
    readonly isMatched: boolean
    /** The first part of its match that did not hold; '' when all did. */
    readonly failedOn: string
    readonly action: string
  }[]
  readonly verdict: 'forward' | 'answer' | 'close' | 'refused'
  /** Of our own answer; 0 for none. */
  readonly status: number
  readonly location: string
  readonly poolId: string
  readonly poolName: string
  readonly serverId: string
  /** Why it ends where it ends, in words. */
  readonly reason: string
}

export interface RequestTraced {
  readonly type: 'RequestTraced'
  readonly id: string
  readonly trace: RequestTrace
}

/** What became of one request. Times are since it began; 0: it did not come to that. */
export interface RequestTrace {
  readonly requestId: string
  readonly atEpochMs: number
  readonly clientIp: string
  readonly clientPort: number
  readonly method: string
  readonly scheme: string
  readonly host: string
  /** With its query. */
  readonly path: string
  readonly protocol: string
  readonly attempts: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** An estimate of the client's round trip; left out where there is none. */
  readonly clientRttUs?: number
  readonly sentUs: number
  readonly connectUs: number
  readonly firstByteUs: number
  readonly totalUs: number
  /** Why it ended as it did: a code, '' when all went well; and in words. */
  readonly fault: string
  readonly faultReason: string
  readonly explanation: Explanation
}
