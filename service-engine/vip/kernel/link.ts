/** The engine's end of the pipe to the privileged process. */
import type { Readable, Writable } from 'node:stream'
import type { Clock } from '#model/base/clock.ts'
import type { Failed, KernelLink } from './forwarding.ts'
import type { KernelAnswer, KernelOrder } from './order.ts'

/** What of a child process is used; tests have their own. */
export interface KernelChild {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly once: (event: 'exit' | 'error', listener: () => void) => unknown
  readonly kill: (signal: 'SIGKILL') => unknown
}

/** An order that takes longer has gone wrong; it ends the process, and the next begins with a clean table. */
const ANSWER_WITHIN_MS = 30_000
const CLOSE_WITHIN_MS = 10_000

export function openKernelLink<Order = KernelOrder, Answer = KernelAnswer>(child: KernelChild, clock: Clock): KernelLink<Order, Answer> {
  const waiting = new Map<number, (answer: Answer | Failed) => void>()
  let sequence = 0
  let isOpen = true
  let seen = ''
  let told = (): void => undefined
  const gone = new Promise<void>(resolve => (told = resolve))
  const ended = (): void => {
    isOpen = false
    for (const answer of waiting.values()) answer({ is: 'failed', reason: 'the process that programs the kernel has ended' })
    waiting.clear()
    told()
  }
  child.once('exit', ended)
  child.once('error', ended)
  child.stdin.on('error', () => undefined)
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (chunk: string) => {
    seen += chunk
    for (let end = seen.indexOf('\n'); end >= 0; end = seen.indexOf('\n')) {
      const answer = JSON.parse(seen.slice(0, end)) as (Answer | Failed) & { readonly sequence: number }
      seen = seen.slice(end + 1)
      const take = waiting.get(answer.sequence)
      waiting.delete(answer.sequence)
      take?.(answer)
    }
  })
  return {
    isOpen: () => isOpen,
    order: order =>
      new Promise(resolve => {
        if (!isOpen) return resolve({ is: 'failed', reason: 'the process that programs the kernel has ended' })
        const own = ++sequence
        const cancel = clock.after(ANSWER_WITHIN_MS, () => child.kill('SIGKILL'))
        waiting.set(own, answer => {
          cancel()
          resolve(answer)
        })
        child.stdin.write(`${JSON.stringify({ sequence: own, order })}\n`)
      }),
    close: async () => {
      child.stdin.end()
      const cancel = clock.after(CLOSE_WITHIN_MS, () => child.kill('SIGKILL'))
      await gone
      cancel()
    }
  }
}
