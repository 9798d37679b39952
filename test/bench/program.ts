/** Programs that a benchmark starts, each pinned to a core, and what the kernel says of them. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { accessSync, closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

export interface Program {
  readonly name: string
  readonly pid: number
  readonly child: ChildProcess
  /** Null while it runs; then how it ended. */
  readonly ending: () => string | null
  readonly ended: Promise<void>
  /** Asks it to end, then makes it; resolves when it is gone. */
  readonly stop: () => Promise<void>
}

export interface ProgramOrder {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Null: wherever the kernel likes. */
  readonly core: number | null
  readonly env?: Readonly<Record<string, string>>
  /** Paths that its output goes to; without one, output comes by `child.stdout`. */
  readonly stdoutPath?: string
  readonly stderrPath: string
}

/** Time that a program has to end by itself. */
const STOP_GRACE_MS = 3_000

/** The path of a program, or undefined when this machine does not have it. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  for (const folder of folders) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  return undefined
}

export interface Cores {
  readonly proxy: number | null
  readonly load: number | null
}

/** One core for the proxy, one for the load and the server; null where the machine has only one or cannot pin. */
export function chooseCores(): Cores {
  if (findProgram('taskset') === undefined || availableParallelism() < 2) return { proxy: null, load: null }
  const text = execFileSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' })
  const allowed = (text.split(':').at(-1) ?? '').split(',').flatMap(part => {
    const [from = 0, to = from] = part.trim().split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
  return { proxy: allowed[0] ?? null, load: allowed[1] ?? null }
}

/** Moves this process to a core, so that it does not disturb the other. */
export function pinSelf(core: number | null): void {
  if (core !== null) execFileSync('taskset', ['-acp', String(core), String(process.pid)], { stdio: 'ignore' })
}

/** All programs of one run and their folders; whatever happens, none outlives this process. */
export class Programs {
  readonly #running = new Set<Program>()
  readonly #folders = new Set<string>()

  constructor() {
    process.on('exit', () => {
      for (const { child } of this.#running) child.kill('SIGKILL')
      for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    })
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  }

  start(order: ProgramOrder): Program {
    const { name, command, args, core, env, stdoutPath, stderrPath } = order
    // taskset becomes the program: the process id is the program's own.
    const line = core === null ? [command, ...args] : ['taskset', '-c', String(core), command, ...args]
    const stdout = stdoutPath === undefined ? 'pipe' : openSync(stdoutPath, 'a')
    const stderr = openSync(stderrPath, 'a')
    const child = spawn(line[0]!, line.slice(1), { stdio: ['pipe', stdout, stderr], env: { ...process.env, ...env } })
    if (typeof stdout === 'number') closeSync(stdout)
    closeSync(stderr)
    let ending: string | null = null
    child.stdin?.on('error', () => undefined)
    const ended = new Promise<void>(resolve => {
      const end = (how: string): void => {
        ending ??= how
        this.#running.delete(program)
        resolve()
      }
      child.once('error', error => end(error.message))
      child.once('exit', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`))
    })
    const program: Program = {
      name,
      pid: child.pid ?? -1,
      child,
      ending: () => ending,
      ended,
      stop: async () => {
        if (ending !== null) return
        child.kill('SIGTERM')
        const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
        await ended
        clearTimeout(timer)
      }
    }
    this.#running.add(program)
    return program
  }

  /** A folder of this machine's temporary ones. */
  makeFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'))
    this.#folders.add(folder)
    return folder
  }

  /** Ends everything that still runs and removes the folders. */
  async clear(): Promise<void> {
    await this.stopAll()
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true })
    this.#folders.clear()
  }

  /** Ends everything that still runs. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map(program => program.stop()))
  }

  /**
   * Runs a program to its end and returns what it printed.
   *
   * Throws  when it fails or is not done within `deadlineMs`
   */
  async run(order: Omit<ProgramOrder, 'stdoutPath'>, deadlineMs: number): Promise<string> {
    const program = this.start(order)
    let text = ''
    program.child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()))
    const drained = new Promise<void>(resolve => {
      program.child.once('close', () => resolve())
      program.child.once('error', () => resolve())
    })
    const timer = setTimeout(() => program.child.kill('SIGKILL'), deadlineMs)
    await drained
    clearTimeout(timer)
    if (program.ending() !== 'exit code 0') throw new Error(`${order.name}: ${program.ending()}; ${lastLines(order.stderrPath)}`)
    return text
  }
}

/** What a log says of an error, or else its end; on one line. */
export function lastLines(path: string): string {
  try {
    const lines = readFileSync(path, 'utf8').trim().split('\n')
    const telling = lines.filter(line => /error|alert|emerg|fatal/i.test(line))
    return (telling.length > 0 ? telling.slice(0, 3) : lines.slice(-3)).join(' | ').slice(0, 600)
  } catch {
    return ''
  }
}

/** USER_HZ: what /proc counts in on every architecture that Node runs on, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100

/** User and system time of all threads of a process since its start, in microseconds; steps of one tick (10 ms). */
export function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name may have spaces; behind its parenthesis the fields are the third and following (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND
}

export function rssBytes(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes ?? 0) * 1024
}

/** Most files that a process started from here may have open. */
export function openFilesLimit(): number {
  const limit = /Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return Number(limit ?? 1_024)
}

function accepts(address: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: address, port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/**
 * Waits until a program accepts connections.
 *
 * Throws  when it ended or did not within `deadlineMs`, with the end of its log
 */
export async function untilAccepting(
  program: Program,
  address: string,
  port: number,
  stderrPath: string,
  deadlineMs = 30_000
): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await accepts(address, port))) {
    const ending = program.ending()
    if (ending !== null) throw new Error(`${program.name} did not start: ${ending}; ${lastLines(stderrPath)}`)
    if (performance.now() > end) throw new Error(`${program.name} does not accept on ${address}:${port}; ${lastLines(stderrPath)}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
