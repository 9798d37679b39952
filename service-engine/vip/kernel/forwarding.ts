/**
 * Keeps the kernel in step with the snapshot and with health. The process with the right to do so is started when the first virtual service
 * asks for it and ends with the last. User space listens all the while: what the kernel does not take, it does.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import type { Cut, Forwarded, KernelAnswer, KernelOrder } from './order.ts'
import { planForwarding, type HostForwarding, type Plan, type PlanInput } from './plan.ts'
import { Tally } from './tally.ts'

export interface Failed {
  readonly is: 'failed'
  readonly reason: string
}

/** The process, as far as it is used. */
export interface KernelLink<Order = KernelOrder, Answer = KernelAnswer> {
  /** Never throws; a process that is gone fails every order. */
  readonly order: (order: Order) => Promise<Answer | Failed>
  /** Removes the table and ends the process; resolves when it is gone. */
  readonly close: () => Promise<void>
  readonly isOpen: () => boolean
}

export interface ForwardingOptions {
  readonly clock: Clock
  readonly log: Log
  readonly readHost: () => HostForwarding
  readonly openLink: (engineId: string) => KernelLink
}

export type Servers = Pick<PlanInput, 'verdictOf' | 'shareOf' | 'addressesOf'>

export interface Forwarding {
  /** Takes effect soon; calls that come meanwhile are one. */
  readonly update: (snapshot: Snapshot, servers: Servers) => void
  readonly tally: Tally
  /** Virtual service -> why user space has it although it asks for the kernel. */
  readonly reasons: () => ReadonlyMap<string, string>
  readonly stop: () => Promise<void>
}

const READ_INTERVAL_MS = 1_000
const AGAIN_MS = 1_000

export function openForwarding(options: ForwardingOptions): Forwarding {
  return new RunningForwarding(options)
}

class RunningForwarding implements Forwarding {
  readonly tally = new Tally()
  readonly #options: ForwardingOptions
  readonly #leaving = new Map<string, () => void>()
  #wanted: { readonly snapshot: Snapshot; readonly servers: Servers } | null = null
  #plan: Plan = { services: [], reasons: new Map() }
  #snapshot: Snapshot | null = null
  #link: KernelLink | null = null
  #cuts: Cut[] = []
  #work: Promise<void> = Promise.resolve()
  #isDue = false
  #isStopped = false
  #stopReading: (() => void) | null = null
  /** When the table goes, as long as no service needs it. */
  #endAt: number | null = null
  #cancelEnd: () => void = () => undefined

  constructor(options: ForwardingOptions) {
    this.#options = options
  }

  update(snapshot: Snapshot, servers: Servers): void {
    this.#wanted = { snapshot, servers }
    if (this.#link !== null || snapshot.virtualServices.some(part => part.forwarding !== undefined)) this.#soon()
  }

  reasons(): ReadonlyMap<string, string> {
    return this.#plan.reasons
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopReading?.()
    this.#cancelEnd()
    for (const cancel of this.#leaving.values()) cancel()
    await this.#work
    await this.#link?.close()
    this.#link = null
  }

  #soon(): void {
    if (this.#isDue || this.#isStopped) return
    this.#isDue = true
    this.#work = this.#work.then(() => {
      this.#isDue = false
      return this.#apply()
    })
  }

  async #apply(): Promise<void> {
    if (this.#wanted === null || this.#isStopped) return
    const { snapshot, servers } = this.#wanted
    const plan = planForwarding({ snapshot, ...servers, host: this.#options.readHost() })
    this.#tell(plan)
    this.#noteLeaving(plan, snapshot)
    this.#plan = plan
    const before = this.#snapshot
    this.#snapshot = snapshot
    if (plan.services.length === 0) {
      if (this.#link === null) return
      // What is connected goes on for the drain time: conntrack knows its server as long as the table stands.
      this.#endAt ??= this.#options.clock.nowMs() + (before?.engine.drainTimeoutS ?? 0) * 1000
      const restMs = this.#endAt - this.#options.clock.nowMs()
      if (restMs <= 0) return this.#end()
      this.#cancelEnd()
      this.#cancelEnd = this.#options.clock.after(restMs, () => this.#soon())
    } else this.#endAt = null
    if (this.#link?.isOpen() !== true) {
      this.tally.removed()
      this.#link = this.#options.openLink(snapshot.engine.id)
    }
    const active = activeIn(plan.services)
    const cuts = this.#cuts.filter(cut => !active.has(keyOf(cut)))
    this.#cuts = []
    const answer = await this.#link.order({ is: 'apply', services: plan.services, cuts })
    if (answer.is === 'done') {
      this.tally.read(answer.counts)
      this.#stopReading ??= this.#options.clock.every(READ_INTERVAL_MS, () => void this.#read())
      return
    }
    this.#options.log.warn('the kernel does not forward', { reason: answer.reason })
    this.#cuts.push(...cuts)
    this.#options.clock.after(AGAIN_MS, () => this.#soon())
  }

  async #end(): Promise<void> {
    this.#stopReading?.()
    this.#stopReading = null
    const link = this.#link
    this.#link = null
    this.#endAt = null
    if (link === null) return
    const answer = await link.order({ is: 'read' })
    if (answer.is === 'done') this.tally.read(answer.counts)
    await link.close()
    this.tally.removed()
  }

  async #read(): Promise<void> {
    const link = this.#link
    if (link === null) return
    if (!link.isOpen()) return this.#soon()
    const answer = await link.order({ is: 'read' })
    if (answer.is === 'done') this.tally.read(answer.counts)
  }

  #tell({ reasons }: Plan): void {
    for (const [service, reason] of reasons)
      if (this.#plan.reasons.get(service) !== reason) this.#options.log.info('forwarded in user space', { service, reason })
  }

  /** Flows of a server that is out end with its grace; sessions of one that is down end at once, since nothing else would end them. */
  #noteLeaving(plan: Plan, snapshot: Snapshot): void {
    const now = activeIn(plan.services)
    // Who is back keeps what it has.
    for (const [key, cancel] of this.#leaving) {
      if (!now.has(key)) continue
      cancel()
      this.#leaving.delete(key)
    }
    for (const [key, { cut, server }] of activeIn(this.#plan.services)) {
      if (now.has(key)) continue
      const delayS = graceOf(server, snapshot, this.#snapshot)
      if (delayS === null) {
        if (cut.protocol === 'udp') this.#cuts.push(cut)
        continue
      }
      this.#leaving.get(key)?.()
      const leave = (): void => {
        this.#leaving.delete(key)
        if (activeIn(this.#plan.services).has(key)) return
        this.#cuts.push(cut)
        this.#soon()
      }
      this.#leaving.set(key, this.#options.clock.after(Math.min(delayS * 1000, 0x7fffffff), leave))
    }
  }
}

const keyOf = ({ protocol, ip, port }: Cut): string => `${protocol} ${ip} ${port}`

function activeIn(services: readonly Forwarded[]): Map<string, { readonly cut: Cut; readonly server: string }> {
  const active = new Map<string, { cut: Cut; server: string }>()
  for (const { protocol, servers } of services)
    for (const { ip, port, key, weight } of servers)
      if (weight > 0) active.set(keyOf({ protocol, ip, port }), { cut: { protocol, ip, port }, server: key })
  return active
}

/** Seconds; null for a server that is still wanted and only down. */
function graceOf(key: string, next: Snapshot, before: Snapshot | null): number | null {
  const at = key.indexOf('/')
  const pool = next.pools.find(one => one.id === key.slice(0, at))
  if (pool === undefined) return before?.engine.drainTimeoutS ?? 0
  const server = pool.servers.find(one => one.id === key.slice(at + 1))
  return server !== undefined && server.isEnabled && server.weight > 0 ? null : pool.gracefulDisableS
}
