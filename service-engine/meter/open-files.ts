/**
 * Whether descriptors run out. The kernel tells nobody whose connection it could not be given: libuv closes what waits in the
 * queue, so that it does not spin, and says nothing.
 */
import { readFile, stat } from 'node:fs/promises'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'

const LOOK_MS = 2_000
/** Shares of the limit: from the first on it is said, below the second it is over. */
const FULL = 0.95
const EASED = 0.85

export interface OpenFiles {
  readonly open: number
  readonly limit: number
}

/** Returns the soft limit of open files in the text of `/proc/<pid>/limits`; Infinity when there is none. */
export function parseOpenFileLimit(text: string): number {
  const limit = /^Max open files\s+(\d+)/m.exec(text)?.[1]
  return limit === undefined ? Infinity : Number(limit)
}

/** Kernels before 6.2 do not tell how many are open: 0. */
async function readOpenFiles(): Promise<OpenFiles> {
  const { size } = await stat('/proc/self/fd')
  try {
    return { open: size, limit: parseOpenFileLimit(await readFile('/proc/self/limits', 'utf8')) }
  } catch (error) {
    // Reading takes a descriptor too.
    if ((error as NodeJS.ErrnoException).code === 'EMFILE') return { open: size, limit: size }
    throw error
  }
}

/** Says once that nearly all descriptors are in use, and once that they are not any more. Returns what ends it. */
export function watchOpenFiles(clock: Clock, log: Log, read: () => Promise<OpenFiles> = readOpenFiles): () => void {
  let isFull = false
  const looked = ({ open, limit }: OpenFiles): void => {
    const share = open / limit
    if (!isFull && share >= FULL) {
      isFull = true
      log.error('nearly all descriptors are in use: connections that cannot be taken are closed', { open, limit })
    } else if (isFull && share < EASED) {
      isFull = false
      log.info('there are descriptors again', { open, limit })
    }
  }
  return clock.every(LOOK_MS, () => void read().then(looked, () => undefined))
}
