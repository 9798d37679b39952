/**
 * Announcing the addresses of the services that run here, beside the other engines that run them: which address when is decided here, what
 * is done by the privileged process, and BIRD tells the routers. Needs no controller and no other engine for any of it.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { AnnouncedVip, Announcing, BirdState, Verdict } from '#model/message/message.ts'
import type { BgpSpec, BgpVip, PoolPart, Snapshot } from '#model/snapshot/snapshot.ts'
import type { KernelLink } from '../kernel/forwarding.ts'
import type { AnnounceAnswer, Announced, AnnounceOrder } from './announce.ts'
import { unasked } from './bird.ts'
import { isReachable, poolsByService } from './reachable.ts'

export interface AnnounceLink extends KernelLink<AnnounceOrder, AnnounceAnswer> {
  /** Kept on disk, for a start after a death and for a process that takes over. */
  readonly remember: (there: Announced) => void
  readonly remembered: () => Announced
}

export interface BgpOptions {
  readonly clock: Clock
  readonly log: Log
  readonly openAnnouncer: () => AnnounceLink
  readonly verdictOf: (poolId: string, serverId: string) => Verdict
  readonly askBird: () => Promise<BirdState>
  readonly told: (announcing: Announcing) => void
}

export interface Bgp {
  /** Takes over what another process of this engine left. */
  readonly adopt: () => Promise<void>
  /**
   * Has the addresses of a snapshot on this host, before anything of it is bound.
   *
   * Returns what is wrong, in words
   */
  readonly prepare: (spec: BgpSpec | undefined) => Promise<string | undefined>
  /** What is not in the next snapshot is announced no more; resolves when routers had time to follow. */
  readonly withdraw: (next: BgpSpec | undefined) => Promise<void>
  /** This snapshot runs, whatever was prepared or withdrawn for another; null: none does. */
  readonly update: (snapshot: Snapshot | null) => void
  /** Undefined where nothing is to be announced. */
  readonly announcing: () => Announcing | undefined
  /** Addresses that are on this host because of us. */
  readonly isHeld: (address: string) => boolean
  /** Leaves all as it is to a process that takes over. */
  readonly leave: () => Promise<void>
  readonly stop: () => Promise<void>
}

const BEAT_MS = 100
const ASK_EACH_MS = 2_000
/** Until a router has no way to this host any more, after it was told: what comes meanwhile is still served. */
const FOLLOW_MS = 500

const nothing: Announced = { addresses: [], announced: [] }

export function openBgp(options: BgpOptions): Bgp {
  return new RunningBgp(options)
}

const addressesIn = (vips: readonly BgpVip[] = []): readonly string[] => vips.flatMap(vip => vip.addresses)

class RunningBgp implements Bgp {
  readonly #options: BgpOptions
  #link: AnnounceLink | null = null
  /** As the privileged process said last. */
  #there = nothing
  #failed: ReadonlyMap<string, string> = new Map()
  #vips: readonly BgpVip[] = []
  #pools: ReadonlyMap<string, readonly PoolPart[]> = new Map()
  /** Of a snapshot that is being built. */
  #coming: readonly string[] = []
  #leaving: ReadonlySet<string> = new Set()
  /** Addresses whose last connections may go on here, until when. */
  readonly #draining = new Map<string, number>()
  #bird = unasked
  #isAsking = false
  #askedAtMs = -Infinity
  /** Why each is not announced, as it was logged. */
  #reasons: ReadonlyMap<string, string> = new Map()
  #told = ''
  #noted = ''
  #stopBeating: (() => void) | null = null
  #isStopped = false

  constructor(options: BgpOptions) {
    this.#options = options
  }

  async adopt(): Promise<void> {
    const link = this.#open()
    this.#heard(await link.order({ is: 'adopt', ...link.remembered() }))
  }

  async prepare(spec: BgpSpec | undefined): Promise<string | undefined> {
    this.#coming = addressesIn(spec?.vips)
    if (this.#coming.length === 0) return undefined
    const answer = await this.#order()
    if (answer.is === 'failed') return answer.reason
    const wrong = answer.failed.find(({ address }) => this.#coming.includes(address))
    return wrong === undefined ? undefined : `${wrong.address} ${wrong.reason}`
  }

  async withdraw(next: BgpSpec | undefined): Promise<void> {
    const staying = new Set(addressesIn(next?.vips))
    this.#leaving = new Set(addressesIn(this.#vips).filter(address => !staying.has(address)))
    if (!this.#there.announced.some(address => this.#leaving.has(address))) return
    await this.#order()
    await new Promise<void>(resolve => this.#options.clock.after(FOLLOW_MS, resolve))
  }

  update(snapshot: Snapshot | null): void {
    this.#coming = []
    this.#leaving = new Set()
    if (this.#isStopped || (snapshot?.engine.bgp === undefined && this.#link === null)) return
    const untilMs = this.#options.clock.nowMs() + (snapshot?.engine.drainTimeoutS ?? 0) * 1_000
    this.#vips = snapshot?.engine.bgp?.vips ?? []
    this.#pools = snapshot === null ? new Map() : poolsByService(snapshot)
    const addresses = new Set(addressesIn(this.#vips))
    for (const address of this.#there.addresses)
      if (addresses.has(address)) this.#draining.delete(address)
      else if (!this.#draining.has(address)) this.#draining.set(address, untilMs)
    this.#stopBeating ??= this.#options.clock.every(BEAT_MS, () => this.#beat())
    this.#beat()
  }

  announcing(): Announcing | undefined {
    return this.#vips.length === 0 ? undefined : { vips: this.#announcedVips(), bird: this.#bird }
  }

  #announcedVips(): readonly AnnouncedVip[] {
    return this.#vips.map(vip => ({ id: vip.id, reason: this.#reasonOf(vip) }))
  }

  isHeld(address: string): boolean {
    return this.#there.addresses.includes(address)
  }

  async leave(): Promise<void> {
    this.#halt()
    await this.#link?.order({ is: 'leave' })
    await this.#link?.close()
  }

  async stop(): Promise<void> {
    this.#halt()
    await this.#link?.close()
    this.#link?.remember(nothing)
  }

  #halt(): void {
    this.#isStopped = true
    this.#stopBeating?.()
    this.#there = nothing
  }

  #open(): AnnounceLink {
    if (this.#link?.isOpen() === true) return this.#link
    const isAgain = this.#link !== null
    this.#link = this.#options.openAnnouncer()
    if (isAgain) {
      this.#options.log.warn('the process that announces addresses has ended: it is started again')
      // What one that was killed left is ours.
      void this.#link.order({ is: 'adopt', ...this.#there })
    }
    return this.#link
  }

  /** The order is repeated with each beat: it is what renews the lease. */
  #beat(): void {
    const nowMs = this.#options.clock.nowMs()
    for (const [address, untilMs] of this.#draining) if (untilMs <= nowMs) this.#draining.delete(address)
    if (this.#vips.length === 0 && this.#there.addresses.length === 0) return this.#tell()
    void this.#order()
    if (nowMs - this.#askedAtMs >= ASK_EACH_MS) void this.#ask(nowMs)
  }

  async #ask(nowMs: number): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    this.#askedAtMs = nowMs
    const bird = await this.#options.askBird()
    this.#isAsking = false
    if (this.#isStopped) return
    if (bird.is !== this.#bird.is) {
      if (bird.is === 'up') this.#options.log.info('BIRD has a session with a router', { sessions: bird.sessions })
      else this.#options.log.warn('BIRD tells no router, as far as is known', { reason: bird.reason })
    }
    this.#bird = bird
    this.#tell()
  }

  async #order(): Promise<AnnounceAnswer> {
    const link = this.#open()
    const announced = [...new Set(addressesIn(this.#vips.filter(vip => this.#withheld(vip) === '')))]
    const addresses = [...new Set([...addressesIn(this.#vips), ...this.#coming, ...this.#draining.keys()])]
    // What will be there is known before it is: whatever kills both processes between leaves a trace.
    this.#note(link, {
      addresses: [...new Set([...this.#there.addresses, ...addresses])],
      announced: [...new Set([...this.#there.announced, ...announced])]
    })
    const answer = await link.order({ is: 'announce', addresses, announced })
    if (this.#isStopped) return answer
    this.#heard(answer)
    if (answer.is === 'done') this.#note(link, this.#there)
    return answer
  }

  #note(link: AnnounceLink, there: Announced): void {
    const text = JSON.stringify(there)
    if (text !== this.#noted) link.remember(there)
    this.#noted = text
  }

  /** Why it is not to be announced now; '': it is to be. */
  #withheld({ addresses, services }: BgpVip): string {
    if (addresses.length === 0) return 'it has no address that others could reach'
    if (services.length === 0) return 'enable_rhi is false'
    if (addresses.some(address => this.#leaving.has(address))) return 'this engine stops to serve it'
    const { verdictOf } = this.#options
    const isUp = services.some(service => service.whenDown || isReachable(this.#pools.get(service.id) ?? [], verdictOf))
    return isUp ? '' : 'none of its servers is up, as this engine sees them'
  }

  #reasonOf(vip: BgpVip): string {
    const withheld = this.#withheld(vip)
    if (withheld !== '') return withheld
    const missing = vip.addresses.find(address => !this.#there.announced.includes(address))
    if (missing === undefined) return ''
    const failure = this.#failed.get(missing)
    return failure === undefined ? 'it is being announced' : `${missing} ${failure}`
  }

  #heard(answer: AnnounceAnswer): void {
    if (answer.is === 'failed') {
      this.#there = { ...this.#there, announced: [] }
      this.#failed = new Map(addressesIn(this.#vips).map(address => [address, answer.reason]))
    } else {
      this.#there = { addresses: answer.addresses, announced: answer.announced }
      this.#failed = new Map(answer.failed.map(({ address, reason }) => [address, reason]))
    }
    this.#tell()
  }

  #tell(): void {
    const vips = this.#announcedVips()
    const text = JSON.stringify([vips, this.#bird])
    if (text === this.#told || (vips.length === 0 && this.#told === '')) return
    this.#told = text
    const before = this.#reasons
    this.#reasons = new Map(vips.map(({ id, reason }) => [id, reason]))
    for (const { id, addresses } of this.#vips) {
      const reason = this.#reasons.get(id) ?? ''
      if (reason === before.get(id)) continue
      if (reason === '') this.#options.log.info('announces an address', { addresses })
      else if (before.get(id) === '') this.#options.log.info('withdraws an address', { addresses, why: reason })
    }
    this.#options.told({ vips, bird: this.#bird })
  }
}
