/** One line for each scenario: PASS or FAIL, its name, what was measured, what was promised. */
import { availableParallelism, loadavg } from 'node:os'
import type { Test } from 'tap'

export interface Figure {
  readonly value: number
  readonly unit: 's' | 'ms' | 'failed requests' | 'points' | 'files'
  /** The promise: the value stays below it. */
  readonly below?: number
}

const text = (figure: Figure): string => `${Number(figure.value.toFixed(2))} ${figure.unit}`

/** How many times over the machine is asked for what it has; 1 when it keeps up. */
const overload = (): number => Math.max(1, (loadavg()[0] ?? 0) / availableParallelism())

/**
 * Runs a scenario that answers what it measured. A promise that is not kept fails it; one of time is stretched by as much as
 * the machine is overloaded, because then it was not us who was measured, and the line says so.
 */
export function scenario(t: Test, name: string, body: (t: Test) => Promise<Figure | undefined>): Promise<unknown> {
  return t.test(name, { timeout: 180_000 }, async inner => {
    let figure: Figure | undefined
    const before = overload()
    try {
      figure = await body(inner)
    } catch (error) {
      inner.error(error)
    }
    let promise = ''
    if (figure?.below !== undefined) {
      const stretch = ['s', 'ms'].includes(figure.unit) ? Math.max(before, overload()) : 1
      const isLate = figure.value >= figure.below && figure.value < figure.below * stretch
      inner.ok(figure.value < figure.below * stretch, `${text(figure)} is below ${figure.below} ${figure.unit}`)
      const why = isLate ? `, missed on a machine ${stretch.toFixed(1)} times overloaded` : ''
      promise = ` (target: below ${figure.below} ${figure.unit}${why})`
    }
    t.comment(`${inner.passing() ? 'PASS' : 'FAIL'} ${name}${figure === undefined ? '' : `: ${text(figure)}`}${promise}`)
  })
}
