/** The artefacts of `make package`, built when they are older than what they are built from. */
import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { mustRun } from './run.ts'

const root = resolve(import.meta.dirname, '../..')
export const installFolder = join(root, 'dist/install')

function newestMs(path: string): number {
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
