/** The one place that knows how the privileged process starts: from its source file, or as an order of the self-contained file. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isSea } from 'node:sea'
import { fileURLToPath } from 'node:url'
import type { Clock } from '#model/base/clock.ts'
import type { KernelLink } from './vip/kernel/forwarding.ts'
import { tableOf } from './vip/kernel/host.ts'
import { openKernelLink } from './vip/kernel/link.ts'

/** Names the table that stands: an engine that was killed together with its process removes it at its next start. */
const MARK = 'kernel-table'

export interface KernelStarter {
  readonly openLink: (engineId: string) => KernelLink
  /** Removes what an engine of this data folder left in the kernel. */
  readonly clearLeftOver: () => Promise<void>
}

export function makeKernelStarter(dataFolder: string, clock: Clock): KernelStarter {
  const mark = join(dataFolder, MARK)
  const open = (table: string): KernelLink => {
    const args = isSea() ? ['kernel', table] : [fileURLToPath(new URL('vip/kernel-main.ts', import.meta.url)), table]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], env: {} })
    const link = openKernelLink(child, clock)
    return {
      ...link,
      close: async () => {
        await link.close()
        rmSync(mark, { force: true })
      }
    }
  }
  return {
    openLink: engineId => {
      const table = tableOf(engineId)
      writeFileSync(mark, table, { mode: 0o600 })
      return open(table)
    },
    clearLeftOver: async () => {
      if (existsSync(mark)) await open(readFileSync(mark, 'utf8').trim()).close()
    }
  }
}
