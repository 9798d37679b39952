/**
 * Limits that several engines share. Engines tell what is asked of each bucket; each interval its budget is divided anew,
 * and engines whose portion changes are told. An engine that is cut off keeps what it has; one that is gone gives it back.
 */
import type { Clock } from '#model/base/clock.ts'
import { LIMIT_INTERVAL_MS } from '#model/message/message.ts'
import type { LimitSample, LimitShare, LimitUse, Sample } from '#model/message/message.ts'
import type { LimitRuntime, QuotaRuntime } from '#model/resource/runtime.ts'
import { divide } from './divide.ts'
import type { Engine } from './roster.ts'

/** Engines that do not say so count for themselves. */
export const SHARES_LIMITS = 'shared-limits'

/** What one interval counts in the demand of now. */
const RECENT = 0.5
/** A change of less than that is not worth a message. */
const WORTH_TELLING = 0.004
/** Buckets that are divided at once; those beyond stay as they started. */
const MAX_BUDGETS = 50_000
/** What an engine says of its share is what we told it last, unless it says so for so long. */
const TRUST_AFTER_MS = 1_000

interface Member {
  share: number
  demand: number
  /** Since the last division. */
  asked: number
  owedMs: number
  owedAtMs: number
  toldAtMs: number
}

interface Budget {
  readonly virtualServiceId: string
  readonly limitId: string
  readonly bucket: number
  readonly members: Map<string, Member>
}

interface Counted {
  readonly sample: LimitSample
  readonly atEpochMs: number
  readonly admittedPerS: number
  readonly refusedPerS: number
}

export interface SharedLimitsOptions {
  readonly clock: Clock
  /** Uuids of the engines that a virtual service is placed on. */
  readonly placedOn: (virtualServiceId: string) => readonly string[]
  readonly engine: (uuid: string) => Engine | undefined
  readonly nameOf: (engine: Engine) => string
}

export class SharedLimits {
  readonly #options: SharedLimitsOptions
  readonly #budgets = new Map<string, Budget>()
  /** Engine -> what its newest sample says of its limits. */
  readonly #counted = new Map<string, Map<string, Counted>>()
  readonly #stop: () => void

  constructor(options: SharedLimitsOptions) {
    this.#options = options
    this.#stop = options.clock.every(LIMIT_INTERVAL_MS, () => this.divideAll())
  }

  /** An engine told what is asked of it. */
  used(engineUuid: string, uses: readonly LimitUse[]): void {
    const nowMs = this.#options.clock.nowMs()
    for (const { virtualServiceId, limitId, bucket, share, asked, owedMs } of uses) {
      const engines = this.#options.placedOn(virtualServiceId)
      if (engines.length < 2 || !engines.includes(engineUuid)) continue
      const key = `${limitId} ${bucket}`
      let budget = this.#budgets.get(key)
      if (budget === undefined) {
        if (this.#budgets.size >= MAX_BUDGETS) continue
        budget = { virtualServiceId, limitId, bucket, members: new Map() }
        this.#budgets.set(key, budget)
      }
      const member = budget.members.get(engineUuid) ?? this.#join(budget, engineUuid, share)
      if (nowMs - member.toldAtMs >= TRUST_AFTER_MS) member.share = share
      member.asked += asked
      member.owedMs = owedMs
      member.owedAtMs = nowMs
    }
  }

  /** A new connection: what the engine has is what it says. */
  connected(engineUuid: string): void {
    for (const { members } of this.#budgets.values()) members.delete(engineUuid)
    this.#counted.delete(engineUuid)
  }

  #join(budget: Budget, engineUuid: string, share: number): Member {
    const { clock } = this.#options
    const member: Member = { share, demand: 0, asked: 0, owedMs: 0, owedAtMs: clock.nowMs(), toldAtMs: -TRUST_AFTER_MS }
    budget.members.set(engineUuid, member)
    return member
  }

  /** Called each interval. */
  divideAll(): void {
    if (this.#budgets.size === 0) return
    const told = new Map<Engine, LimitShare[]>()
    for (const [key, budget] of this.#budgets) if (this.#divide(budget, told) === 'forget') this.#budgets.delete(key)
    for (const [engine, shares] of told) engine.session?.send({ type: 'ShareLimits', shares })
  }

  #divide(budget: Budget, told: Map<Engine, LimitShare[]>): 'keep' | 'forget' {
    const { clock, placedOn, engine: engineOf } = this.#options
    const nowMs = clock.nowMs()
    const engines = placedOn(budget.virtualServiceId).flatMap(uuid => engineOf(uuid) ?? [])
    // One that is silent may still serve: its part stays its own until it counts as gone.
    const holders = engines.filter(engine => engine.isUsable || engine.state === 'OPER_PARTITIONED')
    for (const uuid of budget.members.keys()) if (!holders.some(engine => engine.uuid === uuid)) budget.members.delete(uuid)
    if (holders.length < 2 && engines.length < 2) return 'forget'
    const parts = holders.map(engine => {
      const member = budget.members.get(engine.uuid) ?? this.#join(budget, engine.uuid, 1 / engines.length)
      member.demand += RECENT * (member.asked - member.demand)
      member.asked = 0
      member.owedMs = Math.max(0, member.owedMs - (nowMs - member.owedAtMs))
      member.owedAtMs = nowMs
      return { engine, member }
    })
    const free = parts.filter(({ engine }) => mayBeTold(engine))
    const kept = parts.reduce((sum, { engine, member }) => (mayBeTold(engine) ? sum : sum + member.share), 0)
    if (free.length === 0) return 'keep'
    const budgetLeft = Math.max(0.01, 1 - kept)
    const portions = divide(free.map(({ member }) => member))
    const next = portions.map(({ share }) => share * budgetLeft)
    if (!free.some(({ member }, i) => Math.abs(next[i]! - member.share) > WORTH_TELLING)) return this.#isOver(budget) ? 'forget' : 'keep'
    for (const [i, { engine, member }] of free.entries()) {
      const share = next[i]!
      const { owedMs } = portions[i]!
      if (share > member.share) member.owedMs = (member.share * member.owedMs + (share - member.share) * owedMs) / share
      member.share = share
      member.toldAtMs = nowMs
      const shares = told.get(engine) ?? []
      told.set(engine, shares)
      const { virtualServiceId, limitId, bucket } = budget
      shares.push({ virtualServiceId, limitId, bucket, share, owedMs })
    }
    return 'keep'
  }

  /** All is as it would start: nothing needs to be remembered. */
  #isOver({ members }: Budget): boolean {
    for (const { demand, owedMs } of members.values()) if (demand >= 0.01 || owedMs > 0) return false
    return true
  }

  /** What a sample says of limits. */
  sampled(engineUuid: string, { limits, atEpochMs }: Pick<Sample, 'limits' | 'atEpochMs'>): void {
    if (limits === undefined) return void this.#counted.delete(engineUuid)
    const before = this.#counted.get(engineUuid)
    const now = new Map<string, Counted>()
    for (const sample of limits) {
      const last = before?.get(sample.id)
      const seconds = Math.max(0.2, (atEpochMs - (last?.atEpochMs ?? atEpochMs - 1_000)) / 1_000)
      const perS = (total: number, lastTotal = 0): number => (last === undefined || total < lastTotal ? 0 : (total - lastTotal) / seconds)
      now.set(sample.id, {
        sample,
        atEpochMs,
        admittedPerS: perS(sample.admitted, last?.sample.admitted),
        refusedPerS: perS(sample.refused, last?.sample.refused)
      })
    }
    this.#counted.set(engineUuid, now)
  }

  gone(engineUuid: string): void {
    this.#counted.delete(engineUuid)
  }

  /** How the limits of a virtual service are, over the engines that it is placed on. */
  runtime(virtualServiceId: string, quotas: ReadonlyMap<string, QuotaRuntime>): readonly LimitRuntime[] {
    const { placedOn, engine: engineOf, nameOf } = this.#options
    const byId = new Map<string, LimitRuntime['engines'][number][]>([...quotas.keys()].map(id => [id, []]))
    for (const uuid of placedOn(virtualServiceId)) {
      const engine = engineOf(uuid)
      if (engine === undefined) continue
      for (const [id, { sample, admittedPerS, refusedPerS }] of this.#counted.get(uuid) ?? []) {
        if (sample.virtualServiceId !== virtualServiceId) continue
        const engines = byId.get(id) ?? []
        byId.set(id, engines)
        engines.push({
          engine_uuid: uuid,
          engine_name: nameOf(engine),
          share: sample.share,
          admitted_per_s: admittedPerS,
          refused_per_s: refusedPerS,
          admitted: sample.admitted,
          refused: sample.refused
        })
      }
    }
    const sum = (engines: LimitRuntime['engines'], of: 'admitted_per_s' | 'refused_per_s'): number =>
      engines.reduce((total, engine) => total + engine[of], 0)
    return [...byId].map(([id, engines]) => ({
      name: id.startsWith(`${virtualServiceId}/`) ? id.slice(virtualServiceId.length + 1) : id,
      admitted_per_s: sum(engines, 'admitted_per_s'),
      refused_per_s: sum(engines, 'refused_per_s'),
      ...(quotas.has(id) ? { quota: quotas.get(id)! } : {}),
      engines
    }))
  }

  stop(): void {
    this.#stop()
  }
}

/** It is there, and understands. */
export const mayBeTold = (engine: Engine): boolean => engine.isLive && engine.row.facts?.abilities.includes(SHARES_LIMITS) === true
