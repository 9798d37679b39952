/** The Debians that lab hosts run: made once by debootstrap, kept between runs. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { toolPath } from './needs.ts'
import { run } from './run.ts'

const packages = ['systemd', 'systemd-sysv', 'dbus', 'iproute2', 'curl', 'ca-certificates', 'procps', 'nftables', 'conntrack', 'rpm']

const cacheFolder = process.env['WEIR_LAB_CACHE'] ?? join(import.meta.dirname, '.cache')

/** What makes a root is in its name, so that another recipe makes another root. */
const name = 'debian-bookworm-3'

/** A minimal Debian with systemd, deliberately without `libatomic.so.1`. */
export const debianFolder = join(cacheFolder, name)

/** The same as images of clouds are: with cloud-init, and Python for those who come by SSH. */
export const provisionedFolder = join(cacheFolder, `${name}-provisioned`)

/** Makes a folder under another name first; what a killed run left goes. */
async function makeFolder(folder: string, steps: (part: string) => readonly (readonly string[])[]): Promise<string | undefined> {
  if (existsSync(folder)) return undefined
  mkdirSync(cacheFolder, { recursive: true })
  for (const left of readdirSync(cacheFolder)) if (left.endsWith('.part')) rmSync(join(cacheFolder, left), { recursive: true, force: true })
  const part = `${folder}.${process.pid}.part`
  for (const step of steps(part)) {
    // What it mounts goes with it when it is killed.
    const contained = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', ...step]
    const made = await run(contained, { timeoutMs: 480_000, env: { ...process.env, PATH: toolPath, DEBIAN_FRONTEND: 'noninteractive' } })
    if (made.code === 0) continue
    rmSync(part, { recursive: true, force: true })
    return `${step[0]} cannot make a Debian here: ${`${made.stdout}${made.stderr}`.trim().split('\n').slice(-2).join(' ')}`
  }
  for (const path of ['var/cache/apt/archives', 'var/lib/apt/lists']) rmSync(join(part, path), { recursive: true, force: true })
  renameSync(part, folder)
  return undefined
}

/**
 * Makes it when it is not there.
 *
 * Returns why it cannot be made here, most often the network; `undefined` when it is there
 * Cost    a minute and 250 MB the first time
 */
export function makeDebian(): Promise<string | undefined> {
  return makeFolder(debianFolder, part => [['debootstrap', '--variant=minbase', `--include=${packages.join(',')}`, 'bookworm', part]])
}

/** The same; another half minute and 400 MB. */
export async function makeProvisionedDebian(): Promise<string | undefined> {
  const install =
    'mount -t proc proc /proc; mkdir -p /var/cache/apt/archives/partial && apt-get -q update && apt-get -qy --no-install-recommends install python3 cloud-init'
  return (
    (await makeDebian()) ??
    makeFolder(provisionedFolder, part => [
      ['cp', '-a', debianFolder, part],
      ['cp', '/etc/resolv.conf', join(part, 'etc/resolv.conf')],
      ['chroot', part, 'sh', '-c', install]
    ])
  )
}
