import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '#test/support/wait.ts'
import { Part } from '../../../cli/run/part.ts'

/** A part that runs `script`, with what it said to its parent. */
function aPart(
  t: Test,
  script: string
): { readonly part: Part; readonly heard: unknown[]; readonly refused: string[]; readonly logPath: string } {
  const folder = mkdtempSync(join(tmpdir(), 'weir-part-'))
  const file = join(folder, 'script.mjs')
  const logPath = join(folder, 'part.log')
  writeFileSync(file, script)
  const heard: unknown[] = []
  const refused: string[] = []
  const part = new Part({
    name: 'script',
    args: [file],
    env: process.env,
    logPath,
    onMessage: message => heard.push(message),
    onRefused: line => refused.push(line)
  })
  t.teardown(async () => {
    await part.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return { part, heard, refused, logPath }
}

t.test('a part that dies is started again, and the log says so', async t => {
  const { part, heard, logPath } = aPart(t, "process.send('up'); setInterval(() => {}, 1000)")
  part.start()
  await until('it is up', () => (heard.length === 1 ? true : undefined))
  process.kill(part.pid!, 'SIGKILL')
  await until('it is up again', () => (heard.length === 2 ? true : undefined))
  t.match(
    await until('the log has it', () => readFileSync(logPath, 'utf8') || undefined),
    /script ended \(SIGKILL\), started again in \d+ ms/
  )
})

t.test('a part that refuses to run by code 2 is not started again; its last line is told', async t => {
  const { part, refused } = aPart(t, "console.error('first'); console.error('weir: port 1 is in use'); process.exitCode = 2")
  part.start()
  await until('it is told', () => (refused.length > 0 ? true : undefined))
  t.same(refused, ['weir: port 1 is in use'])
  t.equal(part.pid, undefined)
})

t.test('stop ends a part for good, and one that is waiting to start again', async t => {
  const { part, heard } = aPart(t, "process.send('up'); process.exit(1)")
  part.start()
  await until('it ran', () => (heard.length > 0 ? true : undefined))
  await part.stop()
  t.equal(part.pid, undefined)
})

t.test('what it is told for the next start reaches the next start only', async t => {
  const { part, heard } = aPart(t, "process.send(process.env.WORD ?? 'none'); setInterval(() => {}, 1000)")
  part.start()
  await until('it is up', () => (heard.length === 1 ? true : undefined))
  part.setEnv({ WORD: 'later' })
  process.kill(part.pid!, 'SIGKILL')
  await until('it is up again', () => (heard.length === 2 ? true : undefined))
  t.same(heard, ['none', 'later'])
})

t.test('a part is replaced by a successor that says that it took over; the one before ends by itself', async t => {
  const { part, heard } = aPart(
    t,
    `const isSuccessor = process.argv[2] === 'takeover'
     process.send(isSuccessor ? { type: 'took-over' } : 'up')
     process.on('message', () => process.exit(0))
     setInterval(() => {}, 1000)`
  )
  part.start()
  await until('it is up', () => heard.length === 1)
  const first = part.pid!
  part.replace()
  await until('another one is the part', () => part.pid !== first)
  const second = part.pid!
  process.kill(first, 'SIGKILL')
  process.kill(second, 'SIGKILL')
  await until('only the end of the part itself starts it again', () => heard.length === 3)
  t.same(heard, ['up', { type: 'took-over' }, 'up'])
})

t.test('a successor that ends leaves the part as it is, whatever its code', async t => {
  const { part, heard, refused, logPath } = aPart(
    t,
    "if (process.argv[2] === 'takeover') process.exit(2); process.send('up'); setInterval(() => {}, 1000)"
  )
  part.start()
  await until('it is up', () => heard.length === 1)
  const first = part.pid
  part.replace()
  await until('it is told', () => readFileSync(logPath, 'utf8').includes('its successor ended (2)'))
  t.equal(part.pid, first)
  t.same(refused, [])
  part.replace()
  await until('it may be tried again', () => readFileSync(logPath, 'utf8').split('its successor ended (2)').length === 3)
})
