/** A whole engine as a process of its own, with one worker, so that its memory and its pauses can be told from those of the test. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Snapshot } from '#model/snapshot/snapshot.ts'

export interface EngineProcess {
  readonly pid: number
  /** Applies another snapshot; answers how long the engine took. */
  readonly apply: (snapshot: Snapshot) => Promise<number>
  /** Memory that is not another's. */
  readonly residentBytes: () => number
  /** What it said of itself: empty as long as nothing broke. */
  readonly said: () => string
}

export async function startEngineProcess(t: Pick<Test, 'teardown'>, snapshot: Snapshot): Promise<EngineProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-engine-'))
  const file = join(folder, 'snapshot.json')
  writeFileSync(file, JSON.stringify(snapshot))
  const env = { ...process.env, WEIR_DATA: folder, WEIR_WORKERS: '1', WEIR_ACCESS_LOG: join(folder, 'access.log'), WEIR_FORWARDER: 'wire' }
  const child = fork(join(import.meta.dirname, '../bench/engine.ts'), [file], { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  })
  let said = ''
  let out = ''
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      if (out.includes('\n')) resolve()
    })
    child.once('exit', code => reject(new Error(`the engine ended with ${code}: ${said}`)))
  })
  const waiting: ((answer: { readonly tookMs: number; readonly violations: readonly unknown[] }) => void)[] = []
  child.on('message', message => waiting.shift()?.(message as { tookMs: number; violations: unknown[] }))
  const pid = child.pid ?? -1
  return {
    pid,
    apply: async next => {
      const answer = await new Promise<{ readonly tookMs: number; readonly violations: readonly unknown[] }>(resolve => {
        waiting.push(resolve)
        child.send(next)
      })
      if (answer.violations.length > 0) throw new Error(JSON.stringify(answer.violations))
      return answer.tookMs
    },
    residentBytes: () => Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    said: () => said
  }
}
