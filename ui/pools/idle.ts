import type { PoolRuntime, ServerRuntime } from '#model/resource/runtime.ts'

/**
 * Why a server that could take requests gets none, where engines prefer some of the servers.
 *
 * Shapes  servers: all of its pool
 * Returns '' for one that gets some, or gets none for another reason
 */
export function whyIdle(server: ServerRuntime, { locality, servers }: Pick<PoolRuntime, 'locality' | 'servers'>): string {
  if (server.oper_status.state !== 'OPER_UP') return ''
  const orders = servers.flatMap(({ oper_status: { state }, preference_order: order = 1 }) => (state === 'OPER_UP' ? [order] : []))
  const lowest = Math.min(...orders)
  if ((server.preference_order ?? 1) > lowest) return `stands by: servers of order ${lowest} are up`
  if (locality === undefined) return ''
  const shareOf = new Map(locality.map(({ engine_uuid: uuid, own_percent: percent }) => [uuid, percent]))
  const keepTo = server.engines.filter(({ engine_uuid: uuid, own_zone: isOwn }) => isOwn === false && shareOf.get(uuid) === 100)
  if (keepTo.length === 0 || keepTo.length < server.engines.length) return ''
  const names = keepTo.map(({ engine_name: name }) => name)
  return `gets nothing: ${names.join(', ')} ${names.length === 1 ? 'keeps to its own zone' : 'keep to their own zones'}`
}
