/** A host that runs containers: a network of its own, podman with storage of its own, gone with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cgroupMounts, removeCgroup } from './cgroup.ts'
import { mustRun, run, until, type Ran, type RunOptions } from './run.ts'

export interface ContainerHost {
  readonly address: string
  /** Runs a command on the host's network with its podman. */
  readonly run: (command: readonly string[], options?: RunOptions) => Promise<Ran>
  /** Serves the Docker API; answers the path of its socket. */
  readonly serveApi: () => Promise<string>
  readonly stop: () => Promise<void>
}

/**
 * Hands a container to `runc` without resource limits: raising them is not permitted to a root without CAP_SYS_RESOURCE,
 * and podman asks for it always.
 */
const runtimeScript = (node: string): string => `#!/bin/sh
previous=
for argument; do
  if [ "$previous" = --bundle ]; then
    ${node} -e 'const fs = require("fs"), f = process.argv[1], c = JSON.parse(fs.readFileSync(f)); delete c.process.rlimits; fs.writeFileSync(f, JSON.stringify(c))' "$argument/config.json"
  fi
  previous=$argument
done
exec runc "$@"
`

/** `name` is the network namespace's; the test runs in a mount namespace of its own, so nothing of it is seen outside. */
export async function startContainerHost(options: {
  readonly name: string
  readonly address: string
  readonly gateway: string
}): Promise<ContainerHost> {
  const { name, address, gateway } = options
  const folder = mkdtempSync(join(tmpdir(), 'weir-lab-'))
  const runtime = join(folder, 'runtime')
  writeFileSync(runtime, runtimeScript(process.execPath), { mode: 0o755 })
  const [conf, storage] = [join(folder, 'containers.conf'), join(folder, 'storage.conf')]
  mkdirSync(join(folder, 'tmp'))
  writeFileSync(
    conf,
    [
      '[engine]',
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
      // By path: what restarts a container is not told of this file.
      `runtime = "${runtime}"`,
      `tmp_dir = "${folder}/tmp"`,
      `volume_path = "${folder}/volumes"`,
      `static_dir = "${folder}/graph/libpod"`,
      '[network]',
      `network_config_dir = "${folder}/networks"`,
      ''
    ].join('\n')
  )
  writeFileSync(storage, `[storage]\ndriver = "overlay"\ngraphroot = "${folder}/graph"\nrunroot = "${folder}/run"\n`)
  const env = { ...process.env, CONTAINERS_CONF: conf, CONTAINERS_STORAGE_CONF: storage, TMPDIR: join(folder, 'tmp') }

  // Its names live on a mount of this test's own.
  mkdirSync('/run/netns', { recursive: true })
  await mustRun(['mount', '-t', 'tmpfs', 'tmpfs', '/run/netns'])
  await mustRun(['ip', 'netns', 'add', name])
  await mustRun(['ip', 'link', 'add', 'labc', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name])
  await mustRun(['ip', 'address', 'add', gateway, 'dev', 'labc'])
  await mustRun(['ip', 'link', 'set', 'labc', 'up'])
  for (const step of ['link set lo up', `address add ${address} dev eth0`, 'link set eth0 up'])
    await mustRun(['ip', '-n', name, ...step.split(' ')])

  // Where this podman puts its containers beside what it has for itself; left empty by the last one.
  const parents = cgroupMounts().map(mount => join(mount, 'libpod_parent'))
  const added = parents.filter(parent => !existsSync(parent))

  const inHost = (command: readonly string[], more: RunOptions = {}): Promise<Ran> =>
    run(['nsenter', `--net=/run/netns/${name}`, ...command], { timeoutMs: 120_000, ...more, env: { ...env, ...more.env } })
  let api: ChildProcess | undefined
  return {
    serveApi: async () => {
      const path = join(folder, 'podman.sock')
      const command = ['podman', 'system', 'service', '--time=0', `unix://${path}`]
      const service = spawn('nsenter', [`--net=/run/netns/${name}`, ...command], { env, stdio: ['ignore', 'ignore', 'pipe'] })
      api = service
      let said = ''
      service.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
      await until('the API is served', 20_000, async () => existsSync(path)).catch((error: unknown) => {
        throw new Error(`podman serves no API: ${said}`, { cause: error })
      })
      return path
    },
    address: address.split('/')[0]!,
    run: inHost,
    stop: async () => {
      api?.kill('SIGTERM')
      await inHost(['podman', 'rm', '--all', '--force', '--time', '1'])
      await run(['umount', '--recursive', join(folder, 'graph')])
      for (const parent of added) removeCgroup(parent)
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
