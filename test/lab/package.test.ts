/** What `make package` made: whole, and an engine that starts with nothing but the C library. */
import { createHash } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ensurePackage, installFolder } from './package.ts'

t.setTimeout(0)
await ensurePackage()
const folder = mkdtempSync(join(tmpdir(), 'weir-package-test-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const read = (name: string): Buffer => readFileSync(join(installFolder, name))
const lines = read('SHA256SUMS').toString().trim().split('\n')

t.test('SHA256SUMS names every file with its checksum', async t => {
  for (const line of lines) {
    const [digest, name] = line.split('  ')
    t.equal(createHash('sha256').update(read(name!)).digest('hex'), digest, name!)
  }
  const names = lines.map(line => line.split('  ')[1])
  const archives = ['engine', 'base'].map(part => `weir-${part}-linux-${process.arch}.tar.gz`)
  const scripts = ['container.sh', 'install.sh', 'kubernetes.sh']
  const texts = ['compose.yaml', 'kubernetes-daemonset.yaml', 'kubernetes-deployment.yaml', 'user-data.yaml', 'weir-engine.service']
  const others = ['Containerfile', 'VERSION', ...scripts, ...texts, 'ansible.tar.gz', 'terraform.tar.gz', 'weir-engine-chart.tgz']
  t.same(new Set(names), new Set([...archives, ...others]))
})

t.test('the engine runs from its one file and says its version', async t => {
  execFileSync('tar', ['-xzf', join(installFolder, `weir-engine-linux-${process.arch}.tar.gz`), '-C', folder])
  const engine = join(folder, 'weir-engine')
  const env = { LD_LIBRARY_PATH: join(folder, 'lib'), WEIR_DATA: join(folder, 'data') }
  t.equal(execFileSync(engine, ['version'], { env, encoding: 'utf8' }), read('VERSION').toString())
  t.match(spawnSync(engine, ['status'], { env, encoding: 'utf8' }), { status: 1, stdout: /no engine runs/ })
  t.match(spawnSync(engine, ['run'], { env, encoding: 'utf8' }), { status: 2, stderr: /has not joined/ })
  t.match(spawnSync(engine, ['no-such-verb'], { env, encoding: 'utf8' }), { status: 2, stderr: /usage/ })
})
