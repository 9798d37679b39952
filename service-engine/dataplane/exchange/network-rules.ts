import type { NetworkRule } from '#model/snapshot/snapshot.ts'
import { addressesInSteps } from './address-set.ts'
import { atOnce, type Steps } from './build-steps.ts'

/**
 * Network rules as one question.
 *
 * Returns the name of the rule that denies; undefined when the first match allows, or none matches
 * Throws  RangeError on an address that cannot be read
 */
export function compileNetworkRules(rules: readonly NetworkRule[]): NetworkTest {
  return atOnce(networkRulesInSteps(rules))
}

export type NetworkTest = (clientIp: string, port: number) => string | undefined

export function* networkRulesInSteps(rules: readonly NetworkRule[]): Steps<NetworkTest> {
  const compiled: {
    name: string
    denies: boolean
    isNegated: boolean
    has: (address: string) => boolean
    ports: Set<number> | undefined
  }[] = []
  for (const rule of rules) {
    yield
    compiled.push({
      name: rule.name,
      denies: rule.action === 'deny',
      isNegated: rule.isNegated,
      has: rule.ranges.length === 0 ? () => true : yield* addressesInSteps(rule.ranges),
      ports: rule.ports.length === 0 ? undefined : new Set(rule.ports)
    })
  }
  return (clientIp, port) => {
    for (const rule of compiled) {
      if (rule.ports !== undefined && !rule.ports.has(port)) continue
      if (rule.has(clientIp) !== rule.isNegated) return rule.denies ? rule.name : undefined
    }
    return undefined
  }
}
