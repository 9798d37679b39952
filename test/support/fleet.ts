/** A real fleet over a store in memory: its planner gives every engine the parts that a test says. */
import { createHash, randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import type { Clock } from '#model/base/clock.ts'
import { makeLog, silentLog } from '#model/base/log.ts'
import type { Sample } from '#model/message/message.ts'
import { makeJoinToken } from '#model/message/token.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { noFigures } from '#model/resource/runtime.ts'
import { canonicalJson, manifestText } from '#model/snapshot/canonical.ts'
import { SNAPSHOT_VERSION } from '#model/snapshot/snapshot.ts'
import type { Manifest, Part, PartEntry, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { hashJoinSecret } from '#controller/access/join-token.ts'
import type { ChangeOrder, ChangeResult } from '#controller/change/order.ts'
import { openFleet } from '#controller/fleet/fleet.ts'
import type { Fleet } from '#controller/fleet/fleet.ts'
import type { Planner, ServicePlan } from '#controller/fleet/plan.ts'
import type { Engine } from '#controller/fleet/roster.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import type { Authority } from '#controller/pki/authority.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { openTimeline } from '#controller/timeline/timeline.ts'
import { freePorts } from './ports.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** A manifest over parts, hashed as compile does. */
export function aManifest(
  engineId: string,
  revision: number,
  parts: readonly Part[]
): { readonly manifest: Manifest; readonly parts: Map<string, Part> } {
  const entries: PartEntry[] = parts.map(part => ({ kind: part.kind, id: part.id, hash: sha256(canonicalJson(part)) }))
  const byHash = new Map(parts.map((part, i) => [entries[i]!.hash, part]))
  return { manifest: { version: SNAPSHOT_VERSION, revision, engineId, parts: entries, hash: sha256(manifestText(entries)) }, parts: byHash }
}

/** A part that only has to travel: what it means is for others. */
export function aService(id: string, name = id): VirtualServicePart {
  return { kind: 'virtual-service', id, name, tenant: 'admin', listeners: [] } as unknown as VirtualServicePart
}

type References = readonly { readonly pointer: string; readonly toKind: KindName; readonly toUuid: string }[]

export interface TestFleet {
  readonly fleet: Fleet
  readonly store: Store
  readonly authority: Authority
  /** Lines of the log, from warnings up. */
  readonly warnings: readonly string[]
  readonly samples: { readonly engine: string; readonly sample: Sample }[]
  /** What every engine should run from the next commit on, beside its own part. */
  readonly services: Map<string, Part>
  readonly placed: Map<string, ServicePlan>
  /** Engines that the last plan could count on. */
  readonly usable: () => readonly string[]
  readonly put: (kind: KindName, uuid: string, body: JsonObject, references?: References) => Promise<void>
  readonly remove: (kind: KindName, uuid: string) => Promise<void>
  readonly commit: () => Promise<number>
  readonly token: (fields?: JsonObject) => Promise<string>
}

export interface TestFleetOptions {
  readonly store?: Store
  readonly clock?: Clock
  readonly services?: Map<string, Part>
  /** What one engine should run beside what all run. */
  readonly partsOf?: (engineUuid: string) => readonly Part[]
  readonly port?: number
  /** Takes over the keys of another controller, and nothing else of it. */
  readonly authorityOf?: TestFleet
}

export async function aFleet(t: Test, options: TestFleetOptions = {}): Promise<TestFleet> {
  const { store = openMemoryStore(), clock = systemClock, services = new Map<string, Part>(), partsOf = () => [] } = options
  // Not one that the kernel gives to clients: agents that come back while nobody listens must not take it themselves.
  const [port] = options.port === undefined ? ((await freePorts(1)) as [number]) : [options.port]
  const seal = makeSeal(new Uint8Array(32).fill(7))
  for (const [key, row] of options.authorityOf?.store.table('pki').entries() ?? []) store.table('pki').set(key, row)
  const authority = await openAuthority({ store, seal, clock, log: silentLog })
  const warnings: string[] = []
  t.teardown(authority.stop)
  const samples: { engine: string; sample: Sample }[] = []
  const placed = new Map<string, ServicePlan>()

  const write = async (kind: KindName, uuid: string, body: JsonObject, references: References = []): Promise<StoredResource> => {
    const put = { kind, uuid, tenant: 'tenant-admin', name: typeof body['name'] === 'string' ? body['name'] : uuid, body, references }
    const committed = await store.commit({
      author: 'test',
      reason: '',
      atEpochMs: clock.nowEpochMs(),
      puts: [put],
      deletes: [],
      changes: []
    })
    return committed.resources[0]!
  }
  const apply = async (order: ChangeOrder): Promise<ChangeResult> => {
    const resources: StoredResource[] = []
    for (const one of order.writes) {
      if (one.op === 'create')
        resources.push(await write(one.kind, `${one.kind}-${crypto.randomUUID()}`, { ...one.body, ...one.serverFields }))
      else if (one.op === 'patch') {
        const before = store.get(one.kind, one.uuid)!
        resources.push(await write(one.kind, one.uuid, { ...before.body, ...one.serverFields }))
      }
    }
    return { revision: store.revision(), resources, changes: [], warnings: [] }
  }
  let known: readonly Engine[] = []
  let plans = 0
  const planner: Planner = {
    plan: engines => {
      known = engines
      plans += 1
      return new Map(
        engines.map(engine => {
          const own: Part = { kind: 'engine', id: engine.uuid, name: 'engine', drainTimeoutS: 1 }
          return [engine.uuid, aManifest(engine.uuid, store.revision(), [own, ...services.values(), ...partsOf(engine.uuid)])]
        })
      )
    },
    service: uuid => placed.get(uuid),
    version: () => plans,
    placer: {
      services: [],
      sites: [],
      isMoving: false,
      service: () => undefined,
      moreOf: () => 0,
      leavingOf: () => [],
      wish: () => undefined,
      promote: () => false,
      switchOver: () => undefined,
      rebalance: () => undefined,
      preview: () => ({ engines: [], reasons: [] })
    },
    owners: { told: () => [], gone: () => undefined, ownerOf: () => undefined, seen: () => [] }
  }
  const timeline = openTimeline({ store, clock, log: silentLog })
  t.teardown(timeline.stop)
  const fleet = await openFleet({
    store,
    change: { apply },
    authority,
    seal,
    telemetry: {
      ingest: (engine, sample) => void samples.push({ engine, sample }),
      forget: () => undefined,
      live: () => noFigures,
      liveOfUse: () => undefined,
      liveOfEngine: () => noFigures,
      scripts: () => [],
      hedges: () => undefined,
      zones: () => undefined,
      hostOfEngine: () => null,
      healthScore: (_, facts) => ({ score: facts.isDown ? 0 : 100, reasons: [] })
    },
    planner,
    timeline,
    clock,
    log: makeLog(line => void warnings.push(line), { level: 'warn' }),
    host: '127.0.0.1',
    port,
    version: '0.0.0-test'
  })
  t.teardown(fleet.stop)

  return {
    fleet,
    store,
    authority,
    warnings,
    samples,
    services,
    placed,
    usable: () => known.filter(engine => engine.isUsable).map(engine => engine.uuid),
    put: async (kind, uuid, body, references) => {
      await write(kind, uuid, body, references)
      fleet.committed(store.revision())
    },
    remove: async (kind, uuid) => {
      await store.commit({ author: 'test', reason: '', atEpochMs: 0, puts: [], deletes: [{ kind, uuid }], changes: [] })
      fleet.committed(store.revision())
    },
    commit: async () => {
      await write('stringgroup', 'stringgroup-x', { name: `x ${randomBytes(4).toString('hex')}` })
      fleet.committed(store.revision())
      return store.revision()
    },
    token: async (fields = {}) => {
      const secret = randomBytes(32).toString('base64url')
      const expires_at = new Date(clock.nowEpochMs() + 3_600_000).toISOString()
      await write('jointoken', `jointoken-${crypto.randomUUID()}`, {
        name: secret.slice(0, 8),
        uses: 1,
        expires_at,
        token_hash: hashJoinSecret(secret).toString('base64url'),
        ...fields
      })
      return makeJoinToken({ caFingerprint: authority.caFingerprint, secret })
    }
  }
}
