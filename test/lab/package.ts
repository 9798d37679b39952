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

/** Cost  ten seconds when something changed since the last time. */
export async function ensurePackage(): Promise<void> {
  const sources = ['model', 'service-engine', 'agent-installers', 'package-lock.json'].map(path => newestMs(join(root, path)))
  if (newestMs(join(installFolder, 'SHA256SUMS')) > Math.max(...sources)) return
  await mustRun([process.execPath, 'agent-installers/package.ts'], { cwd: root, timeoutMs: 120_000 })
}
