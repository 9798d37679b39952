import t from 'tap'
import type { CaughtToken, PairToken, TokenString } from '#model/snapshot/snapshot.ts'
import { atOnce } from '#engine/dataplane/exchange/build-steps.ts'
import { Automata } from '#engine/dataplane/route/automata.ts'
import { piecesInSteps } from '#engine/dataplane/route/pieces.ts'
import { anExchange } from '#test/support/exchange.ts'

const END = 65_535

const made = (tokens: TokenString, separator: '.' | '/', target: string, host = 'a.b.c'): string => {
  const { request } = anExchange({ headers: ['Host', host], target })
  return atOnce(piecesInSteps(tokens, separator, new Automata()))(request, request)
}
const caught = (patterns: readonly string[], start: number, end: number, given: Partial<CaughtToken> = {}): CaughtToken => ({
  from: 'caught',
  of: 'path',
  patterns,
  isCaseSensitive: false,
  start,
  end,
  ...given
})
const pairs = (operator: PairToken['operator'], list: PairToken['pairs'], given: Partial<PairToken> = {}): PairToken => ({
  from: 'pair',
  of: 'path',
  operator,
  isCaseSensitive: false,
  pairs: list,
  ...given
})

t.test('piecesInSteps takes parts of host and path, both ends included', async t => {
  t.equal(made([{ from: 'path', start: 0, end: 0 }, { literal: '-' }, { from: 'path', start: 1, end: END }], '/', '/1/2/3'), '1-2/3')
  t.equal(made([{ from: 'host', start: 1, end: 2 }], '.', '/'), 'b.c')
  t.equal(made([{ from: 'host', start: 7, end: 9 }], '.', '/'), '')
})

t.test('piecesInSteps takes what groups of the first pattern that matches caught, as the client wrote it', async t => {
  const items = ['^/items/(\\d+)/([a-z]+)(/x)?', '^/(.*)$']
  t.equal(made([caught(items, 1, END)], '/', '/items/7/Blue'), '7/Blue/')
  t.equal(made([caught(items, 2, 2)], '/', '/ITEMS/7/Blue'), 'Blue')
  t.equal(made([caught(items, 0, 0)], '/', '/items/7/bluE'), '/items/7/bluE')
  t.equal(made([caught(items, 1, 1)], '/', '/other/Path'), 'other/Path')
  t.equal(made([caught(items, 7, 9)], '/', '/other'), '', 'a group that there is not')
  t.equal(made([caught(['^/x'], 0, END)], '/', '/other'), '', 'a pattern that does not match')
  t.equal(made([caught(items.slice(0, 1), 1, 1, { isCaseSensitive: true })], '/', '/Items/7/blue'), '', 'another case')
  t.equal(made([caught(['(^|&)to=([^&]*)'], 2, 2, { of: 'query' })], '/', '/?a=1&to=There'), 'There')
})

t.test('piecesInSteps takes the value of the first pair whose key matches', async t => {
  const list = [
    ['/a', 'short'],
    ['/A/b', 'long'],
    ['/a/b', 'twice']
  ] as const
  t.equal(made([pairs('equals', list)], '/', '/a/B'), 'long')
  t.equal(made([pairs('equals', list)], '/', '/a/b/c'), '')
  t.equal(made([pairs('equals', list, { isCaseSensitive: true })], '/', '/a/b'), 'twice')
  t.equal(made([pairs('begins-with', list)], '/', '/a/b/c'), 'short')
  t.equal(made([pairs('begins-with', list.toReversed())], '/', '/a/b/c'), 'twice')
  t.equal(made([pairs('begins-with', list)], '/', '/'), '')
  t.equal(made([pairs('ends-with', list)], '/', '/x/A'), 'short')
  t.equal(made([pairs('contains', list.toReversed())], '/', '/x/a/b/x'), 'twice')
  t.equal(
    made(
      [
        pairs('regex', [
          ['^/x', 'one'],
          ['.', 'any']
        ])
      ],
      '/',
      '/X/'
    ),
    'one'
  )
  t.equal(made([pairs('equals', [['to=1', 'one']], { of: 'query' })], '/', '/?to=1'), 'one')
})

t.test('piecesInSteps lets no client end the name of a host, and makes none with empty parts', async t => {
  const tail = [{ literal: '.' }, { literal: 'shop.test' }]
  const tenant = caught(['^/(.*)$'], 1, 1)
  for (const [target, host] of [
    ['/blue', 'blue.shop.test'],
    ['/evil.test/x', 'evil.test.x.shop.test'],
    ['/evil.test%23', 'evil.test.23.shop.test'],
    ['/evil.test%2F', 'evil.test.shop.test'],
    ['/evil.test:443@x', 'evil.test.443.x.shop.test'],
    ['/', 'shop.test']
  ] as const)
    t.equal(made([tenant, ...tail], '.', target), host, target)
  t.equal(made([{ from: 'path', start: 0, end: 0 }, ...tail], '.', '/evil.test@/x'), 'evil.test.shop.test')
  t.equal(made([caught(['.*'], 0, 0, { of: 'query' }), ...tail], '.', '/?evil.test/?'), 'evil.test.shop.test')
  t.equal(made([caught(['^/x'], 0, 0)], '.', '/'), '')
})
