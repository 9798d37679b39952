/** A virtual service as the spine runs it. */
import type { Explanation } from '#model/message/message.ts'
import type { TargetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import type { Fault } from '#engine/base/fault.ts'
import type { TrafficMeter } from '#engine/meter/shared.ts'
import type { Answer, Downstream, Exchange, RequestHead, Verdict } from '../exchange/exchange.ts'
import type { HttpCache } from '../filter/cache/cache.ts'
import type { Filter } from '../filter/filter.ts'
import type { UseMeters } from '../upstream/use-meters.ts'
import type { Hosted } from '../route/hosting.ts'

/** `end`: what ends it before a pool is chosen; null: nothing does. */
export interface Walked {
  readonly steps: Explanation['steps']
  readonly end: Partial<Explanation> | null
}

export interface Site {
  readonly id: string
  readonly name: string
  readonly part: VirtualServicePart
  readonly target: TargetSpec | null
  readonly filters: readonly Filter[]
  readonly meter: TrafficMeter
  readonly uses: UseMeters
  /** Null where it has no children. */
  readonly hosted: ((request: RequestHead, downstream: Downstream) => Hosted) | null
  /** Walks a request through its rules and says what each made of it; may change what it walks, and no limit counts it. */
  readonly walk: (exchange: Exchange) => Walked
  /** Keeps answers; undefined where none are. */
  readonly cache?: HttpCache | undefined
  /** Dresses our own error answers; undefined leaves them plain. */
  readonly errorPage?: ((answer: Answer) => Answer) | undefined
  /** Asked when no server can be chosen; may choose another target and pass. Undefined where no script wants to know. */
  readonly unserved?: ((exchange: Exchange, fault: Fault) => Verdict) | undefined
}
