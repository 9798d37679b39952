/**
 * Messages to text and back. What comes from the other side is judged strictly: a message of an unknown type or with a
 * wrong field is a value that says so, never a throw; fields that this build does not know are dropped and counted.
 */
import type { Part, PartEntry } from '#model/snapshot/snapshot.ts'
import type { Violation } from '#model/resource/violation.ts'
import { BUCKETS } from './histogram.ts'
import { BINDINGS_TOLD_MAX, LIMIT_USES_MAX, OWNED_VIPS_MAX, PEERS_MAX } from './message.ts'
import type {
  AgentMessage,
  AnnouncedVip,
  BirdSession,
  BirdState,
  CachePurge,
  CacheTotals,
  HedgeTotals,
  ZoneTotals,
  ClientBinding,
  Ejection,
  Explanation,
  HostSample,
  HubMessage,
  LimitSample,
  ScriptSample,
  LimitShare,
  LimitUse,
  OwnedVip,
  PoolSample,
  QuotaLeft,
  QuotaUse,
  RequestQuestion,
  RequestTrace,
  Sample,
  SeenPeer,
  ServerJudgement,
  ServerSample,
  Totals,
  TraceOrder,
  TrafficSample,
  UseSample,
  Verdict
} from './message.ts'

export type Decoded<Message> =
  | { readonly is: 'message'; readonly message: Message; readonly unknownFields: number }
  /** A newer peer says something that this build does not understand: ignored and counted. */
  | { readonly is: 'unknown-type'; readonly type: string }
  /** Not a message at all: the connection is not worth keeping. */
  | { readonly is: 'malformed'; readonly reason: string }

/** A frame longer than this is refused before it is parsed. The larger one is configuration, the other telemetry. */
export const HUB_FRAME_MAX_BYTES = 64 * 1024 * 1024
export const AGENT_FRAME_MAX_BYTES = 16 * 1024 * 1024

interface Notes {
  unknownFields: number
}
type Read<T> = (value: unknown, at: string, notes: Notes) => T
type Fields<T> = { readonly [K in keyof T]-?: Read<T[K]> }

class Malformed extends Error {}

function fail(at: string, wanted: string): never {
  throw new Malformed(`${at === '' ? '/' : at} must be ${wanted}`)
}

const text =
  (maxLength: number): Read<string> =>
  (value, at) =>
    typeof value === 'string' && value.length <= maxLength ? value : fail(at, `a string of at most ${maxLength} characters`)

const name = text(1_024)
const pem = text(65_536)
const hash = text(128)

const finite: Read<number> = (value, at) => (typeof value === 'number' && Number.isFinite(value) ? value : fail(at, 'a finite number'))

const count: Read<number> = (value, at) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : fail(at, 'a number from 0')

const whole: Read<number> = (value, at) =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : fail(at, 'an integer from 0')

const ratio: Read<number> = (value, at) =>
  typeof value === 'number' && value >= 0 && value <= 1 ? value : fail(at, 'a number from 0 to 1')

const one =
  <T extends string>(...values: readonly T[]): Read<T> =>
  (value, at) =>
    values.find(candidate => candidate === value) ?? fail(at, `one of ${values.join(', ')}`)

const list =
  <T>(item: Read<T>, maxItems: number): Read<readonly T[]> =>
  (value, at, notes) => {
    if (!Array.isArray(value) || value.length > maxItems) return fail(at, `a list of at most ${maxItems} items`)
    return value.map((member, i) => item(member, `${at}/${i}`, notes))
  }

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** Copies the fields it knows, so that nothing else of a stranger's object gets in. */
function object<T>(fields: Fields<T>): Read<T> {
  const entries = Object.entries(fields) as [string, Read<unknown>][]
  return (value, at, notes) => {
    if (!isObject(value)) return fail(at, 'an object')
    const out: Record<string, unknown> = {}
    let known = 0
    for (const [field, read] of entries) {
      const has = Object.hasOwn(value, field)
      if (has) known++
      const taken = read(has ? value[field] : undefined, `${at}/${field}`, notes)
      if (taken !== undefined) out[field] = taken
    }
    notes.unknownFields += Object.keys(value).length - known
    return out as T
  }
}

/** A field that may be left out. */
const optional =
  <T>(read: Read<T>): Read<T> =>
  (value, at, notes) =>
    value === undefined ? (undefined as T) : read(value, at, notes)

// The shapes, each checked by the compiler against message.ts.

const verdict = one<Verdict>('up', 'down', 'unknown')

const partKind = one<Part['kind']>('virtual-service', 'pool', 'certificate', 'engine')

const partEntry = object<PartEntry>({ kind: partKind, id: name, hash })

/** Kept whole, unknown fields too: its hash is over all of it, and the engine checks that. */
const part: Read<Part> = (value, at, notes) => {
  if (!isObject(value)) return fail(at, 'an object')
  partKind(value['kind'], `${at}/kind`, notes)
  name(value['id'], `${at}/id`, notes)
  return value as unknown as Part
}

const violation = object<Violation>({ pointer: text(4_096), message: text(4_096) })

const histogram: Read<readonly number[]> = (value, at, notes) => {
  const sparse = list(whole, BUCKETS * 2)(value, at, notes)
  return sparse.length % 2 === 0 ? sparse : fail(at, 'pairs of bucket and count')
}

const totals = object<Totals>({
  requests: count,
  responses1xx: count,
  responses2xx: count,
  responses3xx: count,
  responses4xx: count,
  responses5xx: count,
  faultsDownstream: count,
  faultsEngine: count,
  faultsUpstream: count,
  bytesIn: count,
  bytesOut: count,
  connections: count,
  openConnections: count
})

const cache = optional(
  object<CacheTotals>({
    hits: count,
    misses: count,
    stale: count,
    revalidated: count,
    bypassed: count,
    savedBytes: count,
    objects: count,
    bytes: count
  })
)

const hedges = optional(object<HedgeTotals>({ sent: count, won: count }))

const zones = optional(object<ZoneTotals>({ own: count, others: count }))

const traffic = object<TrafficSample>({ id: name, totals, latency: histogram, cache, hedges, zones })

const pool = object<PoolSample>({ id: name, totals, latency: histogram, cache, hedges, zones, onlyOf: optional(name) })

const use = object<UseSample>({ id: name, poolId: name, totals, latency: histogram, cache, hedges, zones })

const server = object<ServerSample>({
  id: name,
  poolId: name,
  totals,
  latency: histogram,
  cache,
  hedges,
  zones,
  ejection: optional(object<Ejection>({ reason: name, untilEpochMs: finite }))
})

const host = object<HostSample>({
  cpuRatio: finite,
  processCpuRatio: finite,
  memoryUsedBytes: count,
  memoryTotalBytes: count,
  processRssBytes: count,
  networkReceivedBytes: count,
  networkSentBytes: count
})

const script = object<ScriptSample>({
  virtualServiceId: name,
  name,
  runs: count,
  failures: count,
  lastError: text(4_096),
  lastErrorAtEpochMs: finite,
  counters: list(object<ScriptSample['counters'][number]>({ name, count }), 1_000)
})

const sample = object<Sample>({
  bootId: name,
  sequence: whole,
  atEpochMs: finite,
  droppedSamples: count,
  droppedLogLines: count,
  host,
  virtualServices: list(traffic, 100_000),
  pools: list(pool, 100_000),
  servers: list(server, 200_000),
  uses: optional(list(use, 100_000)),
  limits: optional(list(object<LimitSample>({ virtualServiceId: name, id: name, admitted: count, refused: count, share: count }), 100_000)),
  scripts: optional(list(script, 100_000))
})

/** Which bucket of which limit. */
const bucket = { virtualServiceId: name, limitId: name, bucket: whole, share: ratio }

const judgement = object<ServerJudgement>({
  poolId: name,
  serverId: name,
  ip: name,
  verdict,
  sinceEpochMs: finite,
  weightPercent: optional(count),
  probes: list(
    object<ServerJudgement['probes'][number]>({
      monitorId: name,
      verdict,
      detail: text(4_096),
      request: optional(text(4_096)),
      answer: optional(text(4_096)),
      durationMs: finite,
      atEpochMs: finite
    }),
    64
  )
})

const flag: Read<boolean> = (value, at) => (typeof value === 'boolean' ? value : fail(at, 'true or false'))

const question = object<RequestQuestion>({
  virtualServiceId: name,
  method: name,
  host: name,
  path: text(16_384),
  headers: list(text(16_384), 1_024),
  clientIp: name,
  scheme: one('', 'http', 'https')
})

const purge: Read<CachePurge> = (value, at, notes) => {
  const by = isObject(value) ? value['by'] : undefined
  if (by === 'all') return object<{ readonly by: 'all' }>({ by: one('all') })(value, at, notes)
  return object<Exclude<CachePurge, { readonly by: 'all' }>>({ by: one('url', 'prefix', 'tag'), value: text(16_384) })(value, at, notes)
}

const explanation = object<Explanation>({
  steps: list(object<Explanation['steps'][number]>({ rule: name, isMatched: flag, failedOn: name, action: name }), 100_000),
  verdict: one('forward', 'answer', 'close', 'refused'),
  status: whole,
  location: text(16_384),
  poolId: name,
  poolName: name,
  serverId: name,
  reason: text(4_096)
})

const traceOrder = object<TraceOrder>({
  id: name,
  virtualServiceId: name,
  clientIp: name,
  method: name,
  pathPrefix: text(16_384),
  requestId: name,
  count: whole,
  durationMs: count
})

const trace = object<RequestTrace>({
  requestId: name,
  atEpochMs: finite,
  clientIp: name,
  clientPort: whole,
  method: name,
  scheme: name,
  host: name,
  path: text(16_384),
  protocol: name,
  attempts: whole,
  bytesIn: count,
  bytesOut: count,
  clientRttUs: optional(count),
  sentUs: count,
  connectUs: count,
  firstByteUs: count,
  totalUs: count,
  fault: name,
  faultReason: text(4_096),
  explanation
})

const ownedVip = object<OwnedVip>({ id: name, term: whole })

type Shapes<Message extends { readonly type: string }> = {
  readonly [T in Message['type']]: Read<Extract<Message, { readonly type: T }>>
}

const binding = object<ClientBinding>({
  poolId: name,
  client: (value, at) => (typeof value === 'string' && /^[0-9a-f]{16}$/.test(value) ? value : fail(at, '16 hexadecimal digits')),
  serverId: name,
  spread: whole,
  boundAgoMs: whole,
  idleS: whole,
  timeoutS: whole
})

const hubShapes: Shapes<HubMessage> = {
  Welcome: object({
    type: one('Welcome'),
    protocol: whole,
    controllerVersion: name,
    engineId: name,
    engineName: name,
    atEpochMs: finite
  }),
  ApplySnapshot: object({
    type: one('ApplySnapshot'),
    manifest: object({ version: whole, revision: whole, engineId: name, parts: list(partEntry, 400_000), hash }),
    parts: list(part, 400_000)
  }),
  Heartbeat: object({ type: one('Heartbeat'), sequence: whole }),
  CertificateRenewed: object({ type: one('CertificateRenewed'), certificatePem: pem, caPem: pem }),
  StandDown: object({ type: one('StandDown'), reason: text(4_096) }),
  ExplainRequest: object({ type: one('ExplainRequest'), id: name, question }),
  TraceRequests: object({ type: one('TraceRequests'), order: traceOrder }),
  ShareLimits: object({ type: one('ShareLimits'), shares: list(object<LimitShare>({ ...bucket, owedMs: count }), 200_000) }),
  PurgeCache: object({ type: one('PurgeCache'), sequence: whole, virtualServiceId: name, purge }),
  UpgradeEngine: object({ type: one('UpgradeEngine'), id: name, order: name, signature: name, publicKey: name }),
  BindClients: object({ type: one('BindClients'), bindings: list(binding, BINDINGS_TOLD_MAX) }),
  QuotasLeft: object({
    type: one('QuotasLeft'),
    quotas: list(object<QuotaLeft>({ limitId: name, bucket: whole, endsAtEpochMs: whole, left: whole }), 200_000)
  }),
  PeersSeen: object({
    type: one('PeersSeen'),
    peers: list(object<SeenPeer>({ engineId: name, silentMs: count, owned: list(ownedVip, OWNED_VIPS_MAX) }), PEERS_MAX)
  })
}

const agentShapes: Shapes<AgentMessage> = {
  Hello: object({
    type: one('Hello'),
    protocol: whole,
    version: name,
    build: optional(hash),
    platform: optional(name),
    snapshotVersion: optional(whole),
    bootId: name,
    hostname: name,
    addresses: list(name, 4_096),
    cpuCount: count,
    memoryBytes: count,
    workers: whole,
    purgedSequence: optional(whole),
    peerPort: optional(whole),
    networkId: optional(name),
    runningRevision: whole,
    runningHash: hash,
    heldParts: list(hash, 400_000),
    abilities: list(name, 256)
  }),
  SnapshotApplied: object({ type: one('SnapshotApplied'), revision: whole, hash, tookMs: count }),
  SnapshotRefused: object({ type: one('SnapshotRefused'), revision: whole, hash, violations: list(violation, 10_000) }),
  PartsWanted: object({ type: one('PartsWanted'), hashes: list(hash, 400_000) }),
  RenewCertificate: object({ type: one('RenewCertificate'), csrPem: text(16_384) }),
  Heartbeat: object({ type: one('Heartbeat'), sequence: whole }),
  SampleTaken: object({ type: one('SampleTaken'), sample }),
  ServersJudged: object({ type: one('ServersJudged'), servers: list(judgement, 200_000) }),
  RequestExplained: object({ type: one('RequestExplained'), id: name, explanation }),
  RequestTraced: object({ type: one('RequestTraced'), id: name, trace }),
  LimitsUsed: object({
    type: one('LimitsUsed'),
    limits: list(object<LimitUse>({ ...bucket, asked: whole, owedMs: count }), LIMIT_USES_MAX)
  }),
  ClientsBound: object({ type: one('ClientsBound'), bindings: list(binding, BINDINGS_TOLD_MAX) }),
  CachePurged: object({ type: one('CachePurged'), sequence: whole, objects: count }),
  QuotasUsed: object({
    type: one('QuotasUsed'),
    quotas: list(
      object<QuotaUse>({ virtualServiceId: name, limitId: name, bucket: whole, count: whole, endsAtEpochMs: whole, used: whole }),
      LIMIT_USES_MAX
    )
  }),
  AddressesOwned: object({ type: one('AddressesOwned'), vips: list(ownedVip, OWNED_VIPS_MAX) }),
  AddressesAnnounced: object({
    type: one('AddressesAnnounced'),
    vips: list(object<AnnouncedVip>({ id: name, reason: name }), OWNED_VIPS_MAX),
    bird: object<BirdState>({
      is: one('up', 'down', 'unknown'),
      reason: name,
      sessions: list(object<BirdSession>({ name, isUp: flag, state: name }), 100)
    })
  }),
  UpgradeEnded: object({ type: one('UpgradeEnded'), id: name, outcome: one('done', 'failed'), reason: text(4_096) }),
  AskPeers: object({ type: one('AskPeers'), engineIds: list(name, PEERS_MAX) })
}

/** The text frame of a message. */
export function encode(message: HubMessage | AgentMessage): string {
  return JSON.stringify(message)
}

/**
 * Reads what an agent is told.
 *
 * Shapes  frame: any text, its length bounded by the transport
 * Returns the message with its known fields only (snapshot parts whole), or why it is none
 * Throws  nothing, whatever the text
 * Cost    O(n) in the frame
 */
export function decodeHubMessage(frame: string): Decoded<HubMessage> {
  return decode<HubMessage>(frame, hubShapes)
}

/** Reads what an agent says; as `decodeHubMessage`. */
export function decodeAgentMessage(frame: string): Decoded<AgentMessage> {
  return decode<AgentMessage>(frame, agentShapes)
}

function decode<Message extends { readonly type: string }>(frame: string, shapes: Shapes<Message>): Decoded<Message> {
  let value: unknown
  try {
    value = JSON.parse(frame)
  } catch {
    return { is: 'malformed', reason: 'not JSON' }
  }
  if (!isObject(value) || !Object.hasOwn(value, 'type')) return { is: 'malformed', reason: 'not an object with a type' }
  const type = value['type']
  if (typeof type !== 'string') return { is: 'malformed', reason: '/type must be a string' }
  if (!Object.hasOwn(shapes, type)) return { is: 'unknown-type', type: type.slice(0, 64) }
  const notes: Notes = { unknownFields: 0 }
  try {
    const message = (shapes as Readonly<Record<string, Read<Message>>>)[type]!(value, '', notes)
    return { is: 'message', message, unknownFields: notes.unknownFields }
  } catch (error) {
    if (error instanceof Malformed) return { is: 'malformed', reason: `${type}${error.message}` }
    throw error
  }
}
