/** A lab test runs in namespaces of its own: whatever it starts, mounts or connects is gone when it ends, however it ends. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { lacking, toolPath } from './needs.ts'

const mark = 'WEIR_LAB_INSIDE'

/** Is this process the one that runs in namespaces of its own? */
const isInside = (): boolean => process.env[mark] === '1'

/**
 * Runs a test file again as the first process of new network, mount and process namespaces, with the same output.
 *
 * Returns its exit code; it is killed when this process ends first
 */
function runInside(file: string): Promise<number> {
  const death = ['--pdeathsig', 'KILL', '--']
  const namespaces = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  // As PID 1 Node would have to reap what its children leave behind; the shell in between does. What the test writes
  // lies in memory, below a folder that is empty when seen from outside.
  const temporary = mkdtempSync(join(tmpdir(), 'weir-lab-'))
  const prepare = 'mount -t tmpfs -o mode=700 tmpfs "$TMPDIR" && ip link set lo up && "$@"'
  const child = spawn('setpriv', [...death, ...namespaces, 'sh', '-c', prepare, 'sh', process.execPath, file], {
    stdio: 'inherit',
    env: { ...process.env, PATH: toolPath, TMPDIR: temporary, [mark]: '1' }
  })
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', code => {
      rmdirSync(temporary)
      done(code ?? 1)
    })
  })
}

export interface LabTest {
  readonly story: string
  /** The test file itself. */
  readonly file: string
  /** Programs beside those that every lab test needs. */
  readonly tools: readonly string[]
  /** On the machine's own network, before: makes what is kept between runs. Answers why the test cannot run here. */
  readonly prepare: () => Promise<string | undefined>
  readonly scenarios: () => Promise<void>
}

/** Runs the scenarios in namespaces of their own, or skips them with the reason. */
export async function labTest(t: Test, test: LabTest): Promise<void> {
  // Each scenario is bounded, and the runner bounds the file; what has to be prepared first takes its time.
  t.setTimeout(0)
  if (isInside()) return test.scenarios()
  const missing = lacking(test.tools) ?? (await test.prepare())
  if (missing === undefined) process.exitCode = await runInside(test.file)
  else void t.test(test.story, { skip: missing }, async () => undefined)
}
