/** The Debian that lab hosts run: made once by debootstrap, kept between runs. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { toolPath } from './needs.ts'
import { run } from './run.ts'

const packages = ['systemd', 'systemd-sysv', 'dbus', 'iproute2', 'curl', 'ca-certificates', 'procps', 'nftables', 'conntrack', 'rpm']

/** What makes the root: in its name, so that another recipe makes another root. */
const name = 'debian-bookworm-3'

const cacheFolder = process.env['WEIR_LAB_CACHE'] ?? join(import.meta.dirname, '.cache')

/** A minimal Debian with systemd, deliberately without `libatomic.so.1`. */
export const debianFolder = join(cacheFolder, name)

/**
 * Makes it when it is not there.
 *
 * Returns why it cannot be made here, most often the network; `undefined` when it is there
 * Cost    a minute and 250 MB the first time
 */
export async function makeDebian(): Promise<string | undefined> {
  if (existsSync(debianFolder)) return undefined
  mkdirSync(cacheFolder, { recursive: true })
  for (const left of readdirSync(cacheFolder)) if (left.endsWith('.part')) rmSync(join(cacheFolder, left), { recursive: true, force: true })
  const part = `${debianFolder}.${process.pid}.part`
  // What it mounts goes with it when it is killed.
  const contained = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  const recipe = ['--variant=minbase', `--include=${packages.join(',')}`, 'bookworm', part]
  const made = await run([...contained, 'debootstrap', ...recipe], { timeoutMs: 240_000, env: { ...process.env, PATH: toolPath } })
  if (made.code !== 0) {
    rmSync(part, { recursive: true, force: true })
    const lastWords = `${made.stdout}${made.stderr}`.trim().split('\n').slice(-2).join(' ')
    return `debootstrap cannot make a Debian here: ${lastWords}`
  }
  for (const folder of ['var/cache/apt/archives', 'var/lib/apt/lists']) rmSync(join(part, folder), { recursive: true, force: true })
  renameSync(part, debianFolder)
  return undefined
}
