/** The artefacts of `make package`, built when they are older than what they are built from. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { buildDeb, buildRpm, processorNames } from '../../agent-installers/system-package.ts'
import { engineOnHost } from '../../agent-installers/package.ts'
import { mustRun } from './run.ts'

const root = resolve(import.meta.dirname, '../..')
export const installFolder = join(root, 'dist/install')

export function newestMs(path: string): number {
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return 0
  if (!facts.isDirectory()) return facts.mtimeMs
  return Math.max(0, ...readdirSync(path).map(name => newestMs(join(path, name))))
}

/**
 * Builds when something changed since the last time.
 *
 * Returns nothing: a package that cannot be built fails the test
 */
export async function ensurePackage(): Promise<string | undefined> {
  const sources = ['model', 'service-engine', 'agent-installers', 'package-lock.json'].map(path => newestMs(join(root, path)))
  if (newestMs(join(installFolder, 'SHA256SUMS')) > Math.max(...sources)) return undefined
  await mustRun([process.execPath, 'agent-installers/package.ts'], { cwd: root, timeoutMs: 240_000 })
  return undefined
}

export type Distribution = 'deb' | 'rpm'

export function packageFile(kind: Distribution): string {
  const { deb, rpm } = processorNames()
  return join(installFolder, kind === 'deb' ? `weir-engine_${deb}.deb` : `weir-engine.${rpm}.rpm`)
}

/** The files of a package, in a folder. */
export function unpackTo(kind: Distribution, file: string, folder: string): void {
  mkdirSync(folder, { recursive: true })
  if (kind === 'deb') execFileSync('dpkg-deb', ['-x', file, folder])
  else execFileSync('sh', ['-c', 'rpm2cpio "$0" | (cd "$1" && cpio -idm --quiet)', file, folder])
}

/**
 * The engine's package as another version, with what is changed in its files.
 *
 * Returns the file
 */
export function repack(kind: Distribution, version: string, folder: string, change?: (tree: string) => void): string {
  const tree = join(folder, 'tree')
  unpackTo('deb', packageFile('deb'), tree)
  writeFileSync(join(tree, 'opt/weir/VERSION'), `${version}\n`)
  change?.(tree)
  const file = join(folder, `weir-engine.${kind}`)
  const build = kind === 'deb' ? buildDeb : buildRpm
  build({ ...engineOnHost, version, folder: tree }, file, 1)
  return file
}
