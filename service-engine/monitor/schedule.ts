/**
 * When each server is probed and what its probes add up to. One heap of due times and one timer serve all checks; a check
 * is one monitor at one address, shared by every pool that has both.
 *
 *   unknown --successfulChecks in a row--> up --failedChecks in a row--> down --successfulChecks in a row--> up
 *   unknown --failedChecks in a row--> down
 */
import type { Clock } from '#model/base/clock.ts'
import type { Random } from '#model/base/random.ts'
import type { ServerJudgement, Verdict } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { MonitorSpec, PoolPart, ServerSpec } from '#model/snapshot/snapshot.ts'
import { DueHeap } from './due.ts'
import type { Probe, ProbeResult, ProbeServices, ProbeTarget } from './probe.ts'

/** Between two probes of a server that has no verdict yet: back to back, yet no busy loop against a refusing port. */
const QUICK_START_GAP_MS = 50
/** New checks start spread over this, so that a thousand servers are not probed in one instant; over more when there are many. */
const START_SPREAD_MS = 200
/** First probes of so many checks start in a second at most, on average. */
const STARTS_PER_S = 500
/** So few start at once: nobody notices, and somebody may be watching. */
const STARTS_AT_ONCE = 16
/** How often fresh probe details are told although no verdict changed. */
const REFRESH_INTERVAL_MS = 5_000

export interface Monitors {
  /** Takes over what is to be probed. What stays keeps its verdict and its pace. */
  readonly update: (pools: readonly PoolPart[], services: ProbeServices) => void
  /** Names were resolved anew. */
  readonly addressesChanged: () => void
  readonly judgements: () => readonly ServerJudgement[]
  /** Addresses of a server by name that are not down; all of them when all are down. */
  readonly usableAddresses: (poolId: string, serverId: string) => readonly string[]
  readonly stop: () => void
}

export interface MonitorOptions {
  readonly clock: Clock
  readonly random: Random
  readonly makeProbe: (spec: MonitorSpec['probe'], services: ProbeServices) => Probe
  /** Addresses of a name, best known now. */
  readonly addressesOf: (name: string) => readonly string[]
  /** Writes the verdict where workers read it. Called for every server after each update. */
  readonly judge: (poolId: string, serverId: string, verdict: Verdict) => void
  /** Writes how much of its share a server can take, where workers read it; null: all of it. Called as `judge` is. */
  readonly weigh: (poolId: string, serverId: string, percent: number | null) => void
  /** Verdicts that changed at once; probe details that are fresh, from time to time. */
  readonly told: (judgements: readonly ServerJudgement[]) => void
  /** Verdicts of a name's addresses changed: workers may have to use others. */
  readonly usableChanged?: (poolId: string, serverId: string) => void
  /** What is known of a server before the first probe of it. */
  readonly known?: (poolId: string, serverId: string) => Verdict | undefined
  /** Attempts that may run at once. */
  readonly maxRunning?: number
}

interface Check {
  readonly key: string
  monitor: MonitorSpec
  probe: Probe
  readonly target: ProbeTarget
  verdict: Verdict
  /** Equal results in a row: above 0 up, below 0 down. */
  streak: number
  detail: string
  request: string
  answer: string
  weightPercent: number | null
  durationMs: number
  atEpochMs: number
  isRunning: boolean
  isGone: boolean
  /** The members whose verdict it is part of. */
  members: Member[]
}

interface Member {
  readonly poolId: string
  readonly server: ServerSpec
  readonly minMonitorsUp: number
  /** One entry for each address, with the checks of that address. */
  readonly addresses: readonly { readonly ip: string; readonly checks: readonly Check[] }[]
  verdict: Verdict
  sinceEpochMs: number
  usable: readonly string[]
  weightPercent: number | null
}

/**
 * One verdict from several monitors.
 *
 * Shapes  verdicts: one for each monitor; none means up, as nothing speaks against the server
 *         minUp: how many must be up; 0 or more than there are: all
 */
export function combine(verdicts: readonly Verdict[], minUp: number): Verdict {
  if (verdicts.length === 0) return 'up'
  const wanted = minUp === 0 ? verdicts.length : Math.min(minUp, verdicts.length)
  const ups = verdicts.filter(verdict => verdict === 'up').length
  if (ups >= wanted) return 'up'
  const downs = verdicts.filter(verdict => verdict === 'down').length
  return verdicts.length - downs < wanted ? 'down' : 'unknown'
}

/** A server by name is up while one of its addresses is. */
function overAddresses(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('up')) return 'up'
  return verdicts.length === 0 || verdicts.includes('unknown') ? 'unknown' : 'down'
}

/** What the monitors of the address say that can take most; the lowest of what they say of it. */
function weightOf(addresses: Member['addresses']): number | null {
  let most: number | null = null
  for (const { checks } of addresses) {
    let least = 100
    let isSaid = false
    for (const { weightPercent } of checks) {
      if (weightPercent === null) continue
      least = Math.min(least, weightPercent)
      isSaid = true
    }
    if (isSaid) most = Math.max(most ?? 0, least)
  }
  return most
}

const memberKey = (poolId: string, serverId: string): string => `${poolId}/${serverId}`

export function startMonitors(options: MonitorOptions): Monitors {
  const { clock, random, addressesOf, judge, weigh, told, usableChanged, maxRunning = 64 } = options
  let checks = new Map<string, Check>()
  let members = new Map<string, Member>()
  let pools: readonly PoolPart[] = []
  let services: ProbeServices = { certificate: () => undefined }
  const due = new DueHeap<Check>()
  let fresh = new Set<Member>()
  /** Members whose usable addresses changed since they were last told. */
  let moved: Member[] = []
  let running = 0
  let isStopped = false
  let armedForMs = Number.POSITIVE_INFINITY
  let disarm = (): void => undefined

  const arm = (): void => {
    const nextMs = due.nextMs()
    if (isStopped || nextMs === undefined || running >= maxRunning || nextMs >= armedForMs) return
    disarm()
    armedForMs = nextMs
    disarm = clock.after(Math.max(1, nextMs - clock.nowMs()), () => {
      armedForMs = Number.POSITIVE_INFINITY
      run()
    })
  }

  const run = (): void => {
    const now = clock.nowMs()
    while (running < maxRunning && !isStopped) {
      const check = due.takeDue(now)
      if (check === undefined) break
      if (!check.isGone && !check.isRunning) attempt(check, now)
    }
    arm()
  }

  const attempt = (check: Check, startMs: number): void => {
    check.isRunning = true
    running += 1
    const { monitor } = check
    check.probe
      .attempt(check.target, monitor.receiveTimeoutMs)
      .then(
        result => attempted(check, result, clock.nowMs() - startMs),
        (error: unknown) =>
          attempted(check, { verdict: 'unknown', detail: error instanceof Error ? error.message : String(error) }, clock.nowMs() - startMs)
      )
      .finally(() => {
        check.isRunning = false
        running -= 1
        if (isStopped || check.isGone) return
        const isQuick = check.verdict === 'unknown' && check.streak !== 0 && check.monitor.isQuickStart
        const pauseMs = check.monitor.sendIntervalMs * (0.9 + random() * 0.2)
        due.put(check, isQuick ? clock.nowMs() + QUICK_START_GAP_MS : Math.max(clock.nowMs() + 1, startMs + pauseMs))
        run()
      })
  }

  const attempted = (check: Check, result: ProbeResult, durationMs: number): void => {
    if (isStopped || check.isGone) return
    const seen = result.verdict
    check.detail = result.detail
    check.request = result.request ?? ''
    check.answer = result.answer ?? ''
    // One that fails says nothing about its share: what it said last holds until it is down.
    if (seen === 'up') check.weightPercent = result.weightPercent ?? null
    check.durationMs = Math.round(durationMs * 1_000) / 1_000
    check.atEpochMs = clock.nowEpochMs()
    if (seen === 'unknown') {
      check.streak = 0
    } else {
      const step = seen === 'up' ? 1 : -1
      check.streak = Math.sign(check.streak) === step ? check.streak + step : step
      if (check.streak >= check.monitor.successfulChecks) check.verdict = 'up'
      else if (-check.streak >= check.monitor.failedChecks) check.verdict = 'down'
    }
    const changed = check.members.filter(settle)
    for (const member of check.members) fresh.add(member)
    tell(changed)
  }

  /** Adds a member's checks up; true when its verdict changed. */
  const settle = (member: Member): boolean => {
    const verdicts = member.addresses.map(address =>
      combine(
        address.checks.map(check => check.verdict),
        member.minMonitorsUp
      )
    )
    const notDown = member.addresses.filter((_, i) => verdicts[i] !== 'down').map(address => address.ip)
    const usable = notDown.length > 0 ? notDown : member.addresses.map(address => address.ip)
    if (member.server.isName && usable.join() !== member.usable.join()) {
      member.usable = usable
      moved.push(member)
    }
    const weightPercent = weightOf(member.addresses)
    if (weightPercent !== member.weightPercent) {
      member.weightPercent = weightPercent
      weigh(member.poolId, member.server.id, weightPercent)
    }
    const verdict = overAddresses(verdicts)
    // While a monitor that was just added has not spoken, what is known of the server stands.
    if (verdict === 'unknown' || verdict === member.verdict) return false
    member.verdict = verdict
    member.sinceEpochMs = clock.nowEpochMs()
    judge(member.poolId, member.server.id, verdict)
    return true
  }

  const tell = (changed: readonly Member[]): void => {
    const toTell = moved
    moved = []
    for (const { poolId, server } of toTell) usableChanged?.(poolId, server.id)
    if (changed.length === 0) return
    for (const member of changed) fresh.delete(member)
    told(changed.map(judgementOf))
  }

  const checkFor = (
    monitor: MonitorSpec,
    probe: Probe,
    target: ProbeTarget,
    { next, started }: { readonly next: Map<string, Check>; readonly started: Check[] }
  ): Check => {
    const key = [monitor.id, target.ip, target.port, target.host, target.hostHeader ?? '', target.path ?? ''].join('|')
    const made = next.get(key)
    if (made !== undefined) return made
    const known = checks.get(key)
    if (known !== undefined) {
      if (monitor.sendIntervalMs < known.monitor.sendIntervalMs) due.put(known, clock.nowMs() + random() * monitor.sendIntervalMs)
      known.monitor = monitor
      known.probe = probe
      known.members = []
      next.set(key, known)
      return known
    }
    const check: Check = {
      key,
      monitor,
      probe,
      target,
      verdict: 'unknown',
      streak: 0,
      detail: 'not probed yet',
      request: '',
      answer: '',
      weightPercent: null,
      durationMs: 0,
      atEpochMs: clock.nowEpochMs(),
      isRunning: false,
      isGone: false,
      members: []
    }
    started.push(check)
    next.set(key, check)
    return check
  }

  /** Gives new checks their first time. */
  const startSpread = (started: readonly Check[]): void => {
    const now = clock.nowMs()
    const atLeastMs = Math.max(START_SPREAD_MS, (started.length / STARTS_PER_S) * 1_000)
    started.forEach((check, i) => {
      const { isQuickStart, sendIntervalMs } = check.monitor
      const spreadMs = isQuickStart ? atLeastMs : Math.max(atLeastMs, sendIntervalMs)
      due.put(check, i < STARTS_AT_ONCE ? now : now + random() * spreadMs)
    })
  }

  /** A monitor that cannot be made says nothing about the server, and why. */
  const makeSafely = ({ probe }: MonitorSpec): Probe => {
    try {
      return options.makeProbe(probe, services)
    } catch (error) {
      const detail = `this monitor cannot run here: ${error instanceof Error ? error.message : String(error)}`
      return { kind: probe.is, attempt: () => Promise.resolve({ verdict: 'unknown', detail }) }
    }
  }

  const rebuild = (): void => {
    const nextChecks = new Map<string, Check>()
    const started: Check[] = []
    const nextMembers = new Map<string, Member>()
    const probes = new Map<string, Probe>()
    const changed: Member[] = []
    for (const pool of pools) {
      const monitors = pool.monitors.map(monitor => {
        const probe = probes.get(monitor.id) ?? makeSafely(monitor)
        probes.set(monitor.id, probe)
        return { monitor, probe }
      })
      for (const server of pool.servers) {
        if (!server.isEnabled) continue
        const key = memberKey(pool.id, server.id)
        const known = members.get(key)
        const ips = server.isName ? addressesOf(server.host) : [server.host]
        const addresses = ips.map(ip => ({
          ip,
          checks: monitors.map(({ monitor, probe }) =>
            checkFor(
              monitor,
              probe,
              {
                ip,
                port: monitor.port ?? server.port,
                host: server.host,
                hostHeader: server.hostHeader,
                ...(server.path === undefined ? {} : { path: server.path })
              },
              { next: nextChecks, started }
            )
          )
        }))
        const member: Member = {
          poolId: pool.id,
          server,
          minMonitorsUp: pool.minMonitorsUp,
          addresses,
          verdict: known?.verdict ?? options.known?.(pool.id, server.id) ?? 'unknown',
          sinceEpochMs: known?.sinceEpochMs ?? clock.nowEpochMs(),
          usable: known?.usable ?? [],
          weightPercent: known?.weightPercent ?? null
        }
        for (const address of addresses) for (const check of address.checks) check.members.push(member)
        nextMembers.set(key, member)
        if (settle(member)) changed.push(member)
        judge(pool.id, server.id, member.verdict)
        weigh(pool.id, server.id, member.weightPercent)
      }
    }
    for (const [key, check] of checks) if (!nextChecks.has(key)) check.isGone = true
    checks = nextChecks
    members = nextMembers
    startSpread(started)
    fresh = new Set([...fresh].flatMap(({ poolId, server }) => members.get(memberKey(poolId, server.id)) ?? []))
    // Nothing probes a name without an address: that it has none is told all the same.
    for (const member of members.values()) if (member.addresses.length === 0) fresh.add(member)
    tell(changed)
    run()
  }

  const stopRefresh = clock.every(REFRESH_INTERVAL_MS, () => {
    if (fresh.size > 0) told([...fresh].map(judgementOf))
    fresh = new Set()
  })

  return {
    update: (nextPools, nextServices) => {
      pools = nextPools
      services = nextServices
      rebuild()
    },
    addressesChanged: rebuild,
    judgements: () => [...members.values()].map(judgementOf),
    usableAddresses: (poolId, serverId) => members.get(memberKey(poolId, serverId))?.usable ?? [],
    stop: () => {
      isStopped = true
      for (const { probe } of checks.values()) probe.stop?.()
      disarm()
      stopRefresh()
    }
  }
}

/** The address that speaks for a server by name: one with the server's own verdict. */
function judgementOf(member: Member): ServerJudgement {
  const speaking =
    member.addresses.find(
      ({ checks }) =>
        combine(
          checks.map(check => check.verdict),
          member.minMonitorsUp
        ) === member.verdict
    ) ?? member.addresses[0]
  return {
    poolId: member.poolId,
    serverId: member.server.id,
    ip: speaking?.ip ?? '',
    verdict: member.verdict,
    sinceEpochMs: member.sinceEpochMs,
    ...(member.weightPercent === null ? {} : { weightPercent: member.weightPercent }),
    probes: (speaking?.checks ?? []).map(check => ({
      monitorId: check.monitor.id,
      verdict: check.verdict,
      detail: check.detail,
      ...(check.request === '' ? {} : { request: check.request }),
      ...(check.answer === '' ? {} : { answer: check.answer }),
      durationMs: check.durationMs,
      atEpochMs: check.atEpochMs
    }))
  }
}

/**
 * What of the monitors cannot run here; told before a snapshot is taken.
 *
 * Returns one violation for each, its pointer at the first pool that has it
 */
export function monitorViolations(pools: readonly PoolPart[], services: ProbeServices, make: MonitorOptions['makeProbe']): Violation[] {
  const seen = new Set<string>()
  return pools.flatMap(pool =>
    pool.monitors.flatMap((monitor, index) => {
      if (seen.has(monitor.id)) return []
      seen.add(monitor.id)
      try {
        make(monitor.probe, services)
        return []
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        return [{ pointer: `/pool/${pool.id}/monitors/${index}`, message: `must be a monitor that can run here: ${reason}` }]
      }
    })
  )
}
