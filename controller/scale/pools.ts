/**
 * Servers of pools. More are asked for by a webhook, and seen when somebody adds them to the pool; fewer are disabled first, drain, are taken out of
 * the pool, and then the webhook is told that they may go. What was begun lies in a table before it is done.
 *
 *   idle --more wanted--> asked --as many as asked for--> idle (COMPLETED); too late: idle (FAILED)
 *   idle --fewer do--> draining --no connection left, or grace over--> idle (REMOVED); more wanted meanwhile: enabled again
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { AutoscaleDecision, AutoscaleView } from '#model/resource/autoscale.ts'
import { filled, type FilledKind, type WrittenKind } from '#model/resource/catalogue.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import type { FilledServerAutoScalePolicy } from '#model/resource/serverautoscalepolicy.ts'
import { ChangeRefused, type ChangeOrder, type ChangeResult } from '#controller/change/order.ts'
import type { FleetPort } from '#controller/fleet/port.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import type { TelemetryPort } from '#controller/telemetry/port.ts'
import type { Webhooks } from '#controller/webhook/webhook.ts'
import { decide, type Decision, type LoadSample, type ScaleMemory } from './decide.ts'
import type { Journal } from './journal.ts'
import type { Outlook } from './outlook.ts'
import { poolSettings, scheduleAt } from './pool.ts'
import { ScaleRefused } from './port.ts'

export interface PoolScalingOptions {
  readonly store: Store
  readonly change: { readonly apply: (order: ChangeOrder) => Promise<ChangeResult> }
  readonly actor: ChangeOrder['actor']
  readonly poolRuntime: FleetPort['poolRuntime']
  readonly telemetry: Pick<TelemetryPort, 'live'>
  readonly webhooks: Pick<Webhooks, 'tell'>
  readonly journal: Journal
  readonly outlook: Outlook
  readonly clock: Clock
  readonly log: Log
}

type Server = NonNullable<FilledKind['pool']['servers']>[number]
type WrittenServer = NonNullable<WrittenKind['pool']['servers']>[number]

interface Row {
  /** What the webhook was asked for and has not brought yet. */
  readonly asked?: {
    readonly id: string
    readonly wanted: number
    readonly atEpochMs: number
    readonly isTold: boolean
    readonly message: JsonObject
  }
  /** Keys of servers that drain. */
  readonly draining?: {
    readonly servers: readonly string[]
    readonly sinceEpochMs: number
    readonly reasons: readonly string[]
    /** Drained: these leave the pool now, and the webhook is told. */
    readonly removing?: readonly WrittenServer[]
  }
}

/** Whoever makes servers has so long; then it is asked anew when they are still wanted. */
const ASKED_MS = 10 * 60_000
/** Engines have heard by then that a server is disabled, and told what it still has. */
const MIN_DRAIN_MS = 5_000

interface Followed {
  memory: ScaleMemory | undefined
  last: Decision | undefined
  schedule: { readonly minute: number; readonly found: ReturnType<typeof scheduleAt> } | undefined
}

const keyOf = ({ ip, port = 0, unix_path: path = '' }: WrittenServer): string => `${ip.addr} ${port} ${path}`

export class PoolScaling {
  readonly #options: PoolScalingOptions
  readonly #table
  readonly #rows: Map<string, Row>
  readonly #followed = new Map<string, Followed>()
  /** Pools that are being written right now. */
  readonly #busy = new Set<string>()
  #count = 0

  constructor(options: PoolScalingOptions) {
    this.#options = options
    this.#table = options.store.table<Row>('scale-pool')
    this.#rows = new Map(this.#table.entries())
  }

  look(): void {
    const { store, outlook } = this.#options
    const seen = new Set<string>()
    for (const stored of store.list('pool')) {
      const policyUuid = stored.body['autoscale_policy_ref']
      const policy = typeof policyUuid === 'string' ? store.get('serverautoscalepolicy', policyUuid) : undefined
      if (policy === undefined) continue
      seen.add(stored.uuid)
      if (!this.#busy.has(stored.uuid)) this.#lookAt(stored, filled('serverautoscalepolicy', policy.body))
    }
    for (const uuid of this.#followed.keys()) {
      if (seen.has(uuid)) continue
      this.#followed.delete(uuid)
      outlook.forget(uuid)
    }
    for (const uuid of this.#rows.keys()) if (!seen.has(uuid)) this.#set(uuid, {})
  }

  ofPool(uuid: string): AutoscaleView {
    const { journal, outlook } = this.#options
    const followed = this.#followed.get(uuid)
    return {
      enabled: followed !== undefined,
      now: followed?.last?.figures ?? null,
      forecast: outlook.view(uuid),
      decisions: journal.of(uuid)
    }
  }

  async scale(uuid: string, way: 'out' | 'in', by: string, reason = ''): Promise<AutoscaleView> {
    const { store } = this.#options
    const stored = store.get('pool', uuid)
    const policyUuid = stored?.body['autoscale_policy_ref']
    const policyOf = typeof policyUuid === 'string' ? store.get('serverautoscalepolicy', policyUuid) : undefined
    if (stored === undefined || policyOf === undefined) throw new ScaleRefused('the pool has no autoscale_policy_ref')
    const policy = filled('serverautoscalepolicy', policyOf.body)
    const enabled = serversOf(stored).filter(server => server.enabled).length
    const row = this.#rows.get(uuid)
    if (policy.webhook_ref === undefined) throw new ScaleRefused(noWebhook)
    if (this.#busy.has(uuid) || row?.draining !== undefined) throw new ScaleRefused('servers of the pool drain: wait for them')
    if (row?.asked !== undefined) throw new ScaleRefused(`${row.asked.wanted} servers were asked for already`)
    const reasons = [`asked for by ${by}${reason === '' ? '' : `: ${reason}`}`]
    const said = { cause: 'request' as const, reasons, figures: this.#followed.get(uuid)?.last?.figures ?? null }
    if (way === 'out') {
      if (enabled >= policy.max_size) throw new ScaleRefused(`there are ${enabled} servers, and max_size is ${policy.max_size}`)
      this.#ask(stored, policy, enabled, enabled + 1, said)
    } else {
      if (enabled <= policy.min_size) throw new ScaleRefused(`there are ${enabled} servers, and min_size is ${policy.min_size}`)
      this.#busy.add(uuid)
      try {
        await this.#drain(stored, enabled, enabled - 1, said)
      } finally {
        this.#busy.delete(uuid)
      }
    }
    return this.ofPool(uuid)
  }

  #set(uuid: string, row: Row): void {
    if (row.asked === undefined && row.draining === undefined) {
      this.#rows.delete(uuid)
      this.#table.delete(uuid)
    } else {
      this.#rows.set(uuid, row)
      this.#table.set(uuid, row)
    }
  }

  #lookAt(stored: StoredResource, policy: FilledServerAutoScalePolicy): void {
    const { clock, outlook, telemetry, journal } = this.#options
    const { uuid } = stored
    const followed = this.#followed.get(uuid) ?? { memory: undefined, last: undefined, schedule: undefined }
    this.#followed.set(uuid, followed)
    const enabled = serversOf(stored).filter(server => server.enabled).length
    const live = telemetry.live(uuid)
    const sample: LoadSample = {
      engines: enabled,
      cpuRatio: undefined,
      isCpuOwn: false,
      connections: live.open_connections,
      requestsPerS: live.requests_per_s,
      bytesPerS: live.bytes_in_per_s + live.bytes_out_per_s,
      latencyMs: live.latency_p95_ms ?? undefined
    }
    const settings = poolSettings(policy, this.#scheduleOf(followed, policy))
    const aheadMs = policy.predictive_ahead * 60_000
    const expected = policy.use_predicted_load ? outlook.within(uuid, aheadMs) : undefined
    // Of a pool that no engine runs nothing is known: it keeps its servers, and gets those that it is to have at least.
    const isKnown = live.at !== null
    const decision = decide(
      sample,
      isKnown ? settings : { ...settings, inDelayMs: Number.POSITIVE_INFINITY },
      followed.memory,
      clock.nowMs(),
      expected === undefined ? undefined : { demand: expected, aheadMs }
    )
    followed.memory = decision.memory
    followed.last = decision
    if (policy.use_predicted_load && isKnown) outlook.note(uuid, decision.memory.ownDemand)
    this.#goOn(stored, policy, enabled)
    if (decision.is === 'stay') return
    const { cause, reasons, figures } = decision
    const said = { cause, reasons, figures }
    if (policy.webhook_ref === undefined) {
      const held = { ...said, kind: 'HELD' as const, before: enabled, after: enabled, reasons: [...reasons, noWebhook] }
      return journal.add({ kind: 'pool', uuid, name: stored.name }, held)
    }
    const row = this.#rows.get(uuid)
    if (decision.is === 'in') {
      if (row === undefined) this.#run(uuid, () => this.#drain(stored, enabled, decision.wanted, said))
    } else if (row?.draining !== undefined) this.#run(uuid, () => this.#comeBack(stored, enabled, said))
    else if (row?.asked === undefined || decision.wanted > row.asked.wanted) this.#ask(stored, policy, enabled, decision.wanted, said)
  }

  #scheduleOf(followed: Followed, policy: FilledServerAutoScalePolicy): ReturnType<typeof scheduleAt> {
    if (policy.scheduled_scalings === undefined) return undefined
    const now = this.#options.clock.nowEpochMs()
    const minute = Math.floor(now / 60_000)
    if (followed.schedule?.minute !== minute) followed.schedule = { minute, found: scheduleAt(policy, now) }
    return followed.schedule.found
  }

  /** What was begun: told again after a crash, completed, given up, drained. */
  #goOn(stored: StoredResource, policy: FilledServerAutoScalePolicy, enabled: number): void {
    const { clock, journal } = this.#options
    const { uuid, name } = stored
    const row = this.#rows.get(uuid)
    const now = clock.nowEpochMs()
    if (row?.asked !== undefined) {
      const { wanted, atEpochMs, isTold } = row.asked
      const subject = { kind: 'pool' as const, uuid, name }
      if (!isTold) this.#tell(uuid, policy)
      if (enabled >= wanted) {
        this.#set(uuid, {})
        const took = `after ${Math.round((now - atEpochMs) / 1_000)} s`
        journal.add(subject, { kind: 'COMPLETED', cause: 'request', before: enabled, after: enabled, reasons: [took], figures: null })
      } else if (now - atEpochMs > ASKED_MS) {
        this.#set(uuid, {})
        const reasons = [`${wanted} servers were asked for, and there are ${enabled} after ${ASKED_MS / 60_000} min`]
        journal.add(subject, { kind: 'FAILED', cause: 'request', before: enabled, after: enabled, reasons, figures: null })
      }
    } else if (row?.draining !== undefined && this.#isDrained(stored, row.draining))
      this.#run(uuid, () => this.#remove(stored, policy, enabled))
  }

  /** One write of a pool at a time; who was faster is respected, and it is looked at again. */
  #run(uuid: string, work: () => Promise<void>): void {
    const { log } = this.#options
    this.#busy.add(uuid)
    work()
      .catch((error: unknown) => {
        if (!(error instanceof ChangeRefused)) return log.error('scaling a pool failed', { pool: uuid, error })
        log.warn('a pool could not be changed', { pool: uuid, problem: error.message })
      })
      .finally(() => this.#busy.delete(uuid))
  }

  #ask(stored: StoredResource, policy: FilledServerAutoScalePolicy, before: number, wanted: number, said: Said): void {
    const { clock, journal } = this.#options
    const { uuid, name } = stored
    const atEpochMs = Math.round(clock.nowEpochMs())
    const id = `${uuid}-${atEpochMs}-${++this.#count}`
    const message = {
      event: 'pool.scaleout',
      id,
      pool: { uuid, name },
      servers: before,
      wanted,
      add: wanted - before,
      reasons: said.reasons
    }
    this.#set(uuid, { asked: { id, wanted, atEpochMs, isTold: false, message } })
    journal.add({ kind: 'pool', uuid, name }, { ...said, kind: 'ASKED', before, after: wanted })
    this.#tell(uuid, policy)
  }

  #tell(uuid: string, policy: FilledServerAutoScalePolicy): void {
    const row = this.#rows.get(uuid)
    if (row?.asked === undefined || policy.webhook_ref === undefined) return
    this.#options.webhooks.tell(policy.webhook_ref, row.asked.message)
    this.#set(uuid, { asked: { ...row.asked, isTold: true } })
  }

  /** The servers that came last go first. */
  async #drain(stored: StoredResource, before: number, left: number, said: Said): Promise<void> {
    const { clock, journal } = this.#options
    const { uuid, name } = stored
    const leaving = serversOf(stored)
      .filter(server => server.enabled)
      .slice(left)
      .map(keyOf)
    if (leaving.length === 0) return
    this.#set(uuid, { draining: { servers: leaving, sinceEpochMs: Math.round(clock.nowEpochMs()), reasons: said.reasons } })
    try {
      await this.#write(stored, 'fewer servers carry the load: these drain', servers =>
        servers.map(server => (leaving.includes(keyOf(server)) ? { ...server, enabled: false } : server))
      )
    } catch (error) {
      this.#set(uuid, {})
      throw error
    }
    journal.add({ kind: 'pool', uuid, name }, { ...said, kind: 'DRAINING', before, after: left })
  }

  async #comeBack(stored: StoredResource, before: number, said: Said): Promise<void> {
    const { uuid, name } = stored
    const leaving = this.#rows.get(uuid)?.draining?.servers ?? []
    await this.#write(stored, 'load needs the servers that drain', servers =>
      servers.map(server => (leaving.includes(keyOf(server)) ? { ...server, enabled: true } : server))
    )
    this.#set(uuid, {})
    const reasons = [...said.reasons, 'the servers that drained come back']
    this.#options.journal.add({ kind: 'pool', uuid, name }, { ...said, kind: 'SCALE_OUT', before, after: before + leaving.length, reasons })
  }

  #isDrained(stored: StoredResource, { servers, sinceEpochMs, removing }: NonNullable<Row['draining']>): boolean {
    if (removing !== undefined) return true
    const { clock, poolRuntime } = this.#options
    const sinceMs = clock.nowEpochMs() - sinceEpochMs
    if (sinceMs < MIN_DRAIN_MS) return false
    const { graceful_disable_timeout: graceMin, default_server_port: port } = filled('pool', stored.body)
    if (graceMin >= 0 && sinceMs >= graceMin * 60_000) return true
    const runtime = poolRuntime(stored.uuid)?.servers ?? []
    return serversOf(stored)
      .filter(server => servers.includes(keyOf(server)))
      .every(server => {
        const known = runtime.find(one => one.server === server.ip.addr && one.port === (server.port || port))
        return (known?.live.open_connections ?? 0) === 0
      })
  }

  async #remove(stored: StoredResource, policy: FilledServerAutoScalePolicy, enabled: number): Promise<void> {
    const { journal, webhooks } = this.#options
    const { uuid, name } = stored
    const draining = this.#rows.get(uuid)?.draining
    if (draining === undefined) return
    const here = (stored.body['servers'] ?? []) as readonly WrittenServer[]
    // Who was enabled again meanwhile stays: somebody wants it. What is to go is written down first, so that it is told of whatever happens.
    const isWanted = (server: WrittenServer): boolean => here.some(one => keyOf(one) === keyOf(server) && one.enabled !== false)
    const leaving = draining.removing ?? here.filter(server => draining.servers.includes(keyOf(server)))
    const gone = leaving.filter(server => !isWanted(server))
    this.#set(uuid, { draining: { ...draining, removing: gone } })
    const keys = new Set(gone.map(keyOf))
    if (here.some(server => keys.has(keyOf(server))))
      await this.#write(stored, 'drained, and not needed', servers => servers.filter(server => !keys.has(keyOf(server))))
    if (policy.webhook_ref !== undefined && gone.length > 0) {
      const { reasons } = draining
      webhooks.tell(policy.webhook_ref, { event: 'pool.scalein', pool: { uuid, name }, servers: enabled, removed: gone, reasons })
    }
    this.#set(uuid, {})
    if (gone.length === 0) return
    journal.add(
      { kind: 'pool', uuid, name },
      {
        kind: 'REMOVED',
        cause: 'load',
        before: enabled,
        after: enabled,
        reasons: [`${gone.map(({ ip }) => ip.addr).join(', ')} drained and left the pool`],
        figures: null
      }
    )
  }

  /** `change` gets the servers as they were written, not as they are filled in: nothing but what is decided here changes. */
  async #write(
    stored: StoredResource,
    reason: string,
    change: (servers: readonly WrittenServer[]) => readonly WrittenServer[]
  ): Promise<void> {
    const { actor, change: writer } = this.#options
    const { tenant, uuid, lastModified } = stored
    const servers = change((stored.body['servers'] ?? []) as readonly WrittenServer[])
    const write = { op: 'patch', kind: 'pool', uuid, patch: { replace: { servers } }, expect: { lastModified } } as const
    await writer.apply({ actor, tenant, reason: `scaling by load: ${reason}`, writes: [write] })
  }
}

type Said = Pick<AutoscaleDecision, 'cause' | 'reasons' | 'figures'>

const noWebhook = 'its policy has no webhook_ref: nobody could make or take servers'

function serversOf(stored: StoredResource): readonly Server[] {
  return filled('pool', stored.body).servers ?? []
}
