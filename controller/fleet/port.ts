/** What the rest of the controller may ask of the fleet. */
import type { CachePurge, Explanation, RequestQuestion, RequestTrace, TraceOrder } from '#model/message/message.ts'
import type { SignedOrder } from '#model/message/upgrade.ts'
import type {
  CachePurgeRuntime,
  PersistenceRuntime,
  ServiceEngineRuntime,
  VirtualServiceRuntime,
  PoolRuntime
} from '#model/resource/runtime.ts'

export interface FleetPort {
  /** Something was committed: placement and push follow soon, coalesced. */
  readonly committed: (revision: number) => void
  readonly enrol: (request: EnrolRequest) => Promise<Enrolment>
  readonly engineRuntime: (uuid: string) => ServiceEngineRuntime | undefined
  readonly virtualServiceRuntime: (uuid: string) => VirtualServiceRuntime | undefined
  readonly poolRuntime: (uuid: string) => PoolRuntime | undefined
  /** Bindings that the engines of a pool share, so many of them at most. */
  readonly persistence?: (poolUuid: string, limit: number) => PersistenceRuntime
  /** Asks an engine that runs the virtual service; undefined when none is there or answers in time. */
  readonly explain?: (question: RequestQuestion) => Promise<{ readonly engineUuid: string; readonly explanation: Explanation } | undefined>
  /** Hands an engine an order to change its program. False: it is not connected, or its host takes none. */
  readonly orderUpgrade: (engineUuid: string, order: SignedOrder & { readonly id: string }) => boolean
  /** Traces of live requests. */
  readonly traces?: TracesPort
  /** Takes out what engines keep; one that is away is told when it is back. */
  readonly purgeCache?: (virtualServiceUuid: string, purge: CachePurge, by: string) => Promise<CachePurgeRuntime>
  readonly actions: PlacementActions
  /** Ends an engine's trust: its socket closes, its services move, it cannot come back with this identity. */
  readonly revoke: (engineUuid: string, reason: string) => Promise<void>
  /** Tells an engine again that was held because it runs what this controller never made. False: it is not held. */
  readonly takeOver: (engineUuid: string, by: string) => boolean
  /** Called at once when a state changes (engine up or down, server up or down, placed, applied). Returns the way to stop. */
  readonly onStateChange: (listener: (change: StateChange) => void) => () => void
}

export type WantedTrace = Omit<TraceOrder, 'id'>

export interface TracesPort {
  /** Undefined when no engine that runs the virtual service is connected, or too much is traced already. */
  readonly start: (wanted: WantedTrace) => LiveTrace | undefined
  /** What was traced stays for a while. */
  readonly end: (id: string) => void
  readonly get: (id: string) => LiveTrace | undefined
  /** The newest trace of the request with this id, and the one that it belongs to. */
  readonly find: (requestId: string) => { readonly trace: LiveTrace; readonly request: FoundRequest } | undefined
}

export interface LiveTrace {
  readonly id: string
  readonly wanted: WantedTrace
  readonly untilEpochMs: number
  readonly isRunning: boolean
  /** Oldest first. */
  readonly requests: readonly FoundRequest[]
}

export interface FoundRequest extends RequestTrace {
  readonly engineUuid: string
}

export interface StateChange {
  readonly kind: 'virtualservice' | 'pool' | 'serviceengine'
  readonly uuid: string
}

export interface EnrolRequest {
  readonly token: string
  readonly csrPem: string
  readonly hostname: string
  readonly remoteAddress: string
}

export interface Enrolment {
  readonly engineUuid: string
  readonly engineName: string
  readonly groupName: string
  readonly certificatePem: string
  readonly caPem: string
  /** Port of the engine channel on the controller's host. */
  readonly enginePort: number
}

export class EnrolRefused extends Error {
  override readonly name = 'EnrolRefused'
  /** 401 token unknown, used up, expired or revoked; 400 bad CSR. */
  readonly status: 400 | 401
  constructor(status: 400 | 401, message: string) {
    super(message)
    this.status = status
  }
}

/** What was asked cannot be done now; nothing moved. */
export class ActionRefused extends Error {
  override readonly name = 'ActionRefused'
  readonly statusCode = 409
  readonly code = 'NOT_NOW'
}

export interface PlacementActions {
  /** One engine more; `to` names it. All throw ActionRefused with the reason, or answer what is on the way. */
  readonly scaleOut: (virtualService: string, to?: string) => Moving
  /** One engine less; `from` names it, the last one when left out. */
  readonly scaleIn: (virtualService: string, from?: string) => Moving
  /** From one engine to another; the primary when `from` is left out, the best engine when `to` is. */
  readonly migrate: (virtualService: string, from?: string, to?: string) => Moving
  /** Primary and secondary change places. */
  readonly switchOver: (virtualService: string) => Moving
  /** Spreads the services of a group anew, by as few moves as that takes. */
  readonly redistribute: (group: string) => { readonly moved: readonly string[] }
}

/** Uuids of engines before and after an action; those that are left go on until the others run it. */
export interface Moving {
  readonly before: readonly string[]
  readonly after: readonly string[]
}
