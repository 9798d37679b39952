/**
 * UDP: datagrams of one client's address and port are a session. It has one server and a socket of its own towards it, by which
 * the answers find their way back; it ends when nothing comes or goes for the idle time.
 */
import type { RemoteInfo, Socket } from 'node:dgram'
import type { ListenerSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Downstream } from '../exchange/exchange.ts'
import { udpSocket, type DatagramListener } from '../listen/datagrams.ts'
import { connectFault } from '../upstream/end.ts'
import type { Lease } from '../upstream/pool.ts'
import { flowRecord, type FlowServices, type FlowSite } from './flow.ts'

/** Of one virtual service in one worker: each has a descriptor. A client without a session is not served then. */
export const MAX_SESSIONS = 4_096
/** Datagrams that may wait until the socket to the server is ready, which takes no time worth mentioning. */
const MAX_WAITING = 32
const MAX_UNSENT_BYTES = 1 << 20
/** How exactly the idle time is kept; the shortest that can be asked for is 2 s. */
const SWEEP_INTERVAL_MS = 250

/** Where a datagram came in. */
export interface DatagramDoor {
  /** What the listener is known by. */
  readonly key: string
  readonly listener: DatagramListener
  readonly spec: ListenerSpec
}

/** The sessions of one virtual service. */
export class Sessions {
  readonly #services: FlowServices
  readonly #byDoor = new Map<string, Map<string, Session>>()
  #count = 0
  #stopSweeping: (() => void) | null = null
  #onEmpty: (() => void) | null = null

  constructor(services: FlowServices) {
    this.#services = services
  }

  get count(): number {
    return this.#count
  }

  countAt(door: string): number {
    return this.#byDoor.get(door)?.size ?? 0
  }

  /**
   * Takes a datagram to its session's server.
   *
   * Shapes  admits: asked only when there is no session yet; false drops the datagram
   */
  receive(site: FlowSite, door: DatagramDoor, datagram: Buffer, from: RemoteInfo, admits: () => boolean): void {
    let sessions = this.#byDoor.get(door.key)
    if (sessions === undefined) this.#byDoor.set(door.key, (sessions = new Map()))
    const key = `${from.address} ${from.port}`
    const known = sessions.get(key)
    if (known !== undefined) return known.forward(datagram)
    if (!admits()) return
    if (this.#count >= MAX_SESSIONS) return site.meter.faulted('engine')
    const own = sessions
    const session = new Session(this.#services, site, door, from, () => {
      if (own.get(key) === session) own.delete(key)
      this.#ended()
    })
    if (!session.begin()) return
    own.set(key, session)
    this.#count++
    this.#stopSweeping ??= this.#services.clock.every(SWEEP_INTERVAL_MS, () => this.#sweep())
    session.forward(datagram)
  }

  /** Calls back once none is left; there must be no new ones. */
  retire(onEmpty: () => void): void {
    if (this.#count === 0) return onEmpty()
    this.#onEmpty = onEmpty
  }

  /** Ends those that came in by doors that are not among these. */
  cutOthers(doors: ReadonlySet<string>): void {
    for (const [key, sessions] of this.#byDoor) {
      if (doors.has(key)) continue
      for (const session of sessions.values()) session.end(null)
      this.#byDoor.delete(key)
    }
  }

  destroy(): void {
    this.cutOthers(new Set())
  }

  #ended(): void {
    this.#count--
    if (this.#count > 0) return
    this.#stopSweeping?.()
    this.#stopSweeping = null
    const told = this.#onEmpty
    this.#onEmpty = null
    told?.()
  }

  #sweep(): void {
    const nowMs = this.#services.clock.nowMs()
    for (const sessions of this.#byDoor.values()) for (const session of sessions.values()) session.endIfIdle(nowMs)
  }
}

class Session {
  readonly #services: FlowServices
  readonly #site: FlowSite
  readonly #door: DatagramDoor
  readonly #downstream: Downstream
  readonly #ended: () => void
  readonly #startedMs: number
  readonly #startedEpochMs: number
  #lease: Lease | null = null
  #socket: Socket | null = null
  /** Until the socket is connected. */
  #waiting: Buffer[] | null = []
  #lastMs: number
  #bytesIn = 0
  #bytesOut = 0
  #firstByteUs = 0
  #poolName = ''
  #isEnded = false

  constructor(services: FlowServices, site: FlowSite, door: DatagramDoor, from: RemoteInfo, ended: () => void) {
    this.#services = services
    this.#site = site
    this.#door = door
    this.#ended = ended
    this.#startedMs = services.clock.nowMs()
    this.#startedEpochMs = services.clock.nowEpochMs()
    this.#lastMs = this.#startedMs
    this.#downstream = {
      clientIp: from.address,
      clientPort: from.port,
      localPort: door.spec.port === 0 ? door.listener.port : door.spec.port,
      vip: door.spec.vip,
      isTls: false,
      serverName: null,
      tlsVersion: '',
      tlsCipher: ''
    }
  }

  /** Finds a server; false when there is none, which is accounted for. */
  begin(): boolean {
    const { targets, poolOf } = this.#services
    const { target, meter } = this.#site
    const choice = target === null ? undefined : targets.choose(target, poolOf, this.#downstream.clientIp)
    if (choice?.is !== 'pool') return this.#refused(choice === undefined ? 'NO_TARGET' : 'NO_AVAILABLE_SERVER')
    const { pool } = choice
    this.#poolName = pool.part.name
    const { clientIp, clientPort, localPort } = this.#downstream
    const lease = pool.lease({ clientIp, clientPort, uri: '', header: () => '' }, null)
    if (typeof lease === 'string') return this.#refused(lease === 'full' ? 'QUEUE_FULL' : 'NO_AVAILABLE_SERVER')
    this.#lease = lease
    lease.onCut = () => this.end(new Fault('SERVER_WITHDRAWN', `${lease.serverId} is taken out`))
    meter.connectionOpened()
    lease.destination.connectionOpened()
    this.#open(lease, pool.part.usesServicePort === true ? localPort : lease.destination.port)
    return true
  }

  forward(datagram: Buffer): void {
    this.#lastMs = this.#services.clock.nowMs()
    if (this.#waiting === null) return this.#send(datagram)
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(datagram)
  }

  endIfIdle(nowMs: number): void {
    const { idleTimeoutMs } = this.#site.part.tcp
    if (idleTimeoutMs > 0 && nowMs - this.#lastMs >= idleTimeoutMs) this.end(null)
  }

  /** Once; the idle end is the usual one. */
  end(fault: Fault | null): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#socket?.close()
    const lease = this.#lease
    const tookUs = (this.#services.clock.nowMs() - this.#startedMs) * 1000
    const meters = lease === null ? [this.#site.meter] : [this.#site.meter, this.#site.uses.of(lease.pool), lease.meter]
    for (const meter of meters) {
      if (fault !== null) meter.faulted(fault.origin)
      meter.exchangeEnded(0, tookUs)
    }
    if (lease !== null) {
      lease.destination.connectionClosed()
      this.#site.meter.connectionClosed()
      lease.release()
      this.#ended()
    }
    this.#record(fault, tookUs)
  }

  #refused(code: 'NO_TARGET' | 'NO_AVAILABLE_SERVER' | 'QUEUE_FULL'): false {
    this.end(new Fault(code, 'no server for this session'))
    return false
  }

  #open(lease: Lease, port: number): void {
    const address = lease.destination.address()
    const socket = udpSocket(address)
    this.#socket = socket
    // An ICMP message that nobody listens there comes as an error of the socket.
    socket.on('error', error => this.end(new Fault(connectFault(error, false), `${lease.serverId}: ${error.message}`, { cause: error })))
    socket.on('message', datagram => this.#answered(lease, datagram))
    socket.connect(port, address, () => {
      const waiting = this.#waiting ?? []
      this.#waiting = null
      for (const datagram of waiting) this.#send(datagram)
    })
  }

  #send(datagram: Buffer): void {
    const socket = this.#socket
    if (this.#isEnded || socket === null || socket.getSendQueueSize() > MAX_UNSENT_BYTES) return
    socket.send(datagram)
    this.#bytesIn += datagram.length
    for (const meter of this.#meters()) meter.bytesIn(datagram.length)
  }

  #answered(lease: Lease, datagram: Buffer): void {
    const nowMs = this.#services.clock.nowMs()
    this.#lastMs = nowMs
    if (this.#firstByteUs === 0) {
      this.#firstByteUs = Math.max(1, (nowMs - this.#startedMs) * 1000)
      lease.responded(this.#firstByteUs)
    }
    const { clientIp: ip, clientPort: port } = this.#downstream
    if (!this.#door.listener.send(datagram, { ip, port })) return
    this.#bytesOut += datagram.length
    for (const meter of this.#meters()) meter.bytesOut(datagram.length)
  }

  #meters() {
    const lease = this.#lease
    return lease === null ? [this.#site.meter] : [this.#site.meter, this.#site.uses.of(lease.pool), lease.meter]
  }

  #record(fault: Fault | null, tookUs: number): void {
    const record = flowRecord(this.#site, this.#downstream, {
      protocol: 'UDP',
      id: this.#services.makeId,
      atEpochMs: this.#startedEpochMs,
      fault,
      poolName: this.#poolName,
      server: this.#lease?.serverId ?? '',
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      attempts: this.#lease === null ? 0 : 1,
      sentUs: 0,
      connectUs: 0,
      firstByteUs: Math.round(this.#firstByteUs),
      totalUs: Math.round(tookUs)
    })
    if (record !== null) this.#services.record(record)
  }
}
