/** Scripts in the self-contained file, where what they run in is an asset and not a package. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { buildPackage } from '../../../agent-installers/package.ts'
import { ask, openHttpServer } from '#test/support/data-plane.ts'
import { aScriptSet } from '#test/support/scripts.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

const root = resolve(import.meta.dirname, '../../..')

t.test('a script runs in a worker of the self-contained file', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-packed-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  await buildPackage({
    mainFile: join(root, 'test/support/packed-worker.ts'),
    workerFile: join(root, 'service-engine/worker.ts'),
    outFolder: join(folder, 'install'),
    version: '0.0.0',
    nodeBinary: process.execPath,
    say: () => undefined
  })
  execFileSync('tar', ['-xzf', join(folder, 'install', `weir-engine-linux-${process.arch}.tar.gz`), '-C', folder])
  const web = await openHttpServer(t, (request, response) => void response.end(`web ${String(request.headers['x-script'])}`))
  const request = "weir.request.headers.set('x-script', 'yes'); if (weir.request.path === '/bad') throw new Error('x')"
  const snapshot = aSnapshot({ services: [aService({ scripts: [aScriptSet({ request })] })], pools: [aPool([web.port])] })
  const file = join(folder, 'snapshot.json')
  writeFileSync(file, JSON.stringify(snapshot))
  const child = spawn(join(folder, 'weir-engine'), [file], {
    cwd: folder,
    env: { LD_LIBRARY_PATH: join(folder, 'lib') },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { violations, port } = JSON.parse(line.toString()) as { readonly violations: unknown[]; readonly port: number }
  t.same(violations, [])
  t.match(await ask(port), { status: 200, body: 'web yes' })
  t.match(await ask(port, { path: '/bad' }), { status: 500 })
})
