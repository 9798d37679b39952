/** One line for each scenario: PASS or FAIL, its name, what was measured, what was promised. */
import type { Test } from 'tap'

export interface Figure {
  readonly value: number
  readonly unit: 's' | 'ms' | 'requests' | 'points' | 'files'
  /** The promise: the value stays below it. */
  readonly below?: number
}

const text = (figure: Figure): string => `${Number(figure.value.toFixed(2))} ${figure.unit}`

/** Runs a scenario that answers what it measured; a promise that is not kept fails it. */
export function scenario(t: Test, name: string, body: (t: Test) => Promise<Figure | undefined>): Promise<unknown> {
  return t.test(name, { timeout: 120_000 }, async inner => {
    let figure: Figure | undefined
    try {
      figure = await body(inner)
      if (figure?.below !== undefined) inner.ok(figure.value < figure.below, `${text(figure)} is below ${figure.below} ${figure.unit}`)
    } catch (error) {
      inner.error(error)
    }
    const target = figure?.below === undefined ? '' : ` (target: below ${figure.below} ${figure.unit})`
    t.comment(`${inner.passing() ? 'PASS' : 'FAIL'} ${name}${figure === undefined ? '' : `: ${text(figure)}`}${target}`)
  })
}
