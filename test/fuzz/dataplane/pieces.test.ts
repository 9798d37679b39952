/** Whatever clients send, pieces of it name no other host than the operator's, and what is sent on is a sound target. */
import fc from 'fast-check'
import t from 'tap'
import type { TokenString } from '#model/snapshot/snapshot.ts'
import { normalizeTarget } from '#engine/dataplane/route/path.ts'
import { compileRules } from '#engine/dataplane/route/rules.ts'
import { anExchange } from '#test/support/exchange.ts'
import { aRule } from '#test/support/snapshot.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

const text = fc
  .array(
    fc.constantFrom(
      '/',
      'evil.test',
      '%2f',
      '%23',
      '%3F',
      '.',
      ':',
      '@',
      '?',
      '&',
      '=',
      'a',
      '[',
      ']',
      '%41',
      "'",
      '"',
      '<',
      '-',
      '_',
      '%C3%A9'
    ),
    {
      maxLength: 12
    }
  )
  .map(list => `/${list.join('')}`)
const part = fc.constantFrom('(.*)', '([^/]*)', '(/?)', '([a-z.]+)', '(.)', '^/', '$', '[^a]*', '(evil|test)?')
const pattern = fc.array(part, { minLength: 1, maxLength: 4 }).map(list => list.join(''))
const segment = fc.integer({ min: 0, max: 4 })
const piece: fc.Arbitrary<TokenString[number]> = fc.oneof(
  fc.record({ from: fc.constant('path' as const), start: segment, end: fc.constantFrom(1, 3, 65_535) }),
  fc.record({
    from: fc.constant('caught' as const),
    of: fc.constantFrom('path' as const, 'query' as const),
    patterns: fc.array(pattern, { maxLength: 2 }),
    isCaseSensitive: fc.boolean(),
    start: segment,
    end: fc.constantFrom(1, 3, 65_535)
  })
)
const pieces = fc.array(piece, { minLength: 1, maxLength: 3 })

t.test('a host that ends as the operator wrote it does so whatever was asked', async () => {
  const property = fc.property(pieces, text, (tokens, target) => {
    if (typeof normalizeTarget(target) === 'string') return
    const host: TokenString = [...tokens, { literal: '.' }, { literal: 'shop.test' }]
    const redirect = { is: 'redirect', status: 302, protocol: 'https', port: null, host, path: null, keepsQuery: true } as const
    const verdict = compileRules({ requestRules: [aRule({ action: redirect })], responseRules: [] }).decide(anExchange({ target }))
    const location = verdict.is === 'answer' ? (verdict.headers[1] ?? '') : ''
    const to = new URL(location)
    const isOurs = to.hostname === 'shop.test' || to.hostname.endsWith('.shop.test')
    if (!isOurs || to.username !== '' || to.port !== '' || !/^https:\/\/[A-Za-z0-9._-]+\//.test(location))
      throw new Error(`${target} leads to ${location}`)
  })
  fc.assert(property, { seed, numRuns: 3_000, interruptAfterTimeLimit: 3_000 })
})

t.test('a path made of pieces is refused or sound, and a host only ever letters of one', async () => {
  const property = fc.property(pieces, text, (tokens, target) => {
    if (typeof normalizeTarget(target) === 'string') return
    const exchange = anExchange({ target })
    const rules = [aRule({ rewrite: { host: tokens, path: tokens, query: null } })]
    const verdict = compileRules({ requestRules: rules, responseRules: [] }).decide(exchange)
    const { authority, target: made } = exchange.request
    if (!/^[A-Za-z0-9._-]+$/.test(authority)) throw new Error(`${target} makes the host ${authority}`)
    if (verdict.is === 'pass' && typeof normalizeTarget(made) === 'string') throw new Error(`${target} makes ${made}`)
  })
  fc.assert(property, { seed, numRuns: 3_000, interruptAfterTimeLimit: 3_000 })
})
