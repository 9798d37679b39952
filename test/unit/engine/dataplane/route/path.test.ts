import t from 'tap'
import { normalizeTarget, withoutParameters } from '#engine/dataplane/route/path.ts'

t.test('normalizeTarget resolves, decodes what may be, and merges slashes for deciding only', async t => {
  const cases: readonly (readonly [raw: string, target: string, path: string])[] = [
    ['/', '/', '/'],
    ['/a/b.html', '/a/b.html', '/a/b.html'],
    ['/a//b', '/a//b', '/a/b'],
    ['/a/./b/../c', '/a/c', '/a/c'],
    ['/a/b/..', '/a/', '/a/'],
    ['/a/.', '/a/', '/a/'],
    ['/%7euser/%41', '/~user/A', '/~user/A'],
    ['/%c3%a9', '/%C3%A9', '/%C3%A9'],
    ['/a%20b', '/a%20b', '/a%20b'],
    ['/%2e/a', '/a', '/a'],
    ['/a/%2e%2e/b', '/b', '/b'],
    ['//a//..//b', '//a//b', '/a/b'],
    ['/...', '/...', '/...'],
    ['/.well-known/x', '/.well-known/x', '/.well-known/x'],
    ['/%252e%252e/a', '/%252e%252e/a', '/%252e%252e/a'],
    ['/a?b=../..&c=%2f', '/a?b=../..&c=%2f', '/a'],
    ['/a?', '/a?', '/a'],
    ['/@scope%2fname', '/@scope%2Fname', '/@scope/name'],
    ['/a/%2F/b', '/a/%2F/b', '/a/b'],
    ['/%2Fadmin', '/%2Fadmin', '/admin'],
    ['/a%2fb/../c', '/c', '/c'],
    ['/a%2F.b', '/a%2F.b', '/a/.b']
  ]
  for (const [raw, target, path] of cases) t.match(normalizeTarget(raw), { target, path }, raw)
  t.match(normalizeTarget('/a?b?c'), { query: 'b?c' })
})

t.test('normalizeTarget refuses what climbs out, hides a separator or is broken', async t => {
  for (const raw of [
    '/..',
    '/a/../..',
    '/%2e%2e',
    '/a%2f..%2fb',
    '/a/..%2Fb',
    '/a%2F..',
    '/%2e%2e%2fa',
    '/a%2f./b',
    '/a%2f..;x/b',
    '/a%5cb',
    '/a\\b',
    '/a%00',
    '/a%',
    '/a%zz',
    '/a b',
    '/\u00e9',
    '/a#b',
    '/..;/a',
    '/a/.;x/b',
    'a'
  ])
    t.type(normalizeTarget(raw), 'string', raw)
})

t.test('normalizeTarget leaves nothing to resolve: a second pass changes nothing', async t => {
  for (const raw of ['/a/./b/../c//d', '/%41%2e/%7e', '/a/%2e%2e/b', '/a%2fb/./c']) {
    const once = normalizeTarget(raw)
    t.ok(typeof once !== 'string')
    if (typeof once !== 'string') t.same(normalizeTarget(once.target), once)
  }
})

t.test('withoutParameters drops them in every segment', async t => {
  t.equal(withoutParameters('/a;x=1/b;y/c'), '/a/b/c')
})
