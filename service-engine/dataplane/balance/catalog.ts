/** algorithm -> balancer. */
import type { BalanceSpec } from '#model/snapshot/snapshot.ts'
import type { Random } from '#model/base/random.ts'
import type { Balancer } from './balancer.ts'
import { consistentHash } from './consistent-hash.ts'
import { fastestResponse } from './fastest-response.ts'
import { fewestServers } from './fewest-servers.ts'
import { leastConnections } from './least-connections.ts'
import { leastLoad } from './least-load.ts'
import { roundRobin } from './round-robin.ts'
import { twoChoices } from './two-choices.ts'

export interface BalanceServices {
  /** Counts up by one over all workers. */
  readonly nextTurn: () => number
  readonly random: Random
}

const catalog: { readonly [K in BalanceSpec['is']]: (spec: Extract<BalanceSpec, { is: K }>, services: BalanceServices) => Balancer } = {
  'round-robin': (_spec, services) => roundRobin(services.nextTurn),
  'least-connections': (_spec, services) => leastConnections(services.nextTurn),
  random: (_spec, services) => twoChoices(services.random),
  'fastest-response': (_spec, services) => fastestResponse(services.nextTurn),
  'least-load': (_spec, services) => leastLoad(services.nextTurn),
  'fewest-servers': (spec, services) => fewestServers(spec.capacity, services.nextTurn),
  'consistent-hash': consistentHash
}

export function makeBalancer<K extends BalanceSpec['is']>(spec: Extract<BalanceSpec, { is: K }>, services: BalanceServices): Balancer {
  const make = catalog[spec.is as K]
  return make(spec, services)
}
