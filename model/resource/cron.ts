/** Times of a calendar as cron writes them: minute, hour, day of the month, month, day of the week. In UTC. Pure. */

export interface Cron {
  readonly minutes: ReadonlySet<number>
  readonly hours: ReadonlySet<number>
  readonly days: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  /** 0 is Sunday. */
  readonly weekdays: ReadonlySet<number>
  /** Both days are restricted: either will do, as cron has it. */
  readonly isEitherDay: boolean
}

const ranges = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7]
] as const
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/**
 * Reads a cron expression.
 *
 * Returns undefined when it is none, or names a time that never comes within a field's range
 * Source  crontab(5): five fields; lists, ranges, steps, names of months and days; 7 is Sunday as well
 */
export function parseCron(text: string): Cron | undefined {
  const fields = text.trim().toLowerCase().split(/\s+/)
  if (fields.length !== 5 || text.length > 200) return undefined
  const sets = fields.map((field, i) => parseField(field, i))
  if (sets.some(set => set === undefined)) return undefined
  const [minutes, hours, days, monthsOf, weekdaysOf] = sets as ReadonlySet<number>[]
  return {
    minutes: minutes!,
    hours: hours!,
    days: days!,
    months: monthsOf!,
    weekdays: new Set([...weekdaysOf!].map(day => day % 7)),
    isEitherDay: !fields[2]!.startsWith('*') && !fields[4]!.startsWith('*')
  }
}

function parseField(text: string, at: number): ReadonlySet<number> | undefined {
  const [low, high] = ranges[at]!
  const names = at === 3 ? months : at === 4 ? weekdays : []
  const numberOf = (word: string): number => {
    const named = names.indexOf(word)
    if (named >= 0) return named + (at === 3 ? 1 : 0)
    return /^\d{1,2}$/.test(word) ? Number(word) : Number.NaN
  }
  const set = new Set<number>()
  for (const part of text.split(',')) {
    const [range = '', every, ...rest] = part.split('/')
    const step = every === undefined ? 1 : numberOf(every)
    if (rest.length > 0 || !(step >= 1 && step <= 60)) return undefined
    const [from = '', to, ...more] = range.split('-')
    const first = range === '*' ? low : numberOf(from)
    const last = range === '*' ? high : to === undefined ? (every === undefined ? first : high) : numberOf(to)
    if (more.length > 0 || !(first >= low && last <= high && first <= last)) return undefined
    for (let value = first; value <= last; value += step) set.add(value)
  }
  return set
}

/** Is the minute that the time is in one of it? */
export function matchesCron(cron: Cron, epochMs: number): boolean {
  const at = new Date(epochMs)
  if (!cron.minutes.has(at.getUTCMinutes()) || !cron.hours.has(at.getUTCHours()) || !cron.months.has(at.getUTCMonth() + 1)) return false
  const [isDay, isWeekday] = [cron.days.has(at.getUTCDate()), cron.weekdays.has(at.getUTCDay())]
  return cron.isEitherDay ? isDay || isWeekday : isDay && isWeekday
}

/**
 * Did something that cron began within the last `hours` begin, and not end yet?
 *
 * Cost    a look at each minute of them
 */
export function isWithin(cron: Cron, hours: number, epochMs: number): boolean {
  for (let minute = 0; minute < hours * 60; minute++) if (matchesCron(cron, epochMs - minute * 60_000)) return true
  return false
}
