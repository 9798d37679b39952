/**
 * Engines as processes on the controller's own host, each with a data folder of its own. They are found by that folder in their
 * environment, and outlive the controller: they are sessions of their own, and their traffic does not stop when it does.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DriverFailed, isEngineName, mustBeEngineName, type Driver } from '../port.ts'

export interface ProcessDriverOptions {
  /** Where the engines' folders lie: one for each, by name. */
  readonly folder: string
  /** What starts an engine: the program and its first arguments. */
  readonly command: readonly [program: string, ...args: string[]]
  readonly workers: number
  /** Of the controller: what a program needs to run is taken from it, and nothing else. */
  readonly env: NodeJS.ProcessEnv
  /** How long an engine may take to stop. */
  readonly stopMs?: number
}

const PASSED_ON = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'LD_LIBRARY_PATH'] as const
/** An engine that is told to stop drains for 8 s. */
const STOP_MS = 15_000

export function openProcessDriver(options: ProcessDriverOptions): Driver {
  const { folder, command, workers, env, stopMs = STOP_MS } = options

  const folderOf = (name: string): string => join(folder, mustBeEngineName(name))

  return {
    list: async () => {
      if (!existsSync(folder)) return []
      const running = enginesByFolder()
      return readdirSync(folder, { withFileTypes: true })
        .filter(entry => entry.isDirectory() && isEngineName(entry.name))
        .map(({ name }) => ({ name, isRunning: (running.get(join(folder, name)) ?? []).length > 0 }))
    },

    ensure: async ({ name, controllerUrl, token }) => {
      const data = folderOf(name)
      if ((enginesByFolder().get(data) ?? []).length > 0) return
      try {
        mkdirSync(data, { recursive: true, mode: 0o700 })
        const tokenFile = join(data, 'token')
        if (token === undefined) rmSync(tokenFile, { force: true })
        else writeFileSync(tokenFile, token, { mode: 0o600 })
        const log = openSync(join(data, 'engine.log'), 'a', 0o600)
        try {
          const [program, ...args] = command
          const child = spawn(program, args, {
            cwd: data,
            detached: true,
            stdio: ['ignore', log, log],
            env: {
              ...Object.fromEntries(PASSED_ON.flatMap(key => (env[key] === undefined ? [] : [[key, env[key]]]))),
              WEIR_DATA: data,
              WEIR_NAME: name,
              WEIR_CONTROLLER: controllerUrl,
              WEIR_WORKERS: String(workers),
              ...(token === undefined ? {} : { WEIR_TOKEN_FILE: tokenFile })
            }
          })
          child.unref()
          await once(child, 'spawn')
        } finally {
          closeSync(log)
        }
      } catch (error) {
        throw new DriverFailed(
          `the process of engine ${name} could not be started: ${error instanceof Error ? error.message : String(error)}`
        )
      }
    },

    destroy: async ({ name, signal }) => {
      const data = folderOf(name)
      const endMs = performance.now() + stopMs
      let sent: NodeJS.Signals | undefined
      for (;;) {
        const pids = enginesByFolder().get(data) ?? []
        if (pids.length === 0) break
        if (performance.now() > endMs + stopMs) throw new DriverFailed(`engine ${name} does not end: process ${pids.join(', ')}`)
        const wanted = performance.now() > endMs ? 'SIGKILL' : 'SIGTERM'
        // Told once: the second time an engine ends without draining.
        if (sent !== wanted) for (const pid of pids) kill(pid, wanted)
        sent = wanted
        await delay(50, undefined, { signal })
      }
      rmSync(data, { recursive: true, force: true })
    }
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Data folder -> engines that run on it; of a family the eldest only: what an engine starts ends with it. */
function enginesByFolder(): ReadonlyMap<string, readonly number[]> {
  const found = new Map<number, { readonly folder: string; readonly parent: number }>()
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      const folder = /(?:^|\0)WEIR_DATA=([^\0]+)/.exec(readFileSync(`/proc/${entry}/environ`, 'utf8'))?.[1]
      if (folder === undefined) continue
      // The name in brackets may hold anything: what follows the last of them counts.
      const status = readFileSync(`/proc/${entry}/stat`, 'utf8')
      const [state, parent] = status.slice(status.lastIndexOf(')') + 2).split(' ')
      if (state !== 'Z' && state !== 'X') found.set(pid, { folder, parent: Number(parent) })
    } catch {
      // It ended meanwhile, or is another user's.
    }
  }
  const engines = new Map<string, number[]>()
  for (const [pid, { folder, parent }] of found) {
    if (found.get(parent)?.folder === folder) continue
    engines.set(folder, [...(engines.get(folder) ?? []), pid])
  }
  return engines
}
