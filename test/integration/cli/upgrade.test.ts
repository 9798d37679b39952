/** `weir upgrade` as a process, over TLS, against the real REST layer and driver; hosts and their clock are the test's. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { aRest, PASSWORD } from '#test/support/rest.ts'
import { selfSigned } from '#test/support/self-signed.ts'
import { aGroup } from '#test/support/upgraded-group.ts'

const weirFile = resolve(import.meta.dirname, '../../../cli/weir.ts')

t.test('weir upgrade says how it is, waits for its end, and fails when it stops', async t => {
  const made = await aGroup(t, 2)
  const certificate = await selfSigned(['localhost'])
  let group = ''
  const house = await aRest(t, {
    tls: true,
    authority: {
      caPem: certificate.certificatePem,
      caFingerprint: '',
      serverKeyPin: 'sha256//cGlu',
      serverCertificate: () => certificate,
      onServerRenewed: () => () => undefined
    },
    // Of the one group that the driver knows.
    upgrades: {
      of: uuid => (uuid === group && made.isStarted() ? made.view() : undefined),
      givenOut: () => undefined,
      start: (_, { settings, by }) => made.start(by, undefined, settings),
      act: (_, action) => made.act(action)
    }
  })
  group = String((await house.admin.call('POST', '/api/serviceenginegroup', { name: 'edge' })).body['uuid'])
  const { port } = await house.rest.start({ host: '127.0.0.1', port: 0 })
  const folder = mkdtempSync(join(tmpdir(), 'weir-cli-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'ca.pem'), certificate.certificatePem)
  /** `hears` is called with all that it said so far. */
  const weir = (args: readonly string[], input = '', hears: (out: string) => void = () => undefined) => {
    const child = spawn(process.execPath, [weirFile, ...args], { env: { ...process.env, XDG_CONFIG_HOME: folder } })
    let [out, error] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      hears(out)
    })
    child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()))
    child.stdin.end(input)
    return new Promise<{ readonly code: number | null; readonly out: string; readonly error: string }>(
      done => void child.once('close', code => done({ code, out, error }))
    )
  }
  t.match(await weir(['login', '--controller', `https://localhost:${port}`, '--ca', join(folder, 'ca.pem')], `${PASSWORD}\n`), { code: 0 })
  t.match(await weir(['upgrade', 'status', 'edge']), { code: 1, error: /an upgrade of this engine group not found/ })
  t.match(await weir(['upgrade', 'start', 'edge', '--parallel', 'x']), { code: 2, error: /--parallel must be a number/ })
  t.match(await weir(['upgrade', 'promote', 'edge']), { code: 2, error: /usage: weir/ })
  t.match(await weir(['upgrade', 'start', 'nowhere']), { code: 1 })

  t.match(await weir(['upgrade', 'start', 'edge', '--parallel', '2']), {
    code: 0,
    out: /^edge to 2\.0\.0: RUNNING, 0 of 2 engines: to 2\.0\.0, 2 at once\n {2}e1 {2}MEASURING {2}aaaaaaaa -> bbbbbbbb\n {2}e2 {2}MEASURING {2}aaaaaaaa -> bbbbbbbb\n$/
  })
  t.match(await weir(['upgrade', 'start', 'edge']), { code: 1, error: /is under way/ })
  made.engine(2).host = ({ id }, one) => (one.ended = { id, outcome: 'failed', reason: 'the new engine was not taken' })
  let isPassed = false
  const waits = await weir(['upgrade', 'status', 'edge', '--wait'], '', () => {
    if (!isPassed) made.pass(75)
    isPassed = true
  })
  t.match(waits, { code: 1, out: /RUNNING[\s\S]*PAUSED, 1 of 2 engines: e2: the new engine was not taken\n[\s\S]* {2}e2 {2}FAILED / })
  t.match(await weir(['upgrade', 'rollback', 'edge']), { code: 0, out: /^edge back: RUNNING/ })
  made.pass(10)
  t.match(await weir(['upgrade', 'status', 'edge', '--wait']), {
    code: 0,
    out: /^edge back: ROLLED_BACK, 2 of 2 engines: 2 of 2 engines run what they ran before\n/
  })
})
