/** A fleet with the real change, placement and compile over a memory store; engines are real agents that only note what they are told. */
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { noFigures } from '#model/resource/runtime.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { mintJoinToken } from '#controller/access/join-token.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { makeChange } from '#controller/change/apply.ts'
import { firstStart } from '#controller/change/first-start.ts'
import { openFleet } from '#controller/fleet/fleet.ts'
import { makePlanner } from '#controller/fleet/planner.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { openTimeline } from '#controller/timeline/timeline.ts'
import { saveIdentity } from '#engine/agent/identity.ts'
import type { EngineSide } from '#engine/agent/port.ts'
import { aFolder, anAgent, anEngine } from './agent.ts'
import { seededBytes } from './change.ts'
import { aCsr } from './csr.ts'

type Facts = Partial<ReturnType<EngineSide['facts']>>

export async function aPlacedFleet(t: Test) {
  const store = openMemoryStore()
  const seal = makeSeal(new Uint8Array(32).fill(3))
  const clock = systemClock
  const randomBytes = seededBytes()
  const told: ((revision: number) => void)[] = []
  const change = makeChange({ store, seal, clock, randomBytes, committed: revision => told.forEach(tell => tell(revision)) })
  await firstStart({ store, change, randomBytes })
  const authority = await openAuthority({ store, seal, clock, log: silentLog })
  t.teardown(authority.stop)
  const telemetry = {
    ingest: () => undefined,
    forget: () => undefined,
    live: () => noFigures,
    liveOfUse: () => undefined,
    liveOfEngine: () => noFigures,
    scripts: () => [],
    hedges: () => undefined,
    zones: () => undefined,
    hostOfEngine: () => null,
    healthScore: () => ({ score: 100, reasons: [] })
  }
  const timeline = openTimeline({ store, clock, log: silentLog })
  t.teardown(timeline.stop)
  const planner = makePlanner({ store, seal, log: silentLog, onPlaced: timeline.placed })
  const running = await openFleet({
    store,
    change,
    authority,
    seal,
    telemetry,
    planner,
    timeline,
    clock,
    log: silentLog,
    host: '127.0.0.1',
    port: 0,
    version: '0'
  })
  t.teardown(running.stop)
  told.push(running.committed)

  const create = async (kind: KindName, body: JsonObject, serverFields: JsonObject = {}): Promise<string> => {
    const order = { actor: controllerActor, tenant: ADMIN_TENANT, writes: [{ op: 'create', kind, body, serverFields } as const] }
    return (await change.apply(order)).resources[0]!.uuid
  }

  /** A service on port 8080, with a pool and an address. Answers its uuid. */
  const aShop = async (more: JsonObject = {}): Promise<string> => {
    await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
    await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
    return create('virtualservice', {
      name: 'shop',
      pool_ref: '/api/pool/?name=web',
      vsvip_ref: '/api/vsvip/?name=vip',
      services: [{ port: 8080 }],
      ...more
    })
  }

  /** A host that has joined, and the folder of its engine, which does not run yet. */
  const enrol = async (hostname: string, labels: Readonly<Record<string, string>> = {}) => {
    const minted = mintJoinToken({ caFingerprint: authority.caFingerprint, expiresAtEpochMs: Date.now() + 60_000, uses: 1, randomBytes })
    await create('jointoken', { name: `for ${hostname}`, labels }, minted.serverFields)
    const { csrPem, keyPem } = await aCsr()
    const enrolment = await running.enrol({ token: minted.token, csrPem, hostname, remoteAddress: '127.0.0.1' })
    const folder = aFolder(t)
    const { engineUuid: engineId, engineName, enginePort, certificatePem, caPem } = enrolment
    await saveIdentity(folder, { engineId, engineName, controllerHost: '127.0.0.1', enginePort, keyPem, certificatePem, caPem })
    return { uuid: engineId, folder }
  }
  const join = async (hostname: string, facts: Facts = {}) => connectAgain({ ...(await enrol(hostname)), facts })

  /** Another process on the same data folder. */
  const connectAgain = async ({ uuid, folder, facts }: { readonly uuid: string; readonly folder: string; readonly facts: Facts }) => {
    const engine = anEngine()
    const usual = engine.facts
    engine.facts = () => ({ ...usual(), ...facts })
    return { uuid, folder, facts, engine, agent: await anAgent(t, folder, engine) }
  }
  return { store, change, planner, timeline, running, create, aShop, enrol, join, connectAgain, authority, seal, randomBytes }
}
