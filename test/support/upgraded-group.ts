/** A group of engines whose hosts do with orders what a test says, a driver of upgrades, and a clock that is turned. */
import type { Test } from 'tap'
import { silentLog } from '#model/base/log.ts'
import { parseUpgradeOrder } from '#model/message/upgrade.ts'
import { noFigures, type ServiceEngineRuntime } from '#model/resource/runtime.ts'
import { upgradeDefaults, type UpgradeSettings } from '#model/resource/upgrade.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { openUpgrades, type Upgrades } from '#controller/upgrade/upgrade.ts'
import { manualClock } from './manual-clock.ts'
import { aVirtualServiceRuntime } from './rest-ports.ts'
import { aSigner } from './upgrade.ts'

export const [OLD, NEW] = ['aa'.repeat(32), 'bb'.repeat(32)] as const
const GROUP = 'serviceenginegroup-1'
export const uuidOf = (n: number): string => `serviceengine-00000000-0000-4000-8000-00000000000${n}`

/** What a host does with an order for a build. */
export type Host = (order: { readonly id: string; readonly build: string }, engine: ToldEngine) => void

export interface ToldEngine {
  build: string
  isUp: boolean
  abilities: readonly string[]
  ended: ServiceEngineRuntime['upgrade_ended']
  host: Host
  requests: number
  errors: number
  violations: ServiceEngineRuntime['violations']
}

/** Runs what it is told, at once. */
export const obeys: Host = ({ id, build }, engine) => {
  engine.build = build
  engine.ended = { id, outcome: 'done', reason: '' }
}

export async function aGroup(t: Test, count: number, more: Partial<UpgradeSettings> = {}) {
  const settings: UpgradeSettings = { ...upgradeDefaults, evaluation_duration: 10, deadline: 60, ...more }
  const clock = manualClock(1_800_000_000_000)
  const store = openMemoryStore()
  const engines = new Map<string, ToldEngine>()
  const put = async (kind: 'serviceenginegroup' | 'serviceengine', uuid: string, name: string): Promise<void> => {
    const one = { kind, uuid, tenant: 'tenant-admin', name, body: { name }, references: [] } as const
    await store.commit({ author: 'test', reason: '', atEpochMs: 0, puts: [one], deletes: [], changes: [] })
  }
  await put('serviceenginegroup', GROUP, 'edge')
  for (let n = 1; n <= count; n++) {
    await put('serviceengine', uuidOf(n), `e${n}`)
    engines.set(uuidOf(n), {
      build: OLD,
      isUp: true,
      abilities: ['upgrade'],
      ended: null,
      host: obeys,
      requests: 0,
      errors: 0,
      violations: []
    })
  }
  const scores = { score: 100 }
  const runtimeOf = (uuid: string): ServiceEngineRuntime | undefined => {
    const engine = engines.get(uuid)
    if (engine === undefined) return undefined
    return {
      oper_status: { state: engine.isUp ? 'OPER_UP' : 'OPER_DOWN', reason: [], last_changed_time: 0 },
      connected: engine.isUp,
      last_seen: 0,
      wanted_revision: 1,
      running_revision: 1,
      violations: engine.violations,
      version: '1',
      build: engine.build,
      platform: 'linux-x64',
      upgrade_ended: engine.ended,
      hostname: 'h',
      addresses: [],
      workers: 1,
      abilities: engine.abilities,
      host: null,
      live: noFigures,
      health_score: { score: 100, reasons: [] },
      virtualservices: [{ uuid: 'virtualservice-1', name: 'shop' }],
      certificate_not_after: null
    }
  }
  /** Ids in the order in which hosts got them; one that comes again is there once. */
  const orders: { readonly id: string; readonly engine: string; readonly build: string }[] = []
  const told: string[] = []
  const given = { build: NEW }
  const sent: string[] = []
  const signer = aSigner()
  const open = (): Upgrades => {
    const made = openUpgrades({
      store,
      telemetry: {
        measure: uuid => {
          const { requests, errors } = engines.get(uuid)!
          return {
            read: () => ({ requests: engines.get(uuid)!.requests - requests, errors: engines.get(uuid)!.errors - errors, latency: [] }),
            stop: () => undefined
          }
        }
      },
      fleet: {
        engineRuntime: runtimeOf,
        virtualServiceRuntime: () => aVirtualServiceRuntime({ health_score: { score: scores.score, reasons: [] } }),
        orderUpgrade: (uuid, { id, order }) => {
          const read = parseUpgradeOrder(order)!
          const engine = engines.get(uuid)!
          if (!engine.isUp) return false
          sent.push(id)
          if (orders.some(one => one.id === id)) return true
          orders.push({ id, engine: uuid, build: read.build })
          engine.host(read, engine)
          return true
        }
      },
      enginesOf: () => [...engines.keys()],
      sign: signer.sign,
      givenOut: () => ({ version: '2.0.0', builds: { 'linux-x64': given.build } }),
      timeline: { upgraded: () => undefined },
      webhooks: { tell: (_, message) => void told.push((message as { readonly event: string }).event) },
      clock,
      log: silentLog
    })
    t.teardown(made.stop)
    return made
  }
  let upgrades = open()
  const view = () => upgrades.of(GROUP)!
  return {
    clock,
    store,
    engines,
    engine: (n: number): ToldEngine => engines.get(uuidOf(n))!,
    orders,
    sent,
    told,
    given,
    scores,
    view,
    states: () => view().engines.map(({ state }) => state),
    kinds: () => view().events.map(({ kind, engine }) => (engine === null ? kind : `${kind} ${engine.name}`)),
    isStarted: () => upgrades.of(GROUP) !== undefined,
    start: (by = 'admin', webhook?: string, asked = settings) =>
      upgrades.start(GROUP, { settings: asked, by, ...(webhook === undefined ? {} : { webhook }) }),
    act: (action: Parameters<Upgrades['act']>[1]) => upgrades.act(GROUP, action, 'admin'),
    /** As a controller that was killed. */
    restart: () => {
      upgrades.stop()
      upgrades = open()
    },
    /** Seconds go by, with traffic. */
    pass: (seconds: number) => {
      for (let i = 0; i < seconds; i++) {
        for (const engine of engines.values()) if (engine.isUp) engine.requests += 100
        clock.advance(1_000)
      }
    }
  }
}
