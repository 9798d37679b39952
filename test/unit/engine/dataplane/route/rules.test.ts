import t from 'tap'
import type { Match, StringMatch } from '#model/snapshot/snapshot.ts'
import type { Downstream } from '#engine/dataplane/exchange/exchange.ts'
import { Automata } from '#engine/dataplane/route/automata.ts'
import { compileMatch, compileString as compile } from '#engine/dataplane/route/match.ts'
import { compileRules } from '#engine/dataplane/route/rules.ts'
import { compileText } from '#engine/dataplane/route/text.ts'
import type { RawHead } from '#engine/dataplane/http/head.ts'
import { anExchange } from '#test/support/exchange.ts'
import { aResponseRule, aRule, noMatch } from '#test/support/snapshot.ts'

const string = (operator: StringMatch['operator'], values: readonly string[] = [], isCaseSensitive = false): StringMatch => ({
  operator,
  values,
  isCaseSensitive
})

const compileString = (match: StringMatch) => compile(match, new Automata())

function matches(match: Partial<Match>, given: Partial<RawHead> = {}, downstream: Partial<Downstream> = {}, deniesAccess = false): boolean {
  const exchange = anExchange(given, downstream)
  return compileMatch({ ...noMatch, ...match }, deniesAccess, new Automata()).every(part => part.test(exchange))
}

t.test('compileString knows every operator and its negation', async t => {
  const cases: readonly (readonly [
    operator: StringMatch['operator'],
    values: readonly string[],
    holds: readonly string[],
    fails: readonly string[]
  ])[] = [
    ['begins-with', ['/a', '/b'], ['/a', '/Ax', '/b/c'], ['/c', '']],
    ['ends-with', ['.PHP'], ['/x.php'], ['/x.php5']],
    ['contains', ['mid'], ['amidst', 'MID'], ['dim']],
    ['equals', ['/a', '/b'], ['/a', '/B'], ['/ab', '']],
    ['regex', ['^/v[0-9]+/', 'x$'], ['/v12/a', '/V1/', 'ax'], ['/vx/', '']]
  ]
  for (const [operator, values, holds, fails] of cases) {
    const test = compileString(string(operator, values))
    const not = compileString(string(`not-${operator}` as StringMatch['operator'], values))
    for (const value of holds) t.same([test(value), not(value)], [true, false], `${operator} ${value}`)
    for (const value of fails) t.same([test(value), not(value)], [false, true], `${operator} ${value}`)
    t.same([test(undefined), not(undefined)], [false, true], `${operator} of what is not there`)
  }
  t.same([compileString(string('exists'))(''), compileString(string('exists'))(undefined)], [true, false])
  t.same([compileString(string('not-exists'))(''), compileString(string('not-exists'))(undefined)], [false, true])
  t.equal(compileString(string('equals', ['/A'], true))('/a'), false)
})

t.test('compileMatch knows every part', async t => {
  t.ok(matches({}))
  t.ok(matches({ clientAddress: { isNegated: false, ranges: ['192.0.2.0/24', '2001:db8::/32'] } }))
  t.ok(matches({ clientAddress: { isNegated: false, ranges: ['2001:db8::1-2001:db8::9'] } }, {}, { clientIp: '2001:db8::5' }))
  t.notOk(matches({ clientAddress: { isNegated: true, ranges: ['192.0.2.1'] } }))
  t.ok(matches({ port: { isNegated: false, ports: [80, 443] } }))
  t.notOk(matches({ port: { isNegated: true, ports: [80] } }))
  t.ok(matches({ protocol: { isNegated: false, protocol: 'https' } }, {}, { isTls: true }))
  t.notOk(matches({ protocol: { isNegated: false, protocol: 'https' } }))
  t.ok(matches({ protocol: { isNegated: true, protocol: 'https' } }))
  t.ok(matches({ method: { isNegated: false, methods: ['GET'] } }))
  t.notOk(matches({ method: { isNegated: true, methods: ['GET'] } }))
  t.ok(matches({ version: { isNegated: false, versions: ['HTTP/1.1'] } }))
  t.ok(matches({ version: { isNegated: true, versions: ['1.1'] } }, { version: '1.0' }))
  t.ok(matches({ host: string('equals', ['SHOP.test']) }, { headers: ['Host', 'Shop.Test:8080'] }))
  t.ok(matches({ query: string('contains', ['a=1']) }, { target: '/?x&A=1' }))
  t.ok(matches({ query: string('not-exists') }))
  t.ok(
    matches({ headers: [{ name: 'X-A', ...string('equals', ['2']) }] }, { headers: ['Host', 'a', 'x-a', '1', 'X-A', '2'] }),
    'any of its values'
  )
  t.notOk(
    matches({ headers: [{ name: 'X-A', ...string('not-equals', ['2']) }] }, { headers: ['Host', 'a', 'x-a', '1', 'X-A', '2'] }),
    'none of its values'
  )
  t.notOk(
    matches(
      {
        headers: [
          { name: 'X-A', ...string('exists') },
          { name: 'X-B', ...string('exists') }
        ]
      },
      { headers: ['Host', 'a', 'x-a', '1'] }
    ),
    'all must match'
  )
  t.ok(matches({ cookie: { name: 'user', ...string('equals', ['me']) } }, { headers: ['Host', 'a', 'Cookie', 'a=b; user=me'] }))
  t.notOk(matches({ cookie: { name: 'use', ...string('exists') } }, { headers: ['Host', 'a', 'Cookie', 'user=me'] }))
  const fingerprint = { ja3: 'a'.repeat(32), ja4: 't13d' }
  for (const value of [fingerprint.ja3, fingerprint.ja4]) {
    t.ok(matches({ fingerprint: { isNegated: false, values: ['x', value] } }, {}, { fingerprint }))
    t.notOk(matches({ fingerprint: { isNegated: true, values: ['x', value] } }, {}, { fingerprint }))
  }
  t.notOk(matches({ fingerprint: { isNegated: false, values: ['x'] } }, {}, { fingerprint }))
  t.notOk(matches({ fingerprint: { isNegated: false, values: [''] } }), 'a client without TLS is in no list')
  t.ok(matches({ fingerprint: { isNegated: true, values: ['x'] } }))
  const admin = { path: string('equals', ['/admin']) }
  t.notOk(matches(admin, { target: '/admin;x' }), 'exactly what is there')
  t.ok(matches(admin, { target: '/admin;x' }, {}, true), 'but not a way around a refusal')
  t.throws(() => matches({ clientAddress: { isNegated: false, ranges: ['10.0.0'] } }), RangeError)
})

t.test('compileRules stops at the first final action, in order, and finds rules by host', async t => {
  const respond = (status: number) => ({ is: 'respond', status, contentType: 'text/plain', bodyBase64: 'aGk=' }) as const
  const host = (name: string) => ({ host: string('equals', [name]) })
  const rules = compileRules({
    requestRules: [
      aRule({ name: 'one', match: host('a.test'), action: respond(201) }),
      aRule({ name: 'two', match: { path: string('begins-with', ['/x']) }, action: respond(202) }),
      aRule({ name: 'three', match: host('b.test'), action: respond(203), isLogged: true }),
      aRule({ name: 'four', match: host('b.test'), action: respond(204) }),
      aRule({ name: 'five', match: host('c.test'), action: { is: 'allow' } }),
      aRule({ name: 'six', action: respond(206) })
    ],
    responseRules: []
  })
  const decide = (name: string, target = '/') => {
    const exchange = anExchange({ headers: ['Host', name], target })
    return [rules.decide(exchange), exchange.rule, exchange.isLogged] as const
  }
  t.match(decide('a.test'), [{ is: 'answer', status: 201 }, 'one', false])
  t.match(decide('b.test', '/x'), [{ status: 202 }, 'two'])
  t.match(decide('b.test'), [{ status: 203 }, 'three', true])
  t.match(decide('c.test'), [{ is: 'pass' }, 'five'])
  t.match(decide('d.test'), [{ status: 206 }, 'six'])
  const explained = rules.explain(anExchange({ headers: ['Host', 'b.test'] }))
  t.match(explained.steps, [
    { rule: 'one', isMatched: false, failedOn: 'host' },
    { rule: 'two', isMatched: false, failedOn: 'path' },
    { rule: 'three', isMatched: true, action: 'respond' }
  ])
})

t.test('a redirect keeps what it is not told to change, and cannot be made to break the header', async t => {
  const redirect = (given: object) =>
    compileRules({
      requestRules: [
        aRule({ action: { is: 'redirect', status: 302, protocol: null, port: null, host: null, path: null, keepsQuery: true, ...given } })
      ],
      responseRules: []
    })
  const to = (given: object, head: Partial<RawHead>, downstream: Partial<Downstream> = {}): unknown => {
    const verdict = redirect(given).decide(anExchange(head, downstream))
    return verdict.is === 'answer' ? verdict.headers[1] : verdict
  }
  const head = { headers: ['Host', 'shop.test:8080'], target: '/a?b' }
  t.equal(to({}, head), 'http://shop.test:8080/a?b')
  t.equal(to({ protocol: 'https' }, head), 'https://shop.test/a?b')
  t.equal(to({ protocol: 'https', port: 8443 }, head), 'https://shop.test:8443/a?b')
  t.equal(to({ port: 80 }, head), 'http://shop.test/a?b')
  t.equal(to({ keepsQuery: false, path: [{ literal: 'x' }] }, head), 'http://shop.test:8080/x')
  t.equal(to({ host: [{ literal: 'www.' }, { from: 'host', start: 0, end: 65_535 }] }, head), 'http://www.shop.test/a?b')
  t.equal(to({ path: [{ literal: '/a\r\nset-cookie: x' }] }, head), 'http://shop.test:8080/a%0D%0Aset-cookie:%20x?b')
})

t.test('compileText replaces variables and leaves what is none', async t => {
  const exchange = anExchange({ headers: ['Host', 'shop.test', 'User-Agent', 'curl'], target: '/a?b' })
  t.equal(
    compileText('$client_ip:$client_port $vs_name $vs_ip:$vs_port $request_id')(exchange),
    '192.0.2.1:40000 shop 198.51.100.1:80 id-1'
  )
  t.equal(
    compileText('$method $host $path $query $scheme [$http_user_agent] [$http_x_none]')(exchange),
    'GET shop.test /a b http [curl] []'
  )
  t.equal(compileText('costs $5, $unknown $ $$')(exchange), 'costs $5, $unknown $ $$')
  t.equal(compileText('$constructor $__proto__')(exchange), '$constructor $__proto__')
})

t.test('header actions add, replace and remove, never what frames the message', async t => {
  const rules = compileRules({
    requestRules: [
      aRule({
        headerActions: [
          { is: 'add', name: 'X-A', value: '2' },
          { is: 'replace', name: 'x-b', value: 'new\r\nevil: 1' },
          { is: 'remove', name: 'X-C', value: '' },
          { is: 'replace', name: 'Content-Length', value: '5' },
          { is: 'add', name: 'Transfer-Encoding', value: 'chunked' },
          { is: 'replace', name: 'Host', value: 'inner.test' }
        ],
        rewrite: { host: null, path: [{ literal: '/x/../y' }], query: { keepsExisting: false, add: 'q=1' } }
      })
    ],
    responseRules: [
      aResponseRule({ status: [{ from: 500, to: 599 }], headerActions: [{ is: 'remove', name: 'Server', value: '' }] }),
      aResponseRule({
        match: { ...noMatch, path: string('begins-with', ['/no']) },
        headerActions: [{ is: 'add', name: 'never', value: '1' }]
      })
    ]
  })
  const exchange = anExchange({ headers: ['Host', 'shop.test', 'X-A', '1', 'X-B', 'old', 'X-B', 'older', 'X-C', '3'], target: '/a?b' })
  t.match(rules.decide(exchange), { is: 'pass' })
  t.same(exchange.request.headers, ['x-a', '1', 'x-a', '2', 'x-b', 'newevil: 1'])
  t.match(exchange.request, { authority: 'inner.test', host: 'shop.test', target: '/y?q=1', path: '/a' })
  exchange.response = { status: 500, reason: '', headers: ['server', 'x', 'a', 'b'] }
  rules.amend(exchange)
  t.same(exchange.response.headers, ['a', 'b'])
  exchange.response = { status: 200, reason: '', headers: ['server', 'x'] }
  rules.amend(exchange)
  t.same(exchange.response.headers, ['server', 'x'])
})
