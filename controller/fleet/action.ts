/** What an operator, or the load, says to placement: one service more here, one less there. Each is checked before anything moves. */
import type { Store } from '#controller/store/store.ts'
import { scaleOf } from '#controller/placement/input.ts'
import { filled } from '#model/resource/catalogue.ts'
import type { PlacementWish } from '#model/resource/placement.ts'
import type { Planner } from './plan.ts'
import { ActionRefused, type Moving, type PlacementActions } from './port.ts'

interface ActionOptions {
  readonly store: Pick<Store, 'get' | 'findByName'>
  readonly planner: Planner
  readonly nameOf: (engineUuid: string) => string
  /** Plans, and tells the engines. */
  readonly planNow: () => void
}

export function makeActions({ store, planner, nameOf, planNow }: ActionOptions): PlacementActions {
  const { placer } = planner

  const mustBePlaced = (uuid: string): readonly string[] => {
    // What was committed a moment ago, and who came, counts.
    planNow()
    const child = store.get('virtualservice', uuid)?.body['type'] === 'VS_TYPE_VH_CHILD'
    if (child) throw new ActionRefused('a child is where its parent is: ask the parent')
    if (placer.service(uuid) === undefined) throw new ActionRefused('it is disabled')
    return planner.service(uuid)?.engineUuids ?? []
  }

  const bounds = (uuid: string): { readonly least: number; readonly most: number } => {
    const group = placer.service(uuid)?.group ?? ''
    const stored = store.get('serviceenginegroup', group)
    const own = (store.get('virtualservice', uuid)?.body['placement'] ?? {}) as PlacementWish
    return scaleOf(stored === undefined ? undefined : filled('serviceenginegroup', stored.body), own)
  }

  const mustTake = (uuid: string, engine: string, more: number): void => {
    const site = placer.sites.find(one => one.uuid === engine)
    if (site === undefined || site.group !== placer.service(uuid)?.group)
      throw new ActionRefused(`${nameOf(engine)} is not an engine of its group`)
    const { engines, reasons } = placer.preview(uuid, { more, prefer: engine }, engine)
    if (!engines.includes(engine)) throw new ActionRefused(`engine ${nameOf(engine)} cannot take it: ${reasons.join('; ')}`)
  }

  const done = (uuid: string, before: readonly string[]): Moving => {
    planNow()
    return { before, after: planner.service(uuid)?.engineUuids ?? [] }
  }

  return {
    scaleOut: (uuid, to) => {
      const before = mustBePlaced(uuid)
      const { least, most } = bounds(uuid)
      const more = placer.moreOf(uuid) + 1
      if (least + more > most) throw new ActionRefused(`it is scaled to ${most} engines, the most that its group or its placement allows`)
      if (to !== undefined && before.includes(to)) throw new ActionRefused(`it is on engine ${nameOf(to)} already`)
      if (to !== undefined) mustTake(uuid, to, more)
      const wish = { more, ...(to === undefined ? {} : { prefer: to }) }
      const { engines, reasons } = placer.preview(uuid, wish)
      if (engines.length <= before.length) throw new ActionRefused(`no other engine can take it: ${reasons.join('; ')}`)
      placer.wish(uuid, wish)
      return done(uuid, before)
    },

    scaleIn: (uuid, from) => {
      const before = mustBePlaced(uuid)
      const more = placer.moreOf(uuid)
      if (more === 0) throw new ActionRefused(`it is scaled to ${bounds(uuid).least}, the least that its group or its placement allows`)
      if (from !== undefined && !before.includes(from)) throw new ActionRefused(`it is not on engine ${nameOf(from)}`)
      const leaves = from ?? before.at(-1)
      placer.wish(uuid, { more: more - 1, ...(leaves === undefined ? {} : { avoid: leaves }) })
      return done(uuid, before)
    },

    migrate: (uuid, from, to) => {
      const before = mustBePlaced(uuid)
      const leaves = from ?? before[0]
      if (leaves === undefined) throw new ActionRefused('it is not placed: there is nothing to move')
      if (!before.includes(leaves)) throw new ActionRefused(`it is not on engine ${nameOf(leaves)}`)
      if (to !== undefined && before.includes(to)) throw new ActionRefused(`it is on engine ${nameOf(to)} already`)
      const more = placer.moreOf(uuid)
      if (to !== undefined) mustTake(uuid, to, more)
      const wish = { avoid: leaves, ...(to === undefined ? {} : { prefer: to }) }
      const { engines, reasons } = placer.preview(uuid, { more, ...wish })
      if (engines.includes(leaves) || (to !== undefined && !engines.includes(to)))
        throw new ActionRefused(`no other engine can take it${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`)
      placer.wish(uuid, wish)
      return done(uuid, before)
    },

    switchOver: uuid => {
      const before = mustBePlaced(uuid)
      if (before.length < 2) throw new ActionRefused('it is on one engine: scale it out, or migrate it')
      if (store.get('serviceenginegroup', placer.service(uuid)?.group ?? '')?.body['address_mode'] === 'BGP')
        throw new ActionRefused('its engines announce its addresses side by side: none is the primary')
      if (store.get('serviceenginegroup', placer.service(uuid)?.group ?? '')?.body['auto_redistribute_active_standby_load'] === true)
        throw new ActionRefused('its group redistributes by itself (auto_redistribute_active_standby_load): it would go back at once')
      placer.switchOver(uuid)
      return done(uuid, before)
    },

    redistribute: group => {
      planNow()
      const here = [...placer.services].filter(service => service.group === group)
      const where = (uuid: string): string => (planner.service(uuid)?.engineUuids ?? []).join(' ')
      const before = new Map(here.map(({ uuid }) => [uuid, where(uuid)]))
      placer.rebalance(group)
      planNow()
      return { moved: here.flatMap(({ uuid }) => (where(uuid) === before.get(uuid) ? [] : [uuid])) }
    }
  }
}
