/** Where a virtual service listens on one engine. By the address mode L2 the addresses of the service count as the engine's own. */
import { canonicalAddress, isLoopback, parseAddress } from '#model/resource/address.ts'
import { addressesOf, portsOf } from '#model/resource/conflict.ts'
import type { Protocol } from '#model/resource/conflict.ts'
import type { FilledKind } from '#model/resource/catalogue.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import type { ListenerSpec } from '#model/snapshot/snapshot.ts'

/** The address to bind for a VIP: itself where the engine has it, all addresses of its family elsewhere. */
export function boundAddress(vip: string, engineAddresses: ReadonlySet<string>): string {
  const address = parseAddress(vip)
  if (address === undefined || engineAddresses.has(vip) || isLoopback(address)) return vip
  return address.family === 6 ? '::' : '0.0.0.0'
}

/**
 * For datagrams: an answer leaves from the address that its socket is bound to, so that all addresses of a family are each
 * bound by itself.
 */
function eachAddress(vip: string, engineAddresses: ReadonlySet<string>): readonly string[] {
  const address = boundAddress(vip, engineAddresses)
  if (address !== '0.0.0.0' && address !== '::') return [address]
  const own = [...engineAddresses].filter(one => one.includes(':') === address.includes(':'))
  return own.length === 0 ? [address] : own
}

export const addressSet = (addresses: readonly string[]): ReadonlySet<string> => new Set(addresses.map(canonicalAddress))

/**
 * One listener for each address and port, none twice. An address that all addresses of its family cover is left out where
 * these are listened for too: the kernel would not let both be bound.
 */
export function listenersOf(
  service: FilledKind['virtualservice'],
  vsvip: JsonObject | undefined,
  engineAddresses: ReadonlySet<string>,
  protocol: Protocol,
  addressesIn: (group: string) => readonly string[]
): ListenerSpec[] {
  const bound = (vip: string): readonly string[] =>
    protocol === 'UDP' ? eachAddress(vip, engineAddresses) : [boundAddress(vip, engineAddresses)]
  const proxyOf = (one: FilledKind['virtualservice']['services'][number]): Pick<ListenerSpec, 'proxyProtocol'> => {
    if (!one.accept_proxy_protocol) return {}
    const trusted = one.proxy_protocol_trusted_ref
    return { proxyProtocol: { trusted: trusted === undefined ? [] : addressesIn(trusted) } }
  }
  const listeners = new Map<string, ListenerSpec>()
  for (const vip of addressesOf(vsvip))
    for (const one of service.services) {
      for (const address of bound(vip))
        for (const port of portsOf(one)) {
          const key = `${address} ${port}`
          const shared = { isTls: one.enable_ssl, isHttp2: one.enable_http2, vip, ...proxyOf(one) }
          if (!listeners.has(key)) listeners.set(key, { address, port, ...(protocol === 'UDP' ? { protocol: 'udp' } : {}), ...shared })
        }
    }
  const isCovered = ({ address, port }: ListenerSpec): boolean => {
    const all = address.includes(':') ? '::' : '0.0.0.0'
    return address !== all && listeners.has(`${all} ${port}`)
  }
  return [...listeners.values()].filter(listener => !isCovered(listener))
}
