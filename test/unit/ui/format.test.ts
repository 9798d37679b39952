import t from 'tap'
import { formatAge, formatCount, formatQuantity, formatTick, quantityOf } from '../../../ui/format.ts'

t.test('formatQuantity prints three digits and the unit that fits', async t => {
  const cases: readonly (readonly [number, Parameters<typeof formatQuantity>[1], string])[] = [
    [0, 'per-s', '0 /s'],
    [0.04, 'per-s', '<0.1 /s'],
    [3.44, 'per-s', '3.4 /s'],
    [9.96, 'per-s', '10 /s'],
    [999, 'per-s', '999 /s'],
    [999.8, 'per-s', '1.0 k/s'],
    [12_345, 'per-s', '12 k/s'],
    [0.4, 'ms', '0.4 ms'],
    [340, 'ms', '340 ms'],
    [1_234, 'ms', '1.2 s'],
    [90_000, 'ms', '1.5 min'],
    [1_536, 'bytes', '1.5 KiB'],
    [1_000_000, 'bytes-per-s', '8.0 Mbit/s'],
    [2_500_000, 'bit-per-s', '2.5 Mbit/s'],
    [0.425, 'ratio', '43 %'],
    [99.2, 'percent', '99 %'],
    [9_999, 'count', '9,999'],
    [1_200_000, 'count', '1.2 M'],
    [97.4, 'score', '97']
  ]
  for (const [value, unit, text] of cases) t.equal(formatQuantity(value, unit), text, `${value} ${unit}`)
})

t.test('formatQuantity prints no data as a dash without a unit', async t => {
  for (const nothing of [null, undefined, Number.NaN]) t.same(quantityOf(nothing, 'ms'), { number: '–', unit: '' })
})

t.test('formatAge uses the largest whole unit', async t => {
  t.equal(formatAge(-5), '0 s')
  t.equal(formatAge(59_999), '59 s')
  t.equal(formatAge(60_000), '1 min')
  t.equal(formatAge(3 * 3_600_000), '3 h')
  t.equal(formatAge(400 * 86_400_000), '400 d')
})

t.test('formatTick is as fine as its axis', async t => {
  const at = new Date(2026, 10, 24, 14, 2, 30).getTime() / 1000
  t.equal(formatTick(at, 10), '14:02:30')
  t.equal(formatTick(at, 300), '14:02')
  t.equal(formatTick(at, 86_400), 'Tue 24')
})

t.test('formatCount knows one from many', async t => {
  t.equal(formatCount(1, 'server'), '1 server')
  t.equal(formatCount(0, 'server'), '0 servers')
})
