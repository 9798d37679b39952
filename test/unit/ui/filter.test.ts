import fc from 'fast-check'
import t from 'tap'
import { compareValues, matches, parseAmount, parseFilter, unknownFields } from '../../../ui/filter/filter.ts'
import type { FieldsOf } from '../../../ui/filter/filter.ts'

interface Thing {
  readonly name: string
  readonly score: number
  readonly pools: readonly string[]
  readonly latency: number | null
}
const fields: FieldsOf<Thing> = {
  name: row => row.name,
  score: row => row.score,
  pool: row => row.pools,
  latency: row => row.latency
}
const shop: Thing = { name: 'Shop', score: 62, pools: ['web', 'api'], latency: null }

const passes = (text: string): boolean => matches(shop, parseFilter(text), fields)

t.test('parseFilter reads fields, comparisons, quotes and negation', async t => {
  t.same(parseFilter('state:up score:<85 -pool:"old web" shop'), [
    { field: 'state', comparison: 'has', value: 'up', isNegated: false },
    { field: 'score', comparison: 'under', value: '85', isNegated: false },
    { field: 'pool', comparison: 'has', value: 'old web', isNegated: true },
    { field: undefined, comparison: 'has', value: 'shop', isNegated: false }
  ])
  t.same(parseFilter('  '), [])
  t.same(parseFilter('score:>='), [], 'half typed says nothing yet')
})

t.test('matches joins terms by and', async t => {
  t.ok(passes('shop score:<85'))
  t.notOk(passes('shop score:<50'))
  t.ok(passes('pool:api'))
  t.ok(passes('-pool:old'))
  t.notOk(passes('-shop'))
  t.ok(passes('score:62'))
  t.ok(passes('score:>=62 score:<=62'))
  t.notOk(passes('latency:>0'), 'what is not known is neither over nor under')
  t.ok(passes(''))
})

t.test('matches finds nothing by a field that is not there, and unknownFields names it', async t => {
  t.notOk(passes('scor:<85'))
  t.notOk(passes('-scor:<85'))
  t.same(unknownFields(parseFilter('scor:<85 name:a'), fields), ['scor'])
})

t.test('parseAmount knows k, M and G', async t => {
  t.equal(parseAmount('1.5k'), 1_500)
  t.equal(parseAmount('2M'), 2_000_000)
  t.ok(Number.isNaN(parseAmount('fast')))
})

t.test('compareValues puts rows without a value last, both ways', async t => {
  t.same(
    [3, null, 1].toSorted((a, b) => compareValues(a, b, 1)),
    [1, 3, null]
  )
  t.same(
    [3, null, 1].toSorted((a, b) => compareValues(a, b, -1)),
    [3, 1, null]
  )
  t.same(
    ['web-10', 'web-9'].toSorted((a, b) => compareValues(a, b, 1)),
    ['web-9', 'web-10']
  )
})

t.test('parseFilter takes whatever is typed', async t => {
  fc.assert(
    fc.property(fc.string(), text => {
      matches(shop, parseFilter(text), fields)
      return true
    }),
    { numRuns: 500 }
  )
  t.pass('no text throws')
})
