/** What a lab test needs of the machine, and the sentence that it is skipped with when something lacks. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const packageOf: Readonly<Record<string, string>> = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  ip: 'iproute2',
  curl: 'curl',
  ldd: 'libc-bin',
  tar: 'tar',
  gzip: 'gzip',
  debootstrap: 'debootstrap',
  podman: 'podman',
  runc: 'runc',
  sshd: 'openssh-server',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  nft: 'nftables',
  conntrack: 'conntrack',
  bird: 'bird2',
  birdc: 'bird2',
  ss: 'iproute2',
  'dpkg-deb': 'dpkg',
  rpmbuild: 'rpm',
  rpm2cpio: 'rpm'
}

/** debootstrap and runc live where an ordinary PATH does not look. */
export const toolPath = [process.env['PATH'] ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter)

const isThere = (tool: string): boolean => toolPath.split(delimiter).some(folder => folder !== '' && existsSync(join(folder, tool)))

function mayUnshare(): boolean {
  try {
    const namespaces = ['--net', '--mount', '--pid', '--fork', '--uts', '--ipc', '--cgroup', '--mount-proc']
    execFileSync('unshare', [...namespaces, 'true'], { stdio: 'ignore', timeout: 10_000 })
    return true
  } catch {
    return false
  }
}

/**
 * Looks for what the tests below need; the first thing that lacks is named.
 *
 * Returns `undefined` when all is there
 */
export function lacking(tools: readonly string[]): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root, for namespaces'
  const missing = ['unshare', 'nsenter', 'setpriv', 'ip', 'curl', 'ldd', 'tar', 'gzip', ...tools].filter(tool => !isThere(tool))
  if (missing.length > 0) return `needs ${missing.map(tool => `${tool} (apt-get install ${packageOf[tool] ?? tool})`).join(', ')}`
  if (!mayUnshare()) return 'may not make namespaces here (unshare is refused)'
  return undefined
}
