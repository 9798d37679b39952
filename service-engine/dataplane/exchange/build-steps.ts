/**
 * Building what may be large, in steps: a worker that builds the next generation carries traffic meanwhile. What is built is the
 * same whether others run between two steps or not.
 */

/** Yields where it may be interrupted. */
export type Steps<T> = Generator<undefined, T, undefined>

export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** Asks `letOthersRun` between two steps; it returns a promise when it is time. */
export async function inTurns<T>(steps: Steps<T>, letOthersRun: () => Promise<void> | undefined): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    const turn = letOthersRun()
    if (turn !== undefined) await turn
  }
}
