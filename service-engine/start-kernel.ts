/**
 * The one place that knows how the privileged process starts: from its source file, as an order of the self-contained file, or - where this
 * process may not program the kernel itself - by systemd, when we connect to its socket.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { isSea } from 'node:sea'
import { fileURLToPath } from 'node:url'
import type { Clock } from '#model/base/clock.ts'
import { readAnnounceOrder, type AnnounceAnswer, type Announced, type AnnounceOrder } from './vip/bgp/announce.ts'
import type { AnnounceLink } from './vip/bgp/announcing.ts'
import type { KernelLink } from './vip/kernel/forwarding.ts'
import { tableOf } from './vip/kernel/host.ts'
import { openKernelLink, type KernelChild } from './vip/kernel/link.ts'
import { ANNOUNCE_ADDRESSES, holdAddresses } from './vip/kernel/process.ts'
import type { Held, HoldAnswer, HoldOrder } from './vip/layer2/order.ts'
import type { HoldLink } from './vip/layer2/watch.ts'

/** Names the table that stands: an engine that was killed together with its process removes it at its next start. */
const MARK = 'kernel-table'
/** Names the addresses that are held, and the table that tells of them, for the same reason. */
const HELD = 'held-addresses'
/** Names those that are announced, also for a process that takes over. */
const ANNOUNCED = 'announced-addresses'

export interface KernelStarter {
  readonly openLink: (engineId: string) => KernelLink
  readonly openHolder: (engineId: string) => HoldLink
  readonly openAnnouncer: () => AnnounceLink
  /** Removes what an engine of this data folder left in the kernel. */
  readonly clearLeftOver: () => Promise<void>
}

function startChild(work: string): KernelChild {
  const args = isSea() ? ['kernel', work] : [fileURLToPath(new URL('vip/kernel-main.ts', import.meta.url)), work]
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], env: {} })
}

/** The process is the other end of the connection: it lives as long, and its first line is its work. */
function connectChild(socketPath: string, work: string): KernelChild {
  const socket = connect({ path: socketPath })
  socket.write(`${work}\n`)
  return {
    stdin: socket,
    stdout: socket,
    once: (event, listener) => socket.once(event === 'exit' ? 'close' : 'error', listener),
    kill: () => socket.destroy()
  }
}

/** `socketPath`: where systemd starts the process for us; null: it is a child of ours. */
export function makeKernelStarter(dataFolder: string, clock: Clock, socketPath: string | null): KernelStarter {
  const mark = join(dataFolder, MARK)
  const heldFile = join(dataFolder, HELD)
  const start = (work: string): KernelChild => (socketPath === null ? startChild(work) : connectChild(socketPath, work))
  const open = (table: string): KernelLink => {
    const child = start(table)
    const link = openKernelLink(child, clock)
    return {
      ...link,
      close: async () => {
        await link.close()
        rmSync(mark, { force: true })
      }
    }
  }
  const openHolder = (table: string): HoldLink => ({
    ...openKernelLink<HoldOrder, HoldAnswer>(start(holdAddresses(table)), clock),
    remember: held => {
      if (held.length > 0) writeFileSync(heldFile, JSON.stringify({ table, held }), { mode: 0o600 })
      else rmSync(heldFile, { force: true })
    }
  })
  const announcedFile = join(dataFolder, ANNOUNCED)
  const openAnnouncer = (): AnnounceLink => ({
    ...openKernelLink<AnnounceOrder, AnnounceAnswer>(start(ANNOUNCE_ADDRESSES), clock),
    remember: there => {
      if (there.addresses.length > 0) writeFileSync(announcedFile, JSON.stringify(there), { mode: 0o600 })
      else rmSync(announcedFile, { force: true })
    },
    remembered: () => announcedIn(announcedFile)
  })
  const dropHeld = async (): Promise<void> => {
    const { table, held } = leftIn(readFileSync(heldFile, 'utf8'))
    const holder = openHolder(table)
    const { is } = await holder.order({ is: 'drop', held })
    await holder.close()
    // What could not be taken away is tried again at the next start.
    if (is === 'done') holder.remember([])
  }
  const dropAnnounced = async (): Promise<void> => {
    const announcer = openAnnouncer()
    const { is } = await announcer.order({ is: 'drop', addresses: announcer.remembered().addresses })
    await announcer.close()
    if (is === 'done') announcer.remember({ addresses: [], announced: [] })
  }
  return {
    openHolder: engineId => openHolder(tableOf(engineId)),
    openAnnouncer,
    openLink: engineId => {
      const table = tableOf(engineId)
      writeFileSync(mark, table, { mode: 0o600 })
      return open(table)
    },
    clearLeftOver: async () => {
      if (existsSync(mark)) await open(readFileSync(mark, 'utf8').trim()).close()
      if (existsSync(announcedFile)) await dropAnnounced()
      if (existsSync(heldFile)) await dropHeld()
    }
  }
}

/** What was remembered, checked once more by who drops it; half a file is none. Engines that had no table wrote the list alone. */
function leftIn(text: string): { readonly table: string; readonly held: readonly Held[] } {
  const none = { table: tableOf('left'), held: [] }
  try {
    const left = JSON.parse(text) as typeof none | readonly Held[]
    return 'table' in left ? left : { ...none, held: left }
  } catch {
    return none
  }
}

function announcedIn(path: string): Announced {
  try {
    const order = readAnnounceOrder({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), is: 'adopt' })
    if (order?.is === 'adopt') return { addresses: order.addresses, announced: order.announced }
  } catch {
    // Half a file is none.
  }
  return { addresses: [], announced: [] }
}
