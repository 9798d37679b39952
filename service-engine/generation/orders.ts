/** What the agent thread and a data-plane worker say to each other over their port. An order is answered by a fact of its kind. */
import type { CachePurge, ScriptSample, Explanation, RequestQuestion, RequestTrace, TraceOrder } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import type { ForwarderKind } from '../dataplane/exchange/forwarder.ts'
import type { RecordBatch } from '#engine/meter/record-lines.ts'
import type { Slots } from '#engine/meter/shared.ts'

export type WorkerOrder =
  | { readonly type: 'load'; readonly sequence: number; readonly snapshot: Snapshot; readonly slots: Slots }
  /** Servers given by name: `<pool id>/<server id>` -> addresses, all that are known. */
  | { readonly type: 'resolve'; readonly addresses: Readonly<Record<string, readonly string[]>> }
  | { readonly type: 'explain'; readonly sequence: number; readonly question: RequestQuestion }
  | { readonly type: 'purge'; readonly sequence: number; readonly virtualServiceId: string; readonly purge: CachePurge }
  | { readonly type: 'trace'; readonly order: TraceOrder }
  /** All scripts that are not to be run, because they held up a worker. */
  | { readonly type: 'bar'; readonly scripts: readonly string[] }
  | { readonly type: 'stop'; readonly deadlineMs: number }

export type WorkerFact =
  | { readonly type: 'ready' }
  | {
      readonly type: 'loaded'
      readonly sequence: number
      readonly revision: number
      readonly violations: readonly Violation[]
      /** With the real port where 0 was asked for. */
      readonly bound: readonly { readonly virtualServiceId: string; readonly address: string; readonly port: number }[]
    }
  /** `dropped`: records that were thrown away since the last batch because too many came. */
  | { readonly type: 'records'; readonly batch: RecordBatch; readonly dropped: number }
  | { readonly type: 'explained'; readonly sequence: number; readonly explanation: Explanation }
  | { readonly type: 'purged'; readonly sequence: number; readonly objects: number }
  /** Answers of an address are out of date; other workers may keep them too. */
  | { readonly type: 'invalidated'; readonly virtualServiceId: string; readonly url: string }
  | { readonly type: 'traced'; readonly id: string; readonly trace: RequestTrace }
  /** Totals since the worker started, of all its scripts. */
  | { readonly type: 'scripts'; readonly scripts: readonly ScriptSample[] }
  /** After `stop`: nothing new comes to it, what is open goes on until its deadline. */
  | { readonly type: 'closed' }
  | { readonly type: 'stopped' }

/** Handed to a worker when it starts (`workerData`). */
export interface WorkerSetup {
  readonly buffer: SharedArrayBuffer
  readonly worker: number
  readonly workers: number
  readonly reusePort: boolean
  /** 48 secret bytes, the same for all workers of the engine. */
  readonly ticketKeys: Uint8Array
  /** Token buckets that all workers share. */
  readonly rates: SharedArrayBuffer
  /** Where it says which script it runs; nowhere when not told. */
  readonly runs?: SharedArrayBuffer
  /** Which codec it runs; the default when not told. */
  readonly forwarder?: ForwarderKind
}
