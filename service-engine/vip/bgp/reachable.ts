/** Whether a virtual service has a server to send clients to, as this engine sees them. Pure. */
import type { Verdict } from '#model/message/message.ts'
import type { PoolPart, Snapshot, TargetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'

type Judge = (poolId: string, serverId: string) => Verdict

/**
 * For each virtual service the pools that it may send clients to: by its target, its rules, its scripts and its children, and those that
 * stand in for others. A mirror serves nobody.
 */
export function poolsByService({ virtualServices, pools }: Pick<Snapshot, 'virtualServices' | 'pools'>): Map<string, readonly PoolPart[]> {
  const poolById = new Map(pools.map(pool => [pool.id, pool]))
  const serviceById = new Map(virtualServices.map(service => [service.id, service]))
  return new Map(
    virtualServices.map(service => {
      const children = (service.hosting?.names ?? []).flatMap(({ childId }) => serviceById.get(childId) ?? [])
      const ids = new Set([service, ...children].flatMap(targetsOf).flatMap(poolIdsOf))
      // Grows while it is walked: who stands in may have somebody stand in for itself.
      for (const id of ids) {
        const action = poolById.get(id)?.failAction
        if (action?.is === 'pool') ids.add(action.poolId)
      }
      return [service.id, [...ids].flatMap(id => poolById.get(id) ?? [])]
    })
  )
}

function targetsOf({ target, requestRules, scripts = [] }: VirtualServicePart): readonly TargetSpec[] {
  return [
    ...(target === null ? [] : [target]),
    ...requestRules.flatMap(({ action }) => (action?.is === 'switch' ? [action.target] : [])),
    ...scripts.flatMap(script => [...Object.values(script.pools), ...Object.values(script.poolGroups)])
  ]
}

function poolIdsOf(target: TargetSpec): readonly string[] {
  if (target.is === 'pool') return [target.poolId]
  const { members, failAction } = target
  return [
    ...members.flatMap(({ poolId, ratio }) => (ratio === 0 ? [] : [poolId])),
    ...(failAction.is === 'pool' ? [failAction.poolId] : [])
  ]
}

/** Down is only who has pools, and no server in any of them that is enabled and not known to be down. */
export function isReachable(pools: readonly PoolPart[], verdictOf: Judge): boolean {
  return (
    pools.length === 0 || pools.some(({ id, servers }) => servers.some(server => server.isEnabled && verdictOf(id, server.id) !== 'down'))
  )
}
