/**
 * The life of a flow, step by step: choose a pool -> lease a server -> connect (another server when that fails: nothing
 * was sent yet) -> splice -> end: meter, access record.
 */
import { connect as netConnect, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { Clock } from '#model/base/clock.ts'
import type { TargetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { AccessRecord, TrafficMeter } from '#engine/meter/shared.ts'
import { unmapAddress } from '../exchange/address-set.ts'
import type { Downstream } from '../exchange/exchange.ts'
import type { Bandwidth } from '../exchange/pacer.ts'
import type { Destination } from '../exchange/forwarder.ts'
import type { Lease, Pool } from '../upstream/pool.ts'
import type { Targets } from '../upstream/targets.ts'
import type { UseMeters } from '../upstream/use-meters.ts'
import { connectFault, endOf } from '../upstream/end.ts'
import { upstreamTlsOptions } from '../upstream/tls.ts'
import { writeProxyHeader } from '../listen/proxy-protocol.ts'
import { cut, splice } from './splice.ts'

/** First try included. */
const MAX_ATTEMPTS = 4
/** As a status, to passive health. */
const CONNECTED = 200

export interface FlowServices {
  readonly clock: Clock
  readonly makeId: () => string
  readonly poolOf: (id: string) => Pool | undefined
  readonly targets: Targets
  readonly record: (record: AccessRecord) => void
}

export interface FlowSite {
  readonly id: string
  readonly name: string
  readonly part: VirtualServicePart
  readonly target: TargetSpec | null
  readonly meter: TrafficMeter
  readonly uses: UseMeters
  /** Undefined where bytes go as fast as they can. */
  readonly bandwidth?: Bandwidth | undefined
}

/** Relays one accepted connection; `socket` is through with TLS and not read from yet. */
export function runFlow(services: FlowServices, site: FlowSite, socket: Socket, downstream: Downstream): void {
  new FlowLife(services, site, socket, downstream).begin()
}

class FlowLife {
  readonly #services: FlowServices
  readonly #site: FlowSite
  readonly #client: Socket
  readonly #downstream: Downstream
  readonly #startedUs: number
  readonly #startedEpochMs: number
  #lease: Lease | null = null
  #connecting: Opening | null = null
  #tried: string[] | null = null
  #attempts = 0
  #bytesIn = 0
  #bytesOut = 0
  #sentUs = 0
  #connectedUs = 0
  #firstByteUs = 0
  #poolName = ''
  #serverId = ''
  #isSpliced = false
  #isEnded = false

  constructor(services: FlowServices, site: FlowSite, client: Socket, downstream: Downstream) {
    this.#services = services
    this.#site = site
    this.#client = client
    this.#downstream = downstream
    this.#startedUs = services.clock.nowMs() * 1000
    this.#startedEpochMs = services.clock.nowEpochMs()
  }

  begin(): void {
    this.#client.once('error', () => undefined)
    this.#client.once('close', () => {
      if (this.#isSpliced) return
      this.#connecting?.abandon()
      this.#end(new Fault('DOWNSTREAM_RESET', 'the client went before a server was connected'))
    })
    this.#balance(null)
  }

  #balance(lastFault: Fault | null): void {
    const { targets, poolOf } = this.#services
    const { target } = this.#site
    const choice = target === null ? undefined : targets.choose(target, poolOf, this.#downstream.clientIp, this.#tried)
    if (choice === undefined) return this.#refuse(lastFault ?? new Fault('NO_TARGET', 'no pool for this flow'))
    if (choice.is === 'fail') {
      if (this.#tried === null) this.#poolName = choice.name
      return this.#refuse(lastFault ?? new Fault('NO_AVAILABLE_SERVER', `no server of ${choice.name} is available`))
    }
    this.#poolName = choice.pool.part.name
    const { clientIp, clientPort, tlsSession } = this.#downstream
    const lease = choice.pool.lease({ clientIp, clientPort, uri: '', header: () => '', tlsSession }, this.#tried)
    if (lease === 'none' || lease === 'full') {
      const code = lease === 'full' ? 'QUEUE_FULL' : 'NO_AVAILABLE_SERVER'
      return this.#refuse(lastFault ?? new Fault(code, `no place on a server of ${this.#poolName}`))
    }
    this.#connect(lease)
  }

  #connect(lease: Lease): void {
    const { destination } = lease
    this.#lease = lease
    this.#serverId = lease.serverId
    this.#attempts++
    this.#sentUs = this.#nowUs()
    lease.onCut = () => {
      cut(this.#client)
      this.#connecting?.abandon()
    }
    let isSettled = false
    const failed = (fault: Fault) => (): void => {
      if (isSettled) return
      isSettled = true
      cancel()
      opening.abandon()
      if (!this.#isEnded) this.#lost(lease, fault)
    }
    const port = lease.pool.part.usesServicePort === true ? this.#downstream.localPort : destination.port
    const where = `${destination.address()}:${port}`
    const cancel = this.#services.clock.after(
      destination.connectTimeoutMs,
      failed(new Fault('UPSTREAM_CONNECT_TIMEOUT', `no connection to ${where} within ${destination.connectTimeoutMs} ms`))
    )
    const opening = openConnection(
      { destination, port, header: this.#proxyHeader() },
      {
        failed: (error, isSecuring) => {
          failed(
            new Fault(connectFault(error, isSecuring && error !== null), `${where}: ${error?.message ?? 'closed'}`, { cause: error })
          )()
        },
        ready: server => {
          if (isSettled) return
          isSettled = true
          cancel()
          if (this.#isEnded) return void server.destroy()
          this.#splice(lease, server)
        }
      }
    )
    this.#connecting = opening
  }

  #proxyHeader(): Buffer | null {
    const version = this.#site.part.tcp.sendsProxyProtocol
    if (version === undefined) return null
    const { clientIp, clientPort, localPort } = this.#downstream
    const localIp = unmapAddress(this.#client.localAddress ?? '0.0.0.0')
    return writeProxyHeader(version, { ip: clientIp, port: clientPort }, { ip: localIp, port: localPort })
  }

  #lost(lease: Lease, fault: Fault): void {
    lease.meter.faulted(fault.origin)
    this.#site.uses.of(lease.pool).faulted(fault.origin)
    lease.ended(0, fault)
    lease.release()
    this.#lease = null
    this.#tried ??= []
    this.#tried.push(lease.serverId)
    if (this.#attempts >= MAX_ATTEMPTS) this.#refuse(fault)
    else this.#balance(fault)
  }

  #splice(lease: Lease, server: Socket): void {
    const { destination } = lease
    this.#connectedUs = this.#nowUs()
    this.#isSpliced = true
    // A connection that stands is all that is known to go well of a flow.
    lease.ended(CONNECTED, null)
    destination.connectionOpened()
    server.once('close', () => destination.connectionClosed())
    lease.onCut = () => {
      cut(this.#client)
      cut(server)
    }
    const meters = [this.#site.meter, this.#site.uses.of(lease.pool), lease.meter]
    splice(this.#client, server, {
      idleTimeoutMs: this.#site.part.tcp.idleTimeoutMs,
      pacer: this.#site.bandwidth?.open(this.#downstream.clientIp),
      upBytes: count => {
        this.#bytesIn += count
        for (const meter of meters) meter.bytesIn(count)
      },
      downBytes: count => {
        if (this.#bytesOut === 0) {
          this.#firstByteUs = this.#nowUs()
          lease.responded(this.#firstByteUs - this.#connectedUs)
        }
        this.#bytesOut += count
        for (const meter of meters) meter.bytesOut(count)
      },
      ended: (by, error) => {
        const code = by === 'client' ? 'DOWNSTREAM_RESET' : by === 'server' ? 'UPSTREAM_RESET' : 'DOWNSTREAM_IDLE'
        this.#end(by === null ? null : new Fault(code, `the flow was broken off: ${error?.message ?? by}`, { cause: error }))
      }
    })
  }

  #refuse(fault: Fault): void {
    cut(this.#client)
    this.#end(fault)
  }

  #end(fault: Fault | null): void {
    if (this.#isEnded) return
    this.#isEnded = true
    const tookUs = this.#nowUs() - this.#startedUs
    const lease = this.#lease
    const meters = lease === null ? [this.#site.meter] : [this.#site.meter, this.#site.uses.of(lease.pool), lease.meter]
    for (const meter of meters) {
      if (fault !== null) meter.faulted(fault.origin)
      meter.exchangeEnded(0, tookUs)
    }
    lease?.release()
    this.#keepRecord(fault, tookUs)
  }

  #keepRecord(fault: Fault | null, tookUs: number): void {
    const since = (atUs: number): number => (atUs === 0 ? 0 : Math.max(0, Math.round(atUs - this.#startedUs)))
    const record = flowRecord(this.#site, this.#downstream, {
      protocol: 'TCP',
      id: this.#services.makeId,
      atEpochMs: this.#startedEpochMs,
      fault,
      poolName: this.#poolName,
      server: this.#serverId,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      attempts: this.#attempts,
      sentUs: since(this.#sentUs),
      connectUs: since(this.#connectedUs),
      firstByteUs: since(this.#firstByteUs),
      totalUs: Math.round(tookUs)
    })
    if (record !== null) this.#services.record(record)
  }

  #nowUs(): number {
    return this.#services.clock.nowMs() * 1000
  }
}

interface FlowFacts {
  readonly protocol: 'TCP' | 'UDP'
  readonly id: () => string
  readonly atEpochMs: number
  readonly fault: Fault | null
  readonly poolName: string
  readonly server: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly attempts: number
  readonly sentUs: number
  readonly connectUs: number
  readonly firstByteUs: number
  readonly totalUs: number
}

/** The access record of a flow; null where the service does not want one of it. */
export function flowRecord(site: FlowSite, downstream: Downstream, facts: FlowFacts): AccessRecord | null {
  const { accessLog } = site.part
  const { fault, id, protocol, ...figures } = facts
  if (!accessLog.isEnabled || (accessLog.isSignificantOnly && fault === null)) return null
  return {
    ...figures,
    virtualServiceId: site.id,
    virtualServiceName: site.name,
    clientIp: downstream.clientIp,
    clientPort: downstream.clientPort,
    method: '',
    scheme: protocol === 'UDP' ? 'udp' : downstream.isTls ? 'tls' : 'tcp',
    host: downstream.serverName ?? '',
    path: '',
    protocol,
    clientRttUs: downstream.handshakeUs ?? 0,
    status: 0,
    rule: '',
    requestId: id(),
    userAgent: '',
    fault: fault?.code ?? ''
  }
}

interface Opening {
  readonly abandon: () => void
}

interface OpeningEvents {
  /** Null: it was closed. `isSecuring`: the connection stood and TLS was under way. May be told more than once. */
  readonly failed: (error: Error | null, isSecuring: boolean) => void
  readonly ready: (socket: Socket) => void
}

/** Connects, sends the header, goes through TLS: in this order. */
function openConnection(
  { destination, port, header }: { readonly destination: Destination; readonly port: number; readonly header: Buffer | null },
  events: OpeningEvents
): Opening {
  const where = { ...endOf(destination, port), allowHalfOpen: true, noDelay: true }
  const { tls } = destination
  const sockets: Socket[] = []
  let isSecuring = false
  const watch = (socket: Socket): void => {
    sockets.push(socket)
    socket.once('error', error => events.failed(error, isSecuring)).once('close', () => events.failed(null, isSecuring))
  }
  if (tls !== null && header === null) {
    const secure = tlsConnect({ ...where, ...upstreamTlsOptions(tls) }, () => events.ready(secure))
    watch(secure)
    secure.once('connect', () => (isSecuring = true))
  } else {
    const plain = netConnect(where, () => {
      if (header !== null) plain.write(header)
      if (tls === null) return events.ready(plain)
      isSecuring = true
      const onPlain = { socket: plain, allowHalfOpen: true, ...upstreamTlsOptions(tls) }
      const secure = tlsConnect(onPlain, () => events.ready(secure))
      watch(secure)
    })
    watch(plain)
  }
  return {
    abandon: () => {
      for (const socket of sockets) socket.on('error', () => undefined).destroy()
    }
  }
}
