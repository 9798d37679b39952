/**
 * Builds what a host needs to become a controller into `dist/controller/`: one archive with the pinned Node, the controller in one
 * file, the dashboard, what engines are installed from and `install.sh`; packages of Debian and RPM; what an image is made of.
 *
 *   node agent-installers/controller-package.ts [--out dist/controller] [--install dist/install]
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { bundle, copyLibraries, pack, root, sha256, strip, versionOf } from './build.ts'
import { buildSystemPackages, listBelow, settle } from './system-package.ts'

export interface ControllerPackageOptions {
  /** Replaced as a whole when everything is built. */
  readonly outFolder: string
  /** What `package.ts` built: this controller gives it out. */
  readonly installFolder: string
  readonly version: string
  /** The Node that runs the controller; runs this build as well. */
  readonly nodeBinary: string
  readonly say: (line: string) => void
}

/** How the controller lies on a host, for packages. */
export const controllerOnHost = {
  name: 'weir-controller',
  summary: 'Weir controller: places virtual services onto service engines, with dashboard and REST API',
  host: {
    prefix: '/opt/weir-controller',
    data: ['/var/lib/weir-controller', '/var/lib/weir-controller.before'],
    account: 'weir-controller',
    units: ['weir-controller.service'],
    settings: '/etc/weir-controller.env'
  },
  debDepends: 'libc6 (>= 2.28), passwd',
  rpmRequires: 'glibc >= 2.28, shadow-utils'
} as const

const script = join(root, 'agent-installers/controller/install.sh')

/** Packages that cannot be part of the one file: a native module, and a file that is asked for by its package's name. */
function copyPackages(folder: string): void {
  const packageFolder = (name: string): string => {
    const file = fileURLToPath(import.meta.resolve(name))
    return file.slice(0, file.lastIndexOf(`/node_modules/${name}/`) + `/node_modules/${name}`.length)
  }
  const native = `prebuilds/linux-${process.arch}.node`
  for (const [name, paths] of [
    ['better-sqlite3', ['package.json', 'LICENSE', 'lib', native]],
    ['@jitl/quickjs-wasmfile-release-sync', ['package.json', 'LICENSE', 'dist/emscripten-module.wasm']]
  ] as const)
    for (const path of paths) cpSync(join(packageFolder(name), path), join(folder, name, path), { recursive: true })
}

/** Names every file below a folder with its checksum: what a host has is told apart by it, and what was changed there. */
export function sumUp(folder: string): void {
  rmSync(join(folder, 'SHA256SUMS'), { force: true })
  const files = listBelow(folder).filter(path => !path.endsWith('/'))
  writeFileSync(join(folder, 'SHA256SUMS'), files.map(path => `${sha256(join(folder, path))}  ${path}\n`).join(''))
  settle(folder)
}

async function stageController(folder: string, options: ControllerPackageOptions): Promise<void> {
  mkdirSync(join(folder, 'controller'), { recursive: true })
  await bundle(join(root, 'controller/main.ts'), join(folder, 'controller/main.mjs'), ['better-sqlite3'])
  strip(options.nodeBinary, join(folder, 'node'), options.say)
  copyLibraries(options.nodeBinary, join(folder, 'shipped'))
  copyPackages(join(folder, 'node_modules'))
  cpSync(join(root, 'ui/dist'), join(folder, 'ui/dist'), { recursive: true })
  cpSync(options.installFolder, join(folder, 'dist/install'), { recursive: true })
  copyFileSync(script, join(folder, 'install.sh'))
  writeFileSync(join(folder, 'VERSION'), `${options.version}\n`)
  for (const program of ['node', 'install.sh']) chmodSync(join(folder, program), 0o755)
  sumUp(folder)
}

/**
 * The same files as the tree of a package.
 *
 * Shapes  folder: what an archive holds; tree: made here
 */
export function stagePackage(folder: string, tree: string): void {
  const prefix = join(tree, controllerOnHost.host.prefix)
  mkdirSync(dirname(prefix), { recursive: true })
  cpSync(folder, prefix, { recursive: true })
  // Tells the script whose the files are.
  writeFileSync(join(prefix, 'packaged'), '')
  const units = join(tree, 'usr/lib/systemd/system')
  mkdirSync(units, { recursive: true })
  writeFileSync(join(units, 'weir-controller.service'), execFileSync('sh', [script, 'unit']))
}

/** Builds everything beside the old folder, then swaps. */
export async function buildControllerPackage(options: ControllerPackageOptions): Promise<void> {
  const { outFolder, installFolder, say } = options
  const target = `linux-${process.arch}`
  const work = mkdtempSync(join(tmpdir(), 'weir-controller-package-'))
  mkdirSync(dirname(outFolder), { recursive: true })
  const fresh = mkdtempSync(`${outFolder}.`)
  try {
    const folder = join(work, 'weir-controller')
    await stageController(folder, options)
    const archive = `weir-controller-${target}.tar.gz`
    pack(work, [{ name: 'weir-controller' }], join(fresh, archive))
    stagePackage(folder, join(work, 'tree'))
    const packages = buildSystemPackages({ ...controllerOnHost, version: options.version, folder: join(work, 'tree') }, fresh, say)
    const base = `weir-base-${target}.tar.gz`
    copyFileSync(join(installFolder, base), join(fresh, base))
    copyFileSync(join(root, 'agent-installers/controller/Containerfile'), join(fresh, 'Containerfile'))
    writeFileSync(join(fresh, 'VERSION'), `${options.version}\n`)
    const summed = [archive, base, 'Containerfile', 'VERSION', ...packages]
    writeFileSync(join(fresh, 'SHA256SUMS'), summed.map(name => `${sha256(join(fresh, name))}  ${name}\n`).join(''))
    // mkdtemp makes what only its owner may read.
    chmodSync(fresh, 0o755)
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
    options: { out: { type: 'string', default: 'dist/controller' }, install: { type: 'string', default: 'dist/install' } }
  })
  for (const [path, command] of [
    [join(root, 'ui/dist/index.html'), 'make ui'],
    [join(resolve(root, values.install), 'SHA256SUMS'), 'make package']
  ] as const)
    if (!existsSync(path)) throw new Error(`${path} is missing: ${command}`)
  await buildControllerPackage({
    outFolder: resolve(root, values.out),
    installFolder: resolve(root, values.install),
    version: versionOf(join(root, 'package.json')),
    nodeBinary: process.execPath,
    say: line => console.log(line)
  })
}
