/**
 * What one engine needs at revision N. A snapshot is a manifest (a list of content hashes) and parts; parts that did
 * not change keep their hash and do not travel again. Only `controller/compile` makes one, only `service-engine` reads it.
 */
import type { RevokedSerials } from '#model/base/crl.ts'
import type { LocalitySpec } from './locality.ts'
import type { Resilience } from './resilience.ts'
import type { StringMatch } from './text-match.ts'
import type { CacheSpec, CompressionSpec, ContentRewriteSpec, CorsSpec } from './content.ts'

export type { StringMatch } from './text-match.ts'

/**
 * Raised with a field that an older engine must not overlook. Fields are only ever added, and one that is missing means what was before it: an
 * engine reads every version up to its own. docs/decisions/0004.
 */
export const SNAPSHOT_VERSION = 1

export interface Manifest {
  readonly version: number
  readonly revision: number
  readonly engineId: string
  /** Sorted by kind, then id, so that equal content has an equal hash. */
  readonly parts: readonly PartEntry[]
  /** SHA-256 over the entries: two manifests with one hash run the same. */
  readonly hash: string
}

export interface PartEntry {
  readonly kind: Part['kind']
  readonly id: string
  /** SHA-256 (hex) of the part's canonical JSON (keys sorted). */
  readonly hash: string
}

export type Part = VirtualServicePart | PoolPart | CertificatePart | EnginePart

export interface Snapshot {
  readonly manifest: Manifest
  readonly engine: EnginePart
  readonly virtualServices: readonly VirtualServicePart[]
  readonly pools: readonly PoolPart[]
  readonly certificates: readonly CertificatePart[]
}

/** Settings of the engine itself, from its group. */
export interface EnginePart {
  readonly kind: 'engine'
  readonly id: string
  readonly name: string
  /** Seconds that removed listeners, pools and servers may go on with what they have. */
  readonly drainTimeoutS: number
  /** Where it is (its label `zone`); left out: nobody said. */
  readonly zone?: string
  /** Secrets of the group in base64 that TLS session tickets are encrypted with: the first encrypts, all decrypt. */
  readonly ticketKeys?: readonly string[]
  /** Addresses that move between engines (`address_mode` L2); left out by all other modes. */
  readonly layer2?: Layer2Spec
  /** Addresses that it announces beside others (`address_mode` BGP); left out by all other modes. */
  readonly bgp?: BgpSpec
}

export interface BgpSpec {
  readonly vips: readonly BgpVip[]
}

/** The addresses of one vsvip: announced as long as one of its services is to be reached here. */
export interface BgpVip {
  readonly id: string
  readonly addresses: readonly string[]
  /** Those that want it to be announced; `whenDown`: also without a server that is up. */
  readonly services: readonly { readonly id: string; readonly whenDown: boolean }[]
}

export interface Layer2Spec {
  /** Secret of the group in base64 that heartbeats between its engines are signed with. */
  readonly secret: string
  /** Engines that it exchanges heartbeats with: those that it shares addresses with, and a few more that may know better. */
  readonly peers: readonly Layer2Peer[]
  readonly vips: readonly Layer2Vip[]
}

export interface Layer2Peer {
  readonly id: string
  readonly addresses: readonly string[]
  readonly port: number
}

/** The addresses of one vsvip: one engine owns all of them. */
export interface Layer2Vip {
  readonly id: string
  readonly addresses: readonly string[]
  /** Ids of engines that carry it, who should own it first. */
  readonly engines: readonly string[]
  /** Of the first engine's claim; grows with each change of it. */
  readonly term: number
  /** Flows that the owner passes on to the others, so that all of them serve. Left out: it serves all by itself. */
  readonly flows?: readonly Layer2Flows[]
}

export interface Layer2Flows {
  readonly protocol: 'tcp' | 'udp'
  /** First and last of each range. */
  readonly ports: readonly (readonly [first: number, last: number])[]
  /** What goes to one engine: all flows of a client's address, or each flow by itself. */
  readonly by: 'source' | 'source-and-port'
}

// --- virtual services ---------------------------------------------------------------------------------------------

export interface VirtualServicePart {
  readonly kind: 'virtual-service'
  readonly id: string
  readonly name: string
  readonly tenant: string
  readonly listeners: readonly ListenerSpec[]
  /** `http`: exchanges; `tcp`: connections relayed as they are; `udp`: datagrams, in sessions of one client each. */
  readonly application: 'http' | 'tcp' | 'udp'
  /** Traffic is accepted but no server is reached when false (`traffic_enabled`): connections are closed at once. */
  readonly isTrafficEnabled: boolean
  readonly tls: TlsSpec | null
  readonly http: HttpSpec
  readonly tcp: TcpSpec
  /** Client address rules; first match decides. */
  readonly networkRules: readonly NetworkRule[]
  /** In order: security, then request rules; the first final action ends the walk. */
  readonly requestRules: readonly RequestRule[]
  readonly responseRules: readonly ResponseRule[]
  /** Where traffic goes when no rule says otherwise; null answers 503 (or closes a flow). */
  readonly target: TargetSpec | null
  readonly accessLog: AccessLogSpec
  /** `kernel`: forwarded by the kernel where it can; `kernel-only`: and by nothing else, since servers see the client's address. */
  readonly forwarding?: 'kernel' | 'kernel-only'
  /** Instead of plain error answers of ours, in order. */
  readonly errorPages?: readonly ErrorPageSpec[]
  readonly requestLimit?: RateLimitSpec
  /** By client address or for all; its action closes or resets. */
  readonly connectionLimit?: RateLimitSpec
  /** How fast bytes may go; all of them hold. */
  readonly bandwidth?: readonly BandwidthSpec[]
  /** Children that are reached through this one's listeners. */
  readonly hosting?: HostingSpec
  /** Failures on purpose. */
  readonly fault?: FaultSpec
  /** A share of the requests goes to this pool as well. */
  readonly mirror?: { readonly poolId: string; readonly percent: number }
  readonly cors?: CorsSpec
  readonly compression?: CompressionSpec
  readonly clientCertificate?: ClientCertificateSpec
  readonly cache?: CacheSpec
  readonly contentRewrite?: ContentRewriteSpec
  /** For an exchange as a whole, from its head to the last byte of its answer; left out: unlimited. */
  readonly requestTimeoutMs?: number
  /** In order. */
  readonly scripts?: readonly ScriptSetSpec[]
}

/** Scripts, with what they may choose and ask by its name. */
export interface ScriptSetSpec {
  readonly id: string
  readonly name: string
  /** Whether an exchange goes on when a script of it fails. */
  readonly failsOpen: boolean
  /** Processor time of one run. */
  readonly timeLimitMs: number
  /** Where scripts of it see bodies. */
  readonly bodies?: { readonly limitBytes: number; readonly passesLarge: boolean }
  readonly programs: readonly { readonly event: ScriptEvent; readonly source: string }[]
  readonly pools: Readonly<Record<string, TargetSpec>>
  readonly poolGroups: Readonly<Record<string, TargetSpec>>
  readonly stringGroups: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly ipGroups: Readonly<Record<string, readonly string[]>>
}

export type ScriptEvent = 'request' | 'request-body' | 'response' | 'response-body' | 'lb-failed'

/** Virtual services without listeners of their own. Names in lower case; `*.shop.test` stands for all below. */
export interface HostingSpec {
  /** What chooses: the name of the TLS connection, or host and match of the request. */
  readonly by: 'sni' | 'host'
  readonly names: readonly { readonly name: string; readonly childId: string; readonly match: Match | null }[]
}

/** Shares in percent, drawn for each request. */
export interface FaultSpec {
  /** Null matches every request. */
  readonly match: Match | null
  readonly delay: { readonly percent: number; readonly ms: number } | null
  readonly abort: { readonly percent: number; readonly status: number } | null
}

export interface BandwidthSpec {
  /** Names its buckets; stable over edits. */
  readonly id: string
  /** `down`: to clients. */
  readonly direction: 'down' | 'up'
  /** Each client address by itself. */
  readonly isPerClient: boolean
  readonly bytesPerS: number
  /** As of a rate limit. */
  readonly engines?: number
  readonly seed?: readonly [number, number]
}

export interface RateLimitSpec {
  /** Names its buckets; stable over edits. */
  readonly id: string
  /** As logs show it. */
  readonly name: string
  /** So many in so many seconds, in the long run. */
  readonly count: number
  readonly periodS: number
  /** At once after a quiet time; >= 1. */
  readonly burst: number
  /** What is counted apart; empty: one bucket for all. */
  readonly key: readonly (
    | { readonly by: 'client-address' | 'path' | 'host' | 'method' }
    | { readonly by: 'header' | 'cookie' | 'claim'; readonly name: string }
  )[]
  readonly action: LimitAction
  /** Nothing is refused; what would be is logged. */
  readonly isLogOnly: boolean
  /** Of what the limit lets through, no more than so many in a day or month of UTC. */
  readonly quota?: { readonly count: number; readonly period: 'day' | 'month' }
  /** How many engines share it; each starts with its part until the controller says otherwise. Left out: one. */
  readonly engines?: number
  /** Secret, the same for all engines, so that they mean the same bucket by the same number. Left out: each engine's own. */
  readonly seed?: readonly [number, number]
}

export type LimitAction = { readonly is: 'report' | 'reset' } | Extract<RuleAction, { readonly is: 'close' | 'respond' | 'redirect' }>

export interface ErrorPageSpec {
  /** Inclusive ranges; empty: every error. */
  readonly status: readonly { readonly from: number; readonly to: number }[]
  /** Where the client is sent instead of a page; null: the page. */
  readonly location: string | null
  readonly contentType: string
  readonly bodyBase64: string
}

export interface ListenerSpec {
  /** An address of this host, or `0.0.0.0` / `::` for all. */
  readonly address: string
  readonly port: number
  /** Left out: TCP. All listeners of a service are of one. */
  readonly protocol?: 'udp'
  readonly isTls: boolean
  readonly isHttp2: boolean
  /** The VIP that clients reach, for logs and variables; equals `address` when bound to it. */
  readonly vip: string
  /** Connections begin with a PROXY protocol header, from these addresses and networks only; empty: from anybody. */
  readonly proxyProtocol?: { readonly trusted: readonly string[] }
}

export interface TlsSpec {
  /** In order of preference; the first is used when no name matches. */
  readonly certificateIds: readonly string[]
  /** Before the names that certificates say themselves; `*.shop.test` for one label. */
  readonly certificateIdsByName?: Readonly<Record<string, readonly string[]>>
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL cipher list for TLS 1.2 and below, and TLS 1.3 suites, colon separated, in order. */
  readonly ciphers: string
  readonly hasServerPreference: boolean
  readonly isSessionReuseEnabled: boolean
  readonly sessionTimeoutS: number
  /** A pool keeps clients by their sessions. */
  readonly followsSessions?: true
  /** A rule asks for the fingerprints of clients. */
  readonly readsFingerprint?: true
  /** Clients are asked for a certificate; left out: they are not. */
  readonly clientAuth?: ClientAuthSpec
  /** For these names instead; null: they are not asked. */
  readonly clientAuthByName?: Readonly<Record<string, ClientAuthSpec | null>>
}

export interface ClientAuthSpec extends RevocationSpec {
  /** Two with one id ask and check alike. */
  readonly id: string
  /** Without a good certificate there is no connection. */
  readonly isRequired: boolean
  /** A certificate that is not good ends the connection, instead of counting as none. */
  readonly closesOnBad: boolean
  /** PEM roots, and what stands between them and certificates. */
  readonly trustedPem: string
}

/** Which certificates are not good any more, of those that lead to the roots. */
export interface RevocationSpec {
  /** PEM lists that every certificate of a chain is looked up in. */
  readonly crlPem?: string
  /** Lists that only the certificate itself is looked up in; there must be one of its authority. */
  readonly leafCrls?: readonly RevokedSerials[]
}

/** What HTTP makes of the certificates of clients. */
export interface ClientCertificateSpec {
  /** Id of the ClientAuthSpec that connections must have been asked by. */
  readonly authId: string
  /** Set for servers, with variables; what a client sent by these names is removed. */
  readonly headers: readonly { readonly name: string; readonly value: string }[]
}

export interface HttpSpec {
  readonly xffHeader: string | null
  /** `ADD`: append to what came; `REPLACE`: only our peer; `REMOVE_ALL`: nothing sent. */
  readonly xffUpdate: 'ADD' | 'REPLACE' | 'REMOVE_ALL'
  readonly hasForwardedProto: boolean
  readonly requestIdHeader: string | null
  readonly isWebsocketEnabled: boolean
  readonly isHttpToHttps: boolean
  readonly hstsMaxAgeS: number | null
  readonly hasHstsSubdomains: boolean
  readonly serverHeader: 'keep' | 'remove'
  readonly keepAliveTimeoutMs: number
  readonly headerTimeoutMs: number
  readonly bodyTimeoutMs: number
  readonly maxRequestsPerConnection: number
  readonly maxHeaderBytes: number
  readonly maxHeaderCount: number
  /** Null: unlimited. */
  readonly maxBodyBytes: number | null
  readonly isConnectionMultiplexed: boolean
  /** How slow bodies and readers may be; left out: the engine's own. */
  readonly pace?: PaceSpec
  /** Of a WebSocket without traffic; 0: without end; left out: 10 minutes. */
  readonly tunnelIdleTimeoutMs?: number
  /** To the first byte of a client; left out: as for its header. */
  readonly acceptTimeoutMs?: number
  /** Where a listener speaks HTTP/2; left out: its defaults. */
  readonly http2?: Http2Spec
}

export interface PaceSpec {
  /** 0: anything is fast enough. */
  readonly minBytesPerS: number
  /** Time in hand; > 0. */
  readonly graceMs: number
}

/** Bounds on one connection of a client. */
export interface Http2Spec {
  /** What a client may send on a stream before it is told to go on. */
  readonly initialWindowBytes: number
  /** Streams at a time. */
  readonly maxStreams: number
  /** 0: without bound. */
  readonly maxControlFrames: number
  /** 0: without bound. */
  readonly maxEmptyDataFrames: number
  /** 0: without bound. */
  readonly maxRequests: number
}

/** How flows are carried, of both protocols. */
export interface TcpSpec {
  /** 0: without end. */
  readonly idleTimeoutMs: number
  /** The version of the PROXY protocol header that servers are sent. */
  readonly sendsProxyProtocol?: 1 | 2
}

export interface AccessLogSpec {
  /** Every exchange is logged when true; only significant ones (errors) when `isSignificantOnly`. */
  readonly isEnabled: boolean
  readonly isSignificantOnly: boolean
}

export type TargetSpec =
  | { readonly is: 'pool'; readonly poolId: string }
  | {
      readonly is: 'group'
      readonly id: string
      readonly name: string
      readonly members: readonly GroupMember[]
      readonly failAction: FailAction
      /** Left out: every request for itself. */
      readonly sticky?: StickySpec
    }

/** What keeps a client on its side of a group. */
export type StickySpec =
  | { readonly by: 'client-address' }
  | { readonly by: 'header'; readonly name: string }
  /** `maxAgeS` 0: until the browser is closed. */
  | { readonly by: 'cookie'; readonly name: string; readonly maxAgeS: number }

export interface GroupMember {
  readonly poolId: string
  /** Share among the members of the same priority; 0 takes no traffic. */
  readonly ratio: number
  /** The highest priority with an available pool is used. */
  readonly priority: number
}

export type FailAction =
  | { readonly is: 'close' }
  /** Another pool stands in; when it is down too, its own action holds unless that is a third pool. */
  | { readonly is: 'pool'; readonly poolId: string }
  | { readonly is: 'redirect'; readonly location: string; readonly status: number }
  | { readonly is: 'respond'; readonly status: number; readonly contentType: string; readonly bodyBase64: string }

// --- rules --------------------------------------------------------------------------------------------------------

export interface NetworkRule {
  readonly name: string
  /** CIDR ranges or addresses, groups already resolved. Empty: every client. */
  readonly ranges: readonly string[]
  readonly isNegated: boolean
  /** Local ports it applies to; empty: all. */
  readonly ports: readonly number[]
  /** It applies to all ports but these. */
  readonly hasOtherPorts?: true
  /** `limit` allows what is within the rule's limit and denies the rest. */
  readonly action: 'allow' | 'deny' | 'limit'
  readonly limit?: RateLimitSpec
}

export interface Match {
  readonly clientAddress: { readonly isNegated: boolean; readonly ranges: readonly string[] } | null
  readonly port: { readonly isNegated: boolean; readonly ports: readonly number[] } | null
  readonly protocol: { readonly isNegated: boolean; readonly protocol: 'http' | 'https' } | null
  readonly method: { readonly isNegated: boolean; readonly methods: readonly string[] } | null
  readonly version: { readonly isNegated: boolean; readonly versions: readonly string[] } | null
  readonly host: StringMatch | null
  readonly path: StringMatch | null
  readonly query: StringMatch | null
  /** All must match. */
  readonly headers: readonly (StringMatch & { readonly name: string })[]
  readonly cookie: (StringMatch & { readonly name: string }) | null
  /** Of the peer, where a PROXY protocol header names another client. */
  readonly sourceAddress?: { readonly isNegated: boolean; readonly ranges: readonly string[] }
  /** JA3 and JA4 of the client's program, in lower case; who has none is in no list. */
  readonly fingerprint?: { readonly isNegated: boolean; readonly values: readonly string[] }
  /** Of the answer, in rules for answers; all must match. */
  readonly responseHeaders?: readonly (StringMatch & { readonly name: string })[]
}

export interface RequestRule {
  readonly id: string
  /** `policy name/rule name`, as logs and explain show it. */
  readonly name: string
  /** `allow` of a security rule passes over the other security rules; request rules still follow. */
  readonly phase?: 'security' | 'request'
  /** Null matches every request. */
  readonly match: Match | null
  readonly headerActions: readonly HeaderAction[]
  readonly rewrite: RewriteSpec | null
  /** What ends the walk; null goes on with the next rule. */
  readonly action: RuleAction | null
  readonly isLogged: boolean
}

export type RuleAction =
  /** `serverId`: the server of the pool that is asked first. */
  | { readonly is: 'switch'; readonly target: TargetSpec; readonly serverId?: string }
  | { readonly is: 'respond'; readonly status: number; readonly contentType: string; readonly bodyBase64: string }
  | {
      readonly is: 'redirect'
      readonly status: number
      readonly protocol: 'http' | 'https' | null
      readonly port: number | null
      readonly host: TokenString | null
      readonly path: TokenString | null
      readonly keepsQuery: boolean
      readonly addsQuery?: string
    }
  | { readonly is: 'close' }
  /** Stops the walk and forwards to the default target. */
  | { readonly is: 'allow' }
  /** Goes on with the next rule within the limit. */
  | { readonly is: 'rate-limit'; readonly limit: RateLimitSpec }

/** Pieces joined: literals, segments of the request's host or path, and what the rule's own match found (Avi's URIParam tokens; `end` 65535 = to the end). */
export type TokenString = readonly (
  | { readonly literal: string }
  | { readonly from: 'host' | 'path'; readonly start: number; readonly end: number }
  | CaughtToken
  | PairToken
)[]

/** What groups of the first pattern that matches have caught; group 0 is all that it matched. */
export interface CaughtToken {
  readonly from: 'caught'
  readonly of: 'path' | 'query'
  readonly patterns: readonly string[]
  readonly isCaseSensitive: boolean
  readonly start: number
  readonly end: number
}

/** The value of the first pair whose key matches. */
export interface PairToken {
  readonly from: 'pair'
  readonly of: 'path' | 'query'
  readonly operator: 'begins-with' | 'contains' | 'ends-with' | 'equals' | 'regex'
  readonly isCaseSensitive: boolean
  readonly pairs: readonly (readonly [key: string, value: string])[]
}

export interface RewriteSpec {
  readonly host: TokenString | null
  readonly path: TokenString | null
  readonly query: { readonly keepsExisting: boolean; readonly add: string | null } | null
}

export interface HeaderAction {
  readonly is: 'add' | 'replace' | 'remove'
  /** What the name is of: a field, when left out; else of a cookie of a request, or of one that an answer sets. */
  readonly of?: 'cookie'
  readonly name: string
  /** `$client_ip`, `$vs_name` and other variables are replaced at run time; '' for remove. */
  readonly value: string
}

export interface ResponseRule {
  readonly id: string
  readonly name: string
  readonly match: Match | null
  /** Inclusive ranges of response status; empty: all. */
  readonly status: readonly { readonly from: number; readonly to: number }[]
  readonly headerActions: readonly HeaderAction[]
  readonly isLogged: boolean
  /** The Location header made anew; pieces are those of the Location that came. */
  readonly location?: LocationSpec
}

export interface LocationSpec {
  readonly protocol: 'http' | 'https'
  readonly port: number | null
  readonly host: TokenString | null
  readonly path: TokenString | null
  readonly keepsQuery: boolean
}

// --- pools --------------------------------------------------------------------------------------------------------

export interface PoolPart extends Resilience {
  readonly kind: 'pool'
  readonly id: string
  readonly name: string
  readonly tenant: string
  readonly algorithm: BalanceSpec
  readonly servers: readonly ServerSpec[]
  readonly monitors: readonly MonitorSpec[]
  /** Up when at least so many of its monitors say so. 0: all. */
  readonly minMonitorsUp: number
  /** Monitors may say how much of its share each server can take. */
  readonly isWeighed?: true
  readonly tls: UpstreamTlsSpec | null
  /** Servers are spoken to in HTTP/2. */
  readonly isHttp2?: boolean
  /** With TLS: in HTTP/1.1 where they do not agree to it. */
  readonly isHttp1Allowed?: boolean
  /** Null: unlimited. */
  readonly maxConnectionsPerServer: number | null
  readonly connectTimeoutMs: number
  /** Time to the first byte of an answer; null: unlimited. */
  readonly serverTimeoutMs: number | null
  /** Of a server's silence in the middle of an answer; 0: unlimited; left out: 5 minutes. */
  readonly stallTimeoutMs?: number
  readonly idleConnectionTimeoutMs: number
  readonly maxIdleConnectionsPerServer: number
  readonly rewritesHost: 'no' | 'server-name' | 'sni'
  readonly queue: { readonly depth: number } | null
  readonly failAction: FailAction
  readonly gracefulDisableS: number
  /** Flows go to the port that the client reached instead of the server's own. */
  readonly usesServicePort?: true
  /** Servers of the engine's zone first; left out: zones make no difference. */
  readonly locality?: LocalitySpec
}

export type BalanceSpec =
  | { readonly is: 'round-robin' }
  | { readonly is: 'least-connections' }
  | { readonly is: 'random' }
  | { readonly is: 'fastest-response' }
  | { readonly is: 'least-load' }
  /** `capacity`: exchanges and flows that fill a server. */
  | { readonly is: 'fewest-servers'; readonly capacity: number }
  | {
      readonly is: 'consistent-hash'
      /** `text`: what a script says. */
      readonly by: 'source-address' | 'source-address-and-port' | 'uri' | 'header' | 'cookie' | 'text'
      readonly header: string | null
      /** Name of the cookie, where it goes by one. */
      readonly cookie?: string
    }

export interface ServerSpec {
  /** Stable over edits: `host:port`. */
  readonly id: string
  /** An address, or a name when `isName`. */
  readonly host: string
  readonly port: number
  /** Of a Unix socket on the engine's host: connected to instead of host and port, which are then its name. */
  readonly path?: string
  /** Resolve by DNS at run time, by TTL, last good kept on error. */
  readonly isName: boolean
  readonly isEnabled: boolean
  /** Relative share, 0..20 as Avi's `ratio`. */
  readonly weight: number
  /** Where it is; left out: nobody said. */
  readonly zone?: string
  /** Servers of the lowest order that are up get everything; left out: 1. */
  readonly order?: number
  /** The server's own name, where it has one: for health monitors, and for requests where `rewritesHost` says so. */
  readonly hostHeader: string | null
}

export interface UpstreamTlsSpec extends RevocationSpec {
  readonly isSniEnabled: boolean
  /** SNI and the name verified; null uses the server's own name. */
  readonly serverName: string | null
  /** PEM roots to verify against; null does not verify (Avi's behaviour without a PKI profile). */
  readonly trustedPem: string | null
  readonly isHostChecked: boolean
  readonly clientCertificateId: string | null
  readonly minVersion: TlsSpec['minVersion']
  readonly maxVersion: TlsSpec['maxVersion']
  readonly ciphers: string
}

export interface MonitorSpec {
  readonly id: string
  readonly name: string
  readonly probe: ProbeSpec
  readonly sendIntervalMs: number
  readonly receiveTimeoutMs: number
  readonly successfulChecks: number
  readonly failedChecks: number
  /** Probe here instead of the server's port; null: the server's. */
  readonly port: number | null
  /** Probe back to back until the first verdict. */
  readonly isQuickStart: boolean
}

export type ProbeSpec =
  | {
      readonly is: 'tcp'
      readonly request: string | null
      readonly response: string | null
      readonly maintenanceResponse: string | null
      readonly isHalfOpen: boolean
      /** The answer is a line that says how much the server can take, or that it cannot. */
      readonly isAgent?: true
    }
  | {
      readonly is: 'http' | 'https'
      readonly request: string
      readonly isExactRequest: boolean
      readonly statusRanges: readonly { readonly from: number; readonly to: number }[]
      readonly bodyContains: string | null
      readonly maintenanceStatuses: readonly number[]
      readonly maintenanceBody: string | null
      readonly tls: UpstreamTlsSpec | null
      readonly authorization: string | null
      readonly body?: string
      /** Of the answer; 2 KB unless told. */
      readonly maxBodyBytes?: number
      /** Header of the answer, in lower case, that says how much the server can take, in percent. */
      readonly weightHeader?: string
    }
  | { readonly is: 'udp'; readonly request: string | null; readonly response: string | null; readonly maintenanceResponse: string | null }
  | { readonly is: 'ping' }
  | {
      readonly is: 'dns'
      readonly name: string
      /** Number of the record type (RFC 1035 §3.2.2). */
      readonly recordType: number
      /** A record of that type, any record, or any answer at all. */
      readonly accepts: 'type' | 'record' | 'anything'
      readonly isErrorAccepted: boolean
      /** Must be among the records. */
      readonly expected: string | null
    }
  /** `grpc.health.v1.Health/Check` for a service; '' asks for the server as a whole. */
  | { readonly is: 'grpc'; readonly service: string; readonly tls: UpstreamTlsSpec | null }
  | {
      readonly is: 'external'
      readonly code: string
      readonly parameters: readonly string[]
      readonly variables: Readonly<Record<string, string>>
    }

export interface CertificatePart {
  readonly kind: 'certificate'
  readonly id: string
  readonly name: string
  /** Leaf first, then its chain. */
  readonly certificatePem: string
  readonly keyPem: string
  /** Names it is for: DNS names and addresses of the SAN, or the CN; wildcards as `*.example.com`. */
  readonly names: readonly string[]
  readonly keyType: 'rsa' | 'ec'
  /** What its authority says of it now, in OCSP, for clients that ask. */
  readonly staple?: StapleSpec
}

export interface StapleSpec {
  /** DER in base64. */
  readonly response: string
  /** Then it is not shown any more. */
  readonly untilEpochMs: number
}
