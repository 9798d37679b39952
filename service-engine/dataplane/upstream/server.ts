/** One server of a pool: a candidate to the balancer, a destination to the forwarder. */
import type { PoolPart, ServerSpec } from '#model/snapshot/snapshot.ts'
import { serverKey, type ServerCell, type TrafficMeter } from '#engine/meter/shared.ts'
import type { Destination, DestinationTls } from '../exchange/forwarder.ts'
import type { Candidate } from '../balance/balancer.ts'

/** Resolved addresses of servers that are given by name; filled by orders from the agent thread. */
export interface AddressBook {
  /** The next address of `<pool id>/<server id>` in turn; undefined as long as nobody has resolved it. */
  readonly next: (key: string) => string | undefined
}

/** Of silence in the middle of something; long enough for streams of events that come now and then. */
const USUAL_STALL_MS = 300_000

/** A server in one generation of its pool. The server it stands for may live longer. */
export interface Member extends Candidate {
  readonly spec: ServerSpec
  readonly server: UpstreamServer
}

/** What a server's connections are made of; as long as it stays the same they are kept over edits of the pool. */
export interface ServerMake {
  readonly pool: PoolPart
  readonly spec: ServerSpec
  readonly tls: DestinationTls | null
}

/** A server with the connections to it. */
export class UpstreamServer {
  readonly destination: Destination
  readonly cell: ServerCell
  readonly meter: TrafficMeter
  /** Two makes with one fingerprint share connections. */
  readonly fingerprint: string
  /** Each knows its place. A Set that exchanges come into and leave is made anew again and again, and what it was keeps them alive. */
  readonly #leases: Cuttable[] = []

  constructor(make: ServerMake, addresses: AddressBook, cell: ServerCell, meter: TrafficMeter) {
    const { pool, spec } = make
    const key = serverKey(pool.id, spec.id)
    this.cell = cell
    this.meter = meter
    this.fingerprint = fingerprintOf(make)
    this.destination = {
      poolId: pool.id,
      serverId: spec.id,
      address: spec.isName ? () => addresses.next(key) ?? spec.host : () => spec.host,
      port: spec.port,
      ...(spec.path === undefined ? {} : { path: spec.path }),
      tls: make.tls,
      isHttp2: pool.isHttp2 ?? false,
      isHttp1Allowed: pool.isHttp1Allowed ?? false,
      connectTimeoutMs: pool.connectTimeoutMs,
      responseTimeoutMs: pool.serverTimeoutMs,
      stallTimeoutMs: stallTimeoutOf(pool),
      idleTimeoutMs: pool.idleConnectionTimeoutMs,
      maxIdleConnections: pool.maxIdleConnectionsPerServer,
      keepsBody: pool.reselect !== undefined,
      hostHeader: hostHeaderOf(make),
      connectionOpened: () => meter.connectionOpened(),
      connectionClosed: () => meter.connectionClosed()
    }
  }

  /** What is in flight through this worker and can be cut when the server's grace is over. */
  add(lease: Cuttable): void {
    lease.place = this.#leases.push(lease) - 1
  }

  remove(lease: Cuttable): void {
    if (this.#leases[lease.place] !== lease) return
    const last = this.#leases.pop()!
    if (last === lease) return
    last.place = lease.place
    this.#leases[lease.place] = last
  }

  /** Ends all that is still in flight through this worker. */
  cutAll(): void {
    // A cut gives its lease back, which changes the list.
    const leases = this.#leases.slice()
    for (const lease of leases) lease.onCut?.()
  }
}

export interface Cuttable {
  onCut: (() => void) | null
  /** Among all of its server's; the server sets it. */
  place: number
}

/** The client's own Host unless the pool says otherwise: a name that a server has is first of all a label. */
function hostHeaderOf({ pool, spec, tls }: ServerMake): string | null {
  if (pool.rewritesHost === 'sni') return tls?.serverName ?? spec.hostHeader
  return pool.rewritesHost === 'server-name' ? (spec.hostHeader ?? spec.host) : null
}

const stallTimeoutOf = ({ stallTimeoutMs = USUAL_STALL_MS }: PoolPart): number | null => (stallTimeoutMs === 0 ? null : stallTimeoutMs)

function fingerprintOf({ pool, spec, tls }: ServerMake): string {
  const { connectTimeoutMs, serverTimeoutMs, idleConnectionTimeoutMs, maxIdleConnectionsPerServer, rewritesHost } = pool
  return JSON.stringify([
    [spec.id, spec.path, spec.host, spec.port, spec.isName, spec.hostHeader],
    [
      connectTimeoutMs,
      serverTimeoutMs,
      idleConnectionTimeoutMs,
      maxIdleConnectionsPerServer,
      rewritesHost,
      pool.isHttp2 ?? false,
      pool.isHttp1Allowed ?? false
    ],
    pool.reselect !== undefined,
    stallTimeoutOf(pool),
    tls
  ])
}
