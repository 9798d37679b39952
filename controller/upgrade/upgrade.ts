/**
 * The driver of upgrades. Each second every one that is under way is looked at: engines that are measured, ordered, watched or going back take a
 * step, and as many that wait begin as may be replaced at once. What is ordered lies in the row before it is ordered, so a controller that is
 * killed goes on from there: an order is known by its id, a build by what the engine says of itself.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { SignedOrder, UpgradeOrder } from '#model/message/upgrade.ts'
import type { UpgradeAction, UpgradeEventKind } from '#model/resource/upgrade.ts'
import type { ServiceEngineRuntime } from '#model/resource/runtime.ts'
import type { FleetPort } from '#controller/fleet/port.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import type { TelemetryPort } from '#controller/telemetry/port.ts'
import type { TimelineListener } from '#controller/timeline/port.ts'
import type { Webhooks } from '#controller/webhook/webhook.ts'
import type { GivenOut } from './builds.ts'
import { gate } from './gate.ts'
import { UpgradeRefused, type UpgradePort } from './port.ts'
import { isEnded, isUnderWay, viewOf, withEngine, withEvent, type EngineRow, type OrderRow, type Run } from './run.ts'
import { Watches } from './watches.ts'

export interface UpgradeOptions {
  readonly store: Store
  readonly telemetry: Pick<TelemetryPort, 'measure'>
  readonly fleet: Pick<FleetPort, 'engineRuntime' | 'virtualServiceRuntime' | 'orderUpgrade'>
  /** Uuids of the engines of a group. */
  readonly enginesOf: (group: string) => readonly string[]
  readonly sign: (order: UpgradeOrder) => SignedOrder
  readonly givenOut: () => GivenOut | undefined
  readonly webhooks: Pick<Webhooks, 'tell'>
  readonly timeline: Pick<TimelineListener, 'upgraded'>
  readonly clock: Clock
  readonly log: Log
}

export interface Upgrades extends UpgradePort {
  readonly stop: () => void
}

const LOOK_MS = 1_000
/** An order that nothing came of is sent again. */
const AGAIN_MS = 10_000
/** Engines that are not up hold an upgrade up for so long. */
const PATIENCE_MS = 60_000
/** How long an order counts at least from when it was made: hosts whose clocks are wrong by more refuse it. */
const ORDER_LIFE_MS = 10 * 60_000
const UNTOLD = 'its host takes no orders: it is upgraded there, by /opt/weir/install.sh upgrade or its package'
/** Who is written down for what the driver decides. */
const SELF = 'weir'

const isUp = (runtime: ServiceEngineRuntime | undefined): runtime is ServiceEngineRuntime =>
  runtime !== undefined && runtime.connected && ['OPER_UP', 'OPER_DISABLED'].includes(runtime.oper_status.state)

export function openUpgrades(options: UpgradeOptions): Upgrades {
  const { store, telemetry, fleet, enginesOf, sign, givenOut, webhooks, timeline, clock, log } = options
  const table = store.table<Run>('upgrade')
  /** Every row, so that a look costs no reading; written through. */
  const runs = new Map(table.entries())
  const watches = new Watches({ telemetry, fleet, clock })

  const save = (run: Run): Run => {
    table.set(run.group, run)
    runs.set(run.group, run)
    return run
  }

  const tell = (
    run: Run,
    kind: UpgradeEventKind,
    reasons: readonly string[],
    about: { readonly by?: string; readonly engine?: EngineRow } = {}
  ): Run => {
    const { by = SELF, engine } = about
    const event = {
      kind,
      at: clock.nowEpochMs(),
      by,
      engine: engine === undefined ? null : { uuid: engine.uuid, name: engine.name },
      reasons
    }
    const next = save(withEvent(run, event))
    log.info('upgrade', { group: run.groupName, event: kind, by, engine: engine?.name, reasons })
    timeline.upgraded({ group: run.group, kind, engine: engine?.uuid, by, reasons })
    if (run.webhook !== undefined)
      webhooks.tell(run.webhook, { event: `upgrade.${kind.toLowerCase()}`, told: event, upgrade: { ...viewOf(next), events: [] } })
    return next
  }

  /** An engine's row takes a step, and everybody is told. */
  const step = (run: Run, row: EngineRow, change: Partial<EngineRow>, event?: UpgradeEventKind): Run => {
    const next: EngineRow = { ...row, ...change, sinceEpochMs: clock.nowEpochMs() }
    const changed = withEngine(run, next)
    return event === undefined ? save(changed) : tell(changed, event, next.reason === '' ? [] : [next.reason], { engine: next })
  }

  // Orders.

  /** The row has the order before anybody else does. */
  const order = (run: Run, row: EngineRow, build: string, change: Partial<EngineRow>, event: UpgradeEventKind): Run => {
    const issuedEpochMs = Math.max(clock.nowEpochMs(), (row.order?.issuedEpochMs ?? 0) + 1)
    const given = { id: randomUUID(), build, issuedEpochMs }
    const next = step(run, row, { ...change, order: given }, event)
    send(run, row.uuid, given)
    return next
  }

  /** By uuid of the engine: when its order was sent last. */
  const sentAtMs = new Map<string, number>()
  const send = ({ settings }: Run, engineId: string, { id, build, issuedEpochMs }: OrderRow): void => {
    const expiresEpochMs = issuedEpochMs + Math.max(ORDER_LIFE_MS, settings.deadline * 1_000)
    fleet.orderUpgrade(engineId, { id, ...sign({ id, engineId, build, issuedEpochMs, expiresEpochMs }) })
    sentAtMs.set(engineId, clock.nowMs())
  }
  /** It may not have been connected, or its host busy; one that was carried out is not carried out again. */
  const sendAgain = (run: Run, row: EngineRow): void => {
    if (row.order !== null && clock.nowMs() - (sentAtMs.get(row.uuid) ?? -Infinity) >= AGAIN_MS) send(run, row.uuid, row.order)
  }

  /** Something went wrong: nothing more begins until a person says so. */
  const fail = (run: Run, row: EngineRow, reason: string, event: UpgradeEventKind = 'FAILED'): Run => {
    watches.end(row.uuid)
    return pause(step(run, row, { state: 'FAILED', reason }, event), SELF, [`${row.name}: ${reason}`])
  }

  const goBack = (run: Run, row: EngineRow, reason: string): Run => {
    watches.end(row.uuid)
    if (run.direction === 'BACK' || row.from === '') return fail(run, row, reason)
    return order(run, row, row.from, { state: 'GOING_BACK', reason }, 'GOING_BACK')
  }

  const pause = (run: Run, by: string, reasons: readonly string[]): Run =>
    run.isPaused || run.outcome !== null ? run : tell({ ...run, isPaused: true }, 'PAUSED', reasons, { by })

  // Steps of one engine.

  const begin = (run: Run, row: EngineRow): Run => {
    const runtime = fleet.engineRuntime(row.uuid)
    const build = run.direction === 'FORWARD' ? row.to : row.from
    if (runtime === undefined) return step(run, row, { state: 'SKIPPED', reason: 'it was deleted' }, 'SKIPPED')
    if (!isUp(runtime)) return run
    if (runtime.build === build) return step(run, row, { state: 'DONE', reason: 'it runs that build already' }, 'UPGRADED')
    if (!runtime.abilities.includes('upgrade')) return step(run, row, { state: 'SKIPPED', reason: UNTOLD }, 'SKIPPED')
    if (run.direction === 'FORWARD' && givenOut()?.builds[runtime.platform] !== build)
      return pause(run, SELF, ['the controller gives out another build by now: abort this upgrade and start one to that'])
    if (run.direction === 'BACK' || run.settings.evaluation_duration === 0)
      return order(run, row, build, { state: 'ORDERED', reason: '', before: null }, 'ORDERED')
    watches.begin(row.uuid)
    return step(run, row, { state: 'MEASURING', reason: '' })
  }

  const measure = (run: Run, row: EngineRow): Run => {
    const runtime = fleet.engineRuntime(row.uuid)
    if (!isUp(runtime) || run.isPaused || run.outcome !== null) {
      watches.end(row.uuid)
      return step(run, row, { state: 'WAITING' })
    }
    const { side: before, isOver } = watches.look(row.uuid, runtime, run.settings.evaluation_duration)
    if (!isOver) return run
    watches.end(row.uuid)
    return order(run, row, row.to, { state: 'ORDERED', reason: '', before }, 'ORDERED')
  }

  /** What its host says of the order that it was given last; undefined: nothing yet. */
  const endedOf = (row: EngineRow): ServiceEngineRuntime['upgrade_ended'] => {
    const ended = fleet.engineRuntime(row.uuid)?.upgrade_ended ?? null
    return ended?.id === row.order?.id ? ended : null
  }
  const isLate = (run: Run, row: EngineRow): boolean => clock.nowEpochMs() > (row.order?.issuedEpochMs ?? 0) + run.settings.deadline * 1_000

  const follow = (run: Run, row: EngineRow): Run => {
    const runtime = fleet.engineRuntime(row.uuid)
    if (runtime === undefined) return step(run, row, { state: 'SKIPPED', reason: 'it was deleted' }, 'SKIPPED')
    const ended = endedOf(row)
    const isThere = isUp(runtime) && runtime.build === row.order?.build
    if (row.state === 'GOING_BACK') {
      if (isThere && run.direction === 'BACK') return step(run, row, { state: 'DONE', reason: '' }, 'UPGRADED')
      if (isThere) return fail(run, row, row.reason, 'WENT_BACK')
      if (ended?.outcome === 'failed') return fail(run, row, `${row.reason}; and it could not go back: ${ended.reason}`)
      if (isLate(run, row)) return fail(run, row, `${row.reason}; and it did not come back within ${run.settings.deadline} s`)
      if (isUp(runtime)) sendAgain(run, row)
      return run
    }
    if (isThere) return arrived(run, row)
    // Its host went back by itself, or never changed anything.
    if (ended?.outcome === 'failed')
      return isUp(runtime) && runtime.build === row.from ? fail(run, row, ended.reason) : goBack(run, row, ended.reason)
    if (!isLate(run, row)) {
      if (isUp(runtime)) sendAgain(run, row)
      return run
    }
    return goBack(run, row, `it was not up on the new build within ${run.settings.deadline} s`)
  }

  const arrived = (run: Run, row: EngineRow): Run => {
    // Turned round while its host was at it.
    if (run.direction === 'BACK' && row.order?.build !== row.from) return step(run, row, { state: 'WAITING' })
    if (run.direction === 'BACK' || run.settings.evaluation_duration === 0) return step(run, row, { state: 'DONE', reason: '' }, 'UPGRADED')
    watches.begin(row.uuid)
    return step(run, row, { state: 'WATCHING', reason: '' }, 'UP')
  }

  const judge = (run: Run, row: EngineRow): Run => {
    const runtime = fleet.engineRuntime(row.uuid)
    if (runtime === undefined) return step(run, row, { state: 'SKIPPED', reason: 'it was deleted' }, 'SKIPPED')
    if (run.direction === 'BACK') return step(run, row, { state: 'WAITING' })
    const late = `within ${run.settings.deadline} s`
    if (!isUp(runtime) || runtime.build !== row.to) {
      // What it did as it was up is not what it does: it is watched anew.
      watches.end(row.uuid)
      return isLate(run, row) ? goBack(run, row, `it did not stay up on the new build ${late}`) : run
    }
    const { max_error_increase: errors, max_health_drop: drop, evaluation_duration: seconds } = run.settings
    const { side, isOver } = watches.look(row.uuid, runtime, seconds)
    const limits = { maxErrorIncrease: errors / 100, maxHealthDrop: drop }
    const before = row.before ?? { requests: 0, errors: 0, scores: {}, refuses: [] }
    const { verdict, reasons } = gate(before, side, limits, isOver)
    const words = reasons.join('; ')
    if (verdict === 'wait' || (verdict === 'worse' && !isLate(run, row))) return run
    if (verdict !== 'pass') return goBack(run, row, words)
    watches.end(row.uuid)
    return step(run, row, { state: 'DONE', reason: words }, 'UPGRADED')
  }

  const proceed = (run: Run, row: EngineRow): Run => {
    if (row.state === 'MEASURING') return measure(run, row)
    if (row.state === 'WATCHING') return judge(run, row)
    return row.state === 'ORDERED' || row.state === 'GOING_BACK' ? follow(run, row) : run
  }

  // The whole.

  /** Since when nothing is under way though engines wait. */
  const idleSinceMs = new Map<string, number>()
  const look = (group: string): void => {
    let run = runs.get(group)!
    if (store.get('serviceenginegroup', group) === undefined && run.outcome === null)
      run = tell({ ...run, outcome: 'ABORTED' }, 'ABORTED', ['the group was deleted'])
    for (const { uuid } of run.engines) {
      const row = run.engines.find(one => one.uuid === uuid)!
      if (isUnderWay(row)) run = proceed(run, row)
    }
    for (const { uuid } of run.engines) {
      const row = run.engines.find(one => one.uuid === uuid)!
      const isFull = run.engines.filter(isUnderWay).length >= run.settings.max_parallel
      if (row.state === 'WAITING' && !isFull && !run.isPaused && run.outcome === null) run = begin(run, row)
    }
    if (run.isPaused || run.engines.some(isUnderWay)) return void idleSinceMs.delete(group)
    if (run.outcome === null) {
      // Those that are not there to be told hold nobody up for ever; after a start of ours all come back first.
      const waiting = run.engines.filter(({ state }) => state === 'WAITING')
      if (!idleSinceMs.has(group)) idleSinceMs.set(group, clock.nowMs())
      if (waiting.length > 0 && clock.nowMs() - idleSinceMs.get(group)! < PATIENCE_MS) return
      for (const row of waiting) run = step(run, row, { state: 'SKIPPED', reason: 'it is not up' }, 'SKIPPED')
      const count = run.engines.filter(({ state }) => state === 'DONE').length
      const outcome = run.direction === 'FORWARD' ? 'DONE' : 'ROLLED_BACK'
      run = tell({ ...run, outcome }, outcome, [
        `${count} of ${run.engines.length} engines run ${run.direction === 'FORWARD' ? 'the new build' : 'what they ran before'}`
      ])
    }
    idleSinceMs.delete(group)
    save({ ...run, endedAtEpochMs: clock.nowEpochMs() })
  }

  const lookAtAll = (): void => {
    for (const [group, run] of runs) {
      if (isEnded(run)) {
        if (store.get('serviceenginegroup', group) !== undefined) continue
        table.delete(group)
        runs.delete(group)
        continue
      }
      try {
        look(group)
      } catch (error) {
        // The row says what is to be done: the next look tries again.
        log.warn('an upgrade could not go on', { group, error })
      }
    }
  }

  // What a person says.

  const rowOf = (uuid: string, builds: Readonly<Record<string, string>>): EngineRow => {
    const runtime = fleet.engineRuntime(uuid)
    const name = store.get('serviceengine', uuid)?.name ?? uuid
    const to = builds[runtime?.platform ?? ''] ?? ''
    const row: EngineRow = {
      uuid,
      name,
      from: runtime?.build ?? '',
      to,
      state: 'WAITING',
      sinceEpochMs: clock.nowEpochMs(),
      reason: '',
      order: null,
      before: null
    }
    const skipped = (reason: string): EngineRow => ({ ...row, state: 'SKIPPED', reason })
    if (runtime?.build === '' || runtime === undefined) return skipped('its host does not say which build it runs: it is upgraded there')
    if (to === '') return skipped(`nothing is given out for ${runtime.platform}`)
    if (row.from === to) return skipped('it runs that build already')
    return runtime.abilities.includes('upgrade') ? row : skipped(UNTOLD)
  }

  const groupOf = (uuid: string): StoredResource => {
    const group = store.get('serviceenginegroup', uuid)
    if (group === undefined) throw new UpgradeRefused('there is no such group')
    return group
  }

  const start: UpgradePort['start'] = (uuid, { settings, webhook, by }) => {
    const group = groupOf(uuid)
    const known = runs.get(uuid)
    if (known !== undefined && !isEnded(known)) throw new UpgradeRefused('an upgrade of this group is under way')
    const given = givenOut()
    if (given === undefined) throw new UpgradeRefused("the controller has no engine to give out: run 'make package' in its folder")
    const engines = enginesOf(uuid)
      .map(engine => rowOf(engine, given.builds))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    if (!engines.some(({ state }) => state === 'WAITING')) {
      const why = engines.map(({ name, reason }) => `${name}: ${reason}`)
      throw new UpgradeRefused(why.length === 0 ? 'the group has no engine' : `no engine of the group is to be upgraded: ${why.join('; ')}`)
    }
    const run: Run = {
      id: `upgrade-${randomUUID()}`,
      group: uuid,
      groupName: group.name,
      version: given.version,
      settings,
      ...(webhook === undefined ? {} : { webhook }),
      startedBy: by,
      startedAtEpochMs: clock.nowEpochMs(),
      direction: 'FORWARD',
      isPaused: false,
      outcome: null,
      endedAtEpochMs: null,
      reason: '',
      engines,
      events: []
    }
    tell(run, 'STARTED', [`to ${given.version}, ${settings.max_parallel} at once`], { by })
    look(uuid)
    return viewOf(runs.get(uuid)!)
  }

  const act: UpgradePort['act'] = (group, action, by) => {
    const run = runs.get(group)
    if (run === undefined) throw new UpgradeRefused('this group was never upgraded from here')
    perform(run, action, by)
    look(group)
    return viewOf(runs.get(group)!)
  }

  const perform = (run: Run, action: UpgradeAction, by: string): void => {
    const said = [`asked for by ${by}`]
    if (action === 'rollback') return void rollBack(run, by)
    if (run.outcome !== null) throw new UpgradeRefused('no upgrade of this group is under way')
    if (action === 'pause') {
      if (run.isPaused) throw new UpgradeRefused('the upgrade is paused already')
      return void pause(run, by, said)
    }
    if (action === 'abort') {
      const engines = run.engines.map((row): EngineRow =>
        row.state === 'WAITING' || row.state === 'MEASURING' ? { ...row, state: 'SKIPPED', reason: 'the upgrade was aborted' } : row
      )
      return void tell({ ...run, engines, isPaused: false, outcome: 'ABORTED' }, 'ABORTED', said, { by })
    }
    if (!run.isPaused) throw new UpgradeRefused('the upgrade is not paused')
    // Who failed is tried once more.
    const engines = run.engines.map((row): EngineRow => (row.state === 'FAILED' ? { ...row, state: 'WAITING', reason: '' } : row))
    tell({ ...run, engines, isPaused: false }, 'RESUMED', said, { by })
  }

  const rollBack = (run: Run, by: string): Run => {
    if (run.direction === 'BACK' && run.outcome !== 'ABORTED') throw new UpgradeRefused('it goes back already, or has')
    const isChanged = (row: EngineRow): boolean => row.order !== null && row.from !== '' && ['DONE', 'FAILED'].includes(row.state)
    const engines = run.engines.map((row): EngineRow => {
      if (isChanged(row)) return { ...row, state: 'WAITING', reason: '' }
      return row.state === 'WAITING' || row.state === 'MEASURING' ? { ...row, state: 'SKIPPED', reason: 'it was not upgraded' } : row
    })
    if (!engines.some(row => row.state === 'WAITING' || isUnderWay(row)))
      throw new UpgradeRefused('no engine was upgraded that could go back')
    for (const { uuid } of engines) watches.end(uuid)
    const turned: Run = { ...run, engines, direction: 'BACK', isPaused: false, outcome: null, endedAtEpochMs: null }
    return tell(turned, 'ROLLING_BACK', [`asked for by ${by}`], { by })
  }

  const stopLooking = clock.every(LOOK_MS, lookAtAll)

  return {
    of: group => {
      const run = runs.get(group)
      return run === undefined ? undefined : viewOf(run)
    },
    givenOut,
    start,
    act,
    stop: () => {
      stopLooking()
      watches.endAll()
    }
  }
}
