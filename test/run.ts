/**
 * Runs test files as processes of their own, reads their TAP and says at the end how many tests passed.
 *
 *   node test/run.ts                  every group, in order
 *   node test/run.ts unit e2e         these groups
 *   node test/run.ts path/to/x.test.ts path/to/folder
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { Parser, type Result } from 'tap-parser'

const root = resolve(import.meta.dirname, '..')

/** In the order in which they tell most: rules first, hosts last. What measures runs one file at a time: hosts, and folders called `measured`. */
const groups: readonly { readonly name: string; readonly isAlone: boolean; readonly timeoutS: number }[] = [
  { name: 'arch', isAlone: false, timeoutS: 60 },
  { name: 'unit', isAlone: false, timeoutS: 120 },
  { name: 'contract', isAlone: false, timeoutS: 120 },
  { name: 'golden', isAlone: false, timeoutS: 120 },
  { name: 'fuzz', isAlone: false, timeoutS: 120 },
  { name: 'integration', isAlone: false, timeoutS: 240 },
  { name: 'e2e', isAlone: false, timeoutS: 600 },
  { name: 'lab', isAlone: true, timeoutS: 900 }
]

/** Tests wait more than they work: one more than there are cores. */
const LANES = availableParallelism() + 1

interface Outcome {
  readonly file: string
  readonly passed: number
  readonly failed: number
  readonly skipped: readonly string[]
  /** What the file printed. */
  readonly output: string
  readonly tookMs: number
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name.startsWith('.') ? [] : testFiles(path)
    return entry.name.endsWith('.test.ts') ? [path] : []
  })
}

/** Runs one file. A file that ends with an error, runs no test or goes over its time has failed. */
function runFile(file: string, timeoutS: number): Promise<Outcome> {
  return new Promise(done => {
    const startedMs = performance.now()
    // The deadline here is the only one: a slow machine is no failure.
    const env = { ...process.env, TAP_TIMEOUT: String(timeoutS) }
    const child = spawn(process.execPath, [file], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const parser = new Parser()
    const chunks: Buffer[] = []
    const skipped: string[] = []
    let passed = 0
    let failed = 0
    let isOverTime = false
    parser.on('assert', (result: Result) => {
      if (result.skip) skipped.push(`${result.name}${typeof result.skip === 'string' ? `: ${result.skip}` : ''}`)
      else if (result.ok || result.todo) passed++
      else failed++
    })
    const deadline = setTimeout(() => {
      isOverTime = true
      // The file's whole process group: whatever it started ends with it.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, timeoutS * 1000)
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      parser.write(chunk.toString())
    })
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.on('close', code => {
      clearTimeout(deadline)
      parser.end()
      if (isOverTime) chunks.push(Buffer.from(`\nended after ${timeoutS} s\n`))
      const hasRun = passed + failed + skipped.length > 0
      if (failed === 0 && (code !== 0 || isOverTime || !hasRun)) failed = 1
      done({ file, passed, failed, skipped, output: Buffer.concat(chunks).toString(), tookMs: performance.now() - startedMs })
    })
  })
}

async function runAll(files: readonly string[], atOnce: number, timeoutS: number): Promise<Outcome[]> {
  const waiting = [...files]
  const outcomes: Outcome[] = []
  const lane = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const outcome = await runFile(file, timeoutS)
      outcomes.push(outcome)
      const state = outcome.failed > 0 ? 'FAIL' : outcome.passed > 0 ? 'ok  ' : 'skip'
      console.log(`${state} ${relative(root, file)} (${outcome.passed} passed, ${(outcome.tookMs / 1000).toFixed(1)} s)`)
      for (const reason of outcome.skipped) console.log(`     skipped: ${reason}`)
      // What was measured on real hosts, against what was promised.
      for (const [line] of outcome.output.matchAll(/^# (?:PASS|FAIL) .*$/gm)) console.log(`     ${line.slice(2)}`)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return outcomes
}

const asked = process.argv.slice(2)
const outcomes: Outcome[] = []
for (const group of groups) {
  const inGroup = testFiles(join(root, 'test', group.name)).toSorted()
  const isAskedAsGroup = asked.length === 0 || asked.includes(group.name)
  const files = isAskedAsGroup ? inGroup : inGroup.filter(file => asked.some(path => `${file}/`.startsWith(`${resolve(path)}/`)))
  const { alone = [], beside = [] } = Object.groupBy(files, file => (group.isAlone || file.includes('/measured/') ? 'alone' : 'beside'))
  outcomes.push(...(await runAll(beside, LANES, group.timeoutS)), ...(await runAll(alone, 1, group.timeoutS)))
}

const failedFiles = outcomes.filter(outcome => outcome.failed > 0)
// Last, and without what passed: whoever looks for the cause sees it first.
for (const outcome of failedFiles) {
  console.log(`\nfailed: ${relative(root, outcome.file)}`)
  console.log(outcome.output.replaceAll(/^ *(?:ok \d+.*|1\.\.\d+.*|# Subtest: .*)?\n/gm, '').replaceAll(/^/gm, '     '))
}
const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0)
console.log(`${sum(o => o.passed)} passed, ${sum(o => o.failed)} failed, ${sum(o => o.skipped.length)} skipped`)
process.exitCode = failedFiles.length > 0 || outcomes.length === 0 ? 1 : 0
