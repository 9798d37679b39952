import fc from 'fast-check'
import t from 'tap'
import { linearPattern, MAX_PATTERN_CHARACTERS } from '#model/base/pattern.ts'
import { patternViolation } from '#controller/change/pattern.ts'

t.test('patternViolation says what a pattern may not have', async t => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['(', /must be a regular expression: unterminated group/],
    ['(?=a)b', /look-ahead/],
    ['(a)\\1', /back-references/],
    ['a{1,200}', /counts above 16/],
    ['\\Ashop\\Z', /must do without \\A/],
    ['[[:alpha:]]+', /\[\[:alpha:\]\]/],
    ['a'.repeat(MAX_PATTERN_CHARACTERS + 1), /not be longer/]
  ]
  for (const [source, said] of refused) t.match(patternViolation(source, false), said, source)
  for (const source of ['^/v[0-9]{1,3}/', '(a+)+$', '\\bfoo\\b', '(?<year>\\d{4})-', '\\.php$', '^/a\\-b/'])
    for (const isCaseSensitive of [true, false]) t.equal(patternViolation(source, isCaseSensitive), undefined, source)
})

t.test('linearPattern without case matches what a pattern with flag i matches', async t => {
  patternViolation('a', true)
  const piece = fc.constantFrom(
    'A',
    'b',
    '[a-c]',
    '[^a-b]',
    '\\x62',
    '[A-C]',
    '[^A-C]',
    '[0-Z]',
    '[^x-]',
    '[A-]',
    '\\x41',
    '\\u0042',
    '\\d',
    '\\W',
    '.',
    'A|b',
    '[B\\-Z]',
    '\\S',
    '\\.',
    '(?:Ab)'
  )
  const many = fc.constantFrom('', '*', '+', '?', '{2}')
  const pattern = fc
    .array(fc.tuple(piece, many), { minLength: 1, maxLength: 5 })
    .map(list => list.map(([a, b]) => (a === 'A|b' ? a : a + b)).join(''))
  const word = fc.string({ unit: fc.constantFrom('a', 'B', 'C', 'x', 'Z', '0', '-', '.', ' '), maxLength: 8 })
  const seed = 20_261_124
  t.comment(`seed ${seed}`)
  fc.assert(
    fc.property(pattern, word, (source, text) => linearPattern(source, false).test(text) === new RegExp(source, 'i').test(text)),
    { seed, numRuns: 2_000 }
  )
})

t.test('linearPattern is done with an evil pattern at once', async t => {
  patternViolation('a', true)
  t.notOk(linearPattern('^(a+)+$', true).test(`${'a'.repeat(5_000)}!`))
})
