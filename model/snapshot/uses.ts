/** Which virtual services send to which pools. */
import type { Snapshot, VirtualServicePart } from './snapshot.ts'

/** A virtual service that may send to a pool. */
export interface Use {
  readonly virtualServiceId: string
  readonly poolId: string
}

/** Parts that were looked at before: a part never changes, another one comes in its place. */
export type KnownUses = WeakMap<VirtualServicePart, ReadonlySet<string>>

/** What a use is known by in tables. */
export function useKey(virtualServiceId: string, poolId: string): string {
  return `${virtualServiceId}/${poolId}`
}

/**
 * Every pair of a virtual service and a pool that it may send to: by its target, rules, scripts and mirror, and the pools that stand in for those.
 *
 * Shapes  known: kept by who asks again; a part that it holds is not looked through a second time
 * Cost    one look at each value of the parts that are not known
 */
export function usesOf({ virtualServices, pools }: Pick<Snapshot, 'virtualServices' | 'pools'>, known?: KnownUses): Use[] {
  const standInOf = new Map(pools.map(({ id, failAction }) => [id, failAction.is === 'pool' ? failAction.poolId : '']))
  return virtualServices.flatMap(part => {
    const found = new Set(namedBy(part, known))
    // Grows while it is walked.
    for (const id of found) found.add(standInOf.get(id) ?? '')
    return [...found].filter(id => standInOf.has(id)).map(poolId => ({ virtualServiceId: part.id, poolId }))
  })
}

function namedBy(part: VirtualServicePart, known: KnownUses | undefined): ReadonlySet<string> {
  const before = known?.get(part)
  if (before !== undefined) return before
  const found = new Set<string>()
  collectPoolIds(part, found)
  known?.set(part, found)
  return found
}

/** Whatever is called `poolId`, wherever it is: a way to a pool that comes to parts later is found as well. */
function collectPoolIds(value: unknown, found: Set<string>): void {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    // Lists of texts are long, and hold none.
    for (const item of value as readonly unknown[]) if (typeof item === 'object') collectPoolIds(item, found)
    return
  }
  for (const [name, item] of Object.entries(value)) {
    if (typeof item === 'object') collectPoolIds(item, found)
    else if (name === 'poolId' && typeof item === 'string') found.add(item)
  }
}
