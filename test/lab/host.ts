/** A host on the test's own network: a Debian whose PID 1 is systemd, in namespaces of its own. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { cgroup2Folder, removeCgroup } from './cgroup.ts'
import { mustRun, run, until, type Ran, type RunOptions } from './run.ts'

export interface Host {
  readonly name: string
  readonly address: string
  /** Of its first process: `nsenter -t PID -a` is the way in. */
  readonly pid: () => number
  /** Runs a command on the host as its root. */
  readonly run: (command: readonly string[], options?: RunOptions) => Promise<Ran>
  /** Runs a line of shell there. */
  readonly shell: (line: string, options?: RunOptions) => Promise<Ran>
  /** Pulls the cable out, or puts it back. */
  readonly plug: (isIn: boolean) => Promise<void>
  /** Shuts down as systemd does and boots again with the same disk. */
  readonly reboot: () => Promise<void>
  readonly stop: () => Promise<void>
}

export interface HostOptions {
  readonly rootFolder: string
  readonly name: string
  /** Of the host, with its prefix length, and of the test's side of the cable. */
  readonly address: string
  readonly gateway: string
  /** What lies on its disk before it boots for the first time: path -> text. */
  readonly files?: Readonly<Record<string, string>>
}

const cgroupPrefix = 'weir-lab-'

/** What earlier runs had to leave behind: cgroups outlive a killed test. */
function sweepCgroups(top: string): void {
  for (const name of readdirSync(top)) if (name.startsWith(cgroupPrefix)) removeCgroup(join(top, name))
}

const guestPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

interface Running {
  readonly pid: number
  /** Settles when the host is off. */
  readonly ended: Promise<void>
  readonly kill: () => void
}

/** Puts the host together in its folder and waits until systemd says that it runs. */
async function boot(options: HostOptions, folder: string, cgroup: string, cable: string): Promise<Running> {
  mkdirSync(cgroup)
  const namespaces = ['--pid', '--fork', '--kill-child', '--mount', '--uts', '--ipc', '--net', '--cgroup']
  const command = ['sh', join(import.meta.dirname, 'boot.sh'), options.rootFolder, folder, options.name]
  const join1 = 'echo $$ > "$0"; exec "$@"'
  const guard = spawn('sh', ['-c', join1, join(cgroup, 'cgroup.procs'), 'unshare', ...namespaces, ...command], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const said: Buffer[] = []
  for (const stream of [guard.stdout, guard.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk))
  const ended = new Promise<void>(done => guard.on('close', () => done()))
  const kill = (): void => void guard.kill('SIGKILL')
  let pid = 0
  try {
    await until('the host has a first process', 10_000, async () => {
      pid = Number((await run(['ps', '-o', 'pid=', '--ppid', `${guard.pid}`])).stdout.trim().split(/\s+/)[0])
      return pid > 0 && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'systemd'
    })
    await mustRun(['ip', 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `${pid}`])
    await mustRun(['ip', 'address', 'add', options.gateway, 'dev', cable])
    await mustRun(['ip', 'link', 'set', cable, 'up'])
    const inNetwork = ['nsenter', '-t', `${pid}`, '-n', 'ip']
    await mustRun([...inNetwork, 'link', 'set', 'lo', 'up'])
    await mustRun([...inNetwork, 'address', 'add', options.address, 'dev', 'eth0'])
    await mustRun([...inNetwork, 'link', 'set', 'eth0', 'up'])
    await mustRun([...inNetwork, 'route', 'add', 'default', 'via', options.gateway.split('/')[0]!])
    await until(
      'systemd says running',
      30_000,
      async () => (await enter(pid, ['systemctl', 'is-system-running'])).stdout.trim() === 'running'
    )
    return { pid, ended, kill }
  } catch (error) {
    const states = 'systemctl is-system-running; systemctl --failed --plain --no-legend; systemctl list-jobs --no-legend'
    if (pid > 0) said.push(Buffer.from((await enter(pid, ['sh', '-c', states])).stdout))
    kill()
    await ended
    throw new Error(`host ${options.name} does not boot: ${Buffer.concat(said).toString()}`, { cause: error })
  }
}

const enter = (pid: number, command: readonly string[], more: RunOptions = {}): Promise<Ran> =>
  run(['nsenter', '-t', `${pid}`, '-a', 'env', '-i', `PATH=${guestPath}`, 'HOME=/root', 'LANG=C', ...command], more)

/** Boots; answers when systemd says that it runs. */
export async function startHost(options: HostOptions): Promise<Host> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-lab-'))
  const top = cgroup2Folder()
  sweepCgroups(top)
  const cgroup = join(top, `${cgroupPrefix}${options.name}-${folder.slice(-6)}`)
  const cable = `lab${folder.slice(-6)}`
  const off = (): Promise<unknown> => until('the cgroup of the host is empty', 10_000, async () => removeCgroup(cgroup))
  const clean = async (): Promise<void> => {
    await off()
    rmSync(folder, { recursive: true, force: true })
  }
  let host: Running
  let stopped: Promise<void> | undefined
  try {
    for (const [path, text] of Object.entries(options.files ?? {})) {
      mkdirSync(join(folder, 'upper', dirname(path)), { recursive: true })
      writeFileSync(join(folder, 'upper', path), text)
    }
    host = await boot(options, folder, cgroup, cable)
  } catch (error) {
    await clean()
    throw error
  }
  const inHost = (command: readonly string[], more: RunOptions = {}): Promise<Ran> => enter(host.pid, command, more)
  return {
    name: options.name,
    address: options.address.split('/')[0]!,
    pid: () => host.pid,
    run: inHost,
    shell: (line, more) => inHost(['sh', '-c', line], more),
    plug: async isIn => void (await mustRun(['ip', 'link', 'set', cable, isIn ? 'up' : 'down'])),
    reboot: async () => {
      await inHost(['systemctl', 'reboot'])
      const isLate = setTimeout(host.kill, 60_000)
      await host.ended
      clearTimeout(isLate)
      await off()
      host = await boot(options, folder, cgroup, cable)
    },
    stop: () => {
      stopped ??= (async () => {
        host.kill()
        await host.ended
        await clean()
      })()
      return stopped
    }
  }
}
