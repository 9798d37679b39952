import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { Automata } from '#engine/dataplane/route/automata.ts'
import { compilePattern } from '#engine/dataplane/route/pattern.ts'

t.test('compile knows anchors, boundaries, sets and repeats', async t => {
  const cases: readonly (readonly [source: string, holds: readonly string[], fails: readonly string[]])[] = [
    ['', ['', 'a'], []],
    ['^$', [''], ['a', '\n']],
    ['^a|b$', ['ax', 'xb', 'b'], ['xa', 'bx', '']],
    ['(?:^)+a$', ['a'], ['ba', 'aa']],
    ['\\bcat\\b', ['cat', 'a cat!', '/cat/'], ['cats', 'a_cat']],
    ['\\Bcat', ['scat'], ['cat', ' cat']],
    ['^\\b$', [], ['', 'a']],
    ['^[^a-c]+$', ['xyz', '\n', '\uffff'], ['xay', '']],
    ['^[^]{2}$', ['\n\n'], ['a', 'abc']],
    ['[]', [], ['', 'a']],
    ['^.$', ['a', '\u00e9'], ['\n', '\r', '\u2028', '']],
    ['^\\s$', ['\u00a0', '\ufeff', '\t'], ['a', '\u200b']],
    ['^(?:ab){2,3}$', ['abab', 'ababab'], ['ab', 'abababab', 'aba']],
    ['^(?<year>\\d{4})-?(a|)$', ['2026', '2026-a'], ['202', '2026b']],
    ['^a{1}{$', ['a{'], ['a']],
    ['^(a*)*b', ['b', 'aaab'], ['aaa', 'ca']]
  ]
  for (const [source, holds, fails] of cases) {
    const ask = new Automata().compile(source)
    for (const text of holds) t.equal(ask(text), true, `${source} ${encodeURIComponent(text)}`)
    for (const text of fails) t.equal(ask(text), false, `not ${source} ${encodeURIComponent(text)}`)
  }
})

t.test('compile leaves to others what it does not take, and keeps nothing for it', async t => {
  const automata = new Automata()
  for (const source of ['\\x6', '[\\w-z]', '\\01', '(?i:a)', 'a{16}'.repeat(40)]) t.equal(automata.compile(source)('a'), undefined, source)
  t.equal(automata.bytes, 0)
})

t.test('an automaton whose states are too many begins anew and goes on', async t => {
  const automata = new Automata()
  const ask = automata.compile('a[ab]{14}c')
  const random = seededRandom(14)
  const noise = Array.from({ length: 30_000 }, () => (random() < 0.5 ? 'a' : 'b')).join('')
  t.equal(ask(noise), false)
  t.equal(ask(`${noise}a${noise.slice(0, 14)}c`), true)
  t.equal(ask(noise), false)
  t.ok(automata.bytes < 200_000, `${automata.bytes} bytes`)
})

t.test('automata that were not asked lately give way, and come back when they are asked again', async t => {
  const automata = new Automata(100_000)
  const asks = Array.from({ length: 100 }, (_, i) => automata.compile(`^/(a|b)+${i}$`))
  for (const [i, ask] of asks.entries()) t.equal(ask(`/abba${i}`) ?? true, true)
  t.ok(automata.bytes <= 100_000, `${automata.bytes} bytes`)
  let answers = 0
  for (let round = 0; round < 600; round++) if (asks[0]!('/ab0') === true) answers++
  t.ok(answers >= 300, `${answers} of 600`)
})

t.test('compilePattern answers where no automaton does', async t => {
  const none = new Automata(0)
  t.equal(compilePattern('^/(A+)+$', false, none)('/aaA'), true)
  t.equal(compilePattern('^/(A+)+$', true, none)('/aaA'), false)
  t.equal(none.bytes, 0)
  t.equal(compilePattern('[\\w-z]', true, new Automata())('-'), true)
})
