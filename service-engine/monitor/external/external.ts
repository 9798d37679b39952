/**
 * An operator's script: up when it ends with status 0 and has written something. It runs as the user that the engine's
 * host allows for it, in a group of its own that is killed whole, with bounds on time, memory, processor, files and output,
 * in an empty folder that is removed, and with nothing of the engine's environment.
 */
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProbeSpec } from '#model/snapshot/snapshot.ts'
import {
  down,
  legible,
  printable,
  up,
  type Probe,
  type ProbeResult,
  type ProbeServices,
  type ProbeTarget,
  type ScriptUser
} from '../probe.ts'

type ExternalSpec = Extract<ProbeSpec, { is: 'external' }>

const MAX_OUTPUT_BYTES = 2_048
const MAX_MEMORY_KB = 524_288
const MAX_FILE_BLOCKS = 2_048
const MAX_OPEN_FILES = 64

/**
 * What runs a script: its first line after `#!` in words, else the shell.
 *
 * Shapes  code: as the operator wrote it
 */
export function interpreterOf(code: string): readonly string[] {
  const line = /^#!\s*(\S+)(?:[ \t]+([^\r\n]*?))?\s*(?:\r?\n|$)/.exec(code)
  if (line === null) return ['/bin/sh']
  return line[2] === undefined || line[2] === '' ? [line[1]!] : [line[1]!, line[2]]
}

/** Bounds that the script and whatever it starts inherit; `exec` makes it the leader of its group. */
function limits(timeoutMs: number): string {
  const seconds = Math.ceil(timeoutMs / 1_000) + 1
  return `ulimit -c 0; ulimit -t ${seconds}; ulimit -f ${MAX_FILE_BLOCKS}; ulimit -n ${MAX_OPEN_FILES}; ulimit -v ${MAX_MEMORY_KB}; exec "$@"`
}

export function makeExternalProbe(spec: ExternalSpec, { scriptUser = null }: ProbeServices): Probe {
  const running = new Set<() => void>()
  return {
    kind: 'external',
    stop: () => {
      for (const end of running) end()
    },
    attempt: (target, timeoutMs) => {
      if (scriptUser === null)
        return Promise.resolve({
          verdict: 'unknown',
          detail: 'scripts are switched off on this engine: WEIR_EXTERNAL_MONITORS names no user for them'
        })
      try {
        return runScript({ spec, user: scriptUser, target, timeoutMs, running })
      } catch (error) {
        return Promise.resolve(cannotRun(error))
      }
    }
  }
}

const cannotRun = (error: unknown): ProbeResult => ({
  verdict: 'unknown',
  detail: `the script cannot run here: ${printable(error instanceof Error ? error.message : String(error))}`
})

interface Run {
  readonly spec: ExternalSpec
  readonly user: ScriptUser
  readonly target: ProbeTarget
  readonly timeoutMs: number
  /** Has a way to end this run for as long as it lasts. */
  readonly running: Set<() => void>
}

function runScript({ spec, user, target, timeoutMs, running }: Run): Promise<ProbeResult> {
  const isOther = process.getuid?.() !== user.uid
  const folder = mkdtempSync(join(tmpdir(), 'weir-monitor-'))
  const script = join(folder, 'script')
  const clean = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    writeFileSync(script, spec.code, { mode: 0o500 })
    chmodSync(folder, 0o700)
    if (isOther) {
      chownSync(script, user.uid, user.gid)
      chownSync(folder, user.uid, user.gid)
    }
  } catch (error) {
    clean()
    throw error
  }
  const { ip, port, host } = target
  const command = [...interpreterOf(spec.code), script, ip, String(port), ...spec.parameters]
  return new Promise(resolve => {
    const child = spawn('/bin/sh', ['-c', limits(timeoutMs), 'sh', ...command], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        ...spec.variables,
        HOME: folder,
        TMPDIR: folder,
        IP: ip,
        PORT: String(port),
        SERVER: host
      },
      ...(isOther ? { uid: user.uid, gid: user.gid } : {})
    })
    let output = ''
    let errors = ''
    let isDone = false
    const finish = (result: ProbeResult): void => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      running.delete(end)
      if (exit === undefined && child.pid !== undefined) killGroup(child.pid)
      child.stdout.destroy()
      child.stderr.destroy()
      clean()
      const answer = [output, errors].filter(text => text !== '').join('\n')
      resolve({
        ...result,
        request: legible([...command.slice(0, -spec.parameters.length - 3), 'script', ip, port, ...spec.parameters].join(' ')),
        ...(answer === '' ? {} : { answer: legible(answer) })
      })
    }
    let exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined
    const timer = setTimeout(() => (exit === undefined ? finish(down(`did not end within ${timeoutMs} ms`)) : ended(exit)), timeoutMs)
    const end = (): void => finish({ verdict: 'unknown', detail: 'the engine stopped' })
    running.add(end)
    child.on('error', error => finish(cannotRun(error)))
    // More is read and dropped, so that the script does not wait for its reader.
    child.stdout.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('latin1')).slice(0, MAX_OUTPUT_BYTES)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString('latin1')).slice(0, MAX_OUTPUT_BYTES)
    })
    const ended = ({ code, signal }: NonNullable<typeof exit>): void => {
      if (code === 126 || code === 127) return finish(cannotRun(errors === '' ? `status ${code}` : errors))
      if (signal !== null) return finish(down(`ended by ${signal}`))
      if (code !== 0) return finish(down(errors === '' ? `ended with status ${code}` : `ended with status ${code}: ${errors}`))
      finish(output.trim() === '' ? down('ended with status 0, but wrote nothing') : up(printable(output)))
    }
    child.on('exit', (code, signal) => {
      exit = { code, signal }
      // What it left behind goes as well, and lets go of its output.
      if (child.pid !== undefined) killGroup(child.pid)
    })
    child.on('close', (code, signal) => ended({ code, signal }))
  })
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody of the group is left.
  }
}
