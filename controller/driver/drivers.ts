/**
 * Follows what groups want of engines: each look decides for every group whose cloud has a driver, writes intents down, and carries
 * every intent one step further (`life.ts`). Nothing here waits: what takes time runs beside, one step of an engine at a time.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { AutoscaleDecision } from '#model/resource/autoscale.ts'
import { filled } from '#model/resource/catalogue.ts'
import type { EngineDriverSettings } from '#model/resource/cloud.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { ScaleSubject } from '#controller/scale/port.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { decide, type IntentNow } from './decide.ts'
import { backoffMs, Intents, intentView, type Intent } from './intent.ts'
import { Life, type LifeOptions } from './life.ts'
import { DriverFailed, type Driver, type DriversPort } from './port.ts'

export interface DriversOptions extends Omit<LifeOptions, 'intents' | 'driverOf' | 'isDriverGone' | 'told'> {
  readonly store: Store
  /** Makes the driver of a cloud. Throws DriverFailed when it cannot be. */
  readonly makeDriver: (settings: EngineDriverSettings) => Driver
  /** Engines that a group should have; undefined while nothing is known. */
  readonly wantedOf: (group: string) => number | undefined
  /** Engines that are up and take services. */
  readonly sites: () => readonly { readonly uuid: string; readonly group: string }[]
  readonly note: (subject: ScaleSubject & { readonly name: string }, decision: Omit<AutoscaleDecision, 'at'>) => void
  readonly clock: Clock
  readonly log: Log
}

/** What is known of the driver of one cloud. */
interface Known {
  readonly key: string
  readonly settings: EngineDriverSettings
  readonly driver: Driver | undefined
  problem: string | null
  running: ReadonlyMap<string, boolean> | undefined
  strangers: readonly string[]
  /** When the last listing began; -Infinity before the first. */
  listedAtMs: number
  isListing: boolean
}

const LOOK_MS = 1_000
const LIST_MS = 5_000
const LIST_TIMEOUT_MS = 30_000
const STEPS_AT_ONCE = 8

export function openDrivers(options: DriversOptions): DriversPort & { readonly stop: () => Promise<void> } {
  const { store, clock, log } = options
  const intents = new Intents(store)
  const known = new Map<string, Known>()
  const busy = new Map<string, Promise<void>>()
  const ending = new AbortController()
  const life = new Life({
    ...options,
    intents,
    driverOf: ({ cloud, type }) => ofType(known.get(cloud), type),
    isDriverGone: ({ cloud, type }) => known.get(cloud)?.settings.type !== type,
    told
  })

  function ofType(of: Known | undefined, type: string) {
    if (of?.driver === undefined || of.settings.type !== type) return undefined
    return { driver: of.driver, settings: of.settings, running: of.running, listedAtMs: of.listedAtMs }
  }

  function told(intent: Intent, kind: AutoscaleDecision['kind'], reason: string): void {
    const name = store.get('serviceenginegroup', intent.group)?.name ?? intent.group
    const count = sitesOf(intent.group).length
    options.note(
      { kind: 'serviceenginegroup', uuid: intent.group, name },
      { kind, cause: 'load', before: count, after: count, reasons: [`engine ${intent.name}: ${reason}`], figures: null }
    )
  }

  const sitesOf = (group: string) => options.sites().filter(site => site.group === group)
  const cloudOf = (group: StoredResource): string | undefined => {
    const ref = group.body['cloud_ref']
    return typeof ref === 'string' ? ref : store.findByName('cloud', ADMIN_TENANT, 'Default-Cloud')?.uuid
  }

  function knownOf(groupUuid: string): Known | undefined {
    const group = known.size === 0 ? undefined : store.get('serviceenginegroup', groupUuid)
    const cloud = group === undefined ? undefined : cloudOf(group)
    return cloud === undefined ? undefined : known.get(cloud)
  }

  /** Drivers as the clouds say now; one whose settings changed is made anew. */
  function followClouds(): void {
    const seen = new Set<string>()
    for (const { uuid, body } of store.list('cloud')) {
      const settings = body['engine_driver'] === undefined ? undefined : filled('cloud', body).engine_driver
      if (settings === undefined) continue
      seen.add(uuid)
      const key = JSON.stringify(settings)
      if (known.get(uuid)?.key === key) continue
      const made: Known = { ...open(settings), key, settings, running: undefined, strangers: [], listedAtMs: -Infinity, isListing: false }
      known.set(uuid, made)
    }
    for (const uuid of known.keys()) if (!seen.has(uuid)) known.delete(uuid)
  }

  function open(settings: EngineDriverSettings): Pick<Known, 'driver' | 'problem'> {
    try {
      return { driver: options.makeDriver(settings), problem: null }
    } catch (error) {
      if (!(error instanceof DriverFailed)) throw error
      return { driver: undefined, problem: error.message }
    }
  }

  /** Asks each driver what runs; an engine that should and does not is started again, one that nobody asked for is told. */
  function listAll(): void {
    for (const [cloud, of] of known) {
      if (of.driver === undefined || of.isListing || clock.nowMs() - of.listedAtMs < LIST_MS) continue
      of.isListing = true
      const startedAtMs = clock.nowMs()
      const before = new Set(intents.all.map(({ name }) => name))
      void of.driver
        .list(AbortSignal.any([ending.signal, AbortSignal.timeout(LIST_TIMEOUT_MS)]))
        .then(instances => {
          of.problem = null
          of.listedAtMs = startedAtMs
          of.running = instances === undefined ? undefined : new Map(instances.map(({ name, isRunning }) => [name, isRunning]))
          const strangers = (instances ?? []).flatMap(({ name }) => (before.has(name) || intents.get(name) !== undefined ? [] : [name]))
          if (strangers.join() !== of.strangers.join() && strangers.length > 0)
            log.warn('a driver runs engines that nobody asked for', { cloud, names: strangers })
          of.strangers = strangers
        })
        .catch((error: unknown) => {
          if (ending.signal.aborted) return
          const problem = inWords(error)
          if (of.problem !== problem) log.warn('a driver does not say what it runs', { cloud, problem })
          of.problem = problem
          of.running = undefined
        })
        .finally(() => {
          of.isListing = false
          // One that fails is asked no more often than one that answers.
          of.listedAtMs = Math.max(of.listedAtMs, startedAtMs)
        })
    }
  }

  function decideAll(): void {
    const byGroup = Map.groupBy(intents.all, ({ group }) => group)
    const made = new Map<string, number>()
    for (const { cloud } of intents.all) made.set(cloud, (made.get(cloud) ?? 0) + 1)
    const sites = Map.groupBy(options.sites(), ({ group }) => group)
    for (const group of store.list('serviceenginegroup')) {
      const cloud = cloudOf(group)
      const of = cloud === undefined ? undefined : known.get(cloud)
      const wanted = options.wantedOf(group.uuid)
      if (cloud === undefined || of?.driver === undefined || wanted === undefined) continue
      // One whose driver is gone cannot be carried on, and is not counted on.
      const own = (byGroup.get(group.uuid) ?? []).filter(
        intent => life.engineOf(intent.name) !== undefined || intent.type === of.settings.type
      )
      const engines = new Set(own.map(({ name }) => life.engineOf(name)))
      const others = (sites.get(group.uuid) ?? []).filter(({ uuid }) => !engines.has(uuid)).length
      const now = own.map((intent): IntentNow => ({ ...intent, isLost: life.isLost(intent), services: life.servicesOn(intent.name) }))
      const room = of.settings.max_engines - (made.get(cloud) ?? 0)
      const { max_se: most } = filled('serviceenginegroup', group.body)
      const orders = decide({ wanted, most, room, others, intents: now })
      for (let i = 0; i < orders.create; i++)
        told(want(group, cloud, of.settings.type), 'ASKED', `${wanted} are wanted, ${others + own.length + i} are there or on their way`)
      made.set(cloud, (made.get(cloud) ?? 0) + orders.create)
      for (const name of orders.keep) move(name, 'JOINED')
      for (const name of orders.drain) told(move(name, 'DRAINING'), 'DRAINING', `${wanted} are wanted, and others carry less`)
      for (const name of orders.giveUp) move(name, 'DESTROYING')
    }
  }

  function want(group: StoredResource, cloud: string, type: string): Intent {
    const slug =
      group.name
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-+|-+$/g, '')
        .slice(0, 40)
        .replace(/-+$/, '') || 'engine'
    let name: string
    do name = `${slug}-${Buffer.from(options.randomBytes(3)).toString('hex')}`
    while (intents.get(name) !== undefined)
    const now = Math.round(clock.nowEpochMs())
    return intents.set({
      name,
      group: group.uuid,
      cloud,
      type,
      state: 'WANTED',
      sinceEpochMs: now,
      madeAtEpochMs: now,
      failures: 0,
      nextTryEpochMs: 0,
      lastFailure: null,
      token: null,
      host: null,
      isDrained: false
    })
  }

  function move(name: string, state: Intent['state']): Intent {
    return intents.set({ ...intents.get(name)!, state, sinceEpochMs: Math.round(clock.nowEpochMs()), failures: 0, nextTryEpochMs: 0 })
  }

  function stepAll(): void {
    const now = clock.nowEpochMs()
    for (const intent of intents.all) {
      if (busy.size >= STEPS_AT_ONCE) return
      if (busy.has(intent.name) || intent.nextTryEpochMs > now) continue
      const step = life.step(intent, ending.signal)
      if (step === undefined) continue
      busy.set(
        intent.name,
        step
          .catch((error: unknown) => {
            if (!ending.signal.aborted) failed(intent.name, error)
          })
          .finally(() => busy.delete(intent.name))
      )
    }
  }

  function failed(name: string, error: unknown): void {
    const intent = intents.get(name)
    if (intent === undefined) return
    const reason = inWords(error)
    const failures = intent.failures + 1
    const now = Math.round(clock.nowEpochMs())
    intents.set({ ...intent, failures, nextTryEpochMs: now + backoffMs(failures), lastFailure: { atEpochMs: now, reason } })
    if (!(error instanceof DriverFailed)) log.error('an engine could not be made', { engine: name, error })
    told(intent, 'FAILED', `${reason}; tried again in ${Math.round(backoffMs(failures) / 1_000)} s`)
  }

  const look = (): void => {
    try {
      followClouds()
      listAll()
      decideAll()
      stepAll()
    } catch (error) {
      log.error('the drivers of engines failed', { error })
    }
  }
  const stopLooking = clock.every(LOOK_MS, look)

  return {
    ofGroup: uuid => {
      const of = knownOf(uuid)
      const now = clock.nowEpochMs()
      return {
        driver: of?.settings.type ?? null,
        problem: of?.problem ?? null,
        making: intents.all.flatMap(intent => (intent.group === uuid ? [intentView(intent, life.engineOf(intent.name), now)] : [])),
        strangers: of?.strangers ?? []
      }
    },
    comingTo: group => {
      const up = new Set(sitesOf(group).map(({ uuid }) => uuid))
      return intents.all.filter(intent => {
        if (intent.group !== group) return false
        if (intent.state === 'WANTED' || intent.state === 'JOINING') return !up.has(life.engineOf(intent.name) ?? '')
        return intent.state === 'JOINED' && !life.isLost(intent) && !up.has(life.engineOf(intent.name) ?? '')
      }).length
    },
    isOnOneHost: group => ['PROCESS', 'CONTAINER'].includes(knownOf(group)?.settings.type ?? ''),
    retry: group => {
      for (const intent of intents.all)
        if (intent.group === group && intent.nextTryEpochMs > 0) intents.set({ ...intent, nextTryEpochMs: 0 })
      look()
    },
    stop: async () => {
      stopLooking()
      ending.abort()
      await Promise.all(busy.values())
    }
  }
}

const inWords = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 1_000)
