/** What `make package` made: whole, and an engine that starts with nothing but the C library. */
import { createHash } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t from 'tap'
import { shippedLibraries } from '../../agent-installers/build.ts'
import { engineOnHost } from '../../agent-installers/package.ts'
import { lacking } from './needs.ts'
import { ensurePackage, installFolder, packageFile, unpackTo } from './package.ts'

t.setTimeout(0)
await ensurePackage()
const toolsOf = { deb: ['dpkg-deb'], rpm: ['rpmbuild', 'rpm2cpio', 'cpio'] } as const
const missingFor = (kind: keyof typeof toolsOf): string | undefined => lacking(toolsOf[kind])
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
  const packages = (['deb', 'rpm'] as const).filter(kind => missingFor(kind) === undefined).map(kind => basename(packageFile(kind)))
  t.same(new Set(names), new Set([...archives, ...others, ...packages]))
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

const missing = missingFor('deb') ?? missingFor('rpm')
t.test(
  'the packages of Debian and RPM hold the same files, and those are what install.sh puts on a host',
  { skip: missing ?? false },
  async t => {
    for (const kind of ['deb', 'rpm'] as const) unpackTo(kind, packageFile(kind), join(folder, kind))
    const listed = (tree: string): string =>
      execFileSync('sh', ['-c', 'cd "$0" && find . -type f -printf "%m %p " -exec sha256sum {} + | sort', join(folder, tree)], {
        encoding: 'utf8'
      })
    t.equal(listed('rpm'), listed('deb'))
    const names = execFileSync('find', ['.', '-type', 'f'], { cwd: join(folder, 'deb'), encoding: 'utf8' })
      .trim()
      .split('\n')
    const inPrefix = ['VERSION', 'install.sh', 'packaged', 'weir-engine', ...shippedLibraries.map(name => `shipped/${name}`)]
    const units = engineOnHost.host.units.map(name => `./usr/lib/systemd/system/${name}`)
    const all = [...inPrefix.map(name => `./opt/weir/${name}`), ...units, './usr/lib/sysctl.d/60-weir.conf']
    t.same(new Set(names), new Set(all), 'no address, no token, no key')
    const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')
    const at = (path: string): string => digest(join(folder, 'deb', path))
    t.equal(at('opt/weir/weir-engine'), digest(join(folder, 'weir-engine')))
    t.equal(at('opt/weir/install.sh'), digest(join(installFolder, 'install.sh')))
    t.equal(at('usr/lib/systemd/system/weir-engine.service'), digest(join(installFolder, 'weir-engine.service')))
    const scripts = execFileSync('rpm', ['-qp', '--scripts', packageFile('rpm')], { encoding: 'utf8' })
    execFileSync('dpkg-deb', ['-e', packageFile('deb'), join(folder, 'control')])
    for (const script of ['preinst', 'postinst', 'prerm', 'postrm']) {
      const text = readFileSync(join(folder, 'control', script), 'utf8')
      t.ok(scripts.includes(text.trim()), `${script} is the same`)
      t.notMatch(text, /@[A-Z]+@/)
    }
  }
)
