/**
 * Builds what a host needs to become a service engine into `dist/install/`: the engine as one self-contained executable
 * (SEA), `install.sh`, the unit, packages of Debian and RPM, checksums. The same sources and Node give the same bytes.
 *
 *   node agent-installers/package.ts [--out dist/install] [--main service-engine/main.ts] [--worker service-engine/worker.ts]
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { bundle, copyLibraries, librariesOf, pack, root, sha256, strip, versionOf, type Packed } from './build.ts'
import { buildSystemPackages } from './system-package.ts'

export interface PackageOptions {
  readonly mainFile: string
  readonly workerFile: string
  /** Replaced as a whole when everything is built. */
  readonly outFolder: string
  readonly version: string
  /** The Node that the engine file is made of; runs this build as well. */
  readonly nodeBinary: string
  readonly say: (line: string) => void
}

/** What `FROM scratch` lacks. They follow the glibc of the machine that builds. */
const baseLibraries = [/^ld-linux/, /^libc\.so/, /^libm\.so/, /^libdl\.so/, /^libpthread\.so/, /^librt\.so/]

/** The folders of a container image under the engine: the C library, names for the user, a place for data. */
function buildBase(nodeBinary: string, folder: string): readonly Packed[] {
  const libraries = librariesOf(nodeBinary)
  for (const path of ['etc', 'tmp', 'var/lib/weir']) mkdirSync(join(folder, path), { recursive: true })
  writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0:root:/:/nonexistent\nweir:x:65532:65532:weir:/var/lib/weir:/nonexistent\n')
  writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nweir:x:65532:\n')
  writeFileSync(join(folder, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  chmodSync(join(folder, 'tmp'), 0o1777)
  chmodSync(join(folder, 'var/lib/weir'), 0o700)
  const paths = Object.entries(libraries).flatMap(([name, path]) => (baseLibraries.some(pattern => pattern.test(name)) ? [path] : []))
  for (const path of paths) {
    mkdirSync(join(folder, dirname(path)), { recursive: true })
    copyFileSync(path, join(folder, path))
    chmodSync(join(folder, path), 0o755)
  }
  const top = new Set(['etc', 'tmp', ...paths.map(path => path.split('/')[1]!)])
  return [...[...top].map(name => ({ name })), { name: 'var/lib/weir', owner: 65532 }]
}

/** What is given out as it is, by the name that it is asked for. */
const plainFiles = {
  'compose.yaml': 'compose/compose.yaml',
  'kubernetes.sh': 'kubernetes/install.sh',
  'kubernetes-daemonset.yaml': 'kubernetes/daemonset.yaml',
  'kubernetes-deployment.yaml': 'kubernetes/deployment.yaml',
  'user-data.yaml': 'cloud-init/user-data.yaml'
} as const

/** Archives of a folder: of the engine's own name where the tool wants that, with files of neighbours that belong into it. */
const folders = [
  { archive: 'weir-engine-chart.tgz', folder: 'helm', as: 'weir-engine', also: [] },
  { archive: 'ansible.tar.gz', folder: 'ansible', as: 'ansible', also: [] },
  { archive: 'terraform.tar.gz', folder: 'terraform', as: 'terraform', also: ['cloud-init/user-data.yaml'] }
] as const

/**
 * Puts the texts of every installer into a folder.
 *
 * Returns their names
 */
export function copyPlain(outFolder: string): readonly string[] {
  const from = join(root, 'agent-installers')
  for (const [name, path] of Object.entries(plainFiles)) copyFileSync(join(from, path), join(outFolder, name))
  for (const { archive, folder, as, also } of folders) {
    const work = mkdtempSync(join(tmpdir(), 'weir-texts-'))
    try {
      cpSync(join(from, folder), join(work, as), { recursive: true, filter: path => !basename(path).startsWith('.terraform') })
      for (const path of also) copyFileSync(join(from, path), join(work, as, basename(path)))
      pack(work, [{ name: as }], join(outFolder, archive))
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }
  return [...Object.keys(plainFiles), ...folders.map(one => one.archive)].toSorted()
}

/** How the engine lies on a host, for packages. */
export const engineOnHost = {
  name: 'weir-engine',
  summary: 'Weir service engine: carries the virtual services of a Weir controller',
  host: {
    prefix: '/opt/weir',
    data: ['/var/lib/weir'],
    account: 'weir',
    units: ['weir-engine.service', 'weir-kernel.socket', 'weir-kernel@.service'],
    settings: ''
  },
  debDepends: 'libc6 (>= 2.28), passwd',
  rpmRequires: 'glibc >= 2.28, shadow-utils'
} as const

/** What `install.sh` puts on a host, as the tree of a package; `engineFolder` holds the engine and `lib`. */
function stageEngine(tree: string, engineFolder: string, version: string): void {
  const script = join(root, 'agent-installers/systemd/install.sh')
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(join(tree, dirname(path)), { recursive: true, mode: 0o755 })
    writeFileSync(join(tree, path), text, { mode })
  }
  put('opt/weir/VERSION', `${version}\n`)
  // Tells the script whose the files are.
  put('opt/weir/packaged', '')
  put('opt/weir/install.sh', readFileSync(script, 'utf8'), 0o755)
  copyFileSync(join(engineFolder, 'weir-engine'), join(tree, 'opt/weir/weir-engine'))
  cpSync(join(engineFolder, 'lib'), join(tree, 'opt/weir/shipped'), { recursive: true })
  for (const [verb, unit] of [
    ['unit', 'weir-engine.service'],
    ['kernel-socket', 'weir-kernel.socket'],
    ['kernel-unit', 'weir-kernel@.service']
  ] as const)
    put(`usr/lib/systemd/system/${unit}`, execFileSync('sh', [script, verb], { encoding: 'utf8' }))
  put('usr/lib/sysctl.d/60-weir.conf', 'net.ipv4.tcp_migrate_req = 1\n')
}

/** Builds everything beside the old folder, then swaps. */
export async function buildPackage(options: PackageOptions): Promise<void> {
  const { outFolder, say } = options
  const target = `linux-${process.arch}`
  const work = mkdtempSync(join(tmpdir(), 'weir-package-'))
  mkdirSync(dirname(outFolder), { recursive: true })
  const fresh = mkdtempSync(`${outFolder}.`)
  try {
    await Promise.all([bundle(options.mainFile, join(work, 'main.mjs')), bundle(options.workerFile, join(work, 'worker.mjs'))])

    strip(options.nodeBinary, join(work, 'node'), say)
    // Names without a folder: they end up in the file, and the folder's name is another one each time.
    const sea = { main: 'main.mjs', mainFormat: 'module', executable: 'node', output: 'weir-engine', disableExperimentalSEAWarning: true }
    copyFileSync(new URL(import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm')), join(work, 'quickjs.wasm'))
    const assets = { 'worker.mjs': 'worker.mjs', 'quickjs.wasm': 'quickjs.wasm' }
    writeFileSync(join(work, 'sea.json'), JSON.stringify({ ...sea, assets }))
    execFileSync(options.nodeBinary, ['--build-sea', 'sea.json'], { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] })
    chmodSync(join(work, 'weir-engine'), 0o755)

    copyLibraries(options.nodeBinary, join(work, 'lib'))

    // mkdtemp makes what only its owner may read.
    chmodSync(fresh, 0o755)
    const archive = `weir-engine-${target}.tar.gz`
    pack(work, [{ name: 'weir-engine' }, { name: 'lib' }], join(fresh, archive))
    const base = `weir-base-${target}.tar.gz`
    const baseFolder = join(work, 'base')
    pack(baseFolder, buildBase(options.nodeBinary, baseFolder), join(fresh, base))
    stageEngine(join(work, 'tree'), work, options.version)
    const packages = buildSystemPackages({ ...engineOnHost, version: options.version, folder: join(work, 'tree') }, fresh, say)
    copyFileSync(join(root, 'agent-installers/systemd/install.sh'), join(fresh, 'install.sh'))
    writeFileSync(join(fresh, 'weir-engine.service'), execFileSync('sh', [join(fresh, 'install.sh'), 'unit']))
    copyFileSync(join(root, 'agent-installers/container/install.sh'), join(fresh, 'container.sh'))
    copyFileSync(join(root, 'agent-installers/container/Containerfile'), join(fresh, 'Containerfile'))
    const plain = copyPlain(fresh)
    writeFileSync(join(fresh, 'VERSION'), `${options.version}\n`)
    const summed = [archive, base, 'Containerfile', 'VERSION', 'container.sh', 'install.sh', 'weir-engine.service', ...plain, ...packages]
    writeFileSync(join(fresh, 'SHA256SUMS'), summed.map(name => `${sha256(join(fresh, name))}  ${name}\n`).join(''))

    rmSync(outFolder, { recursive: true, force: true })
    renameSync(fresh, outFolder)
    say(`${outFolder}: ${summed.join(', ')}, SHA256SUMS`)
  } finally {
    rmSync(work, { recursive: true, force: true })
    rmSync(fresh, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'dist/install' },
      main: { type: 'string', default: 'service-engine/main.ts' },
      worker: { type: 'string', default: 'service-engine/worker.ts' }
    }
  })
  for (const file of [values.main, values.worker]) if (!existsSync(resolve(root, file))) throw new Error(`${file} is missing`)
  await buildPackage({
    mainFile: resolve(root, values.main),
    workerFile: resolve(root, values.worker),
    outFolder: resolve(root, values.out),
    version: versionOf(join(root, 'package.json')),
    nodeBinary: process.execPath,
    say: line => console.log(line)
  })
}
