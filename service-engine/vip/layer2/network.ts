/** The host's network, as far as addresses that move need it. */
import { createSocket } from 'node:dgram'
import { readFileSync, writeFileSync } from 'node:fs'
import { BlockList, isIPv6 } from 'node:net'
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'
import type { TellHost } from './tell.ts'

/**
 * The interface whose network holds an address; link-local networks are every interface's.
 *
 * Returns undefined when none does
 */
export function interfaceOf(address: string, interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces()): string | undefined {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  let best: { readonly name: string; readonly prefix: number } | undefined
  for (const [name, entries] of Object.entries(interfaces))
    for (const { cidr, internal, family: own, address: base } of entries ?? []) {
      const prefix = Number(cidr?.split('/')[1])
      // An address that is held has a network of its own only.
      if (internal || own.toLowerCase() !== family || !(prefix < (family === 'ipv6' ? 128 : 32)) || /^fe[89ab]/i.test(base)) continue
      const network = new BlockList()
      network.addSubnet(base, prefix, family)
      if (network.check(address, family) && prefix > (best?.prefix ?? -1)) best = { name: name.split(':')[0]!, prefix }
    }
  return best?.name
}

/** Of the prefix of a single host. */
export const lengthOf = (address: string): number => (isIPv6(address) ? 128 : 32)

/** Below /proc/sys. */
export interface Setting {
  readonly get: (path: string) => string
  readonly set: (path: string, value: string) => void
}

export const systemSetting: Setting = {
  get: path => readFileSync(`/proc/sys/${path}`, 'utf8').trim(),
  set: (path, value) => writeFileSync(`/proc/sys/${path}`, value)
}

export const hardwareAddressOf: TellHost['hardwareAddress'] = name => {
  try {
    return readFileSync(`/sys/class/net/${name}/address`, 'utf8').trim()
  } catch {
    return ''
  }
}

export const sendDatagram: TellHost['send'] = ({ from, to, port, bytes }) =>
  new Promise(done => {
    const socket = createSocket(isIPv6(to) ? 'udp6' : 'udp4')
    const end = (): void => {
      socket.close()
      done()
    }
    socket.once('error', end)
    socket.bind({ ...(from === null ? {} : { address: from }), port: 0, exclusive: true }, () => socket.send(bytes, port, to, end))
  })
