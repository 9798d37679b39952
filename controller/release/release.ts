/**
 * The driver of releases. Each second every running one is looked at: its share is written, then it is measured, then it is judged, and what
 * is decided lies in its row before anything is changed. Time and figures come in as arguments; the pool group is changed through
 * `change`, as the system or as whoever asked for it.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import { filled } from '#model/resource/catalogue.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import type { DecisionKind, ReleaseAction, ReleaseView, SidesView } from '#model/resource/release.ts'
import { ChangeRefused, type ChangeOrder, type ChangeResult } from '#controller/change/order.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import type { Measurement, TelemetryPort } from '#controller/telemetry/port.ts'
import type { TimelineListener } from '#controller/timeline/port.ts'
import { judge, type Limits, type Side } from './judge.ts'
import { ReleaseRefused, type Actor, type ReleasePort } from './port.ts'
import { ratiosOf, stepsOf, withRatios, type OldMember } from './ratios.ts'
import { decided, isActive, sideView, stateOf, viewOf, type Run } from './run.ts'
import type { Webhooks } from '#controller/webhook/webhook.ts'

export interface ReleaseOptions {
  readonly store: Store
  readonly change: { readonly apply: (order: ChangeOrder) => Promise<ChangeResult> }
  readonly telemetry: Pick<TelemetryPort, 'measure'>
  /** 0..100, of a pool as some virtual services see it; null when nothing is known of it. */
  readonly healthOf: (pool: string, of: readonly string[]) => number | null
  readonly webhooks: Pick<Webhooks, 'tell'>
  readonly timeline: Pick<TimelineListener, 'released'>
  /** Who is written down as the author of what the driver does. */
  readonly actor: Actor
  readonly clock: Clock
  readonly log: Log
}

export interface Releases extends ReleasePort {
  /** Something was committed: a release may have been asked for. */
  readonly committed: () => void
  readonly stop: () => void
}

const LOOK_MS = 1_000
/** From a written share until engines run it and what they say is of it. */
const SETTLE_MS = 2_000
/** At once; more wait for their turn. */
const RUNNING_MAX = 200

interface Watch {
  readonly sinceMs: number
  /** Virtual services whose traffic goes by the pool group: what others do with its pools is not judged. */
  readonly of: readonly string[]
  readonly fresh: Measurement
  readonly old: readonly Measurement[]
}

const membersOf = (group: StoredResource): readonly JsonObject[] => (group.body['members'] ?? []) as readonly JsonObject[]
const poolOf = (member: JsonObject): string => member['pool_ref'] as string
const isTried = (member: JsonObject): boolean => member['deployment_state'] === 'EVALUATION_IN_PROGRESS'
const priorityOf = (member: JsonObject): number => Number(member['priority_label'] ?? 0)

/** Every virtual service that leads to a pool group, by itself or by its policies and scripts. */
function servicesOf(store: Pick<Store, 'referrersOf'>, group: string): string[] {
  const seen = new Set([group])
  const services = new Set<string>()
  // Grows while it is walked.
  for (const uuid of seen)
    for (const { fromKind, fromUuid } of store.referrersOf(uuid)) {
      if (fromKind === 'virtualservice') services.add(fromUuid)
      else seen.add(fromUuid)
    }
  return [...services]
}

export function openReleases(options: ReleaseOptions): Releases {
  const { store, change, telemetry, healthOf, webhooks, timeline, actor, clock, log } = options
  const table = store.table<Run>('release')
  /** Every row, so that a look costs no reading; written through. */
  const runs = new Map(table.entries())
  const watches = new Map<string, Watch>()
  /** Groups whose row is being carried out right now. */
  const busy = new Map<string, Promise<void>>()
  let isStopped = false

  const save = (run: Run): Run => {
    table.set(run.group, run)
    runs.set(run.group, run)
    return run
  }

  const unwatch = (group: string): void => {
    const watch = watches.get(group)
    watches.delete(group)
    for (const measurement of watch === undefined ? [] : [watch.fresh, ...watch.old]) measurement.stop()
  }

  const watch = (run: Run): void => {
    unwatch(run.group)
    const of = servicesOf(store, run.group)
    watches.set(run.group, {
      sinceMs: clock.nowMs(),
      of,
      fresh: telemetry.measure(run.pool, of),
      old: run.old.map(({ pool }) => telemetry.measure(pool, of))
    })
  }

  /** What both sides did since the step is measured. An old side that the step leaves no traffic is as it last was. */
  const sidesOf = (run: Run): { readonly old: Side; readonly fresh: Side } | null => {
    const watched = watches.get(run.group)
    if (watched === undefined) return null
    const fresh: Side = { ...watched.fresh.read(), healthScore: healthOf(run.pool, watched.of) }
    if (run.steps[run.at] === 100 && run.baseline !== null) return { fresh, old: run.baseline }
    const scores = run.old.flatMap(({ pool }) => healthOf(pool, watched.of) ?? [])
    const told = watched.old.map(measurement => measurement.read())
    const latency = new Map<number, number>()
    for (const { latency: sparse } of told)
      for (let i = 0; i + 1 < sparse.length; i += 2) latency.set(sparse[i]!, (latency.get(sparse[i]!) ?? 0) + sparse[i + 1]!)
    return {
      fresh,
      old: {
        requests: told.reduce((sum, { requests }) => sum + requests, 0),
        errors: told.reduce((sum, { errors }) => sum + errors, 0),
        latency: [...latency].toSorted(([a], [b]) => a - b).flat(),
        healthScore: scores.length === 0 ? null : Math.min(...scores)
      }
    }
  }

  const figuresOf = (run: Run): SidesView | null => {
    const sides = sidesOf(run)
    return sides === null ? null : { old: sideView(sides.old), new: sideView(sides.fresh) }
  }

  const judgedAt = (run: Run): number | null => {
    const watched = watches.get(run.group)
    if (watched === undefined || run.phase !== 'measuring' || run.isPaused) return null
    const leftMs = run.policy.evaluation_duration * 1_000 * (run.extensions + 1) - (clock.nowMs() - watched.sinceMs)
    return Math.round(clock.nowEpochMs() + leftMs)
  }

  const view = (run: Run): ReleaseView => viewOf(run, figuresOf(run), judgedAt(run))

  /** Writes a decision down, with what follows from it, and tells of it. */
  const decide = (run: Run, kind: DecisionKind, by: string, reasons: readonly string[], more: Partial<Run>): Run => {
    const share = run.steps[run.at] ?? 0
    const decision = { kind, at: clock.nowEpochMs(), by, step: run.at, share, reasons, figures: figuresOf(run), revision: null }
    const next = save(decided(run, decision, more))
    log.info('release', {
      group: run.groupName,
      pool: run.poolName,
      decision: kind,
      step: run.at,
      share,
      by,
      reasons,
      figures: decision.figures
    })
    timeline.released({ poolGroup: run.group, pool: run.pool, kind, share, by, reasons })
    if (run.policy.webhook_ref !== undefined) {
      const told = viewOf(next, decision.figures, null)
      webhooks.tell(run.policy.webhook_ref, { event: `release.${kind.toLowerCase()}`, decision, release: { ...told, decisions: [] } })
    }
    return next
  }

  /** One transaction on the pool group; false when somebody was faster and it must be looked at again. */
  const write = async (
    run: Run,
    group: StoredResource,
    as: Actor,
    ratios: ReadonlyMap<string, number>,
    states: ReadonlyMap<string, string>
  ) => {
    const members = withRatios(membersOf(group), ratios, pool => states.get(pool))
    const last = run.decisions.at(-1)
    const { revision } = await change.apply({
      actor: as,
      tenant: run.tenant,
      reason: `release of ${run.poolName}: ${last?.kind ?? ''} ${run.reason}`.slice(0, 1_000),
      writes: [
        {
          op: 'patch',
          kind: 'poolgroup',
          uuid: run.group,
          patch: { replace: { members } },
          expect: { lastModified: group.lastModified }
        }
      ]
    })
    return revision
  }

  const carriedOut = (run: Run, revision: number, more: Partial<Run>): Run => {
    const decisions = run.decisions.map((one, i) => (i === run.decisions.length - 1 ? { ...one, revision } : one))
    return save({ ...run, ...more, decisions, phaseSinceEpochMs: clock.nowEpochMs() })
  }

  const move = async (run: Run, group: StoredResource): Promise<void> => {
    const share = run.steps[run.at]!
    const revision = await write(run, group, actor, ratiosOf(share, run.pool, run.old), new Map([[run.pool, 'EVALUATION_IN_PROGRESS']]))
    carriedOut(run, revision, { phase: 'measuring', extensions: 0 })
  }

  const finish = async (run: Run, group: StoredResource, as: Actor): Promise<void> => {
    const { outcome, policy } = run
    const isPromoted = outcome === 'PROMOTED'
    const share = isPromoted ? (policy.auto_disable_old_prod_pools ? 100 : run.steps.at(-1)!) : 0
    const ratios = new Map(isPromoted ? ratiosOf(share, run.pool, run.old) : run.old.map(({ pool, ratio }) => [pool, ratio]))
    if (!isPromoted) ratios.set(run.pool, 0)
    const states = new Map<string, string>(
      run.old.map(({ pool }) => [pool, isPromoted && policy.auto_disable_old_prod_pools ? 'OUT_OF_SERVICE' : 'IN_SERVICE'])
    )
    states.set(run.pool, isPromoted ? 'IN_SERVICE' : outcome === 'ROLLED_BACK' ? 'EVALUATION_FAILED' : 'OUT_OF_SERVICE')
    const revision = await write(run, group, as, ratios, states)
    unwatch(run.group)
    carriedOut(run, revision, { phase: 'ended', isPaused: false })
    // Its place is free for one that waits.
    scan()
  }

  const measure = (run: Run): void => {
    if (run.isPaused) return
    const watched = watches.get(run.group)
    if (watched === undefined) {
      if (clock.nowEpochMs() - run.phaseSinceEpochMs >= SETTLE_MS || clock.nowEpochMs() < run.phaseSinceEpochMs) watch(run)
      return
    }
    const sides = sidesOf(run)!
    const { policy } = run
    const isOver = clock.nowMs() - watched.sinceMs >= policy.evaluation_duration * 1_000 * (run.extensions + 1)
    const { verdict, reasons } =
      run.steps[run.at] === 0 ? judgeOld(sides.old, limitsOf(run), isOver) : judge(sides.old, sides.fresh, limitsOf(run), isOver)
    if (verdict === 'wait') return
    if (verdict === 'fail') return end(run, 'ROLLED_BACK', actor.name, reasons)
    if ((verdict === 'too-few' || verdict === 'unsure') && run.extensions < policy.max_extensions)
      return void decide(run, 'EXTENDED', actor.name, reasons, { extensions: run.extensions + 1 })
    // More was measured and it still looks worse: going on would need the better evidence.
    if (verdict === 'unsure') return end(run, 'ROLLED_BACK', actor.name, reasons)
    if (verdict === 'too-few' && policy.too_few_requests === 'ROLL_BACK') return end(run, 'ROLLED_BACK', actor.name, reasons)
    if (verdict === 'too-few' && policy.too_few_requests === 'PAUSE') return pause(run, actor.name, reasons)
    const baseline = sides.old.requests > 0 ? sides.old : run.baseline
    if (run.at === run.steps.length - 1) return end({ ...run, baseline }, 'PROMOTED', actor.name, reasons)
    decide(run, 'PASSED', actor.name, reasons, { at: run.at + 1, phase: 'moving', extensions: 0, baseline })
    unwatch(run.group)
  }

  const end = (run: Run, outcome: NonNullable<Run['outcome']>, by: string, reasons: readonly string[]): void =>
    void decide(run, outcome, by, reasons, { phase: 'ending', outcome, isPaused: false })

  const pause = (run: Run, by: string, reasons: readonly string[]): void => {
    decide(run, 'PAUSED', by, reasons, { isPaused: true })
    unwatch(run.group)
  }

  /** Where there is nothing left to carry out: the group is gone, or its operator has said something else. */
  const lose = (run: Run, reason: string): void => {
    decide(run, 'ABORTED', actor.name, [reason], {
      phase: 'ended',
      outcome: 'ABORTED',
      isPaused: false,
      phaseSinceEpochMs: clock.nowEpochMs()
    })
    unwatch(run.group)
  }

  /** As many steps as need no waiting. */
  const proceed = async (group: string, as: Actor): Promise<void> => {
    for (let i = 0; i < 4 && !isStopped; i++) {
      const run = runs.get(group)
      if (run === undefined || !isActive(run)) return
      const resource = store.get('poolgroup', group)
      if (resource === undefined) return lose(run, 'the pool group was deleted')
      const mine = membersOf(resource).find(member => member['pool_ref'] === run.pool)
      if (mine === undefined) return lose(run, 'the new pool was taken out of the group by hand')
      if (run.phase === 'ending') await finish(run, resource, as)
      else if (!isTried(mine)) return lose(run, 'the deployment state of the new pool was changed by hand')
      else if (run.phase === 'moving' && !run.isPaused) await move(run, resource)
      else {
        measure(run)
        const next = runs.get(group)
        if (next?.phase === 'measuring' || next?.isPaused === true) return
      }
    }
  }

  /** One at a time for each group; whoever comes second waits. */
  const inTurn = async (group: string, work: () => Promise<void>): Promise<void> => {
    while (busy.has(group)) await busy.get(group)
    const mine = work().finally(() => busy.delete(group))
    busy.set(
      group,
      mine.catch(() => undefined)
    )
    return mine
  }

  const look = (group: string): void => {
    if (busy.has(group)) return
    inTurn(group, () => proceed(group, actor)).catch((error: unknown) => {
      const run = runs.get(group)
      if (error instanceof ChangeRefused && error.code !== 'STALE' && run?.phase === 'moving')
        pause(run, actor.name, [`the pool group cannot be changed: ${error.message}`])
      // The row says what is to be done: the next look tries again.
      else log.warn('a release could not go on', { group, error })
    })
  }

  const begin = (group: StoredResource, policy: StoredResource, fresh: JsonObject, by: string): Run | undefined => {
    const pool = poolOf(fresh)
    const others = membersOf(group).filter(member => member['pool_ref'] !== pool && priorityOf(member) === priorityOf(fresh))
    const old = others.flatMap((member): OldMember[] => {
      const ratio = Number(member['ratio'] ?? 1)
      return ratio > 0 ? [{ pool: poolOf(member), ratio }] : []
    })
    if (old.length === 0) return undefined
    const { name: _name, uuid: _uuid, url: _url, _last_modified: _at, ...settings } = filled('poolgroupdeploymentpolicy', policy.body)
    const run: Run = {
      id: `release-${randomUUID()}`,
      group: group.uuid,
      groupName: group.name,
      tenant: group.tenant,
      pool,
      poolName: store.get('pool', pool)?.name ?? pool,
      old,
      policy: settings,
      steps: stepsOf(settings),
      startedBy: by,
      startedAtEpochMs: clock.nowEpochMs(),
      at: 0,
      phase: 'moving',
      phaseSinceEpochMs: clock.nowEpochMs(),
      outcome: null,
      isPaused: false,
      extensions: 0,
      reason: '',
      baseline: null,
      decisions: []
    }
    unwatch(group.uuid)
    return decide(run, 'STARTED', by, [`steps of ${run.steps.join(', ')} %, each measured for ${settings.evaluation_duration} s`], {})
  }

  /** Starts what pool groups ask for. */
  const scan = (): void => {
    let running = [...runs.values()].filter(isActive).length
    for (const group of store.list('poolgroup')) {
      const policyUuid = group.body['deployment_policy_ref']
      if (typeof policyUuid !== 'string') continue
      const fresh = membersOf(group).find(isTried)
      if (fresh === undefined || running >= RUNNING_MAX) continue
      const known = runs.get(group.uuid)
      if (known !== undefined && isActive(known)) continue
      const policy = store.get('poolgroupdeploymentpolicy', policyUuid)
      const author = store.revisions({ limit: 1, uuid: group.uuid })[0]?.author ?? actor.name
      if (policy === undefined || begin(group, policy, fresh, author) === undefined) continue
      running += 1
      look(group.uuid)
    }
  }

  const start: ReleasePort['start'] = async (uuid, pool, as) => {
    const group = store.get('poolgroup', uuid)
    if (group === undefined) throw new ReleaseRefused('there is no such pool group')
    const known = runs.get(uuid)
    if (known !== undefined && isActive(known)) throw new ReleaseRefused(`a release of ${known.poolName} is running`)
    if (group.body['deployment_policy_ref'] === undefined) throw new ReleaseRefused('the pool group has no deployment_policy_ref')
    const members = membersOf(group)
    const fresh = members.find(member => member['pool_ref'] === pool)
    if (fresh === undefined) throw new ReleaseRefused('the pool is no member of the pool group')
    const isOld = (member: JsonObject): boolean =>
      member !== fresh && priorityOf(member) === priorityOf(fresh) && Number(member['ratio'] ?? 1) > 0
    if (!members.some(isOld)) throw new ReleaseRefused('no other pool of the same priority has traffic that the new one could take over')
    await change.apply({
      actor: as,
      tenant: group.tenant,
      reason: 'a release is started',
      writes: [
        {
          op: 'patch',
          kind: 'poolgroup',
          uuid,
          patch: { replace: { members: withRatios(members, new Map(), of => (of === pool ? 'EVALUATION_IN_PROGRESS' : undefined)) } },
          expect: { lastModified: group.lastModified }
        }
      ]
    })
    scan()
    const run = runs.get(uuid)
    if (run === undefined || !isActive(run))
      throw new ReleaseRefused(`more than ${RUNNING_MAX} releases are running: it starts when one ends`)
    return view(run)
  }

  const act: ReleasePort['act'] = async (group, action, as) => {
    await inTurn(group, async () => {
      const run = runs.get(group)
      if (run === undefined || !isActive(run) || run.phase === 'ending')
        throw new ReleaseRefused('no release of this pool group is running')
      performAction(run, action, as)
      await proceed(group, as)
    })
    return view(runs.get(group)!)
  }

  const performAction = (run: Run, action: ReleaseAction, as: Actor): void => {
    const said = [`asked for by ${as.name}`]
    if (action === 'abort') return end(run, 'ABORTED', as.name, said)
    if (action === 'promote') return end(run, 'PROMOTED', as.name, said)
    if (action === 'pause' && stateOf(run) === 'PAUSED') throw new ReleaseRefused('the release is paused already')
    if (action === 'pause') return pause(run, as.name, said)
    if (stateOf(run) !== 'PAUSED') throw new ReleaseRefused('the release is not paused')
    // What it was measured before is of another time: the step is measured anew.
    decide(run, 'RESUMED', as.name, said, { isPaused: false, extensions: 0, phaseSinceEpochMs: clock.nowEpochMs() })
  }

  const lookAtAll = (): void => {
    for (const [group, run] of runs) {
      if (isActive(run)) look(group)
      else if (store.get('poolgroup', group) === undefined) {
        table.delete(group)
        runs.delete(group)
      }
    }
  }

  const stopLooking = clock.every(LOOK_MS, lookAtAll)
  scan()
  lookAtAll()

  return {
    of: group => {
      const run = runs.get(group)
      return run === undefined ? undefined : view(run)
    },
    start,
    act,
    committed: scan,
    stop: () => {
      isStopped = true
      stopLooking()
      for (const group of watches.keys()) unwatch(group)
    }
  }
}

/** Before the new pool gets anything: are the old ones known well enough to be compared with? */
function judgeOld(old: Side, { minimumRequests }: Limits, isOver: boolean): ReturnType<typeof judge> {
  if (!isOver) return { verdict: 'wait', reasons: [] }
  const reasons = [`${old.requests} requests of the old pools were measured`]
  return { verdict: old.requests >= minimumRequests ? 'pass' : 'too-few', reasons }
}

function limitsOf({ policy }: Run): Limits {
  return {
    minimumRequests: policy.minimum_requests,
    maxErrorIncrease: policy.max_error_increase / 100,
    maxLatencyIncrease: policy.max_latency_increase / 100,
    maxHealthDrop: policy.max_health_drop,
    confidence: policy.confidence / 100,
    rules: policy.rules ?? []
  }
}
