import fc from 'fast-check'
import t from 'tap'
import { certainTexts } from '#engine/dataplane/route/certain-texts.ts'

t.test('certainTexts finds the longest texts one of which must be there', async t => {
  const cases: readonly (readonly [pattern: string, texts: readonly string[] | undefined])[] = [
    ['Shop', ['shop']],
    ['^/shop/[a-z]+/cart$', ['/shop/']],
    ['a.*longer.*b', ['longer']],
    ['(?:cat|Dog)s', ['cat', 'dog']],
    ['(?:cat|[a-z]+)', undefined],
    ['(ab){3}c', ['abababc']],
    ['(ab)+', ['ab']],
    ['x?yes*', ['ye']],
    ['[aA][B]c', ['abc']],
    ['\\.php(\\d|)$', ['.php']],
    ['(a|b|c)*', undefined],
    ['', ['']],
    ['\\x6', undefined],
    ['x{0}abc', ['abc']]
  ]
  for (const [pattern, texts] of cases) t.same(certainTexts(pattern), texts, pattern)
})

t.test('whatever a pattern matches has one of its certain texts', async t => {
  const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
  t.comment(`seed ${seed}`)
  const atom = fc.constantFrom('a', 'B', '[aA]', '[ab]', '.', '(?:ab|B)', '(?:a|b+)', '\\b', '^', '(aB)', '(?:(?:aa|bb|ab){2})')
  const many = fc.constantFrom('', '', '*', '+', '?', '{2}', '{0}', '{1,3}')
  const pattern = fc
    .array(
      fc.tuple(atom, many).map(([one, times]) => (/^(?:\^|\\b)$/.test(one) ? one : one + times)),
      { minLength: 1, maxLength: 6 }
    )
    .map(list => list.join(''))
  const text = fc.array(fc.constantFrom('a', 'b', 'A', 'B'), { maxLength: 10 }).map(list => list.join(''))
  let matched = 0
  const property = fc.property(pattern, fc.array(text, { minLength: 5, maxLength: 20 }), (source, texts) => {
    const certain = certainTexts(source)
    for (const asked of texts) {
      if (!new RegExp(source).test(asked)) continue
      matched++
      if (certain !== undefined && !certain.some(one => asked.toLowerCase().includes(one)))
        throw new Error(`/${source}/ matches ${asked} without ${certain.join(' or ')}`)
    }
  })
  fc.assert(property, { seed, numRuns: 3_000, interruptAfterTimeLimit: 5_000 })
  t.ok(matched > 1_000, `${matched} matches`)
})
