/**
 * Owning addresses that move between engines: hears the peers and is heard by them ten times a second, decides by `election.ts`, has the
 * privileged process hold what is owned, and tells the controller. Needs no controller for any of it.
 */
import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { OwnedVip, SeenPeer } from '#model/message/message.ts'
import type { Layer2Peer, Layer2Spec, Layer2Vip } from '#model/snapshot/snapshot.ts'
import type { KernelLink } from '../kernel/forwarding.ts'
import { Election, SILENT_MS, type Change } from './election.ts'
import { Correspondent, decodeHeartbeat, encodeHeartbeat, MAX_CLAIMS, MAX_PEERS, shortId, type Heartbeat } from './heartbeat.ts'
import { interfaceOf } from './network.ts'
import type { Held, HoldAnswer, HoldOrder, LastWord } from './order.ts'
import { Serving } from './serving.ts'

export interface HoldLink extends KernelLink<HoldOrder, HoldAnswer> {
  /** Kept on disk, so that the next start can take away what this one left. */
  readonly remember: (held: readonly Held[]) => void
}

export interface Layer2Options {
  readonly clock: Clock
  readonly log: Log
  /** UDP, for heartbeats. */
  readonly port: number
  /** The interface for addresses that are in no network of this host; '' for none. */
  readonly fallback: string
  readonly openHolder: (engineId: string) => HoldLink
  readonly isConnected: () => boolean
  readonly askPeers: (engineIds: readonly string[]) => void
  readonly told: (owned: readonly OwnedVip[]) => void
}

export interface Layer2 {
  /**
   * Makes room for what a snapshot asks, before anything of it is bound.
   *
   * Returns what is wrong, in words
   */
  readonly prepare: (engineId: string, spec: Layer2Spec | undefined) => Promise<string | undefined>
  /** Before what a snapshot no longer asks for is closed: the owners of its addresses pass no new flows on to here. */
  readonly letGo: (spec: Layer2Spec | undefined) => Promise<void>
  /** The snapshot runs; `drainMs`: what it no longer asks for may still have flows. */
  readonly update: (engineId: string, spec: Layer2Spec | undefined, drainMs: number) => void
  readonly peersSeen: (peers: readonly SeenPeer[]) => void
  readonly owned: () => readonly OwnedVip[]
  /** Addresses that are on this host because they are held. */
  readonly isHeld: (address: string) => boolean
  readonly stop: () => Promise<void>
}

const BEAT_MS = 100
/** Peers that are silent so long are asked after. */
const ASK_AFTER_MS = 300
const ASK_EACH_MS = 200
/** The controller hears of an engine less often than its peers do (`HEARTBEAT_INTERVAL_MS`): so much of its silence says nothing. */
const SELDOM_MS = 300
const ADDRESSES_PER_PEER = 4
const LOOPBACK = 'lo'
/** Until an owner has heard that one takes no more flows, and has told its kernel. */
const LET_GO_MS = 300

/** One peer: how to reach it, and what it said itself. */
interface Peer {
  readonly spec: Layer2Peer
  readonly correspondent: Correspondent
  heardAtMs: number
  readonly claims: Map<string, { readonly term: number; readonly atMs: number }>
}

export function openLayer2(options: Layer2Options): Layer2 {
  return new RunningLayer2(options)
}

class RunningLayer2 implements Layer2 {
  readonly #options: Layer2Options
  readonly #life = randomBytes(8).toString('hex')
  readonly #startedAtMs: number
  readonly #sockets = new Map<'udp4' | 'udp6', Socket>()
  #peers = new Map<string, Peer>()
  #vips = new Map<string, Layer2Vip>()
  #key: Uint8Array = new Uint8Array()
  #engineId = ''
  #self = ''
  #election: Election | null = null
  #holder: HoldLink | null = null
  #held: readonly Held[] = []
  readonly #serving = new Serving()
  #told = ''
  #sequence = 0
  #askedAtMs = -Infinity
  #received = new Map<string, number>()
  #stopBeating: (() => void) | null = null
  #isStopped = false

  constructor(options: Layer2Options) {
    this.#options = options
    this.#startedAtMs = options.clock.nowMs()
  }

  async prepare(engineId: string, spec: Layer2Spec | undefined): Promise<string | undefined> {
    if (spec === undefined) return undefined
    this.#engineId = engineId
    if (this.#holder?.isOpen() !== true) this.#holder = this.#options.openHolder(this.#engineId)
    const answer = await this.#holder.order({ is: 'prepare' })
    if (answer.is === 'failed') return answer.reason
    for (const family of ['udp4', 'udp6'] as const) {
      if (this.#sockets.has(family)) continue
      const reason = await this.#bind(family)
      // A host may have one family only.
      if (reason === undefined || reason === 'EAFNOSUPPORT' || reason === 'EADDRNOTAVAIL') continue
      return `UDP port ${this.#options.port} cannot be bound for heartbeats: ${reason}`
    }
    return undefined
  }

  async letGo(spec: Layer2Spec | undefined): Promise<void> {
    // Nothing is left to it: it takes nothing over meanwhile.
    if (spec === undefined && this.#election?.owned().size === 0) this.#election.configure([], new Set(this.#peers.keys()))
    if (!this.#serving.leaveAllBut(new Set((spec?.vips ?? []).map(vip => shortId(vip.id))))) return
    this.#sayReady()
    await new Promise<void>(done => void this.#options.clock.after(LET_GO_MS, done))
  }

  update(engineId: string, spec: Layer2Spec | undefined, drainMs: number): void {
    if (spec === undefined && this.#election === null) return
    this.#engineId = engineId
    this.#self = shortId(engineId)
    this.#key = Buffer.from(spec?.secret ?? '', 'base64')
    const before = this.#peers
    this.#peers = new Map(
      (spec?.peers ?? []).slice(0, MAX_PEERS).map(peer => {
        const id = shortId(peer.id)
        const known = before.get(id)
        const fresh = { correspondent: new Correspondent(this.#life), heardAtMs: -Infinity, claims: new Map() }
        return [id, { ...(known ?? fresh), spec: peer }] as const
      })
    )
    this.#vips = new Map((spec?.vips ?? []).map(vip => [shortId(vip.id), vip]))
    this.#serving.configure(this.#vips, drainMs, this.#options.clock.nowMs())
    // It listens from the start of the engine on, not from the first snapshot.
    this.#election ??= new Election(this.#self, this.#startedAtMs)
    this.#election.configure(
      [...this.#vips].map(([id, { engines, term }]) => ({ id, engines: engines.map(shortId), term })),
      new Set(this.#peers.keys())
    )
    this.#stopBeating ??= this.#options.clock.every(BEAT_MS, () => this.#beat())
    this.#beat()
  }

  peersSeen(peers: readonly SeenPeer[]): void {
    const now = this.#options.clock.nowMs()
    for (const { engineId, silentMs, owned } of peers) {
      const atMs = now - Math.max(0, silentMs - SELDOM_MS)
      const id = shortId(engineId)
      this.#election?.alive(id, atMs)
      for (const vip of owned) this.#election?.claimed(shortId(vip.id), { owner: id, term: vip.term }, atMs)
    }
  }

  owned(): readonly OwnedVip[] {
    return [...(this.#election?.owned() ?? [])].flatMap(([id, term]) => {
      const vip = this.#vips.get(id)
      return vip === undefined ? [] : [{ id: vip.id, term }]
    })
  }

  isHeld(address: string): boolean {
    return this.#isOwned(address) || this.#serving.addresses.has(address)
  }

  #isOwned(address: string): boolean {
    return this.#held.some(held => held.address === address)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopBeating?.()
    this.#election?.stop()
    this.#say(true)
    await this.#holder?.close()
    this.#holder?.remember([])
    this.#held = []
    this.#serving.held([])
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  #bind(family: 'udp4' | 'udp6'): Promise<string | undefined> {
    return new Promise(resolve => {
      const socket = createSocket(family === 'udp6' ? { type: family, ipv6Only: true } : { type: family })
      socket.once('error', error => {
        socket.close()
        resolve((error as NodeJS.ErrnoException).code ?? error.message)
      })
      socket.bind({ port: this.#options.port, exclusive: true }, () => {
        socket.removeAllListeners('error').on('error', () => undefined)
        socket.on('message', (bytes, from) => this.#receive(bytes, from))
        socket.unref()
        this.#sockets.set(family, socket)
        resolve(undefined)
      })
    })
  }

  #beat(): void {
    const election = this.#election
    if (election === null || this.#isStopped) return
    const now = this.#options.clock.nowMs()
    this.#feelContact(election, now)
    const changes = election.tick(now)
    for (const change of changes) this.#log(change)
    // What is said last comes after all that was said.
    this.#say(false)
    this.#sayReady()
    this.#hold()
    this.#ask(election, now)
    this.#tell()
  }

  /** Anything at all that comes in by the interfaces of our addresses shows that they are on a network. */
  #feelContact(election: Election, now: number): void {
    if (this.#options.isConnected()) return election.contact(now)
    if ([...this.#peers.values()].some(peer => now - peer.heardAtMs < BEAT_MS)) return
    const names = new Set([...this.#vips.values()].flatMap(vip => vip.addresses.map(one => interfaceOf(one) ?? this.#options.fallback)))
    for (const name of names) {
      const packets = receivedBy(name)
      const before = this.#received.get(name)
      this.#received.set(name, packets)
      if (before !== undefined && packets > before) election.contact(now)
    }
  }

  /** The order is repeated with each beat: it is what renews the lease. */
  #hold(): void {
    const owned = [...(this.#election?.owned().keys() ?? [])]
    const reachable = new Map([...this.#peers].map(([id, { spec, heardAtMs }]) => [id, { addresses: spec.addresses, heardAtMs }]))
    const shared = this.#serving.toShare(this.#self, new Set(owned), reachable, this.#options.clock.nowMs())
    const { addresses: here } = this.#serving
    if (owned.length === 0 && shared.length === 0 && this.#held.length === 0 && here.size === 0) return
    const addresses = owned.flatMap(id => this.#vips.get(id)?.addresses ?? [])
    if (this.#holder?.isOpen() !== true) {
      this.#options.log.warn('the process that holds addresses has ended: it is started again')
      this.#holder = this.#options.openHolder(this.#engineId)
    }
    const holder = this.#holder
    const sharing = shared.flatMap(vip => vip.addresses)
    const isOther =
      addresses.length !== this.#held.length ||
      addresses.some(address => !this.#isOwned(address)) ||
      sharing.some(address => !here.has(address))
    // Where they will be is known before they are there: whatever kills both processes between leaves a trace.
    if (isOther) {
      const coming = addresses.map(address => ({ address, interface: interfaceOf(address) ?? this.#options.fallback }))
      const served = [...here, ...sharing].map(address => ({ address, interface: LOOPBACK }))
      holder.remember([...this.#held, ...coming.filter(one => one.interface !== ''), ...served])
    }
    const order = { is: 'hold', addresses, fallback: this.#options.fallback, lastWords: this.#lastWords(), shared } as const
    void holder.order(order).then(answer => this.#heldNow(answer))
  }

  #sayReady(): void {
    const claims = this.#serving.readiness().map(({ vip, isReady }) => ({ id: vip, owner: this.#self, term: isReady ? 1 : 0, ageMs: 0 }))
    for (let from = 0; from < claims.length; from += MAX_CLAIMS)
      this.#send({ says: 'ready', isLeaving: false, peers: [], claims: claims.slice(from, from + MAX_CLAIMS) })
  }

  /** What the holder tells the peers if this engine ends from one moment to the next: nobody needs to wait for its silence. */
  #lastWords(): readonly LastWord[] {
    const beat = { says: 'alive', sender: this.#self, life: this.#life, isLeaving: true, peers: [], claims: [] } as const
    return [...this.#peers.values()].flatMap(({ spec, correspondent: { echo } }) => {
      const sequence = ++this.#sequence
      const bytes = encodeHeartbeat({ ...beat, sequence, echo }, this.#key).toString('base64')
      return spec.addresses.slice(0, ADDRESSES_PER_PEER).map(to => ({ to, port: spec.port, bytes }))
    })
  }

  #heldNow(answer: Awaited<ReturnType<HoldLink['order']>>): void {
    const { clock, log } = this.#options
    if (answer.is === 'failed') {
      this.#held = []
      this.#serving.held([])
      return
    }
    this.#held = answer.held
    this.#serving.held(answer.shared)
    for (const { address, reason } of answer.failed) {
      for (const [id, vip] of this.#vips) {
        if (!vip.addresses.includes(address)) continue
        const change = this.#election?.unable(id, clock.nowMs())
        if (change !== undefined) log.warn('an address cannot be owned', { address, reason })
      }
    }
  }

  #say(isLeaving: boolean): void {
    const now = this.#options.clock.nowMs()
    const claims: Heartbeat['claims'][number][] = [...(this.#election?.owned() ?? [])].map(([id, term]) => ({
      id,
      owner: this.#self,
      term,
      ageMs: 0
    }))
    const peers: Heartbeat['peers'][number][] = []
    for (const [owner, peer] of this.#peers) {
      if (now - peer.heardAtMs > SILENT_MS) continue
      peers.push({ id: owner, silentMs: Math.ceil(now - peer.heardAtMs) })
      for (const [id, { term, atMs }] of peer.claims) {
        if (now - atMs > SILENT_MS) peer.claims.delete(id)
        else claims.push({ id, owner, term, ageMs: Math.ceil(now - atMs) })
      }
    }
    for (let from = 0; from === 0 || from < claims.length; from += MAX_CLAIMS)
      this.#send({ says: 'alive', isLeaving, peers, claims: claims.slice(from, from + MAX_CLAIMS) })
  }

  /** To all peers. */
  #send(said: Pick<Heartbeat, 'says' | 'isLeaving' | 'peers' | 'claims'>): void {
    const now = this.#options.clock.nowMs()
    for (const peer of this.#peers.values()) {
      const sequence = ++this.#sequence
      const { echo } = peer.correspondent
      const bytes = encodeHeartbeat({ ...said, sender: this.#self, life: this.#life, sequence, echo }, this.#key)
      peer.correspondent.sent(sequence, now)
      for (const address of peer.spec.addresses.slice(0, ADDRESSES_PER_PEER))
        this.#sockets.get(isIPv6(address) ? 'udp6' : 'udp4')?.send(bytes, peer.spec.port, address, () => undefined)
    }
  }

  #receive(bytes: Buffer, _from: RemoteInfo): void {
    const election = this.#election
    if (election === null || this.#key.length === 0) return
    const beat = decodeHeartbeat(bytes, this.#key)
    const peer = beat === undefined ? undefined : this.#peers.get(beat.sender)
    if (beat === undefined || peer === undefined) return
    const now = this.#options.clock.nowMs()
    const judged = peer.correspondent.judge(beat, now)
    if (judged !== 'fresh' && judged !== 'new-life') return
    if (beat.says === 'ready') {
      for (const { id, owner, term } of beat.claims) if (owner === beat.sender) this.#serving.members.heard(owner, id, term > 0, now)
      // Who takes no more waits for it.
      if (beat.claims.some(({ term }) => term === 0)) this.#hold()
      return
    }
    if (judged === 'new-life') {
      peer.claims.clear()
      this.#serving.members.left(beat.sender)
    }
    if (beat.isLeaving) {
      peer.heardAtMs = -Infinity
      peer.claims.clear()
      election.left(beat.sender)
      this.#serving.members.left(beat.sender)
      return this.#beat()
    }
    peer.heardAtMs = now
    election.contact(now)
    election.alive(beat.sender, now)
    for (const { id, silentMs } of beat.peers) election.alive(id, now - silentMs)
    for (const { id, owner, term, ageMs } of beat.claims) {
      election.claimed(id, { owner, term }, now - ageMs)
      if (owner === beat.sender) peer.claims.set(id, { term, atMs: now })
    }
  }

  /** Does the controller hear whom we do not? Then it is not dead. */
  #ask(election: Election, now: number): void {
    if (now - this.#askedAtMs < ASK_EACH_MS || !this.#options.isConnected()) return
    const silent = new Set(election.silentPeers(now, ASK_AFTER_MS))
    // Only those matter that share an address with us.
    const shared = new Set([...this.#vips.values()].flatMap(vip => vip.engines))
    const ids = [...this.#peers].filter(([id, { spec }]) => silent.has(id) && shared.has(spec.id)).map(([, { spec }]) => spec.id)
    if (ids.length === 0) return
    this.#askedAtMs = now
    this.#options.askPeers(ids)
  }

  #tell(): void {
    const owned = this.owned()
    const text = JSON.stringify(owned)
    if (text === this.#told) return
    this.#told = text
    this.#options.told(owned)
  }

  #log(change: Change): void {
    const addresses = this.#vips.get(change.id)?.addresses ?? []
    this.#options.log.info(change.is === 'own' ? 'owns an address' : 'gives up an address', { addresses, why: change.why })
  }
}

function receivedBy(name: string): number {
  try {
    const folder = `/sys/class/net/${name}`
    if (readFileSync(`${folder}/carrier`, 'utf8').trim() !== '1') return 0
    return Number(readFileSync(`${folder}/statistics/rx_packets`, 'utf8'))
  } catch {
    return 0
  }
}
