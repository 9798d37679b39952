/** The life of one engine that a driver makes: each state has one step, which may be done again by a controller that died within it. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import { parseJoinToken } from '#model/message/token.ts'
import type { AutoscaleDecision } from '#model/resource/autoscale.ts'
import { filled } from '#model/resource/catalogue.ts'
import type { EngineDriverSettings } from '#model/resource/cloud.ts'
import type { Actor } from '#controller/access/actor.ts'
import { joinTokenFields, mintJoinToken } from '#controller/access/join-token.ts'
import type { RandomBytes } from '#controller/access/password.ts'
import { ChangeRefused, type ChangeOrder, type ChangeResult, type Write } from '#controller/change/order.ts'
import type { FleetPort } from '#controller/fleet/port.ts'
import type { AuthorityPort, Seal } from '#controller/pki/port.ts'
import type { Store } from '#controller/store/store.ts'
import type { Intent, Intents } from './intent.ts'
import { DriverFailed, type Driver } from './port.ts'

interface DriverNow {
  readonly driver: Driver
  readonly settings: EngineDriverSettings
  /** Name -> does it run; undefined: nobody can tell, or not yet. */
  readonly running: ReadonlyMap<string, boolean> | undefined
  /** When that was asked. */
  readonly listedAtMs: number
}

export interface LifeOptions {
  readonly store: Store
  readonly change: { readonly apply: (order: ChangeOrder) => Promise<ChangeResult> }
  readonly actor: Actor
  readonly authority: Pick<AuthorityPort, 'caFingerprint'>
  readonly seal: Seal
  readonly randomBytes: RandomBytes
  readonly fleet: Pick<FleetPort, 'engineRuntime'>
  /** Where engines on this host reach the controller. */
  readonly ownUrl: () => string
  readonly clock: Clock
  readonly intents: Intents
  readonly driverOf: (intent: Intent) => DriverNow | undefined
  /** Its cloud has no driver any more, or one of another type. */
  readonly isDriverGone: (intent: Intent) => boolean
  readonly told: (intent: Intent, kind: AutoscaleDecision['kind'], reason: string) => void
}

/** A sample of each second says what is open: before the next one nothing is known. */
const QUIET_MS = 3_000
/** A token outlives the wait for the engine, and not by much. */
const TOKEN_SPARE_MS = 60_000
/** A driver that says nothing for so long has failed. */
const STEP_MS = 120_000

export class Life {
  readonly #options: LifeOptions
  /** When this controller started it, as long as it was not seen to be up since. */
  readonly #ensuredAtMs = new Map<string, number>()
  readonly #awaySinceMs = new Map<string, number>()
  readonly #emptySinceMs = new Map<string, number>()
  #enginesAt = -1
  #engines: ReadonlyMap<string, string> = new Map()

  constructor(options: LifeOptions) {
    this.#options = options
  }

  /** Uuid of the engine that joined as this one. */
  engineOf(name: string): string | undefined {
    const { store } = this.#options
    if (this.#enginesAt !== store.revision()) {
      this.#enginesAt = store.revision()
      this.#engines = new Map(
        store
          .list('serviceengine')
          .flatMap(({ uuid, body }) => (typeof body['engine_intent'] === 'string' ? [[body['engine_intent'], uuid]] : []))
      )
    }
    return this.#engines.get(name)
  }

  /** It joined, and was away for the time that it has to join. */
  isLost(intent: Intent): boolean {
    const { clock, driverOf } = this.#options
    if ((intent.state !== 'JOINED' && intent.state !== 'DRAINING') || this.#isConnected(intent.name)) {
      this.#awaySinceMs.delete(intent.name)
      return false
    }
    const since = this.#awaySinceMs.get(intent.name) ?? clock.nowMs()
    this.#awaySinceMs.set(intent.name, since)
    return clock.nowMs() - since >= (driverOf(intent)?.settings.join_timeout ?? Infinity) * 1_000
  }

  servicesOn(name: string): number {
    return this.#runtime(name)?.virtualservices.length ?? 0
  }

  #runtime(name: string) {
    const engine = this.engineOf(name)
    return engine === undefined ? undefined : this.#options.fleet.engineRuntime(engine)
  }

  #isConnected(name: string): boolean {
    return this.#runtime(name)?.connected === true
  }

  /** What is to be done for it now; undefined: nothing. */
  step(intent: Intent, stopped: AbortSignal): Promise<void> | undefined {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(STEP_MS)])
    if (this.#options.isDriverGone(intent) && (intent.state === 'WANTED' || intent.state === 'JOINING')) {
      this.#move(intent, { state: 'DESTROYING' })
      return undefined
    }
    switch (intent.state) {
      case 'WANTED':
        return this.#make(intent)
      case 'JOINING':
        return this.#await(intent, signal)
      case 'JOINED':
        return this.#keep(intent, signal)
      case 'DRAINING':
        return this.#drain(intent)
      case 'DESTROYING':
        return this.#destroy(intent, signal)
    }
  }

  /** Unless it was decided otherwise while the step was under way. */
  #move(intent: Intent, more: Partial<Intent>): Intent | undefined {
    const { clock, intents } = this.#options
    if (intents.get(intent.name)?.state !== intent.state) return undefined
    return intents.set({ ...intent, sinceEpochMs: Math.round(clock.nowEpochMs()), failures: 0, nextTryEpochMs: 0, ...more })
  }

  #groupOf({ group }: Intent): string {
    return this.#options.store.get('serviceenginegroup', group)?.name ?? ''
  }

  #driver(intent: Intent): DriverNow {
    const now = this.#options.driverOf(intent)
    if (now === undefined) throw new DriverFailed(`its cloud has no driver of type ${intent.type} that works`)
    return now
  }

  async #make(intent: Intent): Promise<void> {
    const { clock, seal, authority, randomBytes, store, intents } = this.#options
    const { driver, settings } = this.#driver(intent)
    let host: string | null = intent.host
    if (driver.pick !== undefined && host === null) {
      const taken = intents.all.flatMap(other => (other.cloud === intent.cloud && other.host !== null ? [other.host] : []))
      host = driver.pick(taken) ?? null
      if (host === null) throw new DriverFailed('no host is free')
    }
    const isFresh = intent.token !== null && intent.token.expiresAtEpochMs > clock.nowEpochMs() + settings.join_timeout * 1_000
    const expiresAtEpochMs = Math.round(clock.nowEpochMs() + settings.join_timeout * 1_000 + TOKEN_SPARE_MS)
    const mint = (): string => mintJoinToken({ caFingerprint: authority.caFingerprint, expiresAtEpochMs, uses: 1, randomBytes }).token
    // The row before the resource: a token that nobody knows of would stay.
    const token = isFresh ? intent.token! : { uuid: `jointoken-${randomUUID()}`, sealed: seal.seal(mint()), expiresAtEpochMs }
    const written = intents.set({ ...intent, token, host })
    if (!isFresh) await this.#removeToken(intent)
    if (store.get('jointoken', token.uuid) === undefined) {
      const secret = parseJoinToken(seal.open(token.sealed))?.secret ?? ''
      await this.#apply(intent, `engine ${intent.name} is made`, {
        op: 'create',
        kind: 'jointoken',
        uuid: token.uuid,
        body: { name: `engine ${intent.name}`, se_group_ref: intent.group, uses: 1 },
        serverFields: { ...joinTokenFields({ secret, expiresAtEpochMs: token.expiresAtEpochMs, uses: 1 }), engine_intent: intent.name }
      })
    }
    this.#ensuredAtMs.delete(intent.name)
    this.#move(written, { state: 'JOINING', failures: intent.failures })
  }

  #await(intent: Intent, signal: AbortSignal): Promise<void> | undefined {
    const { clock } = this.#options
    const { settings } = this.#driver(intent)
    if (this.#isConnected(intent.name)) return this.#welcome(intent)
    if (clock.nowEpochMs() - intent.sinceEpochMs >= settings.join_timeout * 1_000) return this.#giveUpJoin(intent, signal)
    return this.#ensure(intent, signal, intent.token)
  }

  async #welcome(intent: Intent): Promise<void> {
    await this.#removeToken(intent)
    const moved = this.#move(intent, { state: 'JOINED', token: null, lastFailure: null })
    if (moved !== undefined) this.#options.told(moved, 'COMPLETED', 'it joined')
  }

  /** Made anew under the same name; what there is of it goes first. */
  async #giveUpJoin(intent: Intent, signal: AbortSignal): Promise<void> {
    const { driver, settings } = this.#driver(intent)
    await driver.destroy({ name: intent.name, group: this.#groupOf(intent), ...hostOf(intent), signal })
    await this.#removeEngine(intent, 'it did not come up')
    await this.#removeToken(intent)
    if (this.#move(intent, { state: 'WANTED', token: null, host: null, failures: intent.failures }) === undefined) return
    throw new DriverFailed(`it did not join within ${settings.join_timeout} s`)
  }

  #keep(intent: Intent, signal: AbortSignal): Promise<void> | undefined {
    const { driverOf, intents } = this.#options
    if (this.engineOf(intent.name) === undefined) {
      this.#move(intent, { state: 'DESTROYING' })
      return undefined
    }
    if (this.#isConnected(intent.name)) {
      this.#ensuredAtMs.delete(intent.name)
      if (intent.isDrained) return this.#enable(intent)
      if (intent.failures > 0) intents.set({ ...intent, failures: 0, nextTryEpochMs: 0, lastFailure: null })
      return undefined
    }
    // Only what certainly does not run is started again.
    const now = driverOf(intent)
    return now?.running !== undefined && now.running.get(intent.name) !== true ? this.#ensure(intent, signal, null) : undefined
  }

  #ensure(intent: Intent, signal: AbortSignal, token: Intent['token']): Promise<void> | undefined {
    const { seal, ownUrl, clock } = this.#options
    const { driver, settings, running, listedAtMs } = this.#driver(intent)
    const ensuredAtMs = this.#ensuredAtMs.get(intent.name)
    if (ensuredAtMs !== undefined) {
      // Seen not to run after it was started: once more, later each time.
      if (running === undefined || listedAtMs <= ensuredAtMs || running.get(intent.name) === true) return undefined
      this.#ensuredAtMs.delete(intent.name)
      return Promise.reject(new DriverFailed('it ended soon after it was started'))
    }
    const controllerUrl = (settings.controller_url ?? '') === '' ? ownUrl() : settings.controller_url!
    return driver
      .ensure({
        name: intent.name,
        group: this.#groupOf(intent),
        controllerUrl,
        ...(token === null ? {} : { token: seal.open(token.sealed) }),
        ...hostOf(intent),
        signal
      })
      .then(() => void this.#ensuredAtMs.set(intent.name, clock.nowMs()))
  }

  #drain(intent: Intent): Promise<void> | undefined {
    const { store, clock, intents } = this.#options
    const uuid = this.engineOf(intent.name)
    const runtime = this.#runtime(intent.name)
    if (uuid === undefined || runtime === undefined || !runtime.connected) {
      this.#move(intent, { state: 'DESTROYING' })
      return undefined
    }
    if (!intent.isDrained) intents.set({ ...intent, isDrained: true })
    if (store.get('serviceengine', uuid)?.body['enable_state'] !== 'SE_STATE_DISABLED')
      return this.#setEnabled(intent, uuid, 'SE_STATE_DISABLED')
    const isEmpty = runtime.virtualservices.length === 0 && runtime.running_revision === runtime.wanted_revision
    if (!isEmpty) {
      this.#emptySinceMs.delete(intent.name)
      return undefined
    }
    const since = this.#emptySinceMs.get(intent.name) ?? clock.nowMs()
    this.#emptySinceMs.set(intent.name, since)
    const emptyMs = clock.nowMs() - since
    const group = store.get('serviceenginegroup', intent.group)
    const graceMs = (group === undefined ? 0 : filled('serviceenginegroup', group.body).vs_scalein_timeout) * 1_000
    if (emptyMs < QUIET_MS || (runtime.live.open_connections > 0 && emptyMs < graceMs)) return undefined
    this.#emptySinceMs.delete(intent.name)
    this.#move(intent, { state: 'DESTROYING' })
    return undefined
  }

  /** Wanted after all. */
  async #enable(intent: Intent): Promise<void> {
    const uuid = this.engineOf(intent.name)
    if (uuid !== undefined) await this.#setEnabled(intent, uuid, 'SE_STATE_ENABLED')
    this.#move(intent, { isDrained: false, sinceEpochMs: intent.sinceEpochMs })
  }

  async #setEnabled(intent: Intent, uuid: string, state: 'SE_STATE_ENABLED' | 'SE_STATE_DISABLED'): Promise<void> {
    const patch = { replace: { enable_state: state } }
    const reason = state === 'SE_STATE_DISABLED' ? `engine ${intent.name} drains` : `engine ${intent.name} stays`
    await this.#apply(intent, reason, { op: 'patch', kind: 'serviceengine', uuid, patch })
  }

  async #destroy(intent: Intent, signal: AbortSignal): Promise<void> {
    const { intents, told, isDriverGone } = this.#options
    const isLeft = isDriverGone(intent)
    const uuid = this.engineOf(intent.name)
    // One that was lost may come back before it can be reached: nothing goes to it any more.
    if (uuid !== undefined) await this.#setEnabled(intent, uuid, 'SE_STATE_DISABLED')
    // An engine that still serves is not given up for want of somebody who stops it.
    if (!isLeft || this.engineOf(intent.name) !== undefined)
      await this.#driver(intent).driver.destroy({ name: intent.name, group: this.#groupOf(intent), ...hostOf(intent), signal })
    await this.#removeEngine(intent, 'it is no longer wanted')
    await this.#removeToken(intent)
    // Last: as long as there is anything of it, somebody knows.
    intents.delete(intent.name)
    for (const known of [this.#awaySinceMs, this.#emptySinceMs, this.#ensuredAtMs]) known.delete(intent.name)
    if (isLeft)
      told(intent, 'FAILED', `its cloud has no driver of type ${intent.type} any more: what is left of it must be removed by hand`)
    else told(intent, 'REMOVED', 'it is gone')
  }

  async #removeEngine(intent: Intent, reason: string): Promise<void> {
    const uuid = this.engineOf(intent.name)
    if (uuid !== undefined) await this.#apply(intent, reason, { op: 'delete', kind: 'serviceengine', uuid })
  }

  async #removeToken(intent: Intent): Promise<void> {
    const uuid = intent.token?.uuid
    if (uuid !== undefined && this.#options.store.get('jointoken', uuid) !== undefined)
      await this.#apply(intent, `engine ${intent.name} needs it no longer`, { op: 'delete', kind: 'jointoken', uuid })
  }

  async #apply(intent: Intent, reason: string, write: Write): Promise<void> {
    const { change, actor, store } = this.#options
    const tenant = store.get('serviceenginegroup', intent.group)?.tenant ?? ''
    try {
      await change.apply({ actor, tenant, reason, writes: [write] })
    } catch (error) {
      // Somebody deleted it meanwhile: that is what was wanted.
      if (error instanceof ChangeRefused && error.code === 'NOT_FOUND' && write.op === 'delete') return
      throw error instanceof ChangeRefused ? new DriverFailed(error.message, { cause: error }) : error
    }
  }
}

const hostOf = ({ host }: Intent): { readonly host?: string } => (host === null ? {} : { host })
