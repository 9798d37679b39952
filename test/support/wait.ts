/** Waits for a fact, never for a time. */

/**
 * Asks until the answer is neither undefined nor false.
 *
 * Throws  after `deadlineMs`, naming what was waited for
 */
export async function until<T>(what: string, ask: () => T | undefined | false, deadlineMs = 15_000): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const answer = ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
