/** The Debian that lab hosts run: made once by debootstrap, kept between runs. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { mustRun } from './run.ts'

const packages = ['systemd', 'systemd-sysv', 'dbus', 'iproute2', 'curl', 'ca-certificates', 'procps']

/** What makes the root: in its name, so that another recipe makes another root. */
const name = 'debian-bookworm-1'

/**
 * The folder of a minimal Debian with systemd, deliberately without `libatomic.so.1`.
 *
 * Throws  when debootstrap cannot make it, with its last words (no network, most often)
 * Cost    a minute and 250 MB the first time
 */
export async function debianRoot(cacheFolder: string): Promise<string> {
  const root = join(cacheFolder, name)
  if (!existsSync(root)) {
    mkdirSync(cacheFolder, { recursive: true })
    for (const left of readdirSync(cacheFolder))
      if (left.endsWith('.part')) rmSync(join(cacheFolder, left), { recursive: true, force: true })
    const part = `${root}.${process.pid}.part`
    await mustRun(['debootstrap', '--variant=minbase', `--include=${packages.join(',')}`, 'bookworm', part], { timeoutMs: 180_000 })
    for (const folder of ['var/cache/apt/archives', 'var/lib/apt/lists']) rmSync(join(part, folder), { recursive: true, force: true })
    renameSync(part, root)
  }
  return root
}
