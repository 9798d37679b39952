/** Which addresses this host owns: what a VIP in HOST mode can be bound to. */
import { readFileSync, readlinkSync } from 'node:fs'
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'

/**
 * The host's addresses, those that others can reach first. Link-local ones are left out: they mean nothing without their
 * interface.
 *
 * Shapes  interfaces: as `os.networkInterfaces` gives them
 * Returns addresses without doubles; loopback last
 */
export function ownAddresses(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces()): readonly string[] {
  const all = Object.values(interfaces)
    .flatMap(list => list ?? [])
    .filter(({ address }) => !/^fe[89ab]/i.test(address) && !address.startsWith('169.254.'))
  const reachable = all.filter(entry => !entry.internal)
  const internal = all.filter(entry => entry.internal)
  return [...new Set([...reachable, ...internal].map(({ address }) => address))]
}

/**
 * What engines on one host have in common: the boot of its kernel, and the network namespace whose ports they bind.
 *
 * Returns undefined where the host does not tell
 */
export function findNetworkId(): string | undefined {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${readlinkSync('/proc/self/ns/net')}`
  } catch {
    return undefined
  }
}
