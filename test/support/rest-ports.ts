/** A fleet and a telemetry that say what a test told them to, for tests of the REST layer. */
import { randomUUID } from 'node:crypto'
import type { Explanation, RequestQuestion } from '#model/message/message.ts'
import { noFigures } from '#model/resource/runtime.ts'
import type { PoolRuntime, ServiceEngineRuntime, VirtualServiceRuntime } from '#model/resource/runtime.ts'
import { EnrolRefused, type Moving } from '#controller/fleet/port.ts'
import type { EnrolRequest, FleetPort, FoundRequest, LiveTrace, StateChange } from '#controller/fleet/port.ts'
import type { MetricsQuery, TelemetryPort } from '#controller/telemetry/port.ts'

const score = { score: 100, reasons: [] } as const

export function aVirtualServiceRuntime(more: Partial<VirtualServiceRuntime> = {}): VirtualServiceRuntime {
  return {
    oper_status: { state: 'OPER_UP', reason: [], last_changed_time: 1 },
    placed_on: [],
    engines_wanted: 1,
    live: { ...noFigures, requests_per_s: 7 },
    health_score: score,
    ...more
  }
}

export function aPoolRuntime(): PoolRuntime {
  return {
    oper_status: { state: 'OPER_UP', reason: [], last_changed_time: 1 },
    servers: [
      {
        server: '10.0.0.1',
        ip: '10.0.0.1',
        port: 80,
        enabled: true,
        ratio: 1,
        oper_status: { state: 'OPER_UP', reason: [], last_changed_time: 1 },
        engines: [],
        live: noFigures
      }
    ],
    num_servers: 1,
    num_servers_up: 1,
    num_servers_enabled: 1,
    live: noFigures,
    health_score: score,
    virtualservices: []
  }
}

export interface ToldFleet extends FleetPort {
  /** As a test says; nobody to tell unless it does. */
  purgeCache?: NonNullable<FleetPort['purgeCache']>
  readonly virtualServices: Map<string, VirtualServiceRuntime>
  /** Virtual service -> what an engine would say. */
  readonly explanations: Map<string, (question: RequestQuestion) => Explanation>
  /** Virtual service -> what its traces find at once. */
  readonly traced: Map<string, readonly FoundRequest[]>
  /** In order of their start. */
  readonly startedTraces: LiveTrace[]
  readonly pools: Map<string, PoolRuntime>
  readonly engines: Map<string, ServiceEngineRuntime>
  readonly enrolments: EnrolRequest[]
  readonly revoked: string[]
  /** What was said to placement, in words. */
  readonly acted: string[]
  readonly announce: (change: StateChange) => void
}

export function toldFleet(): ToldFleet {
  const listeners = new Set<(change: StateChange) => void>()
  const virtualServices = new Map<string, VirtualServiceRuntime>()
  const pools = new Map<string, PoolRuntime>()
  const engines = new Map<string, ServiceEngineRuntime>()
  const enrolments: EnrolRequest[] = []
  const revoked: string[] = []
  const acted: string[] = []
  const act = (...words: (string | undefined)[]): Moving => {
    acted.push(words.filter(word => word !== undefined).join(' '))
    return { before: ['serviceengine-1'], after: ['serviceengine-2'] }
  }
  const explanations = new Map<string, (question: RequestQuestion) => Explanation>()
  const traced = new Map<string, readonly FoundRequest[]>()
  const startedTraces: LiveTrace[] = []
  return {
    traced,
    startedTraces,
    traces: {
      start: wanted => {
        const requests = traced.get(wanted.virtualServiceId)
        if (requests === undefined) return undefined
        const trace = { id: `trace-${startedTraces.length}`, wanted, untilEpochMs: 1_000, isRunning: true, requests }
        startedTraces.push(trace)
        return trace
      },
      end: id => {
        const at = startedTraces.findIndex(trace => trace.id === id)
        startedTraces[at] = { ...startedTraces[at]!, isRunning: false }
      },
      get: id => startedTraces.find(trace => trace.id === id),
      find: requestId => {
        for (const trace of startedTraces) {
          const request = trace.requests.find(one => one.requestId === requestId)
          if (request !== undefined) return { trace, request }
        }
        return undefined
      }
    },
    explanations,
    virtualServices,
    pools,
    engines,
    enrolments,
    revoked,
    acted,
    actions: {
      scaleOut: (uuid, to) => act('out', uuid, to),
      scaleIn: (uuid, from) => act('in', uuid, from),
      migrate: (uuid, from, to) => act('migrate', uuid, from, to),
      switchOver: uuid => act('over', uuid),
      redistribute: uuid => {
        act('redistribute', uuid)
        return { moved: [] }
      }
    },
    announce: change => {
      for (const listener of listeners) listener(change)
    },
    committed: () => undefined,
    enrol: async request => {
      enrolments.push(request)
      if (!request.token.startsWith('weir1.')) throw new EnrolRefused(401, 'the join token is unknown')
      return {
        engineUuid: `serviceengine-${randomUUID()}`,
        engineName: request.hostname,
        groupName: 'Default-Group',
        certificatePem: 'certificate',
        caPem: 'ca',
        enginePort: 9444
      }
    },
    explain: async question => {
      const explanation = explanations.get(question.virtualServiceId)
      return explanation === undefined ? undefined : { engineUuid: 'serviceengine-1', explanation: explanation(question) }
    },
    orderUpgrade: (uuid, { id }) => {
      acted.push(`upgrade ${uuid} ${id}`)
      return engines.has(uuid)
    },
    engineRuntime: uuid => engines.get(uuid),
    virtualServiceRuntime: uuid => virtualServices.get(uuid),
    poolRuntime: uuid => pools.get(uuid),
    revoke: async uuid => {
      revoked.push(uuid)
    },
    takeOver: uuid => {
      acted.push(`take over ${uuid}`)
      return engines.get(uuid)?.held !== undefined
    },
    onStateChange: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

export interface ToldTelemetry extends Pick<TelemetryPort, 'live' | 'metrics' | 'healthScore' | 'prometheus'> {
  readonly asked: MetricsQuery[]
}

export function toldTelemetry(): ToldTelemetry {
  const asked: MetricsQuery[] = []
  return {
    asked,
    live: () => noFigures,
    healthScore: () => score,
    metrics: query => {
      asked.push(query)
      return {
        series: [],
        metric_id: query.metricIds.join(','),
        start: new Date(query.startEpochS * 1_000).toISOString(),
        stop: new Date(query.stopEpochS * 1_000).toISOString(),
        step: query.stepS,
        limit: query.limit
      }
    },
    prometheus: () => '# HELP weir_up Whether the controller runs.\n# TYPE weir_up gauge\nweir_up 1\n'
  }
}
