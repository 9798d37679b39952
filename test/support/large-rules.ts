/** Rules and addresses as many as anybody has, with patterns that stall a backtracking engine. */
import type { Match, NetworkRule, RequestRule } from '#model/snapshot/snapshot.ts'
import { aRule } from './snapshot.ts'

const evil = ['^/(a+)+$', '(a|aa)+$', '(.*a){12}$', '^(([a-z])+.)+[A-Z]([a-z])+$', '(x+x+)+y']

/**
 * One in four hundred rules is a pattern for a host `evil<i>.test`; the others are for hosts `h<i>.test`, paths `/p<i>`, beginnings
 * `/b<i>/`, paths with `word<i>x` and patterns that look for `file<i>.` anywhere.
 */
function matchOf(i: number): Partial<Match> {
  const isCaseSensitive = false
  if (i % 400 === 399)
    return {
      host: { operator: 'equals', values: [`evil${i}.test`], isCaseSensitive },
      path: { operator: 'regex', values: [evil[((i - 399) / 400) % evil.length]!], isCaseSensitive }
    }
  switch (i % 5) {
    case 0:
      return { host: { operator: 'equals', values: [`h${i}.test`], isCaseSensitive } }
    case 1:
      return { path: { operator: 'equals', values: [`/p${i}`], isCaseSensitive } }
    case 2:
      return { path: { operator: 'begins-with', values: [`/b${i}/`], isCaseSensitive } }
    case 3:
      return { path: { operator: 'contains', values: [`word${i}x`], isCaseSensitive } }
    default:
      return { path: { operator: 'regex', values: [`(a+)+/file${i}\\.(php|asp)$`], isCaseSensitive } }
  }
}

/** 10,000 rules that answer 403, behind one that answers 401 to a group of 100,000 networks and 127.0.0.9. */
export function aLargeRuleBook(): { readonly requestRules: readonly RequestRule[]; readonly networkRules: readonly NetworkRule[] } {
  const addresses = Array.from({ length: 100_000 }, (_, i) => `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/25`)
  const respond = (status: number) => ({ is: 'respond', status, contentType: '', bodyBase64: '' }) as const
  return {
    requestRules: [
      aRule({
        name: 'group',
        match: { clientAddress: { isNegated: false, ranges: [...addresses, '127.0.0.9'] } },
        action: respond(401)
      }),
      ...Array.from({ length: 10_000 }, (_, i) => aRule({ name: `rule ${i}`, match: matchOf(i), action: respond(403) }))
    ],
    networkRules: [{ name: 'far away', action: 'deny', isNegated: false, ports: [], ranges: addresses }]
  }
}
