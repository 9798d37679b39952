import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import t from 'tap'
import { freePorts } from '#test/support/ports.ts'

const controller = resolve(import.meta.dirname, '../../controller/main.ts')

/** Runs a controller until it ends, or until it says how to sign in. */
function run(env: NodeJS.ProcessEnv): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise(done => {
    const child = spawn(process.execPath, [controller], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const keep = (chunk: Buffer): void => {
      output += chunk.toString()
      if (/the controller is up/.test(output) && (/sign in as/.test(output) || env['WAIT'] === 'up')) child.kill('SIGTERM')
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const deadline = setTimeout(() => child.kill('SIGKILL'), 40_000)
    child.on('close', code => {
      clearTimeout(deadline)
      done({ code, output })
    })
  })
}

t.test('a password that was made up is told by the first start that succeeds, and once', async t => {
  const [port = 0, enginePort = 0] = await freePorts(2)
  const env = { WEIR_DATA: t.testdir(), WEIR_PORT: String(port), WEIR_ENGINE_PORT: String(enginePort), WEIR_ADMIN_PASSWORD: '' }
  const squatter = createServer()
  await new Promise<void>(listening => squatter.listen(enginePort, listening))
  const failed = await run(env)
  await new Promise(closed => squatter.close(closed))
  t.equal(failed.code, 2)
  t.match(failed.output, /is in use: set WEIR_ENGINE_PORT to another/)
  t.notMatch(failed.output, /sign in as/)
  const told = await run(env)
  t.match(told.output, /sign in as admin with the password \S{20}/)
  const later = await run({ ...env, WAIT: 'up' })
  t.match(later.output, /the controller is up/)
  t.notMatch(later.output, /sign in as/)
})
