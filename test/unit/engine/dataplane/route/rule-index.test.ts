import t from 'tap'
import type { Match, StringMatch } from '#model/snapshot/snapshot.ts'
import { Automata } from '#engine/dataplane/route/automata.ts'
import { RuleIndex } from '#engine/dataplane/route/rule-index.ts'
import { compileRules, rulesInSteps } from '#engine/dataplane/route/rules.ts'
import { anExchange } from '#test/support/exchange.ts'
import { aRule } from '#test/support/snapshot.ts'

const text = (operator: StringMatch['operator'], values: readonly string[], isCaseSensitive = false): StringMatch => ({
  operator,
  values,
  isCaseSensitive
})

t.test('decide, which asks an index, and explain, which asks every rule, come to the same end', async t => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.comment(`seed ${seed}`)
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const pick = <T>(of: readonly T[]): T => of[random(of.length)]!
  const pieces = ['/', '/a', '/A/b', '/a/b', '/a;x/b', '/ab', '/a/b/c', '/b']
  const hosts = ['one.test', 'two.test', 'three.test']
  const patterns = ['^/a', '^/a?b', '^/a*', '^/a{0,1}b', '^/A/b$', '/b', '^/a|/b', '^(/a)+', '^/a/.*c', '^']
  const aMatch = (): Partial<Match> => {
    const path = pick([
      () => text('equals', [pick(pieces), pick(pieces)], random(2) === 0),
      () => text('begins-with', [pick(pieces)], random(2) === 0),
      () => text('begins-with', [pick(pieces), pick(pieces)]),
      () => text('regex', [pick(patterns)], random(2) === 0),
      () => text('regex', [pick(patterns), pick(patterns)]),
      () => text('not-regex', [pick(patterns)]),
      () => text('not-equals', [pick(pieces)]),
      () => text('ends-with', ['b', '/c']),
      () => text('contains', ['b'])
    ])()
    const host = pick([
      () => text('equals', [pick(hosts), pick(hosts)]),
      () => text('not-equals', [pick(hosts)]),
      () => text('contains', ['o'])
    ])()
    return pick<Partial<Match>>([{ path }, { path }, { host }, { path, host }, { method: { methods: ['POST'], isNegated: true } }])
  }
  for (let round = 0; round < 150; round++) {
    const requestRules = Array.from({ length: 12 }, (_, i) =>
      aRule({
        name: `rule ${i}`,
        match: aMatch(),
        phase: random(4) === 0 ? 'security' : 'request',
        action: pick([null, null, { is: 'allow' }, { is: 'close' }] as const)
      })
    )
    const rules = compileRules({ requestRules, responseRules: [] })
    for (let i = 0; i < 30; i++) {
      const request = { host: pick([...hosts, 'four.test']), path: pick([...pieces, '/x', '/A', '/a/B/C', '/a;/b']) }
      const head = { target: request.path, headers: ['Host', request.host] }
      const [asked, explained] = [anExchange(head), anExchange(head)]
      const verdict = rules.decide(asked)
      const other = rules.explain(explained).verdict
      if (verdict.is !== other.is || asked.rule !== explained.rule)
        t.fail(`${JSON.stringify(request)}: ${verdict.is} by ${asked.rule}, not ${other.is} by ${explained.rule}`)
    }
  }
  t.pass('all alike')
})

t.test('of ten thousand rules only those for the host and the path are asked', async t => {
  const index = new RuleIndex<number>()
  const noMatch = aRule({ match: {} }).match!
  for (let i = 0; i < 10_000; i++) {
    const parts = [
      { host: text('equals', [`h${i}.test`]) },
      { path: text('equals', [`/p${i}`]) },
      { path: text('begins-with', [`/b${i}/`]) },
      { path: text('regex', [`^/r${i}/(a+)+$`]) }
    ]
    index.add(i, { ...noMatch, ...parts[i % 4] })
  }
  for (const [host, path, wanted] of [
    ['h4.test', '/', 4],
    ['x.test', '/P5', 5],
    ['x.test', '/p5;x', 5],
    ['x.test', '/b2/x', 2],
    ['x.test', `/r9999/${'a'.repeat(200)}!`, 9999]
  ] as const) {
    const found: number[] = []
    for (let rule = index.begin({ host, path }); rule !== undefined; rule = index.next()) found.push(rule)
    t.same(found, [wanted], `${host} ${path}`)
  }
})

t.test('rulesInSteps may be interrupted between two rules', async t => {
  const requestRules = Array.from({ length: 500 }, (_, i) => aRule({ name: `rule ${i}`, match: { path: text('regex', [`^/r${i}`]) } }))
  const steps = rulesInSteps({ requestRules, responseRules: [] }, new Automata())
  let count = 0
  while (steps.next().done !== true) count++
  t.ok(count >= 500)
})

t.test('rulesInSteps may be interrupted between two patterns of one rule', async t => {
  const patterns = Array.from({ length: 500 }, (_, i) => `^/r${i}/(.*)`)
  const path = [{ from: 'caught', of: 'path', patterns, isCaseSensitive: false, start: 1, end: 1 }] as const
  const rule = aRule({ match: { path: text('regex', patterns) }, rewrite: { host: null, path, query: null } })
  const steps = rulesInSteps({ requestRules: [rule], responseRules: [] }, new Automata())
  let count = 0
  while (steps.next().done !== true) count++
  t.ok(count >= 1_000)
})
