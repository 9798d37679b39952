/** An automaton says of every text what V8's own linear engine says, or leaves it to that. */
import { setFlagsFromString } from 'node:v8'
import fc from 'fast-check'
import t from 'tap'
import { Automata } from '#engine/dataplane/route/automata.ts'

setFlagsFromString('--enable-experimental-regexp-engine')
/** V8's own flag. */
const LINEAR = 'l'
const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

const unit = fc.constantFrom('a', 'b', 'A', '1', '_', '-', '/', '.', ' ', '\n', '\u2028', '\u00e9', '\uffff', '\u0000', '{', '}', ']', '$')
const text = fc.array(unit, { maxLength: 16 }).map(list => list.join(''))

const literal = fc.constantFrom('a', 'b', 'A', '1', '_', '-', '/', ' ', 'é', ']', '}', '{', '{,2}', 'a{x')
const escape = fc.constantFrom(
  '\\d',
  '\\D',
  '\\w',
  '\\W',
  '\\s',
  '\\S',
  '\\.',
  '\\/',
  '\\$',
  '\\n',
  '\\0',
  '\\x61',
  '\\u0062',
  '\\cJ',
  '\\-',
  '\\t'
)
const odd = fc.constantFrom('\\x6', '\\u00', '\\01', '\\c', '\\c1', '[\\c1]', '[a-\\d]', '[\\w-b]', '\\u{61}', '[\\B]', '(?<né>a)', '\\8')
const member = fc.constantFrom('a', 'b', 'a-b', 'A-_', '\\d', '\\W', '\\s', '^', '-', '.', '\\b', '\\]', '\\-', 'é', '!-~', '\\x00-\\x1f')
const set = fc.tuple(fc.constantFrom('[', '[^'), fc.array(member, { maxLength: 3 })).map(([open, members]) => `${open}${members.join('')}]`)
const assertion = fc.constantFrom('^', '$', '\\b', '\\B')
const many = fc.constantFrom('', '', '', '*', '+', '?', '*?', '{2}', '{1,3}', '{2,}', '{0}', '{0,2}?')

const pattern = fc.letrec<{ tree: string; atom: string }>(tie => ({
  atom: fc.oneof(
    { weight: 6, arbitrary: literal },
    { weight: 3, arbitrary: escape },
    { weight: 3, arbitrary: set },
    { weight: 2, arbitrary: fc.constant('.') },
    { weight: 2, arbitrary: assertion },
    { weight: 1, arbitrary: odd },
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom('(', '(?:', '(?<name>'), tie('tree')).map(([open, tree]) => `${open}${tree})`) }
  ),
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(tie('atom'), many).map(([atom, times]) => atom + times),
    fc
      .array(
        fc.tuple(tie('atom'), many).map(([atom, times]) => atom + times),
        { maxLength: 4 }
      )
      .map(list => list.join('')),
    fc.tuple(tie('tree'), tie('tree')).map(([one, other]) => `${one}|${other}`)
  )
})).tree

t.test('within a bound that is too small for them automata agree with RegExp where they answer, and stay below it', async t => {
  const sources = ['(.*a){12}$', '[ab]*a[ab]{9}$', '^/(a|b|ab)+/(.*)$', '\\bab\\b|\\Ba$', 'b(a|bb){3,9}b']
  const long = fc.array(fc.constantFrom('a', 'b', '/', '-'), { minLength: 20, maxLength: 200 }).map(list => `/${list.join('')}`)
  const patterns = sources.map(source => ({ source, regExp: new RegExp(source, LINEAR) }))
  let answered = 0
  let left = 0
  const property = fc.property(
    fc.integer({ min: 5_000, max: 60_000 }),
    fc.array(long, { minLength: 10, maxLength: 60 }),
    (maxBytes, texts) => {
      const automata = new Automata(maxBytes)
      const questions = patterns.map(({ source, regExp }) => ({ source, regExp, ask: automata.compile(source) }))
      for (const asked of texts)
        for (const { source, regExp, ask } of questions) {
          const said = ask(asked)
          if (said === undefined) left++
          else answered++
          if (said !== undefined && said !== regExp.test(asked)) throw new Error(`/${source}/ of ${asked}`)
          if (automata.bytes > maxBytes) throw new Error(`${automata.bytes} bytes of ${maxBytes}`)
        }
    }
  )
  fc.assert(property, { seed, numRuns: 300, interruptAfterTimeLimit: 8_000 })
  t.ok(answered > 0 && left > 0, `${answered} answers of ours, ${left} left to RegExp`)
})

t.test('compile agrees with RegExp', async t => {
  let ours = 0
  let theirs = 0
  const property = fc.property(pattern, fc.array(text, { minLength: 1, maxLength: 8 }), (source, texts) => {
    let regExp
    try {
      regExp = new RegExp(source, LINEAR)
    } catch {
      return
    }
    const question = new Automata().compile(source)
    for (const asked of texts) {
      const said = question(asked)
      if (said === undefined) theirs++
      else ours++
      if (said !== undefined && said !== regExp.test(asked))
        throw new Error(`/${source}/ ${said ? 'matches' : 'does not match'} ${JSON.stringify(asked)}`)
    }
  })
  fc.assert(property, { seed, numRuns: 20_000, interruptAfterTimeLimit: 8_000 })
  t.ok(ours > theirs, `${ours} answers of ours, ${theirs} left to RegExp`)
})
