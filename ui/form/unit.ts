/** Numbers of a form with their unit: Avi's short names as one writes them, long times in words. */

/** Unit of the schema -> how it is written, and how many of the first unit of its scale it is. */
const units: Readonly<Record<string, { readonly written: string; readonly scale: readonly Step[]; readonly of: number }>> = (() => {
  const time: readonly Step[] = [
    { name: 'd', size: 86_400_000 },
    { name: 'h', size: 3_600_000 },
    { name: 'min', size: 60_000 },
    { name: 's', size: 1_000 },
    { name: 'ms', size: 1 }
  ]
  const bytes: readonly Step[] = [
    { name: 'GiB', size: 2 ** 30 },
    { name: 'MiB', size: 2 ** 20 },
    { name: 'KiB', size: 2 ** 10 },
    { name: 'B', size: 1 }
  ]
  return {
    ms: { written: 'ms', scale: time, of: 1 },
    s: { written: 's', scale: time, of: 1_000 },
    sec: { written: 's', scale: time, of: 1_000 },
    min: { written: 'min', scale: time, of: 60_000 },
    hours: { written: 'h', scale: time, of: 3_600_000 },
    days: { written: 'd', scale: time, of: 86_400_000 },
    bytes: { written: 'B', scale: bytes, of: 1 },
    KB: { written: 'KiB', scale: bytes, of: 2 ** 10 }
  }
})()

interface Step {
  readonly name: string
  readonly size: number
}

/** A unit as it is written behind a number; one that is not known stays as it is. */
export function unitWritten(unit: string): string {
  return units[unit]?.written ?? unit
}

/**
 * The same amount in larger units: 60000 ms -> `1 min`, 5400 s -> `1 h 30 min`.
 *
 * Returns undefined when that says nothing more: below the next unit, negative, or more than two units long
 */
export function inLargerUnits(value: number, unit: string): string | undefined {
  const known = units[unit]
  if (!known || !(value > 0)) return undefined
  let rest = value * known.of
  const words: string[] = []
  for (const { name, size } of known.scale) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) words.push(`${count} ${name}`)
  }
  const said = words.join(' ')
  return words.length === 0 || words.length > 2 || rest > 0 || said === `${value} ${known.written}` ? undefined : said
}
