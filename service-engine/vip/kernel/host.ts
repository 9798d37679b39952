/** What this host and this process can do towards forwarding in the kernel. */
import { existsSync, readFileSync } from 'node:fs'
import type { HostForwarding } from './plan.ts'

/** `CAP_NET_ADMIN` in the mask that /proc shows. */
const NET_ADMIN = 1n << 12n
const folders = ['/usr/sbin', '/sbin', '/usr/bin', '/bin']

/** Whether the system has a program of this name. */
export const hasProgram = (name: string): boolean => folders.some(folder => existsSync(`${folder}/${name}`))

function firstOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/** Whether a process that this one starts may program the kernel. */
export function hasNetAdmin(): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(firstOf('/proc/self/status'))?.[1]
  return mask !== undefined && (BigInt(`0x${mask}`) & NET_ADMIN) !== 0n
}

export function readHostForwarding(): HostForwarding {
  return {
    passesOnV4: firstOf('/proc/sys/net/ipv4/ip_forward') === '1',
    passesOnV6: firstOf('/proc/sys/net/ipv6/conf/all/forwarding') === '1',
    hasConntrack: hasProgram('conntrack')
  }
}

/** The table of an engine: its id in the letters that nftables takes. */
export function tableOf(engineId: string): string {
  return `weir_${engineId
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '_')
    .slice(0, 64)}`
}
