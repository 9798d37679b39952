import type { NetworkRule } from '#model/snapshot/snapshot.ts'
import { compileAddresses } from './address-set.ts'

/**
 * Network rules as one question.
 *
 * Returns the name of the rule that denies; undefined when the first match allows, or none matches
 * Throws  RangeError on an address that cannot be read
 */
export function compileNetworkRules(rules: readonly NetworkRule[]): (clientIp: string, port: number) => string | undefined {
  const compiled = rules.map(rule => ({
    name: rule.name,
    denies: rule.action === 'deny',
    isNegated: rule.isNegated,
    has: rule.ranges.length === 0 ? () => true : compileAddresses(rule.ranges),
    ports: rule.ports.length === 0 ? undefined : new Set(rule.ports)
  }))
  return (clientIp, port) => {
    for (const rule of compiled) {
      if (rule.ports !== undefined && !rule.ports.has(port)) continue
      if (rule.has(clientIp) !== rule.isNegated) return rule.denies ? rule.name : undefined
    }
    return undefined
  }
}
