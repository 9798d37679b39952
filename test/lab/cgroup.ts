/** Control groups outlive the processes that were in them: whoever makes one removes it. */
import { readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

/** Where the machine has its control groups mounted, both generations. */
export function cgroupMounts(): readonly string[] {
  const lines = readFileSync('/proc/mounts', 'utf8').split('\n')
  return lines.flatMap(line => {
    const [, folder, kind] = line.split(' ')
    return folder !== undefined && (kind === 'cgroup' || kind === 'cgroup2') ? [folder] : []
  })
}

/** Where cgroup2 is mounted. */
export function cgroup2Folder(): string {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find(mount => mount.split(' ')[2] === 'cgroup2')
  const folder = line?.split(' ')[1]
  if (folder === undefined) throw new Error('cgroup2 is not mounted on this machine')
  return folder
}

/** A group goes when all below it went and no process is left in it; answers whether it went. */
export function removeCgroup(folder: string): boolean {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) removeCgroup(join(folder, entry.name))
    rmdirSync(folder)
    return true
  } catch {
    return false
  }
}
