/** Runs a command to its end and hands back all that it said. */
import { execFile } from 'node:child_process'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly tookMs: number
}

export interface RunOptions {
  readonly input?: string
  readonly timeoutMs?: number
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

/** Never throws: a command that does not exist or takes too long has a code that is not 0. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { input = '', timeoutMs = 30_000, env = process.env, cwd } = options
  const startedMs = performance.now()
  const [file, ...args] = command
  return new Promise(done => {
    const settings = { timeout: timeoutMs, killSignal: 'SIGKILL' as const, maxBuffer: 64 << 20, env, ...(cwd === undefined ? {} : { cwd }) }
    const child = execFile(file!, args, settings, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 255
      done({ code, stdout, stderr: error !== null && stderr === '' ? error.message : stderr, tookMs: performance.now() - startedMs })
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}

/** The same for a step that must succeed. */
export async function mustRun(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const ran = await run(command, options)
  if (ran.code !== 0) throw new Error(`${command.join(' ')} ended with ${ran.code}: ${ran.stderr}${ran.stdout}`)
  return ran.stdout
}

/**
 * Asks for a fact until it is there.
 *
 * Returns how long it took, in milliseconds
 * Throws  after the deadline, with the last answer or error
 */
export async function until(fact: string, deadlineMs: number, ask: () => Promise<boolean>): Promise<number> {
  const startedMs = performance.now()
  let last: unknown
  while (performance.now() - startedMs < deadlineMs) {
    try {
      if (await ask()) return performance.now() - startedMs
    } catch (error) {
      last = error
    }
    await new Promise(again => setTimeout(again, 50))
  }
  throw new Error(`not within ${deadlineMs} ms: ${fact}`, { cause: last })
}
