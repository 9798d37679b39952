import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { AlreadyRunning, askEngine, openControl } from '#engine/control.ts'

const answer = { pid: process.pid, isUp: true, line: 'up' }

t.test('openControl answers who asks and lets nobody else in', async t => {
  const folder = t.testdir()
  const control = await openControl(folder, () => answer)
  t.teardown(control.close)
  t.same(await askEngine(folder), answer)
  await t.rejects(
    openControl(folder, () => ({ ...answer, pid: -1 })),
    AlreadyRunning
  )
  t.same(await askEngine(folder), answer, 'the holder goes on')
})

t.test('a folder can be had again when its engine has gone', async t => {
  const folder = t.testdir()
  const control = await openControl(folder, () => answer)
  control.close()
  t.equal(await askEngine(folder), 'nobody')
  const again = await openControl(folder, () => answer)
  t.teardown(again.close)
  t.same(await askEngine(folder), answer)
})

t.test('the socket of an engine that was killed is no obstacle', async t => {
  const folder = t.testdir()
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { openControl } from ${JSON.stringify(import.meta.resolve('#engine/control.ts'))}
       await openControl(${JSON.stringify(folder)}, () => ({ pid: process.pid, isUp: true, line: '' }))
       console.log('ready')
       setInterval(() => {}, 1000)`
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] }
  )
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  await t.rejects(
    openControl(folder, () => answer),
    new RegExp(`process ${child.pid} runs on it`)
  )
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.ok(existsSync(join(folder, 'engine.sock')))
  const control = await openControl(folder, () => answer)
  t.teardown(control.close)
  t.same(await askEngine(folder), answer)
})

t.test('askEngine finds nobody where there is nothing', async t => {
  t.equal(await askEngine(join(t.testdir(), 'missing')), 'nobody')
})

t.test('a deep folder is no obstacle', async t => {
  const name = 'a'.repeat(120)
  const folder = join(t.testdir({ [name]: {} }), name)
  const control = await openControl(folder, () => answer)
  t.teardown(control.close)
  t.same(await askEngine(folder), answer)
})
