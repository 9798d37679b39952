/** Virtual services over engines: each look reads every service of a group that asks for it, decides, and carries out by the fleet's actions. */
import type { Clock } from '#model/base/clock.ts'
import type { AutoscaleView, GroupAutoscaleView } from '#model/resource/autoscale.ts'
import { filled } from '#model/resource/catalogue.ts'
import type { PlacementWish } from '#model/resource/placement.ts'
import type { FilledServiceEngineGroup } from '#model/resource/serviceenginegroup.ts'
import { ActionRefused, type FleetPort } from '#controller/fleet/port.ts'
import { scaleOf } from '#controller/placement/input.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import type { TelemetryPort } from '#controller/telemetry/port.ts'
import { engineAdvice, type EngineAdvice } from './advice.ts'
import { decide, type Decision, type LoadSample, type ScaleMemory, type ScaleSettings } from './decide.ts'
import type { Journal } from './journal.ts'
import type { Outlook } from './outlook.ts'
import { judgeSpread, type EngineLoad } from './spread.ts'

export interface ServiceScalingOptions {
  readonly store: Store
  readonly actions: Pick<FleetPort['actions'], 'scaleOut' | 'scaleIn' | 'redistribute'>
  /** Uuids of the engines that a virtual service is on. */
  readonly enginesOf: (virtualService: string) => readonly string[]
  readonly groups: GroupsPort
  readonly telemetry: Pick<TelemetryPort, 'live' | 'liveOfEngine' | 'hostOfEngine'>
  readonly journal: Journal
  readonly outlook: Outlook
  readonly clock: Clock
}

/** What placement knows of groups. */
export interface GroupsPort {
  /** Engines that are up and take services. */
  readonly sites: () => readonly { readonly uuid: string; readonly name: string; readonly group: string }[]
  /** Services that are placed by themselves, and how many engines each asks for. */
  readonly services: () => Iterable<{ readonly uuid: string; readonly group: string; readonly enginesWanted: number }>
  /** Engines of a group that a driver makes, and that are not up yet. */
  readonly comingTo?: (group: string) => number
  /** All its engines are on one host, whose CPU is no less busy with one more. */
  readonly isOnOneHost?: (group: string) => boolean
  /** Something is on its way from one engine to another. */
  readonly isMoving: () => boolean
}

interface Followed {
  memory: ScaleMemory | undefined
  last: Decision | undefined
  /** Engines that its load asks for, and that it was refused; 0: none was. */
  refused: number
}

/** A service makes so much of the traffic of its engines that one more engine takes load off them. */
const OWN_SHARE = 0.2
/** An action looks at the placement of everything: what is more waits for the next look. */
const ACTIONS_PER_LOOK = 8

export class ServiceScaling {
  readonly #options: ServiceScalingOptions
  readonly #followed = new Map<string, Followed>()
  readonly #lookedAtMs = new Map<string, number>()
  readonly #fewerSinceMs = new Map<string, number>()
  #actionsLeft = ACTIONS_PER_LOOK
  #advice = new Map<string, EngineAdvice & { readonly have: number }>()

  constructor(options: ServiceScalingOptions) {
    this.#options = options
  }

  look(): void {
    const { store, groups, outlook } = this.#options
    const settings = new Map(store.list('serviceenginegroup').map(({ uuid, body }) => [uuid, filled('serviceenginegroup', body)]))
    const seen = new Set<string>()
    this.#actionsLeft = ACTIONS_PER_LOOK
    for (const { uuid, group } of groups.services()) {
      const of = settings.get(group)
      const service = store.get('virtualservice', uuid)
      if (of === undefined || service === undefined) continue
      const asked = serviceSettings(of, (service.body['placement'] ?? {}) as PlacementWish)
      if (asked === undefined) continue
      seen.add(uuid)
      this.#lookAt(service, asked, of)
    }
    for (const uuid of this.#followed.keys()) {
      if (seen.has(uuid)) continue
      this.#followed.delete(uuid)
      outlook.forget(uuid)
    }
    this.#lookAtGroups(settings)
  }

  ofService(uuid: string): AutoscaleView {
    const { journal, outlook } = this.#options
    const followed = this.#followed.get(uuid)
    return {
      enabled: followed !== undefined,
      now: followed?.last?.figures ?? null,
      forecast: outlook.view(uuid),
      decisions: journal.of(uuid)
    }
  }

  ofGroup(uuid: string): GroupAutoscaleView {
    const advice = this.#advice.get(uuid)
    return {
      engines: advice?.have ?? 0,
      engines_wanted: advice?.engines ?? 0,
      reasons: advice?.reasons ?? [],
      decisions: this.#options.journal.of(uuid)
    }
  }

  enginesWanted(group: string): number | undefined {
    return this.#advice.get(group)?.engines
  }

  #lookAt(service: StoredResource, settings: ScaleSettings, group: FilledServiceEngineGroup): void {
    const { clock, outlook } = this.#options
    const { uuid } = service
    const followed = this.#followed.get(uuid) ?? { memory: undefined, last: undefined, refused: 0 }
    this.#followed.set(uuid, followed)
    const sample = this.#sampleOf(uuid)
    const aheadMs = (group.autoscale?.predictive_ahead ?? 0) * 60_000
    const expected = group.autoscale?.predictive === true ? outlook.within(uuid, aheadMs) : undefined
    const prediction = expected === undefined ? undefined : { demand: expected, aheadMs }
    const decision = decide(sample, settings, followed.memory, clock.nowMs(), prediction)
    followed.last = decision
    if (decision.is !== 'stay' && this.#actionsLeft <= 0) return
    const before = followed.memory
    followed.memory = decision.memory
    if (group.autoscale?.predictive === true && sample !== undefined) outlook.note(uuid, decision.memory.ownDemand)
    if (decision.is !== 'stay') {
      this.#actionsLeft -= 1
      const { isDone, isRefused } = this.#carryOut(service, decision)
      // A step that was refused is none: there is nothing to cool down from.
      if (!isDone) followed.memory = { ...decision.memory, outAtMs: before?.outAtMs, inAtMs: before?.inAtMs }
      followed.refused = decision.is === 'out' && isRefused ? decision.wanted : 0
    } else if (followed.refused > 0) followed.refused = decision.wanted > decision.figures.engines ? decision.wanted : 0
    if (decision.is !== 'stay') return
    if (decision.figures.engines >= settings.most && decision.memory.ownDemand > settings.most * 1.05) {
      this.#held(service, decision, [
        `its load is that of ${decision.figures.demand} engines, and it may run on ${settings.most}: its group or its placement allows no more`
      ])
    }
  }

  #sampleOf(uuid: string): LoadSample | undefined {
    const { enginesOf, telemetry } = this.#options
    const engines = enginesOf(uuid)
    const live = telemetry.live(uuid)
    if (engines.length === 0 || live.at === null) return undefined
    const hosts = engines.flatMap(engine => telemetry.hostOfEngine(engine) ?? [])
    const bytes = live.bytes_in_per_s + live.bytes_out_per_s
    let [allRequests, allBytes, allConnections] = [0, 0, 0]
    for (const engine of engines) {
      const { requests_per_s, bytes_in_per_s, bytes_out_per_s, new_connections_per_s } = telemetry.liveOfEngine(engine)
      allRequests += requests_per_s
      allBytes += bytes_in_per_s + bytes_out_per_s
      allConnections += new_connections_per_s
    }
    const share = (own: number, all: number): number => (all > 0 ? own / all : 0)
    const most = Math.max(
      share(live.requests_per_s, allRequests),
      share(bytes, allBytes),
      share(live.new_connections_per_s, allConnections)
    )
    return {
      engines: engines.length,
      cpuRatio: hosts.length === 0 ? undefined : hosts.reduce((sum, { cpu_ratio }) => sum + cpu_ratio, 0) / hosts.length,
      isCpuOwn: most >= OWN_SHARE,
      connections: live.open_connections,
      requestsPerS: live.requests_per_s,
      bytesPerS: bytes,
      latencyMs: live.latency_p95_ms ?? undefined
    }
  }

  #carryOut(service: StoredResource, decision: Decision): { readonly isDone: boolean; readonly isRefused: boolean } {
    const { actions, journal } = this.#options
    const { uuid, name } = service
    let before: number | undefined
    let after = decision.figures.engines
    let problem: string | undefined
    const steps = Math.abs(decision.wanted - decision.figures.engines)
    for (let i = 0; i < steps && problem === undefined; i++) {
      try {
        const moving = decision.is === 'out' ? actions.scaleOut(uuid) : actions.scaleIn(uuid)
        before ??= moving.before.length
        after = moving.after.length
      } catch (error) {
        if (!(error instanceof ActionRefused)) throw error
        problem = error.message
      }
    }
    const isRefused = problem !== undefined
    if (before === undefined) {
      this.#held(service, decision, [...decision.reasons, problem ?? ''])
      return { isDone: false, isRefused }
    }
    journal.add(
      { kind: 'virtualservice', uuid, name },
      {
        kind: decision.is === 'out' ? 'SCALE_OUT' : 'SCALE_IN',
        cause: decision.cause,
        before,
        after,
        reasons: [...decision.reasons, ...(problem === undefined ? [] : [problem])],
        figures: decision.figures
      }
    )
    return { isDone: true, isRefused }
  }

  #held({ uuid, name }: StoredResource, decision: Decision, reasons: readonly string[]): void {
    const { engines } = decision.figures
    this.#options.journal.add(
      { kind: 'virtualservice', uuid, name },
      { kind: 'HELD', cause: decision.cause, before: engines, after: engines, reasons, figures: decision.figures }
    )
  }

  #lookAtGroups(settings: ReadonlyMap<string, FilledServiceEngineGroup>): void {
    const { groups, telemetry, clock } = this.#options
    const now = clock.nowMs()
    const sites = Map.groupBy(groups.sites(), ({ group }) => group)
    const asked = new Map<string, { places: number; widest: number }>()
    for (const { uuid, group, enginesWanted: placedFor } of groups.services()) {
      const enginesWanted = Math.max(placedFor, this.#followed.get(uuid)?.refused ?? 0)
      const sum = asked.get(group) ?? { places: 0, widest: 0 }
      asked.set(group, { places: sum.places + enginesWanted, widest: Math.max(sum.widest, enginesWanted) })
    }
    const advice = new Map<string, EngineAdvice & { readonly have: number }>()
    for (const [uuid, group] of settings) {
      const here = sites.get(uuid) ?? []
      const { places = 0, widest = 0 } = asked.get(uuid) ?? {}
      const cpu = here.reduce((sum, site) => sum + (telemetry.hostOfEngine(site.uuid)?.cpu_ratio ?? 0), 0)
      const cpuSum = groups.isOnOneHost?.(uuid) === true ? undefined : cpu
      const engines = here.length + (groups.comingTo?.(uuid) ?? 0)
      const told = engineAdvice(group, { engines, placesWanted: places, widest, cpuSum }, now, this.#fewerSinceMs.get(uuid))
      if (told.fewerSinceMs === undefined) this.#fewerSinceMs.delete(uuid)
      else this.#fewerSinceMs.set(uuid, told.fewerSinceMs)
      advice.set(uuid, { ...told, have: here.length })
      if (group.auto_rebalance) this.#spread(uuid, group, here)
      else this.#lookedAtMs.delete(uuid)
    }
    this.#advice = advice
    for (const known of [this.#fewerSinceMs, this.#lookedAtMs]) for (const uuid of known.keys()) if (!settings.has(uuid)) known.delete(uuid)
  }

  #spread(uuid: string, group: FilledServiceEngineGroup, sites: readonly { readonly uuid: string; readonly name: string }[]): void {
    const { actions, telemetry, journal, groups, clock } = this.#options
    const now = clock.nowMs()
    // The first look comes one interval after the controller began: who has just started has seen nothing.
    const last = this.#lookedAtMs.get(uuid)
    if (last === undefined) return void this.#lookedAtMs.set(uuid, now)
    if (now - last < group.auto_rebalance_interval * 1_000 || groups.isMoving()) return
    this.#lookedAtMs.set(uuid, now)
    const loads = sites.flatMap((site): EngineLoad[] => {
      const host = telemetry.hostOfEngine(site.uuid)
      const { open_connections, new_connections_per_s, bytes_in_per_s, bytes_out_per_s } = telemetry.liveOfEngine(site.uuid)
      if (host === null) return []
      return [
        {
          name: site.name,
          cpuRatio: host.cpu_ratio,
          openConnections: open_connections,
          connectionsPerS: new_connections_per_s,
          bytesPerS: bytes_in_per_s + bytes_out_per_s
        }
      ]
    })
    const { isUneven, reasons } = judgeSpread(loads, group.auto_rebalance_criteria ?? [])
    if (!isUneven) return
    const { moved } = actions.redistribute(uuid)
    const isHeld = moved.length === 0
    journal.add(
      { kind: 'serviceenginegroup', uuid, name: group.name },
      {
        kind: isHeld ? 'HELD' : 'REBALANCE',
        cause: 'load',
        before: loads.length,
        after: loads.length,
        reasons: [...reasons, isHeld ? 'no move makes it more even' : `${moved.length} virtual services move`],
        figures: null
      }
    )
  }
}

/** What a group and a service ask for; undefined when they ask for no scaling by load. */
export function serviceSettings(group: FilledServiceEngineGroup, own: PlacementWish): ScaleSettings | undefined {
  const { autoscale } = group
  if (autoscale === undefined || !autoscale.enabled) return undefined
  return {
    noun: 'engine',
    ...scaleOf(group, own),
    maxCpuRatio: group.max_cpu_usage / 100,
    minCpuRatio: group.min_cpu_usage / 100,
    maxConnections: autoscale.max_connections_per_engine,
    maxRequestsPerS: autoscale.max_requests_per_engine,
    maxBytesPerS: (autoscale.max_mbps_per_engine * 1_000_000) / 8,
    maxLatencyMs: autoscale.max_latency,
    outDelayMs: autoscale.scaleout_delay * 1_000,
    inDelayMs: autoscale.scalein_delay * 1_000,
    outCooldownMs: autoscale.scaleout_cooldown * 1_000,
    inCooldownMs: autoscale.scalein_cooldown * 1_000,
    maxStep: autoscale.max_step,
    maxStepIn: 1,
    inMargin: autoscale.scalein_margin / 100
  }
}
