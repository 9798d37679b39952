/** An SSH server on a lab host: this machine's own, carried over with the libraries that the host lacks. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from './host.ts'
import { mustRun, until } from './run.ts'

export interface SshAccess {
  /** Lets in as root on every host that it was given to. */
  readonly privateKey: string
  readonly publicKey: string
}

const withoutComment = (line: string): string => line.trim().split(' ').slice(0, 2).join(' ')

export async function makeAccess(): Promise<SshAccess> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-lab-'))
  try {
    await mustRun(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'lab', '-f', join(folder, 'key')])
    return {
      privateKey: readFileSync(join(folder, 'key'), 'utf8'),
      publicKey: withoutComment(readFileSync(join(folder, 'key.pub'), 'utf8'))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const config = `Port 22
HostKey /etc/lab-ssh/key
AuthorizedKeysFile /etc/lab-ssh/authorized
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
PidFile none
`

/** Serves SSH on the host; answers its host key. */
export async function serveSsh(host: Host, { publicKey }: SshAccess): Promise<string> {
  const own = await makeAccess()
  const libraries = "ldd /usr/sbin/sshd | awk '$3 ~ /^\\// { print $3 }'"
  const archive = await mustRun(['sh', '-c', `tar -czhf - -C / usr/sbin/sshd $(${libraries} | sed 's,^/,,') | base64`])
  const put = await host.shell('base64 -d | tar -xzf - -C / --skip-old-files', { input: archive })
  if (put.code !== 0) throw new Error(`sshd could not be carried over: ${put.stderr}`)
  for (const [name, text] of [
    ['key', own.privateKey],
    ['authorized', `${publicKey}\n`],
    ['config', config]
  ] as const) {
    const written = await host.shell(`umask 077; mkdir -p /etc/lab-ssh /run/sshd; cat >/etc/lab-ssh/${name}`, { input: text })
    if (written.code !== 0) throw new Error(written.stderr)
  }
  const account = await host.shell('useradd --system --home-dir /run/sshd --shell /usr/sbin/nologin sshd')
  if (account.code !== 0) throw new Error(account.stderr)
  const started = await host.shell('systemd-run --quiet --unit lab-sshd /usr/sbin/sshd -D -e -f /etc/lab-ssh/config')
  if (started.code !== 0) throw new Error(started.stderr)
  await until('SSH is served', 10_000, async () => (await host.shell('ss -Hltn sport = :22')).stdout !== '')
  return own.publicKey
}
