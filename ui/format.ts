/** The one place where a number becomes text: every number that a person sees went through here and carries its unit. */

export type Unit = 'count' | 'per-s' | 'ms' | 'bytes' | 'bytes-per-s' | 'bit-per-s' | 'ratio' | 'percent' | 'score'

export interface Quantity {
  readonly number: string
  readonly unit: string
}

const NOTHING: Quantity = { number: '–', unit: '' }

/** Three significant digits are what an eye compares; more is noise that moves each second. */
function digits(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size < 0.1) return '<0.1'
  if (size < 9.95) return value.toFixed(1)
  return Math.round(value).toLocaleString('en')
}

function scaled(value: number, base: number, names: readonly string[]): Quantity {
  let at = 0
  let rest = value
  while (Math.abs(rest) >= base * 0.9995 && at < names.length - 1) {
    rest /= base
    at++
  }
  return { number: digits(rest), unit: names[at]! }
}

function milliseconds(value: number): Quantity {
  if (value < 999.5) return { number: digits(value), unit: 'ms' }
  if (value < 59_950) return { number: (value / 1000).toFixed(1), unit: 's' }
  return { number: digits(value / 60_000), unit: 'min' }
}

/**
 * Splits a value into the number to print and its unit, scaled so that about three digits show.
 *
 * Shapes  value: null, undefined and NaN mean "no data" and print as a dash without a unit
 * Units   `bytes-per-s` prints bits per second (what links are sold in); `bytes` prints powers of 1024; `ratio` is 0..1
 */
export function quantityOf(value: number | null | undefined, unit: Unit): Quantity {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING
  switch (unit) {
    case 'count':
      return value < 10_000 ? { number: Math.round(value).toLocaleString('en'), unit: '' } : scaled(value, 1000, ['', 'k', 'M', 'G'])
    case 'score':
      return { number: String(Math.round(value)), unit: '' }
    case 'per-s':
      return scaled(value, 1000, ['/s', 'k/s', 'M/s'])
    case 'ms':
      return milliseconds(value)
    case 'bytes':
      return scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'])
    case 'bytes-per-s':
      return scaled(value * 8, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'])
    case 'bit-per-s':
      return scaled(value, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'])
    case 'ratio':
      return { number: digits(value * 100), unit: '%' }
    case 'percent':
      return { number: digits(value), unit: '%' }
  }
}

/** The same as one string: `1.2 k/s`, `340 ms`, `–`. */
export function formatQuantity(value: number | null | undefined, unit: Unit): string {
  const { number, unit: name } = quantityOf(value, unit)
  return name === '' ? number : `${number} ${name}`
}

const ages: readonly (readonly [limitMs: number, divisorMs: number, name: string])[] = [
  [60_000, 1000, 's'],
  [3_600_000, 60_000, 'min'],
  [86_400_000, 3_600_000, 'h'],
  [Number.POSITIVE_INFINITY, 86_400_000, 'd']
]

/** A length of time in its largest whole unit: `4 s`, `12 min`, `3 h`, `9 d`. Negative prints as `0 s`. */
export function formatAge(ageMs: number): string {
  const positive = Math.max(0, ageMs)
  const [, divisor, name] = ages.find(([limit]) => positive < limit)!
  return `${Math.floor(positive / divisor)} ${name}`
}

const two = (value: number): string => String(value).padStart(2, '0')

/** Wall-clock time of day in the reader's zone: `14:02:31`. */
export function formatTime(atEpochMs: number): string {
  const at = new Date(atEpochMs)
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** Date and time in the reader's zone: `2026-11-24 14:02:31`. */
export function formatInstant(atEpochMs: number): string {
  const at = new Date(atEpochMs)
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${formatTime(atEpochMs)}`
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** A tick of a time axis whose ticks are `stepS` seconds apart: `14:02:30`, `14:02`, `Tue 24`. */
export function formatTick(atEpochS: number, stepS: number): string {
  const at = new Date(atEpochS * 1000)
  if (stepS >= 86_400) return `${weekdays[at.getDay()]} ${at.getDate()}`
  const time = formatTime(atEpochS * 1000)
  return stepS < 60 ? time : time.slice(0, 5)
}

/** `1 server`, `2 servers`. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${formatQuantity(count, 'count')} ${count === 1 ? one : many}`
}
