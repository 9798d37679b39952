/** Four hosts, each a network namespace: a client, an engine that passes packets on, and two servers behind it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { mustRun, run, until, type Ran } from '../run.ts'

export const addresses = { client: '10.80.1.2', engine: '10.80.1.1', one: '10.80.2.2', two: '10.80.3.2' } as const
export const addresses6 = { engine: 'fd80:1::1', one: 'fd80:2::2' } as const
export type HostName = keyof typeof addresses

/** Joins each host to the engine; the servers' way back to anybody is the engine. */
export async function makeNetwork(): Promise<void> {
  await mustRun(['mount', '-t', 'tmpfs', 'tmpfs', '/run'])
  for (const host of Object.keys(addresses)) {
    await mustRun(['ip', 'netns', 'add', host])
    await mustRun(['ip', '-n', host, 'link', 'set', 'lo', 'up'])
  }
  for (const [index, host] of (['client', 'one', 'two'] as const).entries()) {
    const net = index + 1
    await mustRun(['ip', '-n', 'engine', 'link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host])
    for (const [at, link, end] of [
      ['engine', host, 1],
      [host, 'eth0', 2]
    ] as const) {
      await mustRun(['ip', '-n', at, 'address', 'add', `10.80.${net}.${end}/24`, 'dev', link])
      await mustRun(['ip', '-n', at, 'address', 'add', `fd80:${net}::${end}/64`, 'dev', link, 'nodad'])
      await mustRun(['ip', '-n', at, 'link', 'set', link, 'up'])
    }
    await mustRun(['ip', '-n', host, 'route', 'add', 'default', 'via', `10.80.${net}.1`])
    await mustRun(['ip', '-n', host, 'route', 'add', 'default', 'via', `fd80:${net}::1`])
  }
}

export const inHost = (host: string, ...command: readonly string[]): Promise<Ran> => run(['ip', 'netns', 'exec', host, ...command])

export interface Program {
  readonly child: ChildProcess
  /** Facts that it told, in order. */
  readonly facts: Readonly<Record<string, unknown>>[]
  readonly tell: (what: object | string) => void
  /** The next fact that has this name, after it was told something. */
  readonly ask: (what: object, name: string) => Promise<unknown>
  readonly kill: (signal: NodeJS.Signals) => Promise<void>
}

/** Starts one of the programs beside this file on a host. */
export function startProgram(t: Pick<Test, 'teardown'>, host: string, file: string, ...args: readonly string[]): Program {
  const command = ['netns', 'exec', host, process.execPath, join(import.meta.dirname, file), ...args]
  const child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const facts: Record<string, unknown>[] = []
  createInterface({ input: child.stdout }).on('line', line => facts.push(JSON.parse(line) as Record<string, unknown>))
  const tell = (what: object | string): void => void child.stdin.write(`${typeof what === 'string' ? what : JSON.stringify(what)}\n`)
  child.stdin.on('error', () => undefined)
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    await ended
  }
  t.teardown(() => kill('SIGKILL'))
  return {
    child,
    facts,
    tell,
    kill,
    ask: async (what, name) => {
      const from = facts.length
      tell(what)
      await until(`${file} answers ${name}`, 20_000, async () => facts.slice(from).some(fact => name in fact))
      return facts.slice(from).find(fact => name in fact)![name]
    }
  }
}
