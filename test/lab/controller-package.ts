/** The controller's artefacts of `make package`, built when they are older than what they are built from, and other versions of them. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { controllerOnHost, stagePackage, sumUp } from '../../agent-installers/controller-package.ts'
import { buildDeb, buildRpm, processorNames } from '../../agent-installers/system-package.ts'
import { ensurePackage, newestMs, type Distribution } from './package.ts'
import { mustRun } from './run.ts'

const root = resolve(import.meta.dirname, '../..')
export const controllerFolder = join(root, 'dist/controller')
export const controllerArchive = join(controllerFolder, `weir-controller-linux-${process.arch}.tar.gz`)

/** Builds when needed; answers why it cannot be used, `undefined` when all is there. */
export async function ensureControllerPackage(): Promise<string | undefined> {
  const why = await ensurePackage()
  if (why !== undefined) return why
  if (!existsSync(join(root, 'ui/dist/index.html')))
    await mustRun(['vite', 'build', 'ui', '--logLevel', 'warn'], { cwd: root, timeoutMs: 240_000 })
  const sources = ['controller', 'model', 'agent-installers', 'package-lock.json', 'ui/dist', 'dist/install'].map(path => join(root, path))
  if (newestMs(join(controllerFolder, 'SHA256SUMS')) > Math.max(...sources.map(newestMs))) return undefined
  await mustRun([process.execPath, 'agent-installers/controller-package.ts'], { cwd: root, timeoutMs: 240_000 })
  return undefined
}

export function controllerPackageFile(kind: Distribution): string {
  const { deb, rpm } = processorNames()
  return join(controllerFolder, kind === 'deb' ? `weir-controller_${deb}.deb` : `weir-controller.${rpm}.rpm`)
}

/** A build that spoils the data and does not come up: what has to be undone. */
export const spoiler = `import { writeFileSync } from 'node:fs'
writeFileSync(process.env.WEIR_DATA + '/weir.db', 'spoilt')
console.error('weir: this build is broken')
process.exit(2)
`

/**
 * The controller's package as another version, without what it gives out, which only takes time.
 *
 * Returns the file
 */
export function repackController(kind: Distribution, version: string, folder: string, main?: string): string {
  mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-xzf', controllerArchive, '-C', folder, '--exclude=weir-controller/dist/install/weir-*'])
  const unpacked = join(folder, 'weir-controller')
  writeFileSync(join(unpacked, 'VERSION'), `${version}\n`)
  // Another name at each build, as the dashboard's files have.
  writeFileSync(join(unpacked, `ui/dist/assets/of-${version}.js`), '')
  if (main !== undefined) writeFileSync(join(unpacked, 'controller/main.mjs'), main)
  sumUp(unpacked)
  const tree = join(folder, 'tree')
  stagePackage(unpacked, tree)
  const file = join(folder, `weir-controller.${kind}`)
  const build = kind === 'deb' ? buildDeb : buildRpm
  build({ ...controllerOnHost, version, folder: tree }, file, 1)
  const kept = join(folder, '..', `weir-controller-${version}.${kind}`)
  copyFileSync(file, kept)
  rmSync(folder, { recursive: true })
  return kept
}
