/** The two package managers, as an administrator calls them. RPM runs on the same Debian: there is no distribution of its own here. */
import type { Host } from './host.ts'
import type { Distribution } from './package.ts'

export interface Manager {
  /** Takes a file; the same for a newer one. */
  readonly install: string
  /** Data stay. */
  readonly remove: string
  readonly list: string
}

export function managerOf(kind: Distribution, name: string): Manager {
  return kind === 'deb'
    ? { install: 'dpkg -i', remove: `dpkg --remove ${name}`, list: `dpkg -s ${name}` }
    : { install: 'rpm -U', remove: `rpm --erase ${name}`, list: `rpm -q ${name}` }
}

/** Debian's rpm refuses to install unless told that it is meant, and knows none of what dpkg installed. */
export async function makeReady(kind: Distribution, host: Host): Promise<void> {
  if (kind === 'deb') return
  const aliases = 'rpm alias -U -U --force-debian --nodeps\\nrpm alias --erase --erase --force-debian\\n'
  await host.shell(`mkdir -p /root && printf "${aliases}" >/root/.popt && rpm -qa`)
}

/** What the managers write about themselves; dpkg takes `/opt` along when the last package in it goes and it is empty. */
export const isOfManagers = (line: string): boolean =>
  /^[-+] \/(var\/lib\/(rpm|dpkg)|root\/\.rpmdb|root\/weir-|var\/cache)|^- \/opt d/.test(line)
