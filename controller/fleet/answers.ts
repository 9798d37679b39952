/** At which addresses a virtual service is reached: what a DNS server, or a person, may send clients to. Pure. */
import { isLoopback, parseAddress } from '#model/resource/address.ts'
import type { AnswersAt } from '#model/resource/runtime.ts'
import { boundAddress } from '#controller/compile/listen.ts'

/** An engine that carries it. */
export interface Carrier {
  readonly uuid: string
  readonly name: string
  /** Of its host. */
  readonly addresses: readonly string[]
  /** It has the addresses that move (`address_mode` L2). */
  readonly owns: boolean
  /** Why it does not answer, in words; '': it does. */
  readonly reason: string
}

const isElsewhere = (address: string): boolean => {
  const parsed = parseAddress(address)
  return parsed !== undefined && !isLoopback(parsed)
}

/**
 * Each address once for each engine that is reached there, in the order of addresses and engines.
 *
 * Shapes  mode: of the engine group
 *         vips: the addresses of the vsvip, in their one spelling; those of every host are reached from nowhere else and left out, unless
 *         there are no others
 */
export function answersAt(mode: string, vips: readonly string[], carriers: readonly Carrier[]): AnswersAt[] {
  const found = new Map<string, AnswersAt>()
  const add = (address: string, { uuid, name, reason }: Carrier): void =>
    void found.set(`${address} ${uuid}`, { address, engine_uuid: uuid, engine_name: name, answers: reason === '', reason })
  for (const vip of vips)
    for (const carrier of carriers) {
      if (mode === 'L2' && !carrier.owns) continue
      const bound = mode === 'L2' || mode === 'BGP' ? vip : boundAddress(vip, new Set(carrier.addresses))
      if (bound !== '0.0.0.0' && bound !== '::') add(bound, carrier)
      else for (const own of carrier.addresses) if (own.includes(':') === bound.includes(':') && isElsewhere(own)) add(own, carrier)
    }
  const all = [...found.values()]
  const outside = all.filter(({ address }) => isElsewhere(address))
  return outside.length > 0 ? outside : all
}
