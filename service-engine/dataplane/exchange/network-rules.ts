import { limitToCount } from '#model/snapshot/limit.ts'
import type { NetworkRule } from '#model/snapshot/snapshot.ts'
import { addressesInSteps } from './address-set.ts'
import { atOnce, type Steps } from './build-steps.ts'
import type { Rates } from './rates.ts'

/**
 * Network rules as one question.
 *
 * Shapes  rates: where limits of rules count; rules without limits need none
 * Throws  RangeError on an address that cannot be read
 */
export function compileNetworkRules(rules: readonly NetworkRule[], rates?: Rates): NetworkTest {
  return atOnce(networkRulesInSteps(rules, rates))
}

/**
 * Shapes  isNew: a connection that comes, which counts for the limit of its rule; what is there already is within it
 * Returns the name of the rule that denies; undefined when the first match allows, or none matches
 */
export type NetworkTest = (clientIp: string, port: number, isNew?: boolean) => string | undefined

interface Compiled {
  readonly name: string
  readonly isFor: (clientIp: string, port: number) => boolean
  readonly denies: (clientIp: string, isNew: boolean) => boolean
}

export function* networkRulesInSteps(rules: readonly NetworkRule[], rates?: Rates): Steps<NetworkTest> {
  const compiled: Compiled[] = []
  for (const rule of rules) {
    yield
    const { name, ranges, isNegated, hasOtherPorts = false } = rule
    const has = ranges.length === 0 ? () => true : yield* addressesInSteps(ranges)
    const ports = rule.ports.length === 0 ? undefined : new Set(rule.ports)
    compiled.push({
      name,
      isFor: (clientIp, port) => (ports === undefined || ports.has(port) !== hasOtherPorts) && has(clientIp) !== isNegated,
      denies: denialOf(rule, rates)
    })
  }
  return (clientIp, port, isNew = false) => {
    for (const rule of compiled) if (rule.isFor(clientIp, port)) return rule.denies(clientIp, isNew) ? rule.name : undefined
    return undefined
  }
}

function denialOf({ name, action, limit }: NetworkRule, rates: Rates | undefined): Compiled['denies'] {
  if (action !== 'limit') return () => action === 'deny'
  if (limit === undefined || rates === undefined) throw new RangeError(`rule ${name}: there is nowhere to count its connections`)
  const take = rates.open(limitToCount(limit))
  const isByClient = limit.key.length > 0
  return (clientIp, isNew) => isNew && take(isByClient ? clientIp : '') > 0
}
