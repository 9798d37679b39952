/**
 * How loaded the host is. Memory comes from systeminformation; processor and network are read directly, because
 * systeminformation starts a shell for each of them, each second, and a hardened or empty root has none.
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { mem } from 'systeminformation'
import type { HostSample } from '#model/message/message.ts'

/** One reading; the ratios are over the time since the reading before. */
export type ReadHost = () => Promise<HostSample>

/** Cumulative time of all cores, in one unit. */
export interface CpuTimes {
  readonly busy: number
  readonly total: number
}

function cpuTimes(): CpuTimes {
  let busy = 0
  let idle = 0
  for (const { times } of cpus()) {
    busy += times.user + times.nice + times.sys + times.irq
    idle += times.idle
  }
  return { busy, total: busy + idle }
}

/**
 * The busy share between two readings.
 *
 * Returns 0..1; 0 when no time passed or the counters went back
 */
export function cpuRatio(before: CpuTimes, after: CpuTimes): number {
  const total = after.total - before.total
  if (!(total > 0)) return 0
  return Math.min(1, Math.max(0, (after.busy - before.busy) / total))
}

/**
 * Bytes received and sent by all interfaces but loopback, since the host's boot.
 *
 * Shapes  text: /proc/net/dev; lines that are not an interface are skipped
 */
export function parseNetDev(text: string): { readonly receivedBytes: number; readonly sentBytes: number } {
  let receivedBytes = 0
  let sentBytes = 0
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 0) continue
    const fields = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
    if (line.slice(0, colon).trim() === 'lo' || fields.length < 9) continue
    const [received, sent] = [fields[0]!, fields[8]!]
    if (Number.isFinite(received) && Number.isFinite(sent)) {
      receivedBytes += received
      sentBytes += sent
    }
  }
  return { receivedBytes, sentBytes }
}

/** Reads this host. A part that cannot be read is 0, never an exception. */
export function openHost(nowMs: () => number): ReadHost {
  let times = cpuTimes()
  let own = process.cpuUsage()
  let atMs = nowMs()
  return async () => {
    const [network, memory] = await Promise.all([
      readFile('/proc/net/dev', 'utf8').then(parseNetDev, () => ({ receivedBytes: 0, sentBytes: 0 })),
      mem().catch(() => ({ active: 0, total: 0 }))
    ])
    const timesNow = cpuTimes()
    const ownNow = process.cpuUsage()
    const now = nowMs()
    const ownMs = (ownNow.user - own.user + ownNow.system - own.system) / 1_000
    const sample: HostSample = {
      cpuRatio: cpuRatio(times, timesNow),
      processCpuRatio: now > atMs ? Math.min(1, ownMs / (now - atMs) / Math.max(1, cpus().length)) : 0,
      memoryUsedBytes: memory.active,
      memoryTotalBytes: memory.total,
      processRssBytes: process.memoryUsage.rss(),
      networkReceivedBytes: network.receivedBytes,
      networkSentBytes: network.sentBytes
    }
    times = timesNow
    own = ownNow
    atMs = now
    return sample
  }
}
