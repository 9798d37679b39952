/** Addresses that an engine announces for itself (`address_mode` BGP): nobody owns them, so nobody has to be asked. */
import { filled } from '#model/resource/catalogue.ts'
import type { BgpRuntime } from '#model/resource/runtime.ts'
import type { BgpSpec, BgpVip } from '#model/snapshot/snapshot.ts'
import type { Store } from '#controller/store/store.ts'
import { travelling } from './owners.ts'
import type { Engine } from './roster.ts'

/** What an engine is told of the addresses of its services; in a steady order. */
export function announcedBy(store: Pick<Store, 'get'>, services: readonly string[]): BgpSpec {
  const vips = new Map<string, { readonly addresses: readonly string[]; readonly services: BgpVip['services'][number][] }>()
  for (const id of services) {
    const stored = store.get('virtualservice', id)
    if (stored === undefined) continue
    const { vsvip_ref: ref, enable_rhi: isWanted, advertise_down_vs: whenDown } = filled('virtualservice', stored.body)
    if (ref === undefined) continue
    const vip = vips.get(ref) ?? { addresses: travelling(store.get('vsvip', ref)?.body), services: [] }
    vips.set(ref, vip)
    if (isWanted) vip.services.push({ id, whenDown })
  }
  const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1)
  const all = [...vips].map(([id, vip]) => ({ id, addresses: vip.addresses, services: vip.services.toSorted(byId) }))
  return { vips: all.toSorted(byId) }
}

/** Why no router learns of a vsvip from an engine that is to announce it; '': routers do, as far as is known. */
export function whyUnannounced({ isServing, announcing }: Pick<Engine, 'isServing' | 'announcing'>, vsvip: string): string {
  if (!isServing) return 'nothing is heard of the engine'
  const reason = announcing?.vips.find(({ id }) => id === vsvip)?.reason ?? 'it does not run it yet'
  return reason === '' && announcing?.bird.is === 'down' ? announcing.bird.reason : reason
}

/** What an engine announces, as REST tells it; undefined where it is to announce nothing. */
export function bgpRuntime(
  { announcing }: Pick<Engine, 'announcing'>,
  nameOf: (vsvip: string) => string | undefined
): BgpRuntime | undefined {
  if (announcing === undefined || announcing.vips.length === 0) return undefined
  const { vips, bird } = announcing
  return {
    state: bird.is,
    reason: bird.reason,
    sessions: bird.sessions.map(({ name, isUp, state }) => ({ name, up: isUp, state })),
    vips: vips.map(({ id, reason }) => ({ vsvip_uuid: id, vsvip_name: nameOf(id) ?? id, announced: reason === '', reason }))
  }
}
