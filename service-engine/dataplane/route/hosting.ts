/** Which child of a virtual service a request is for, by the names of its connection and of the request. */
import type { HostingSpec } from '#model/snapshot/snapshot.ts'
import { makeExchange, type Downstream, type Exchange, type RequestHead } from '../exchange/exchange.ts'
import type { Automata } from './automata.ts'
import { compileMatch, type Test } from './match.ts'

/** A child's id; `parent`; `misdirected`: the connection's name is not one for that host (RFC 9110 §15.5.20). */
export type Hosted = { readonly is: 'child'; readonly id: string } | { readonly is: 'parent' } | { readonly is: 'misdirected' }

const PARENT: Hosted = { is: 'parent' }
const MISDIRECTED: Hosted = { is: 'misdirected' }

interface Rule {
  readonly child: Hosted
  readonly tests: readonly Test[]
}

/**
 * Compiles the choice.
 *
 * Returns by SNI: the child of the TLS name, the parent without TLS; a host of another child on that connection is misdirected, because it was not
 *         asked for by the certificate. Enhanced: the first child of the host whose rules match, those without rules last
 * Throws  SyntaxError or RangeError on a match that cannot be read
 * Cost    one look-up for each label of the name
 */
export function compileHosting(spec: HostingSpec, automata: Automata): (request: RequestHead, downstream: Downstream) => Hosted {
  if (spec.by === 'sni') {
    const children = new Map(spec.names.map(({ name, childId }) => [name, { is: 'child', id: childId } as const]))
    return (request, { isTls, serverName }) => {
      if (!isTls) return PARENT
      const byHost = find(children, request.host)
      const bySni = serverName === null ? undefined : find(children, serverName)
      return byHost === undefined || byHost.id === bySni?.id ? (bySni ?? PARENT) : MISDIRECTED
    }
  }
  const rules = new Map<string, Rule[]>()
  const inOrder = [...spec.names].toSorted((a, b) => Number(a.match === null) - Number(b.match === null))
  for (const { name, childId, match } of inOrder) {
    const tests = match === null ? [] : compileMatch(match, false, automata).map(part => part.test)
    const rule: Rule = { child: { is: 'child', id: childId }, tests }
    const known = rules.get(name)
    if (known === undefined) rules.set(name, [rule])
    else known.push(rule)
  }
  return (request, downstream) => {
    let exchange: Exchange | undefined
    for (const name of namesFor(request.host)) {
      for (const { child, tests } of rules.get(name) ?? []) {
        if (tests.length === 0) return child
        exchange ??= makeExchange({ id: '', name: '', target: null }, downstream, request, { id: '', startedUs: 0, startedEpochMs: 0 })
        const asked = exchange
        if (tests.every(test => test(asked))) return child
      }
    }
    return PARENT
  }
}

/** The name itself, then `*.` and what is behind each of its dots, the longest first. */
function* namesFor(host: string): Generator<string> {
  yield host
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) yield `*${host.slice(dot)}`
}

function find<T>(byName: ReadonlyMap<string, T>, host: string): T | undefined {
  for (const name of namesFor(host)) {
    const found = byName.get(name)
    if (found !== undefined) return found
  }
  return undefined
}
