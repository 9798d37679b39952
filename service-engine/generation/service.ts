/** A virtual service as it runs: its listeners' connections go to its site, through TLS and a codec. */
import type { RemoteInfo } from 'node:dgram'
import type { Socket } from 'node:net'
import type { Clock } from '#model/base/clock.ts'
import type { CacheSpec, ContentRewriteSpec } from '#model/snapshot/content.ts'
import type { CertificatePart, ListenerSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import type { WorkerMemory } from '#engine/meter/shared.ts'
import { addressesInSteps, unmapAddress } from '../dataplane/exchange/address-set.ts'
import type { Downstream, RequestHead } from '../dataplane/exchange/exchange.ts'
import type { Entrance, EntranceSpine, Forwarder } from '../dataplane/exchange/forwarder.ts'
import type { Steps } from '../dataplane/exchange/build-steps.ts'
import { networkRulesInSteps, type NetworkTest } from '../dataplane/exchange/network-rules.ts'
import { compileBandwidth } from '../dataplane/exchange/pacer.ts'
import type { Budgets, Rates } from '../dataplane/exchange/rates.ts'
import { HttpCache } from '../dataplane/filter/cache/cache.ts'
import type { CacheStore } from '../dataplane/filter/cache/store.ts'
import { filtersFor, type OwnSteps } from '../dataplane/filter/catalog.ts'
import type { Filter } from '../dataplane/filter/filter.ts'
import { compileScripts, type Scripts } from '../dataplane/filter/script/script.ts'
import type { ScriptSets } from '../dataplane/filter/script/sets.ts'
import { compileErrorPages } from '../dataplane/http/error-page.ts'
import { makeWalk } from '../dataplane/http/explain.ts'
import { recordRefusal, runExchange, type SpineServices } from '../dataplane/http/exchange.ts'
import { makeMirror } from '../dataplane/http/mirror.ts'
import type { Site } from '../dataplane/http/site.ts'
import { runFlow, type FlowSite } from '../dataplane/l4/flow.ts'
import { Sessions } from '../dataplane/l4/sessions.ts'
import { cut } from '../dataplane/l4/splice.ts'
import type { DatagramListener } from '../dataplane/listen/datagrams.ts'
import { readProxied } from '../dataplane/listen/proxied.ts'
import type { Endpoint } from '../dataplane/listen/proxy-protocol.ts'
import { peekPreface } from '../dataplane/listen/preface.ts'
import { makeTerminator, type Secured, type Terminator } from '../dataplane/listen/tls.ts'
import type { TicketKeys } from '../dataplane/listen/tickets.ts'
import { compileText } from '../dataplane/route/text.ts'
import type { Automata } from '../dataplane/route/automata.ts'
import { compileHosting } from '../dataplane/route/hosting.ts'
import { compileSearch } from '../dataplane/route/pattern.ts'
import { compileMatch, compileString } from '../dataplane/route/match.ts'
import { normalizeTarget } from '../dataplane/route/path.ts'
import { compileConnectionLimit, compileRateLimit } from '../dataplane/route/rate-limit.ts'
import { rulesInSteps } from '../dataplane/route/rules.ts'
import type { Pool } from '../dataplane/upstream/pool.ts'
import { UseMeters } from '../dataplane/upstream/use-meters.ts'

export interface ServiceParts {
  readonly spine: SpineServices
  readonly forwarder: Forwarder
  readonly ticketKeys: TicketKeys
  /** The site of a child as it runs; undefined when it does not. */
  readonly siteOf: (id: string) => Site | undefined
}

/** What one generation says of a virtual service; built beside the running one, then put in its place. */
export interface ServicePlan {
  readonly part: VirtualServicePart
  /** Two plans with one key are the same. */
  readonly key: string
  readonly site: Site & FlowSite
  /** Undefined where it has none. */
  readonly scripts: Scripts | undefined
  readonly denies: NetworkTest
  /** Null where connections have no limit. */
  readonly admits: ((clientIp: string) => 'take' | 'close' | 'reset') | null
  /** Door -> whether a peer may say by the PROXY protocol who its client is; doors that do not take it are not there. */
  readonly mayProxy: ReadonlyMap<string, (peer: string) => boolean>
  /** In the order of the TLS settings. */
  readonly certificates: readonly CertificatePart[]
  /** Two plans with one of these have the same limits for their clients. */
  readonly limitsKey: string
  /** Two plans with one of these speak TLS alike. */
  readonly tlsKey: string
}

/** RFC 9110 §15.5.20. */
const misdirected: Filter = {
  kind: 'misdirected',
  onRequest: () => ({ is: 'answer', status: 421, reason: '', headers: [], body: Buffer.alloc(0) })
}

/** What steps of a virtual service need beside its settings. */
export interface PlanServices {
  readonly rates: Rates & Budgets
  readonly random: () => number
  readonly after: (delayMs: number, call: () => void) => void
  /** The pool as the running generation has it. */
  readonly poolOf: (id: string) => Pool | undefined
  readonly fetch: Forwarder['fetch'] | undefined
  /** Of the running generation. */
  readonly memoryNow: () => WorkerMemory
  readonly clock: Clock
  /** What a virtual service keeps, over its generations. */
  readonly storeOf: (id: string, maxBytes: number) => CacheStore
  /** Other workers that keep answers of it hear that those of an address are out of date. */
  readonly invalidated: (virtualServiceId: string, url: string) => void
  readonly scriptSets: ScriptSets
  readonly automata: Automata
}

/** `address|port`, with its protocol where that is not TCP: what a listener is known by. */
export const doorKey = ({ address, port, protocol }: ListenerSpec): string =>
  protocol === undefined ? `${address}|${port}` : `${address}|${port}|${protocol}`

/**
 * Compiles a virtual service, in steps: it may have many rules and addresses.
 *
 * Throws  RangeError or SyntaxError on a rule or range that cannot be read
 */
export function* planInSteps(
  part: VirtualServicePart,
  key: string,
  certificates: readonly CertificatePart[],
  memory: WorkerMemory,
  services: PlanServices
): Steps<ServicePlan> {
  const { rates, automata } = services
  const { connectionLimit } = part
  const scripts = scriptsOf(part, services)
  const bandwidth = part.bandwidth === undefined ? undefined : compileBandwidth(part.bandwidth, rates, services.clock)
  const denied = yield* networkRulesInSteps(part.networkRules, rates)
  const uses = new UseMeters(part.id, services.memoryNow)
  const own = { ...ownSteps(part, scripts, uses, services), denied, bandwidth: bandwidth && { bandwidth } }
  const rules = yield* rulesInSteps(part, automata, rates)
  const site: Site & FlowSite = {
    id: part.id,
    name: part.name,
    part,
    target: part.target,
    filters: part.application === 'http' ? filtersFor(part, rules, own) : [],
    hosted: part.hosting === undefined ? null : compileHosting(part.hosting, automata),
    walk: makeWalk(part, denied, rules),
    meter: memory.virtualServiceMeter(part.id),
    uses,
    ...(bandwidth === undefined ? {} : { bandwidth }),
    ...(part.cache === undefined ? {} : { cache: cacheOf(part.id, part.cache, memory, services) }),
    errorPage: part.errorPages === undefined ? undefined : compileErrorPages(part.errorPages),
    unserved: scripts?.has('lb-failed') === true ? (exchange, fault) => scripts.decide('lb-failed', exchange, fault) : undefined
  }
  return {
    part,
    key,
    site,
    scripts,
    certificates,
    denies: denied,
    admits: connectionLimit === undefined ? null : compileConnectionLimit(connectionLimit, rates),
    mayProxy: yield* proxiesInSteps(part.listeners),
    limitsKey: JSON.stringify(part.http),
    tlsKey: JSON.stringify([part.tls, part.application, part.http.acceptTimeoutMs, certificates])
  }
}

function cacheOf(id: string, spec: CacheSpec, memory: WorkerMemory, { clock, storeOf, invalidated, automata }: PlanServices): HttpCache {
  const excludes = spec.excludedPaths === null ? undefined : compileString(spec.excludedPaths, automata)
  const maxBytes = Math.floor(spec.maxBytes / memory.workers)
  return new HttpCache({
    spec,
    maxBytes,
    clock,
    store: storeOf(id, maxBytes),
    meter: memory.cacheMeter(id),
    isExcluded: path => excludes?.(path) === true,
    invalidated: url => invalidated(id, url)
  })
}

function scriptsOf({ id, application, scripts }: VirtualServicePart, { scriptSets, poolOf }: PlanServices): Scripts | undefined {
  if (application !== 'http' || scripts === undefined) return undefined
  return compileScripts(id, scripts, {
    sets: scriptSets,
    normalize: normalizeTarget,
    serverOf: (poolId, address, port) =>
      poolOf(poolId)?.part.servers.find(server => server.host === address && (port === 0 || server.port === port))?.id
  })
}

function ownSteps(
  { requestLimit, fault, mirror, clientCertificate, contentRewrite }: VirtualServicePart,
  scripts: Scripts | undefined,
  uses: UseMeters,
  { rates, random, after, clock, fetch, poolOf, automata }: PlanServices
): OwnSteps {
  const faultTests = fault === undefined || fault.match === null ? [] : compileMatch(fault.match, false, automata)
  return {
    clientCertificate:
      clientCertificate === undefined
        ? undefined
        : {
            authId: clientCertificate.authId,
            headers: clientCertificate.headers.map(({ name, value }) => ({ name, text: compileText(value) }))
          },
    requestLimit: requestLimit === undefined ? undefined : compileRateLimit(requestLimit, rates, automata),
    fault:
      fault === undefined ? undefined : { spec: fault, matches: exchange => faultTests.every(({ test }) => test(exchange)), random, after },
    scripts,
    contentRewrite: contentRewrite === undefined ? undefined : rewriteOf(contentRewrite),
    mirror:
      mirror === undefined
        ? undefined
        : { percent: mirror.percent, random, begin: makeMirror(mirror.poolId, { poolOf, uses, fetch, clock }) }
  }
}

/** Texts as the bytes of their UTF-8, one character each. */
function rewriteOf({ contentTypes, replacements }: ContentRewriteSpec): OwnSteps['contentRewrite'] {
  const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')
  return {
    contentTypes,
    replacements: replacements.map(({ search, isPattern, by }) => ({
      search: isPattern ? compileSearch(search) : bytesOf(search),
      by: bytesOf(by)
    }))
  }
}

function* proxiesInSteps(listeners: readonly ListenerSpec[]): Steps<Map<string, (peer: string) => boolean>> {
  const mayProxy = new Map<string, (peer: string) => boolean>()
  for (const spec of listeners) {
    const trusted = spec.proxyProtocol?.trusted
    if (trusted !== undefined) mayProxy.set(doorKey(spec), trusted.length === 0 ? () => true : yield* addressesInSteps(trusted))
  }
  return mayProxy
}

/** What tells one connection from all others that are open now; a TLS socket has the same as the one that it is on. */
const connectionKey = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`

/** The virtual service over its generations: connections belong to it and see the plan of now. */
export class RunningService {
  #plan: ServicePlan
  readonly #parts: ServiceParts
  /** Connections stay under the limits that they came under; an entrance of other limits goes on until it is empty. */
  readonly #entrances = new Map<string, { readonly door: string; readonly entrance: Entrance }>()
  /** Flows, and connections that are not through their handshake, with the door that they came in by. */
  readonly #sockets = new Map<Socket, string>()
  /** Connection -> who its client is, where a PROXY protocol header said so. */
  readonly #clients = new Map<string, Endpoint>()
  /** Connection -> when its handshake began, for as long as it lasts. */
  readonly #handshakes = new Map<string, number>()
  readonly #sessions: Sessions
  #isRetired = false
  #onEmpty: (() => void) | null = null

  constructor(plan: ServicePlan, parts: ServiceParts) {
    this.#plan = plan
    this.#parts = parts
    this.#sessions = new Sessions(parts.spine)
  }

  get plan(): ServicePlan {
    return this.#plan
  }

  /** From now on every new exchange and flow runs by `plan`; returns how to cut what came in by a door that is gone, if one is. */
  use(plan: ServicePlan): (() => void) | undefined {
    const before = this.#plan
    this.#plan = plan
    if (plan === before) return undefined
    const doors = new Set(plan.part.listeners.map(doorKey))
    if (before.part.listeners.every(spec => doors.has(doorKey(spec)))) return undefined
    const gone = [...this.#entrances].filter(([, { door }]) => !doors.has(door))
    for (const [key, { entrance }] of gone) entrance.retire(() => this.#entrances.delete(key))
    return () => {
      for (const [, { entrance }] of gone) entrance.destroy()
      for (const [socket, door] of this.#sockets) if (!doors.has(door)) socket.destroy()
      this.#sessions.cutOthers(doors)
    }
  }

  /**
   * TLS for one listener of a plan.
   *
   * Throws  the TLS library's error on a certificate, key or cipher list that it does not take
   */
  makeTerminator(plan: ServicePlan, spec: ListenerSpec): Terminator | null {
    const { tls, id, application, http } = plan.part
    if (!spec.isTls || tls === null) return null
    const parts = {
      virtualServiceId: id,
      spec: tls,
      certificates: plan.certificates,
      protocols: application === 'http' ? this.#protocols(spec) : [],
      ticketKeys: this.#parts.ticketKeys,
      nowEpochMs: this.#parts.spine.clock.nowEpochMs,
      ...(application === 'http' && http.acceptTimeoutMs !== undefined ? { handshakeTimeoutMs: http.acceptTimeoutMs } : {})
    }
    return makeTerminator(parts, secured => {
      secured.socket.allowHalfOpen = application === 'tcp'
      this.#serve(secured.socket, spec, secured)
    })
  }

  /** A connection was accepted. */
  accept(accepted: Socket, spec: ListenerSpec, terminator: Terminator | null): void {
    const { part, site, mayProxy } = this.#plan
    const isPlainHttp = terminator === null && part.application === 'http'
    const socket = isPlainHttp ? (this.#parts.forwarder.adopt?.(accepted) ?? accepted) : accepted
    socket.on('error', () => socket.destroy())
    const { remoteAddress, localPort } = socket
    if (remoteAddress === undefined || localPort === undefined || this.#isRetired || !part.isTrafficEnabled) return void socket.destroy()
    const peer = unmapAddress(remoteAddress)
    const isTrusted = mayProxy.get(doorKey(spec))
    const answer = isTrusted === undefined ? this.#mayCome(peer, localPort) : isTrusted(peer) ? 'take' : 'close'
    if (answer !== 'take') return this.#turnAway(socket, answer)
    site.meter.connectionOpened()
    this.#sockets.set(socket, doorKey(spec))
    socket.once('close', () => {
      this.#sockets.delete(socket)
      site.meter.connectionClosed()
      this.#look()
    })
    if (isTrusted !== undefined) return this.#readProxied(socket, spec, terminator, peer)
    if (terminator !== null) return this.#terminate(socket, terminator)
    this.#servePlain(socket, spec)
  }

  /** Sessions that came in by a door. */
  sessionsAt(door: string): number {
    return this.#sessions.countAt(door)
  }

  /** A datagram came in. */
  receive(
    datagram: Buffer,
    from: RemoteInfo,
    { spec, listener, takesNew }: { readonly spec: ListenerSpec; readonly listener: DatagramListener; readonly takesNew: boolean }
  ): void {
    const { part, site } = this.#plan
    this.#sessions.receive(site, { key: doorKey(spec), listener, spec }, datagram, from, () => {
      if (!takesNew || this.#isRetired || !part.isTrafficEnabled) return false
      if (this.#mayCome(from.address, listener.port) === 'take') return true
      site.meter.faulted('engine')
      return false
    })
  }

  /** Asked once for each connection: it counts for the limit. */
  #mayCome(clientIp: string, port: number): 'take' | 'close' | 'reset' {
    const { part, denies, admits } = this.#plan
    // Here it came to user space, which cannot show its servers who the client is.
    if (part.forwarding === 'kernel-only') return 'close'
    if (denies(clientIp, port, true) !== undefined) return 'close'
    return admits === null ? 'take' : admits(clientIp)
  }

  /** A handshake takes the client one round trip from here on, and the work of both sides: nothing else here tells how far away it is. */
  #terminate(socket: Socket, terminator: Terminator): void {
    const key = connectionKey(socket)
    this.#handshakes.set(key, this.#parts.spine.clock.nowMs())
    socket.once('close', () => this.#handshakes.delete(key))
    terminator.terminate(socket)
  }

  /** Microseconds; undefined where there was no handshake. */
  #handshakeUs(socket: Socket): number | undefined {
    const key = connectionKey(socket)
    const beganMs = this.#handshakes.get(key)
    this.#handshakes.delete(key)
    return beganMs === undefined ? undefined : Math.round((this.#parts.spine.clock.nowMs() - beganMs) * 1_000)
  }

  #turnAway(socket: Socket, how: 'close' | 'reset'): void {
    this.#plan.site.meter.faulted('engine')
    if (how === 'reset') socket.resetAndDestroy()
    else cut(socket)
  }

  /** Goes on when the header is read: rules are asked about the client, not about the proxy. */
  #readProxied(socket: Socket, spec: ListenerSpec, terminator: Terminator | null, peer: string): void {
    const { clock } = this.#parts.spine
    const refused = (): void => this.#plan.site.meter.faulted('downstream')
    const begin = (client: Endpoint | null): void => {
      if (this.#isRetired) return void socket.destroy()
      const answer = this.#mayCome(client?.ip ?? peer, socket.localPort ?? 0)
      if (answer !== 'take') return this.#turnAway(socket, answer)
      if (client !== null) {
        const key = connectionKey(socket)
        this.#clients.set(key, client)
        socket.once('close', () => {
          if (this.#clients.get(key) === client) this.#clients.delete(key)
        })
      }
      if (terminator !== null) this.#terminate(socket, terminator)
      else this.#servePlain(socket, spec)
    }
    readProxied(socket, clock, begin, refused)
  }

  /** Nothing new; what is under way may end. */
  retire(onEmpty: () => void): void {
    this.#isRetired = true
    this.#onEmpty = onEmpty
    for (const { entrance } of this.#entrances.values()) entrance.retire(() => this.#look())
    this.#sessions.retire(() => this.#look())
    this.#look()
  }

  /** Everything is cut. */
  destroy(): void {
    for (const { entrance } of this.#entrances.values()) entrance.destroy()
    for (const socket of this.#sockets.keys()) socket.destroy()
    this.#sessions.destroy()
  }

  #look(): void {
    if (this.#onEmpty === null || this.#sockets.size > 0 || this.#sessions.count > 0) return
    for (const { entrance } of this.#entrances.values()) if (entrance.connections() > 0) return
    const told = this.#onEmpty
    this.#onEmpty = null
    told()
  }

  /** What is offered in a handshake. */
  #protocols(spec: ListenerSpec): string[] {
    return spec.isHttp2 && this.#parts.forwarder.speaksHttp2 === true ? ['h2', 'http/1.1'] : ['http/1.1']
  }

  /** Without a handshake its first bytes tell what a connection speaks. */
  #servePlain(socket: Socket, spec: ListenerSpec): void {
    const { spine, forwarder } = this.#parts
    if (!spec.isHttp2 || this.#plan.part.application !== 'http' || forwarder.speaksHttp2 !== true) return this.#serve(socket, spec, null)
    peekPreface(socket, spine.clock, isHttp2 => this.#serve(socket, spec, null, isHttp2))
  }

  #serve(socket: Socket, spec: ListenerSpec, secured: Secured | null, isHttp2 = secured?.socket.alpnProtocol === 'h2'): void {
    const tls = secured?.socket ?? null
    const { remoteAddress, remotePort, localPort } = socket
    if (remoteAddress === undefined || remotePort === undefined || localPort === undefined) return void socket.destroy()
    const client = this.#clients.size === 0 ? undefined : this.#clients.get(connectionKey(socket))
    const name = (tls as { readonly servername?: string | false } | null)?.servername
    const handshakeUs = tls === null ? undefined : this.#handshakeUs(socket)
    const downstream: Downstream = {
      clientIp: client?.ip ?? unmapAddress(remoteAddress),
      clientPort: client?.port ?? remotePort,
      ...(client === undefined ? {} : { sourceIp: unmapAddress(remoteAddress) }),
      localPort,
      vip: spec.vip,
      isTls: tls !== null,
      serverName: typeof name === 'string' ? name.toLowerCase() : null,
      tlsVersion: tls?.getProtocol() ?? '',
      tlsCipher: tls?.getCipher().name ?? '',
      isHttp2,
      ...(handshakeUs === undefined ? {} : { handshakeUs }),
      ...(secured?.identity === undefined ? {} : { identity: secured.identity }),
      ...(secured?.session === undefined ? {} : { tlsSession: secured.session }),
      ...(secured?.fingerprint === undefined ? {} : { fingerprint: secured.fingerprint })
    }
    if (this.#plan.part.application === 'http') return this.#entranceFor(spec).accept(socket, downstream)
    runFlow(this.#parts.spine, this.#plan.site, socket, downstream)
  }

  #entranceFor(spec: ListenerSpec): Entrance {
    const door = doorKey(spec)
    const key = `${door} ${this.#plan.limitsKey}`
    const known = this.#entrances.get(key)
    if (known !== undefined) return known.entrance
    for (const [otherKey, other] of this.#entrances) {
      if (other.entrance.connections() > 0) continue
      other.entrance.destroy()
      this.#entrances.delete(otherKey)
    }
    const entrance = this.#parts.forwarder.openEntrance(this.#plan.part.http, this.#spine())
    this.#entrances.set(key, { door, entrance })
    return entrance
  }

  #siteFor(request: RequestHead, downstream: Downstream): Site {
    const { site } = this.#plan
    const { hosted } = site
    if (hosted === null) return site
    const found = hosted(request, downstream)
    if (found.is === 'parent') return site
    if (found.is === 'misdirected') return { ...site, target: null, filters: [misdirected] }
    // A child that does not run is not its parent: what it would refuse must not get through there.
    return this.#parts.siteOf(found.id) ?? { ...site, target: null, filters: [] }
  }

  #spine(): EntranceSpine {
    const { spine } = this.#parts
    return {
      begin: (request, downstream, wire) => runExchange(spine, this.#siteFor(request, downstream), request, downstream, wire),
      refused: (fault, downstream) => recordRefusal(spine, this.#plan.site, fault, downstream)
    }
  }
}
