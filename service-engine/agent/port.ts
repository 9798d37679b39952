/**
 * What agent and data plane are to each other: `main.ts` wires them through this port, neither imports the other, so
 * that traffic flows on when the controller is gone.
 */
import type {
  Announcing,
  CachePurge,
  ClientBinding,
  Explanation,
  Hello,
  LimitShare,
  LimitUse,
  OwnedVip,
  QuotaLeft,
  QuotaUse,
  RequestQuestion,
  RequestTrace,
  Sample,
  SeenPeer,
  ServerJudgement,
  TraceOrder
} from '#model/message/message.ts'
import type { SignedOrder, UpgradeOutcome } from '#model/message/upgrade.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'

/** Given to the agent by `main.ts`. */
export interface EngineSide {
  /** Builds the snapshot beside the running one and swaps; violations mean that the old one runs on. */
  readonly applySnapshot: (snapshot: Snapshot) => Promise<readonly Violation[]>
  readonly judgements: () => readonly ServerJudgement[]
  /** The engine's facts for Hello; the agent adds what it holds and runs. */
  readonly facts: () => Omit<Hello, 'type' | 'protocol' | 'snapshotVersion' | 'runningRevision' | 'runningHash' | 'heldParts'>
  /** What would become of a request; undefined when nothing that runs can say. */
  readonly explain?: (question: RequestQuestion) => Promise<Explanation | undefined>
  /** How much of the budgets of shared limits is ours from now on. */
  readonly shareLimits?: (shares: readonly LimitShare[]) => void
  /** Takes out answers that are kept. Returns how many. */
  readonly purge?: (virtualServiceId: string, purge: CachePurge) => Promise<number>
  /** Traces requests as they come; each is handed to `requestTraced`. */
  readonly trace?: (order: TraceOrder) => void
  /** What all engines together have left of quotas. */
  readonly quotasLeft?: (quotas: readonly QuotaLeft[]) => void
  /** What the controller knows of peers that were asked after. */
  readonly peersSeen?: (peers: readonly SeenPeer[]) => void
  /** Addresses that the engine owns now. */
  readonly ownedVips?: () => readonly OwnedVip[]
  /** Whether addresses are announced that are to be, and what BIRD says; undefined where none are. */
  readonly announcing?: () => Announcing | undefined
  /** Clients that other engines have given to servers. */
  readonly bindClients?: (bindings: readonly ClientBinding[]) => void
  /** Changes the program, where the host takes such orders. */
  readonly upgrade?: (order: SignedOrder & { readonly id: string }) => void
  /** What became of the last order to; undefined when there was none. */
  readonly upgradeEnded?: () => UpgradeOutcome | undefined
  /** The link stands: whoever is at its other end may know nothing. */
  readonly connected?: () => void
  /** No longer trusted: listeners close. */
  readonly standDown: (reason: string) => Promise<void>
}

/** Given by the agent to `main.ts`. */
export interface AgentSide {
  /** Queued when the link is down or slow; the oldest is dropped and counted. Never waits. */
  readonly sampleTaken: (sample: Sample) => void
  readonly serversJudged: (judgements: readonly ServerJudgement[]) => void
  /** Lost while there is no link: what was asked then is nobody's concern. */
  readonly limitsUsed: (limits: readonly LimitUse[]) => void
  readonly requestTraced?: (id: string, trace: RequestTrace) => void
  /** Asks for what was used of quotas and tells it, when there is a link: without one it is kept until there is. */
  readonly tellQuotas: (used: () => readonly QuotaUse[]) => void
  /** Told now when there is a link; else with the next Welcome. */
  readonly vipsOwned?: (vips: readonly OwnedVip[]) => void
  /** As `vipsOwned`. */
  readonly vipsAnnounced?: (announcing: Announcing) => void
  readonly askPeers?: (engineIds: readonly string[]) => void
  /** Asks which clients the other engines must know of and tells it, when there is a link. */
  readonly tellBindings?: (made: () => readonly ClientBinding[]) => void
  readonly status: () => LinkStatus
  /** Stops; another process of this host connects next, so the controller leaves here what is here. */
  readonly handOver: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** How the link is, for `status` on the host. */
export interface LinkStatus {
  readonly isConnected: boolean
  /** 0 when nothing runs. */
  readonly runningRevision: number
  /** Why there is no connection, in words; '' while there is one. */
  readonly reason: string
}
