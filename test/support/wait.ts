/** Waits for a fact, never for a time. */

/**
 * Asks until the answer is neither undefined nor false; what throws is asked again.
 *
 * Throws  after `deadlineMs`, naming what was waited for, with the last error as its cause
 */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 20_000
): Promise<T> {
  const end = performance.now() + deadlineMs
  let cause: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== undefined && answer !== false) return answer
    } catch (error) {
      cause = error
    }
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`, { cause })
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
