/** The privileged side: carries out orders with `nft` and `conntrack`, one after another. */
import { isIPv6 } from 'node:net'
import type { Cut, Forwarded, KernelAnswer, KernelOrder, PairCount } from './order.ts'
import { buildRuleset, dropTable, nothingStands, type Ruleset } from './ruleset.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; a program that is not there has a code that is not 0. */
export type RunProgram = (program: 'nft' | 'conntrack', args: readonly string[], input: string) => Promise<Ran>

export interface Executor {
  readonly carryOut: (order: KernelOrder) => Promise<KernelAnswer>
  /** Removes the table, and what an engine before left in it. */
  readonly clear: () => Promise<void>
}

/** A cut that has nothing to cut is none. */
const NOTHING_DELETED = 1

export function makeExecutor(table: string, run: RunProgram): Executor {
  let standing: Ruleset | null = null
  let hasTimeouts = true

  const clear = async (): Promise<void> => {
    await run('nft', ['-f', '-'], dropTable('inet', table))
    standing = null
  }

  const read = async (): Promise<PairCount[]> => {
    if (standing === null) return []
    const { code, stdout } = await run('nft', ['-j', 'list', 'counters', 'table', 'inet', table], '')
    return code === 0 ? countsOf(standing, stdout) : []
  }

  const load = async (services: readonly Forwarded[]): Promise<string | null> => {
    const next = buildRuleset(table, services, standing ?? nothingStands, hasTimeouts)
    const { code, stderr } = await run('nft', ['-f', '-'], next.text)
    if (code !== 0) return stderr.split('\n')[0] ?? 'nft failed'
    standing = next
    return null
  }

  const apply = async (services: readonly Forwarded[], cuts: readonly Cut[]): Promise<KernelAnswer> => {
    const counts = await read()
    let reason = await load(services)
    if (reason !== null && hasTimeouts && services.some(service => service.idleTimeoutS > 0)) {
      hasTimeouts = false
      const second = await load(services)
      if (second === null) reason = null
      else hasTimeouts = true
    }
    if (reason !== null) return { is: 'failed', reason }
    for (const cut of cuts) await forget(run, cut)
    return { is: 'done', counts, hasTimeouts }
  }

  const carryOut = async (order: KernelOrder): Promise<KernelAnswer> => {
    if (order.is === 'apply') return apply(order.services, order.cuts)
    const counts = await read()
    if (order.is === 'clear') await clear()
    return { is: 'done', counts, hasTimeouts }
  }

  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }
  return { carryOut: order => inTurn(() => carryOut(order)), clear: () => inTurn(clear) }
}

/** The kernel forgets the connections to a server: their next packet meets nobody who knows it. */
async function forget(run: RunProgram, { protocol, ip, port }: Cut): Promise<void> {
  const family = isIPv6(ip) ? 'ipv6' : 'ipv4'
  const where = port === null ? [] : ['--reply-port-src', String(port)]
  const { code } = await run('conntrack', ['-D', '-f', family, '-p', protocol, '--dst-nat', '--reply-src', ip, ...where], '')
  if (code > NOTHING_DELETED) return
}

interface ListedCounter {
  readonly name: string
  readonly packets: number
  readonly bytes: number
}

/** Reads what `nft -j list counters` says. */
export function countsOf({ pairs }: Pick<Ruleset, 'pairs'>, json: string): PairCount[] {
  const counters = new Map(listed(json).map(counter => [counter.name, counter]))
  return pairs.map(({ name, service, server }) => ({
    service,
    server,
    connections: counters.get(`n_${name}`)?.packets ?? 0,
    bytesIn: counters.get(`i_${name}`)?.bytes ?? 0,
    bytesOut: counters.get(`o_${name}`)?.bytes ?? 0
  }))
}

function listed(json: string): ListedCounter[] {
  let document: unknown
  try {
    document = JSON.parse(json)
  } catch {
    return []
  }
  const items = typeof document === 'object' && document !== null && 'nftables' in document ? document.nftables : undefined
  if (!Array.isArray(items)) return []
  return (items as unknown[]).flatMap(item => {
    const counter = typeof item === 'object' && item !== null && 'counter' in item ? (item.counter as Partial<ListedCounter>) : undefined
    if (typeof counter?.name !== 'string' || typeof counter.packets !== 'number' || typeof counter.bytes !== 'number') return []
    return [{ name: counter.name, packets: counter.packets, bytes: counter.bytes }]
  })
}
