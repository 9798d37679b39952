/** From rounds to rows, a table for people and a line of JSON for programs. */
import type { Case } from './case.ts'

export interface Round {
  readonly units: number
  readonly seconds: number
  /** Null for what has no proxy in between. */
  readonly cpuUs: number | null
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: Readonly<Record<string, number>>
}

export interface Measured {
  readonly name: string
  readonly isOurs: boolean
  /** Not a proxy: only shows what load and server can do. */
  readonly isReference: boolean
  readonly rounds: readonly Round[]
  readonly rssBytes: number | null
  /** From start to accepting. */
  readonly readyMs: number | null
  /** Memory for each unit, where the case is about memory. */
  readonly bytesPerUnit: number | null
}

export interface Row {
  readonly name: string
  readonly isOurs: boolean
  readonly cpuUsPerUnit: number | null
  /** Least and most of the rounds. */
  readonly cpuRange: readonly [number, number] | null
  readonly unitsPerS: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly rssBytes: number | null
  readonly readyMs: number | null
  readonly bytesPerUnit: number | null
  /** Cost against the cheapest peer without errors: below 1 is cheaper. */
  readonly ratio: number | null
  readonly errors: Readonly<Record<string, number>>
}

/**
 * The middle value; the mean of the two middle ones of an even count.
 *
 * Returns NaN for no values
 */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

function rowOf(measured: Measured): Row {
  const { rounds, name, isOurs, rssBytes, readyMs, bytesPerUnit } = measured
  const costs = rounds.flatMap(round => (round.cpuUs === null || round.units === 0 ? [] : [round.cpuUs / round.units]))
  const errors: Record<string, number> = {}
  for (const round of rounds) {
    for (const [kind, count] of Object.entries(round.errors)) errors[kind] = (errors[kind] ?? 0) + count
    if (round.units === 0) errors['rounds without an answer'] = (errors['rounds without an answer'] ?? 0) + 1
  }
  return {
    name,
    isOurs,
    cpuUsPerUnit: costs.length === 0 ? null : median(costs),
    cpuRange: costs.length === 0 ? null : [Math.min(...costs), Math.max(...costs)],
    unitsPerS: median(rounds.map(round => round.units / round.seconds)),
    p50Ms: median(rounds.map(round => round.p50Ms)),
    p99Ms: median(rounds.map(round => round.p99Ms)),
    rssBytes,
    readyMs,
    bytesPerUnit,
    ratio: null,
    errors
  }
}

/** What a row is judged by: memory where the case is about memory, processor time elsewhere. */
const costOf = (row: Row): number | null => row.bytesPerUnit ?? row.cpuUsPerUnit

/**
 * Rows with their ratio to the best peer.
 *
 * Returns the peer's name too; undefined when no peer was measured without errors
 */
export function compare(measured: readonly Measured[]): { readonly rows: readonly Row[]; readonly best: string | undefined } {
  const rows = measured.map(rowOf)
  const candidates = rows.filter((row, i) => !row.isOurs && !measured[i]!.isReference && Object.keys(row.errors).length === 0)
  const [best] = candidates.filter(row => (costOf(row) ?? 0) > 0).toSorted((a, b) => costOf(a)! - costOf(b)!)
  const least = best === undefined ? null : costOf(best)
  return {
    best: best?.name,
    rows: rows.map(row => {
      const cost = costOf(row)
      return { ...row, ratio: cost === null || least === null ? null : cost / least }
    })
  }
}

const number = (value: number | null, digits = 1): string =>
  value === null || Number.isNaN(value) ? '-' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })

/** The table of one case. */
export function tableOf(measuredCase: Pick<Case, 'unit'>, rows: readonly Row[]): string {
  const isMemory = rows.some(row => row.bytesPerUnit !== null)
  const head = ['', `us/${measuredCase.unit}`, 'range', `${measuredCase.unit}s/s`, 'p50 ms', 'p99 ms', 'RSS MB', 'ready ms', 'ratio', '']
  if (isMemory) head.splice(1, 0, `kB/${measuredCase.unit}`)
  const lines = rows.map(row => {
    const errors = Object.entries(row.errors).map(([kind, count]) => `${kind} ${count}`)
    const cells = [
      row.name,
      number(row.cpuUsPerUnit),
      row.cpuRange === null ? '-' : `${number(row.cpuRange[0])}-${number(row.cpuRange[1])}`,
      number(row.unitsPerS, 0),
      number(row.p50Ms, 2),
      number(row.p99Ms, 2),
      number(row.rssBytes === null ? null : row.rssBytes / 1e6, 0),
      number(row.readyMs, 0),
      number(row.ratio, 2),
      errors.length === 0 ? '' : `ERRORS: ${errors.join(', ')}`
    ]
    if (isMemory) cells.splice(1, 0, number(row.bytesPerUnit === null ? null : row.bytesPerUnit / 1_000))
    return cells
  })
  return align([head, ...lines])
}

/** Columns of equal width: the first to the left, the others to the right. */
export function align(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0)))
  return lines
    .map(line =>
      line
        .map((cell, i) => (i === 0 || i === line.length - 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd()
    )
    .map(line => `  ${line}`)
    .join('\n')
}
