/** What a figure must be read with: the commit, the machine and its programs. */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'

export interface Machine {
  readonly commit: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  readonly load1m: number
  readonly at: string
}

const root = join(import.meta.dirname, '../..')

function git(...args: readonly string[]): string {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return ''
  }
}

/** Reads it now. `commit` ends in `+changes` when what runs is not what was committed. */
export function readMachine(): Machine {
  const isChanged = git('status', '--porcelain', '--', 'model', 'controller', 'service-engine', 'test/bench') !== ''
  return {
    commit: `${git('rev-parse', '--short', 'HEAD') || 'unknown'}${isChanged ? '+changes' : ''}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    load1m: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    at: new Date().toISOString()
  }
}

/** One line for a person; says when the machine was busy before the run began. */
export function machineLine(machine: Machine): string {
  const busy = machine.load1m > 0.5 ? ` - BUSY (load ${machine.load1m}): figures of this run are not to be kept` : ''
  return `commit ${machine.commit}, ${machine.cpu} x ${machine.cores}, ${machine.memoryGb} GB, Linux ${machine.kernel}, node ${machine.node}${busy}`
}
