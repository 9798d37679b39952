import t from 'tap'
import { parseCacheControl, parseDate } from '#engine/dataplane/filter/cache/cache-control.ts'

t.test('parseCacheControl reads directives in any case, with quotes and white space', async t => {
  t.match(parseCacheControl(' MAX-AGE = "60" , Public,s-maxage=5;x'), { maxAgeS: 60, isPublic: true, sharedMaxAgeS: 0 })
  t.match(parseCacheControl('private="a, no-store", max-stale'), { isPrivate: true, noStore: false, maxStaleS: Infinity })
  t.match(parseCacheControl('max-age=60, max-age=5'), { maxAgeS: 5 })
  t.match(parseCacheControl('no-cache="x\\"y, no-store'), { noCache: true, noStore: false })
  t.match(parseCacheControl(''), { isThere: false })
  t.match(parseCacheControl(',,, ,'), { isThere: false })
})

t.test('parseCacheControl never makes a lifetime of what is no number', async t => {
  for (const text of ['max-age', 'max-age=', 'max-age=-1', 'max-age=1.5', 'max-age=1e9', 'max-age= ', 'max-age="', 'max-age=0x10'])
    t.equal(parseCacheControl(text).maxAgeS, 0, text)
  t.equal(parseCacheControl('max-age=999999999999999999999999').maxAgeS, 2_147_483_648)
})

t.test('parseDate reads the three forms of RFC 9110 and no other', async t => {
  const at = Date.UTC(1994, 10, 6, 8, 49, 37)
  for (const text of ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
    t.equal(parseDate(text), at)
  for (const text of [
    undefined,
    '',
    '0',
    '-1',
    '1994-11-06',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Xyz 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 99:49:37 GMT'
  ])
    t.equal(parseDate(text), undefined)
})
