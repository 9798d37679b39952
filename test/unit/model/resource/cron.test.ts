import fc from 'fast-check'
import t from 'tap'
import { isWithin, matchesCron, parseCron } from '#model/resource/cron.ts'

const at = (text: string): number => Date.parse(text)
const matches = (cron: string, text: string): boolean => matchesCron(parseCron(cron)!, at(text))

t.test('parseCron reads what crontab(5) has, and refuses the rest', async t => {
  for (const good of ['* * * * *', '0 8 * * 1-5', '*/15 0-6,22 1 jan,jul sun', '5/20 * * * 7', ' 0  0 1 1 * ']) t.ok(parseCron(good), good)
  for (const bad of [
    '',
    '* * * *',
    '* * * * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '5-1 * * * *',
    '*/0 * * * *',
    '1-2-3 * * * *',
    '1/2/3 * * * *',
    'a * * * *',
    '-1 * * * *',
    '1, * * * *',
    '1.5 * * * *'
  ])
    t.equal(parseCron(bad), undefined, bad)
})

t.test('parseCron takes any text without throwing', async () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[\d*,/ -]{0,40}$/)),
      text => parseCron(text) === undefined || parseCron(text)!.minutes.size > 0
    )
  )
})

t.test('matchesCron is in UTC, and takes either day where both are said', async t => {
  t.ok(matches('0 8 * * 1-5', '2026-11-25T08:00:59Z'), 'a Wednesday')
  t.notOk(matches('0 8 * * 1-5', '2026-11-25T08:01:00Z'))
  t.notOk(matches('0 8 * * 1-5', '2026-11-29T08:00:00Z'), 'a Sunday')
  t.ok(matches('0 8 * * 7', '2026-11-29T08:00:00Z'))
  t.ok(matches('0 0 13 * fri', '2026-11-13T00:00:00Z'))
  t.ok(matches('0 0 13 * fri', '2026-11-20T00:00:00Z'), 'a Friday that is no thirteenth')
  t.notOk(matches('0 0 13 * *', '2026-11-20T00:00:00Z'))
})

t.test('isWithin holds from the beginning for so many hours', async t => {
  const cron = parseCron('30 23 * * *')!
  t.notOk(isWithin(cron, 2, at('2026-11-25T23:29:59Z')))
  t.ok(isWithin(cron, 2, at('2026-11-25T23:30:00Z')))
  t.ok(isWithin(cron, 2, at('2026-11-26T01:29:59Z')), 'over midnight')
  t.notOk(isWithin(cron, 2, at('2026-11-26T01:30:00Z')))
})
