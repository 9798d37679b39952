/** The Debian that lab hosts run: made once by debootstrap, kept between runs. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.ts'

const packages = ['systemd', 'systemd-sysv', 'dbus', 'iproute2', 'curl', 'ca-certificates', 'procps']

/** What makes the root: in its name, so that another recipe makes another root. */
const name = 'debian-bookworm-1'

export type DebianRoot = { readonly is: 'there'; readonly folder: string } | { readonly is: 'missing'; readonly why: string }

/**
 * A minimal Debian with systemd, deliberately without `libatomic.so.1`; `missing` where debootstrap cannot make it, which
 * most often is the network.
 *
 * Cost    a minute and 250 MB the first time
 */
export async function debianRoot(): Promise<DebianRoot> {
  const cacheFolder = process.env['WEIR_LAB_CACHE'] ?? join(import.meta.dirname, '.cache')
  const root = join(cacheFolder, name)
  if (!existsSync(root)) {
    mkdirSync(cacheFolder, { recursive: true })
    for (const left of readdirSync(cacheFolder))
      if (left.endsWith('.part')) rmSync(join(cacheFolder, left), { recursive: true, force: true })
    const part = `${root}.${process.pid}.part`
    const made = await run(['debootstrap', '--variant=minbase', `--include=${packages.join(',')}`, 'bookworm', part], {
      timeoutMs: 180_000
    })
    if (made.code !== 0) {
      rmSync(part, { recursive: true, force: true })
      const lastWords = `${made.stdout}${made.stderr}`.trim().split('\n').slice(-2).join(' ')
      return { is: 'missing', why: `debootstrap cannot make a Debian here: ${lastWords}` }
    }
    for (const folder of ['var/cache/apt/archives', 'var/lib/apt/lists']) rmSync(join(part, folder), { recursive: true, force: true })
    renameSync(part, root)
  }
  return { is: 'there', folder: root }
}
