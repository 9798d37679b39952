/**
 * The engine's link part. It runs the last good snapshot from disk before it looks for the controller, so that a host which
 * boots alone serves; then it keeps a connection, applies what it is told (newest only, one at a time) and reports. Traffic
 * never waits for any of it.
 */
import { X509Certificate } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import { backoffMs } from '#model/base/random.ts'
import type { Random } from '#model/base/random.ts'
import { HANDED_OVER, PROTOCOL } from '#model/message/message.ts'
import type { Announcing, ClientBinding, Hello, HubMessage, QuotaUse, Sample, RequestTrace } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import { manifestText } from '#model/snapshot/canonical.ts'
import { SNAPSHOT_VERSION } from '#model/snapshot/snapshot.ts'
import type { CertificatePart, EnginePart, Manifest, Part, PoolPart, Snapshot, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { fitsTogether, forgetIdentity, IdentityBroken, loadIdentity, saveIdentity } from './identity.ts'
import type { Identity } from './identity.ts'
import { makeKeyAndCsr } from './key.ts'
import { Link } from './link.ts'
import type { HubSays, LinkEnd } from './link.ts'
import type { AgentSide, EngineSide, LinkStatus } from './port.ts'
import { hashOf, hashOfPart, openSnapshotStore } from './snapshot-store.ts'
import type { SnapshotStore, StoredSnapshot } from './snapshot-store.ts'

const BACKOFF_FIRST_MS = 100
const BACKOFF_MAX_MS = 5_000
/** A connection that lasted so long was a good one: the next back-off starts small again. */
const GOOD_LINK_MS = 5_000
/** Two minutes of samples. */
const SAMPLES_MAX = 120
/** With so much unsent, the link is slow: samples wait, and the oldest go. */
const SAMPLE_BACKLOG_BYTES = 1024 * 1024
const RENEWAL_CHECK_MS = 60_000
/** How soon it is seen what became of an order to change the program. */
const UPGRADE_CHECK_MS = 1_000
/** A snapshot from disk that could not be applied (a port in use) is tried again. */
const BOOT_RETRY_MS = 5_000
/** Ports are looked at before the rest: what is left out may uncover more. */
const BOOT_ROUNDS = 4

export interface AgentOptions {
  readonly dataFolder: string
  readonly engineSide: EngineSide
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /**
   * What runs from disk serves: called once, before the first connection. `isWhole`: all that was saved last runs. What it throws ends the start.
   */
  readonly beforeConnect?: (isWhole: boolean) => Promise<void>
  /** Where the controller's engine port is now, when it moved after this host had joined. */
  readonly channel?: { readonly host: string; readonly port: number } | undefined
}

/**
 * Starts the agent; resolves once the snapshot on disk, if there is one, was applied. Connecting goes on from there.
 *
 * Throws  IdentityBroken when this host has not joined or its identity cannot be used
 */
export async function openAgent(options: AgentOptions): Promise<AgentSide> {
  const joined = await loadIdentity(options.dataFolder)
  if (joined === undefined) throw new IdentityBroken(`this host has not joined: there is no identity in ${options.dataFolder}`)
  const { channel } = options
  const identity = channel === undefined ? joined : { ...joined, controllerHost: channel.host, enginePort: channel.port }
  const store = await openSnapshotStore(options.dataFolder, options.log)
  const agent = new Agent(options, identity, store)
  await agent.start()
  return agent
}

/** What the controller wants, as far as it has arrived. */
interface Pending {
  readonly manifest: Manifest
  readonly parts: Map<string, Part>
  readonly startedAtMs: number
}

class Agent implements AgentSide {
  readonly #options: AgentOptions
  readonly #store: SnapshotStore
  readonly #cancels: (() => void)[] = []
  readonly #samples: Sample[] = []
  #identity: Identity
  /** Its content runs in the engine. */
  #running: StoredSnapshot | undefined
  /** From disk, not applied yet. */
  #unapplied: StoredSnapshot | undefined
  #pending: Pending | undefined
  #applying: Promise<void> | undefined
  #link: Link | undefined
  #cancelConnect: (() => void) | undefined
  #liveSinceMs: number | undefined
  /** Connections in a row that did not last. */
  #attempt = 0
  #lastFailure = ''
  #droppedSamples = 0
  #renewalKeyPem: string | undefined
  /** The last order to take out answers that was done. */
  #purgedSequence = 0
  /** Id of the order whose end the controller was told on this link. */
  #upgradeTold: string | undefined
  #isStopped = false

  constructor(options: AgentOptions, identity: Identity, store: SnapshotStore) {
    this.#options = options
    this.#identity = identity
    this.#store = store
  }

  async start(): Promise<void> {
    const { clock } = this.#options
    const { snapshot, isNewest } = await this.#store.load()
    this.#unapplied = snapshot
    await this.#applyFromDisk()
    await this.#options.beforeConnect?.(isNewest && this.#unapplied === undefined)
    this.#cancels.push(
      clock.every(BOOT_RETRY_MS, () => void this.#retryFromDisk()),
      clock.every(RENEWAL_CHECK_MS, () => void this.#renewIfDue()),
      clock.every(UPGRADE_CHECK_MS, () => this.#tellUpgrade())
    )
    this.#connect()
  }

  sampleTaken(sample: Sample): void {
    this.#samples.push(sample)
    if (this.#samples.length > SAMPLES_MAX) {
      this.#samples.shift()
      this.#droppedSamples++
    }
    this.#flushSamples()
  }

  /** Whoever asked is there, or it is of no use. */
  requestTraced(id: string, trace: RequestTrace): void {
    if (this.#link?.isLive) this.#link.send({ type: 'RequestTraced', id, trace })
  }

  serversJudged(judgements: Parameters<AgentSide['serversJudged']>[0]): void {
    // Lost while there is no link: after a Welcome all of them go.
    if (this.#link?.isLive) this.#link.send({ type: 'ServersJudged', servers: judgements })
  }

  limitsUsed(limits: Parameters<AgentSide['limitsUsed']>[0]): void {
    const link = this.#link
    if (link?.isLive && link.backlogBytes < SAMPLE_BACKLOG_BYTES) link.send({ type: 'LimitsUsed', limits })
  }

  tellQuotas(used: () => readonly QuotaUse[]): void {
    const link = this.#link
    if (!link?.isLive || link.backlogBytes >= SAMPLE_BACKLOG_BYTES) return
    const quotas = used()
    if (quotas.length > 0) link.send({ type: 'QuotasUsed', quotas })
  }

  vipsOwned(vips: Parameters<NonNullable<AgentSide['vipsOwned']>>[0]): void {
    if (this.#link?.isLive) this.#link.send({ type: 'AddressesOwned', vips })
  }

  vipsAnnounced(announcing: Announcing): void {
    if (this.#link?.isLive) this.#link.send({ type: 'AddressesAnnounced', ...announcing })
  }

  askPeers(engineIds: readonly string[]): void {
    if (this.#link?.isLive) this.#link.send({ type: 'AskPeers', engineIds })
  }

  tellBindings(made: () => readonly ClientBinding[]): void {
    const link = this.#link
    if (!link?.isLive || link.backlogBytes >= SAMPLE_BACKLOG_BYTES) return
    const bindings = made()
    if (bindings.length > 0) link.send({ type: 'ClientsBound', bindings })
  }

  status(): LinkStatus {
    const isConnected = this.#link?.isLive === true
    const reason = this.#lastFailure === '' ? 'not connected to the controller yet' : this.#lastFailure
    return { isConnected, runningRevision: this.#running?.manifest.revision ?? 0, reason: isConnected ? '' : reason }
  }

  async stop(): Promise<void> {
    this.#halt()
    await this.#applying
  }

  async handOver(): Promise<void> {
    this.#link?.close(HANDED_OVER)
    await this.stop()
  }

  #halt(): void {
    this.#isStopped = true
    for (const cancel of this.#cancels.splice(0)) cancel()
    this.#cancelConnect?.()
    this.#link?.close()
    this.#link = undefined
    this.#pending = undefined
  }

  // The link.

  #connect(): void {
    if (this.#isStopped) return
    const { clock, log } = this.#options
    const link: Link = new Link({
      identity: this.#identity,
      clock,
      log,
      hello: () => this.#hello(),
      onWelcome: (_, welcome) => {
        log.info('connected to the controller', {
          engine: welcome.engineId,
          name: welcome.engineName,
          controller: welcome.controllerVersion
        })
        this.#liveSinceMs = clock.nowMs()
        this.#lastFailure = ''
        link.send({ type: 'ServersJudged', servers: this.#options.engineSide.judgements() })
        // An older controller does not know these messages: it ignores them.
        const vips = this.#options.engineSide.ownedVips?.()
        if (vips !== undefined) link.send({ type: 'AddressesOwned', vips })
        const announcing = this.#options.engineSide.announcing?.()
        if (announcing !== undefined) link.send({ type: 'AddressesAnnounced', ...announcing })
        this.#options.engineSide.connected?.()
        this.#upgradeTold = undefined
        this.#tellUpgrade()
        this.#flushSamples()
        void this.#renewIfDue()
      },
      onMessage: message => this.#receive(message),
      onEnd: end => this.#lost(link, end)
    })
    this.#link = link
  }

  #lost(link: Link, end: LinkEnd): void {
    if (this.#link !== link) return
    const { clock, log, random } = this.#options
    const wasGood = this.#liveSinceMs !== undefined && clock.nowMs() - this.#liveSinceMs >= GOOD_LINK_MS
    this.#link = undefined
    this.#liveSinceMs = undefined
    // What had arrived of an order is of no use: the next connection starts with what we say we hold.
    this.#pending = undefined
    if (end.is === 'stood-down') return void this.#standDown(end.reason)
    if (this.#isStopped) return
    const reason = this.#isExpired() ? 'the certificate of this engine has expired: join again with a new token' : end.reason
    if (reason !== this.#lastFailure) log.warn('no connection to the controller; what runs goes on', { reason })
    this.#lastFailure = reason
    if (wasGood) this.#attempt = 0
    const delayMs = backoffMs(this.#attempt++, { firstMs: BACKOFF_FIRST_MS, maxMs: BACKOFF_MAX_MS, random })
    this.#cancelConnect = clock.after(delayMs, () => this.#connect())
  }

  #hello(): Hello {
    return {
      ...this.#options.engineSide.facts(),
      type: 'Hello',
      protocol: PROTOCOL,
      snapshotVersion: SNAPSHOT_VERSION,
      purgedSequence: this.#purgedSequence,
      runningRevision: this.#running?.manifest.revision ?? 0,
      runningHash: this.#running?.manifest.hash ?? '',
      heldParts: [...this.#held.keys()]
    }
  }

  get #held(): ReadonlyMap<string, Part> {
    return (this.#running ?? this.#unapplied)?.parts ?? new Map()
  }

  #receive(message: HubSays): void {
    if (message.type === 'ApplySnapshot') this.#ordered(message)
    else if (message.type === 'ExplainRequest') void this.#explain(message)
    else if (message.type === 'QuotasLeft') this.#options.engineSide.quotasLeft?.(message.quotas)
    else if (message.type === 'ShareLimits') this.#options.engineSide.shareLimits?.(message.shares)
    else if (message.type === 'BindClients') this.#options.engineSide.bindClients?.(message.bindings)
    else if (message.type === 'PurgeCache') void this.#purge(message)
    else if (message.type === 'PeersSeen') this.#options.engineSide.peersSeen?.(message.peers)
    else if (message.type === 'TraceRequests') this.#options.engineSide.trace?.(message.order)
    else if (message.type === 'UpgradeEngine') this.#options.engineSide.upgrade?.(message)
    else void this.#renewed(message)
  }

  async #explain({ id, question }: Extract<HubSays, { readonly type: 'ExplainRequest' }>): Promise<void> {
    const explanation = await this.#options.engineSide.explain?.(question)
    // Whoever asked does not wait for ever.
    if (explanation !== undefined) this.#link?.send({ type: 'RequestExplained', id, explanation })
  }

  /** In the order in which they come; what is done again does no harm. */
  async #purge({ sequence, virtualServiceId, purge }: Extract<HubSays, { readonly type: 'PurgeCache' }>): Promise<void> {
    const objects = (await this.#options.engineSide.purge?.(virtualServiceId, purge)) ?? 0
    this.#purgedSequence = Math.max(this.#purgedSequence, sequence)
    this.#link?.send({ type: 'CachePurged', sequence, objects })
  }

  /** Written down by another process, maybe after this one was started by it. */
  #tellUpgrade(): void {
    const ended = this.#options.engineSide.upgradeEnded?.()
    if (!this.#link?.isLive || ended === undefined || ended.id === this.#upgradeTold) return
    this.#upgradeTold = ended.id
    this.#link.send({ type: 'UpgradeEnded', ...ended })
  }

  async #standDown(reason: string): Promise<void> {
    const { engineSide, log, dataFolder } = this.#options
    log.error('the controller no longer trusts this engine: it stops serving', { reason })
    this.#halt()
    try {
      // First the disk: a crash from here on must not bring the identity back.
      await forgetIdentity(dataFolder)
      await this.#applying
      await this.#store.forget()
    } catch (error) {
      log.error('the identity could not be removed from disk', { error })
    }
    await engineSide.standDown(reason)
  }

  // Samples.

  #flushSamples(): void {
    const link = this.#link
    while (link?.isLive && this.#samples.length > 0 && link.backlogBytes < SAMPLE_BACKLOG_BYTES) {
      const sample = this.#samples.shift()!
      link.send({ type: 'SampleTaken', sample: { ...sample, droppedSamples: sample.droppedSamples + this.#droppedSamples } })
    }
  }

  // Snapshots.

  /**
   * What was good may not be possible now: a port may have been taken meanwhile. Then all runs but the services that cannot,
   * and the whole is tried again until a controller says what to do.
   */
  async #applyFromDisk(): Promise<void> {
    const whole = this.#unapplied
    if (whole === undefined) return
    const { log } = this.#options
    const { revision } = whole.manifest
    let left: StoredSnapshot | undefined = whole
    for (let round = 0; left !== undefined && round < BOOT_ROUNDS; round++) {
      if (left.manifest.hash === this.#running?.manifest.hash) return
      const violations = await this.#apply(left)
      if (violations.length === 0) {
        this.#running = left
        if (left === whole) this.#unapplied = undefined
        log.info(left === whole ? 'runs the last good snapshot' : 'runs what it can of the last good snapshot', { revision })
        return
      }
      if (this.#running === undefined) log.error('the last good snapshot cannot run now', { revision, violations })
      left = withoutRefused(left, violations)
    }
  }

  async #retryFromDisk(): Promise<void> {
    if (this.#unapplied === undefined || this.#applying !== undefined || this.#link?.isLive) return
    this.#applying = this.#applyFromDisk().finally(() => {
      this.#applying = undefined
      this.#work()
    })
    await this.#applying
  }

  #ordered(order: Extract<HubMessage, { readonly type: 'ApplySnapshot' }>): void {
    const { manifest } = order
    const violation = this.#violationOf(order)
    if (violation !== undefined) return this.#answer(manifest, [violation], 0)
    const parts = new Map<string, Part>()
    const arrived = this.#pending?.parts
    const come = new Map(order.parts.map(part => [`${part.kind}/${part.id}`, part] as const))
    for (const { kind, id, hash } of manifest.parts) {
      const part = come.get(`${kind}/${id}`) ?? arrived?.get(hash) ?? this.#held.get(hash)
      if (part !== undefined) parts.set(hash, part)
    }
    this.#pending = { manifest, parts, startedAtMs: this.#options.clock.nowMs() }
    const isRunning = this.#running?.manifest.hash === manifest.hash
    const missing = manifest.parts.map(entry => entry.hash).filter(hash => !parts.has(hash))
    if (missing.length > 0 && !isRunning) this.#link?.send({ type: 'PartsWanted', hashes: [...new Set(missing)] })
    else this.#work()
  }

  /** What is wrong with an order before anything of it is tried: never serve what was not meant for us, or was changed. */
  #violationOf(order: Extract<HubMessage, { readonly type: 'ApplySnapshot' }>): Violation | undefined {
    const { manifest, parts } = order
    if (manifest.version > SNAPSHOT_VERSION)
      return {
        pointer: '/version',
        message: `must be ${SNAPSHOT_VERSION} at most, which this engine understands, not ${manifest.version}: upgrade the engine`
      }
    if (manifest.engineId !== this.#identity.engineId) return { pointer: '/engineId', message: 'must be this engine' }
    if (manifest.hash !== hashOf(manifestText(manifest.parts)))
      return { pointer: '/hash', message: 'must be the hash of the manifest’s parts' }
    const hashes = new Map(manifest.parts.map(entry => [`${entry.kind}/${entry.id}`, entry.hash]))
    const wrong = parts.find(part => hashes.get(`${part.kind}/${part.id}`) !== hashOfPart(part))
    return wrong === undefined ? undefined : { pointer: `/${wrong.kind}/${wrong.id}`, message: 'must have the hash that the manifest says' }
  }

  /** Applies the newest order, one after the other; orders that were overtaken are never tried. */
  #work(): void {
    if (this.#applying !== undefined || this.#isStopped) return
    const pending = this.#pending
    const isComplete = pending?.manifest.parts.every(entry => pending.parts.has(entry.hash))
    if (pending === undefined || !isComplete) return
    this.#pending = undefined
    this.#applying = this.#carryOut(pending).finally(() => {
      this.#applying = undefined
      this.#work()
    })
  }

  async #carryOut(pending: Pending): Promise<void> {
    const { clock, log } = this.#options
    const { manifest } = pending
    const isRunning = this.#running?.manifest.hash === manifest.hash
    const violations = isRunning ? [] : await this.#apply(pending)
    if (violations.length === 0) {
      this.#running = { manifest, parts: pending.parts }
      this.#unapplied = undefined
      // Stood down meanwhile: nothing of it may stay.
      if (this.#isStopped) return
      try {
        await this.#store.save(this.#running)
      } catch (error) {
        log.error('the snapshot runs but could not be kept on disk', { revision: manifest.revision, error })
      }
    }
    this.#answer(manifest, violations, clock.nowMs() - pending.startedAtMs)
  }

  async #apply(snapshot: StoredSnapshot): Promise<readonly Violation[]> {
    const assembled = assemble(snapshot)
    if (assembled === undefined) return [{ pointer: '', message: 'must have exactly one part for the engine itself' }]
    try {
      return await this.#options.engineSide.applySnapshot(assembled)
    } catch (error) {
      this.#options.log.error('a snapshot could not be built', { revision: snapshot.manifest.revision, error })
      return [{ pointer: '', message: `must be one that this engine can build: ${error instanceof Error ? error.message : String(error)}` }]
    }
  }

  #answer(manifest: Manifest, violations: readonly Violation[], tookMs: number): void {
    const { revision, hash } = manifest
    this.#link?.send(
      violations.length === 0
        ? { type: 'SnapshotApplied', revision, hash, tookMs: Math.max(0, tookMs) }
        : { type: 'SnapshotRefused', revision, hash, violations: violations.slice(0, 1_000) }
    )
  }

  // The certificate.

  #isExpired(): boolean {
    return new X509Certificate(this.#identity.certificatePem).validToDate.getTime() < this.#options.clock.nowEpochMs()
  }

  async #renewIfDue(): Promise<void> {
    const link = this.#link
    if (link === undefined || !link.isLive || !isRenewalDue(this.#identity.certificatePem, this.#options.clock.nowEpochMs())) return
    const { keyPem, csrPem } = await makeKeyAndCsr()
    this.#renewalKeyPem = keyPem
    link.send({ type: 'RenewCertificate', csrPem })
  }

  async #renewed(message: Extract<HubMessage, { readonly type: 'CertificateRenewed' }>): Promise<void> {
    const { log, dataFolder } = this.#options
    const keyPem = this.#renewalKeyPem
    const { certificatePem, caPem } = message
    if (keyPem === undefined || !fitsTogether({ keyPem, certificatePem, caPem }))
      return log.warn('a renewed certificate does not fit and was not taken')
    this.#renewalKeyPem = undefined
    const identity: Identity = { ...this.#identity, keyPem, certificatePem, caPem }
    try {
      await saveIdentity(dataFolder, identity)
    } catch (error) {
      return log.error('a renewed certificate could not be kept on disk', { error })
    }
    // Used from the next connection on; the one that is open goes on.
    this.#identity = identity
    log.info('the certificate was renewed', { notAfter: new X509Certificate(certificatePem).validTo })
  }
}

/**
 * Whether half of a certificate's life is over.
 */
export function isRenewalDue(certificatePem: string, nowEpochMs: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem)
  return nowEpochMs > (validFromDate.getTime() + validToDate.getTime()) / 2
}

/** The snapshot without the virtual services that violations name; undefined when they name none. */
function withoutRefused({ manifest, parts }: StoredSnapshot, violations: readonly Violation[]): StoredSnapshot | undefined {
  const refused = new Set(violations.flatMap(({ pointer }) => /^\/virtual-service\/([^/]+)/.exec(pointer)?.[1] ?? []))
  const kept = manifest.parts.filter(part => part.kind !== 'virtual-service' || !refused.has(part.id))
  if (kept.length === manifest.parts.length) return undefined
  const hashes = new Set(kept.map(part => part.hash))
  return {
    manifest: { ...manifest, parts: kept, hash: hashOf(manifestText(kept)) },
    parts: new Map([...parts].filter(([hash]) => hashes.has(hash)))
  }
}

/** The parts of a manifest by kind, in its order; undefined unless there is exactly one engine part. */
function assemble(snapshot: StoredSnapshot): Snapshot | undefined {
  const parts = snapshot.manifest.parts.flatMap(entry => snapshot.parts.get(entry.hash) ?? [])
  const engines = parts.filter((part): part is EnginePart => part.kind === 'engine')
  if (engines.length !== 1) return undefined
  return {
    manifest: snapshot.manifest,
    engine: engines[0]!,
    virtualServices: parts.filter((part): part is VirtualServicePart => part.kind === 'virtual-service'),
    pools: parts.filter((part): part is PoolPart => part.kind === 'pool'),
    certificates: parts.filter((part): part is CertificatePart => part.kind === 'certificate')
  }
}
