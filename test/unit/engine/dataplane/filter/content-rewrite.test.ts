import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import t from 'tap'
import { Replacer, type Replacement } from '#engine/dataplane/filter/content-rewrite/replacer.ts'
import { compileSearch } from '#engine/dataplane/route/pattern.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

async function replaced(pieces: readonly string[], replacements: readonly Replacement[]): Promise<string> {
  const bytes = pieces.filter(piece => piece !== '').map(piece => Buffer.from(piece, 'latin1'))
  return (await buffer(Readable.from(bytes).pipe(new Replacer(replacements)))).toString('latin1')
}
/** The same text in pieces. */
const cut = (text: string, at: readonly number[]): string[] => {
  const places = [...new Set(at.map(place => place % (text.length + 1)))].toSorted((a, b) => a - b)
  return [0, ...places].map((from, i) => text.slice(from, places[i] ?? text.length))
}

t.test('a text is found wherever reads cut it', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'ab', 'aab', '\xff'), { maxLength: 40 }).map(parts => parts.join('')),
      fc.array(fc.nat(200), { maxLength: 12 }),
      fc.constantFrom('ab', 'aab', 'aa', 'b', 'aba'),
      fc.constantFrom('', 'x', 'ab', 'aab'),
      async (text, at, search, by) => (await replaced(cut(text, at), [{ search, by }])) === text.split(search).join(by)
    ),
    { seed, numRuns: 300 }
  )
  t.pass()
})

t.test('an expression is found wherever reads cut it', async t => {
  const search = compileSearch('[0-9]+px|\\bfoo')
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('12', '3px', 'px', ' foo', 'xfoo', '-'.repeat(600)), { maxLength: 30 }).map(parts => parts.join('')),
      fc.array(fc.nat(9_000), { maxLength: 12 }),
      async (text, at) => (await replaced(cut(text, at), [{ search, by: '<>' }])) === text.replaceAll(/[0-9]+px|\bfoo/g, '<>')
    ),
    { seed, numRuns: 200 }
  )
  t.pass()
})

t.test('anchors stand at the ends of the body, not of a piece', async t => {
  const long = 'a'.repeat(20_000)
  t.equal(await replaced([long, long], [{ search: compileSearch('^a'), by: 'X' }]), `X${long.slice(1)}${long}`)
  t.equal(await replaced([long, long], [{ search: compileSearch('a$'), by: 'X' }]), `${long}${long.slice(1)}X`)
  t.equal(await replaced(['', ''], [{ search: compileSearch('x*'), by: 'X' }]), '')
})

t.test('each replacement works on what the one before it left', async t => {
  const steps = [
    { search: 'a', by: 'bc' },
    { search: compileSearch('b+'), by: 'd' },
    { search: 'dc', by: '' }
  ]
  t.equal(await replaced(['aa', 'ba'], steps), '')
  t.equal(await replaced(['xbbb', 'by'], steps), 'xdy')
})

t.test('the worst of patterns lets others have their turn', async t => {
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const out = await replaced(['a'.repeat(6_000)], [{ search: compileSearch('a(?:[^z]*z)?'), by: 'b' }])
  clearInterval(timer)
  t.ok(out === 'b'.repeat(6_000))
  t.ok(turns > 3, `${turns} turns`)
})

t.test('what grows without end is broken off', async t => {
  const grow = { search: 'a', by: 'a'.repeat(1_000) }
  await t.rejects(
    new Promise((resolve, reject) => {
      const replacer = new Replacer([grow, grow, grow]).on('error', reject).on('end', resolve)
      replacer.resume()
      replacer.end(Buffer.alloc(8_192, 'a'))
    }),
    { message: 'a body that grows without end' }
  )
})
