/** Whatever is said about keeping an answer, it is read without a throw, in time, and never as more than it says. */
import fc from 'fast-check'
import t from 'tap'
import { parseCacheControl, parseDate } from '#engine/dataplane/filter/cache/cache-control.ts'
import { partOf } from '#engine/dataplane/filter/cache/conditions.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

const word = fc.constantFrom(
  'max-age',
  's-maxage',
  'no-store',
  'private',
  'no-cache',
  'stale-if-error',
  'max-stale',
  'x',
  '=',
  '"',
  '\\',
  ',',
  ' ',
  '60',
  '-1',
  'é'
)
const text = fc.oneof(
  fc.string(),
  fc.array(word, { maxLength: 60 }).map(words => words.join(''))
)

t.test('parseCacheControl makes whole seconds or nothing of anything', async t => {
  fc.assert(
    fc.property(text, given => {
      const found = parseCacheControl(given)
      for (const seconds of [found.maxAgeS, found.sharedMaxAgeS, found.minFreshS, found.staleWhileRevalidateS, found.staleIfErrorS])
        if (seconds !== undefined && !(Number.isInteger(seconds) && seconds >= 0 && seconds <= 2_147_483_648)) return false
      return found.maxStaleS === undefined || found.maxStaleS >= 0
    }),
    { seed, numRuns: 5_000 }
  )
  t.pass()
})

t.test('no-store outside quotes is always heard', async t => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      return before.includes('"') || parseCacheControl(`${before},no-store,${after}`).noStore
    }),
    { seed, numRuns: 5_000 }
  )
  t.pass()
})

t.test('a part is always of the body, and a date is one or none', async t => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.integer(), fc.integer()).map(([a, b]) => `bytes=${a}-${b}`)
      ),
      fc.nat(1_000),
      (range, length) => {
        const part = partOf({ range, ifRange: undefined, ifNoneMatch: undefined, ifModifiedSince: undefined }, [], length)
        const at = parseDate(range)
        if (at !== undefined && Number.isNaN(at)) return false
        return typeof part === 'string' || (part.from >= 0 && part.from < part.to && part.to <= length)
      }
    ),
    { seed, numRuns: 5_000 }
  )
  t.pass()
})
