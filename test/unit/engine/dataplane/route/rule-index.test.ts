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
  const pieces = ['/', '/a', '/A/b', '/a/b', '/a;x/b', '/ab', '/a/b/c', '/b', '/shop/Cart', '/sh;x/cart', '/x/cart.php', '/aaaaaa']
  const hosts = ['one.test', 'two.test', 'three.test']
  const patterns = [
    'cart',
    'C(art|AR)',
    '(?:shop|car[tT])+',
    '.*[cC]art\\.php$',
    'a{3}',
    '(aaa){2,}',
    'ar(t|x)|/shop',
    'ca.t',
    '^/a',
    '^/a?b',
    '^/a*',
    '^/a{0,1}b',
    '^/A/b$',
    '/b',
    '^/a|/b',
    '^(/a)+',
    '^/a/.*c',
    '^'
  ]
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
      () => text('contains', ['b']),
      () => text('contains', [pick(['cart', 'Shop', '/a/']), pick(['PHP', 'op/'])], random(2) === 0),
      () => text('ends-with', [pick(['cart', '.PHP'])], random(2) === 0)
    ])()
    const host = pick([
      () => text('equals', [pick(hosts), pick(hosts)]),
      () => text('not-equals', [pick(hosts)]),
      () => text('contains', ['o']),
      () => text('ends-with', [pick(['TWO.test', '.test'])]),
      () => text('regex', [pick(['t[hw].*test', 'one'])])
    ])()
    const query = pick([
      () => text('contains', [pick(['lang=', 'DE'])], random(2) === 0),
      () => text('equals', ['lang=de']),
      () => text('regex', [pick(['lang=(d|f)', '^$', 'de|fr'])]),
      () => text('exists', []),
      () => text('not-contains', ['lang'])
    ])()
    return pick<Partial<Match>>([
      { path },
      { path },
      { host },
      { path, host },
      { query },
      { path, query },
      { host, query },
      { method: { methods: ['POST'], isNegated: true } }
    ])
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
      const request = {
        host: pick([...hosts, 'four.test']),
        path: pick([...pieces, '/x', '/A', '/a/B/C', '/a;/b']),
        query: pick(['', '', '?lang=de', '?x&LANG=FR'])
      }
      const head = { target: request.path + request.query, headers: ['Host', request.host] }
      const [asked, explained] = [anExchange(head), anExchange(head)]
      const verdict = rules.decide(asked)
      const other = rules.explain(explained).verdict
      if (verdict.is !== other.is || asked.rule !== explained.rule)
        t.fail(`${JSON.stringify(request)}: ${verdict.is} by ${asked.rule}, not ${other.is} by ${explained.rule}`)
    }
  }
  t.pass('all alike')
})

t.test('of ten thousand rules only those for the host, the path and the query are asked, and few of those that look like them', async t => {
  const index = new RuleIndex<number>()
  const noMatch = aRule({ match: {} }).match!
  for (let i = 0; i < 10_000; i++) {
    const parts = [
      { host: text('equals', [`h${i}.test`]) },
      { path: text('equals', [`/p${i}`]) },
      { path: text('begins-with', [`/b${i}/`]) },
      { path: text('regex', [`^/r${i}/(a+)+$`]) },
      { path: text('regex', [`(a+)+/word${i}x(y|z)`]) },
      { query: text('contains', [`key${i}=`]) }
    ]
    index.add(i, { ...noMatch, ...parts[i % 6] })
  }
  for (const [host, path, query, wanted] of [
    ['h6.test', '/', '', 6],
    ['x.test', '/P7', '', 7],
    ['x.test', '/p7;x', '', 7],
    ['x.test', '/b8/x', '', 8],
    ['x.test', `/r9999/${'a'.repeat(200)}!`, '', 9999],
    ['x.test', '/aaa/Word9994xz', '', 9994],
    ['x.test', '/', 'a=1&KEY9995=', 9995]
  ] as const) {
    const found: number[] = []
    for (let rule = index.begin({ host, path, query }); rule !== undefined; rule = index.next()) found.push(rule)
    t.ok(found.includes(wanted), `${host} ${path}`)
    t.ok(found.length < 20, `${found.length} asked for ${host} ${path}`)
    t.same(
      found,
      found.toSorted((a, b) => a - b),
      'in order, each once'
    )
    t.equal(new Set(found).size, found.length)
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
