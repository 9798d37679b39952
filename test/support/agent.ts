/** A real agent whose engine is a list of what it was told to run. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import type { Clock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import type { ServerJudgement } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import { openAgent } from '#engine/agent/agent.ts'
import { saveIdentity } from '#engine/agent/identity.ts'
import type { AgentSide, EngineSide } from '#engine/agent/port.ts'
import { aCsr } from './csr.ts'
import type { TestFleet } from './fleet.ts'

export function aFolder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'weir-agent-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export interface TestEngine extends EngineSide {
  applySnapshot: EngineSide['applySnapshot']
  facts: EngineSide['facts']
  /** In order; the last one runs. */
  readonly applied: Snapshot[]
  readonly stoodDown: string[]
  /** What the next snapshots are refused with. */
  refuseWith: readonly Violation[]
  judged: readonly ServerJudgement[]
}

export function anEngine(): TestEngine {
  const engine: TestEngine = {
    applied: [],
    stoodDown: [],
    refuseWith: [],
    judged: [],
    applySnapshot: async snapshot => {
      if (engine.refuseWith.length > 0) return engine.refuseWith
      engine.applied.push(snapshot)
      return []
    },
    judgements: () => engine.judged,
    facts: () => ({
      version: '0.0.0-test',
      bootId: 'boot-1',
      hostname: 'host',
      addresses: ['127.0.0.1'],
      cpuCount: 2,
      memoryBytes: 1e9,
      workers: 2,
      abilities: []
    }),
    standDown: async reason => void engine.stoodDown.push(reason)
  }
  return engine
}

/** Joins by the fleet directly, without REST between; answers the engine's uuid. */
export async function joinFolder(fleet: TestFleet, dataFolder: string, hostname = 'host'): Promise<string> {
  const { csrPem, keyPem } = await aCsr()
  const enrolment = await fleet.fleet.enrol({ token: await fleet.token(), csrPem, hostname, remoteAddress: '127.0.0.1' })
  await saveIdentity(dataFolder, {
    engineId: enrolment.engineUuid,
    engineName: enrolment.engineName,
    controllerHost: '127.0.0.1',
    enginePort: enrolment.enginePort,
    keyPem,
    certificatePem: enrolment.certificatePem,
    caPem: enrolment.caPem
  })
  return enrolment.engineUuid
}

export async function anAgent(t: Test, dataFolder: string, engine: TestEngine, clock: Clock = systemClock): Promise<AgentSide> {
  const agent = await openAgent({ dataFolder, engineSide: engine, clock, random: Math.random, log: silentLog })
  t.teardown(agent.stop.bind(agent))
  return agent
}
