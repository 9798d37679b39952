/** Backup and restore of the whole product, by the command line, on real processes. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { send, startWeir, type Session } from '#test/support/weir.ts'

t.setTimeout(600_000)

const root = resolve(import.meta.dirname, '../..')
const PASSPHRASE = 'nobody guesses this one'

interface Said {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

function weir(args: readonly string[], env: NodeJS.ProcessEnv, input = ''): Promise<Said> {
  const child = spawn(process.execPath, [join(root, 'cli/weir.ts'), ...args], { env: { ...process.env, ...env } })
  let [out, error] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()))
  child.stdin.end(input)
  return new Promise(done => void child.once('close', code => done({ code, out, error })))
}

interface Engine {
  readonly uuid: string
  readonly config: { readonly name: string }
  readonly runtime: { readonly connected: boolean; readonly running_revision: number; readonly held?: { readonly known_revision: number } }
}

const engineOf = async (session: Session): Promise<Engine> => {
  const { results } = (await session.call('GET', '/api/serviceengine-inventory')).json() as { readonly results: readonly Engine[] }
  return results[0]!
}

t.test('a backup made under writes is restored; an engine that knows more is left as it is until somebody takes it over', async t => {
  const work = mkdtempSync(join(tmpdir(), 'weir-backup-'))
  const folder = join(work, 'data')
  t.teardown(() => rmSync(work, { recursive: true, force: true }))
  const ports = await freePorts(3)
  const env = { XDG_CONFIG_HOME: join(work, 'config'), WEIR_DATA: folder }
  const file = join(work, 'weir.backup')

  let running = await startWeir({ folder, ports })
  t.teardown(() => running.stop())
  let session = await running.signIn()
  const signedOut = await weir(['list', 'pool'], env)
  t.match(signedOut, { code: 2, error: /weir login comes first/ })
  const login = ['login', '--controller', `https://localhost:${running.port}`, '--ca', join(folder, 'ca.pem')]
  t.match(await weir(login, env, 'wrong\n'), { code: 1, error: /wrong name or password/ })
  t.match(await weir(login, env, `${running.password}\n`), { code: 0, out: /signed in/ })
  t.equal(statSync(join(work, 'config/weir/session.json')).mode & 0o777, 0o600)
  t.match(await weir(['backup', 'create', file], env, 'short\n'), { code: 1, error: /passphrase must be a text of 12/ })
  t.notOk(existsSync(file))

  // Writes go on while the backup is made: each one that was acknowledged before it is in it.
  let isWriting = true
  let acknowledged = 0
  const writes = (async () => {
    while (isWriting) {
      const answer = await session.call('POST', '/api/pool', { name: `written-${acknowledged}` })
      if (answer.status !== 201) throw new Error(answer.text)
      acknowledged += 1
    }
  })()
  await until('some were written', () => acknowledged >= 10)
  const before = acknowledged
  t.match(await weir(['backup', 'create', file], env, `${PASSPHRASE}\n`), { code: 0 })
  isWriting = false
  await writes
  t.comment(`${before} pools before the backup, ${acknowledged} after it`)
  t.equal(statSync(file).mode & 0o777, 0o600)
  const bytes = readFileSync(file)
  for (const secret of [readFileSync(join(folder, 'seal.key')), Buffer.from('written-'), Buffer.from('SQLite format')])
    t.notOk(bytes.includes(secret), 'nothing of it can be read')

  // After the backup: something that the engine runs and the backup does not know.
  const { results } = (await session.call('GET', '/api/virtualservice?name=demo')).json() as {
    readonly results: readonly { readonly uuid: string }[]
  }
  const demo = results[0]!.uuid
  const moved = await session.call('PATCH', `/api/virtualservice/${demo}`, { replace: { enabled: false } })
  t.equal(moved.status, 200, moved.text)
  await until('the engine runs what came after the backup', () =>
    send(`http://127.0.0.1:${running.demoPort}/`).then(
      () => false,
      () => true
    )
  )

  const inUse = await weir(['backup', 'restore', file, '--force'], env, `${PASSPHRASE}\n`)
  t.match(inUse, { code: 2, error: /is in use by another controller/ })
  t.equal(inUse.error.trim().split('\n').length, 1)
  await running.stop()

  for (const [args, input, wanted] of [
    [[file], PASSPHRASE, /holds data already/],
    [[file, '--force'], 'not the passphrase', /passphrase is wrong/],
    [[join(work, 'none'), '--force'], PASSPHRASE, /cannot be read \(ENOENT\)/]
  ] as const) {
    const said = await weir(['backup', 'restore', ...args], env, `${input}\n`)
    t.match(said, { code: 2, error: wanted })
    t.equal(said.error.trim().split('\n').length, 1, said.error)
  }
  const cut = join(work, 'cut.backup')
  writeFileSync(cut, bytes.subarray(0, bytes.length - 9))
  t.match(await weir(['backup', 'restore', cut, '--force'], env, `${PASSPHRASE}\n`), { code: 2, error: /changed or is cut off/ })
  t.match(await weir(['backup', 'restore', file, '--force'], env, `${PASSPHRASE}\n`), {
    code: 0,
    out: /restored revision \d+ of .*what was there before is in/s
  })

  // The demo's own engine comes back by itself: same authority, same identity. It knows more.
  running = await startWeir({ folder, ports, env: { WEIR_DEMO: '0' } })
  session = await running.signIn()
  const held = await until('the engine is back, and held', async () => {
    const engine = await engineOf(session)
    return engine.runtime.held === undefined ? undefined : engine
  })
  t.ok(held.runtime.connected)
  t.ok(held.runtime.running_revision > held.runtime.held!.known_revision)
  for (let at = 0; at < before; at++) {
    if (at % 5 !== 0) continue
    const { count } = (await session.call('GET', `/api/pool?name=written-${at}`)).json() as { readonly count: number }
    t.equal(count, 1, `pool ${at} was acknowledged before the backup`)
  }
  // Enabled in the backup, disabled after it: what the engine runs stays, whatever is committed now.
  await session.call('POST', '/api/pool', { name: 'after-the-restore' })
  await t.rejects(send(`http://127.0.0.1:${running.demoPort}/`), 'nothing was rolled back')
  t.match(await weir(['takeover', held.config.name], env), { code: 0, out: /taken over/ })
  await until('the engine runs what the backup says', async () =>
    send(`http://127.0.0.1:${running.demoPort}/`).then(
      ({ status }) => status > 0 || undefined,
      () => undefined
    )
  )
  t.equal((await engineOf(session)).runtime.held, undefined)
  t.match(await weir(['takeover', held.config.name], env), { code: 1, error: /is not held/ })
  await running.stop()
})
