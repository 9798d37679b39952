/** Engines on hosts of a pool, by the OpenSSH client: one engine a host, installed as by hand, under systemd. Host keys are pinned. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DriverFailed, mustBeEngineName, type Driver } from '../port.ts'
import { installScript, removeScript } from './script.ts'

export interface PoolHost {
  readonly address: string
  readonly port: number
  readonly user: string
  /** `ssh-ed25519 AAAA...`, as in the host's own .pub file. */
  readonly hostKey: string
}

export interface SshDriverOptions {
  readonly hosts: readonly PoolHost[]
  /** In OpenSSH's or PEM form, without a passphrase. */
  readonly privateKey: string
  readonly controllerId: string
  readonly pin: string
  readonly env: NodeJS.ProcessEnv
  readonly random: () => number
  /** The OpenSSH client. */
  readonly program?: string
}

const CONNECT_S = 10
const SAID_MAX = 16_384

export function openSshDriver(options: SshDriverOptions): Driver {
  const { hosts, controllerId, pin, random } = options

  const onHost = async (name: string, address: string | undefined, script: string, signal: AbortSignal): Promise<void> => {
    mustBeEngineName(name)
    const host = hosts.find(one => one.address === address)
    if (host === undefined) throw new DriverFailed(`host ${String(address)} is not in the pool any more`)
    const { code, said } = await runOn(options, host, script, signal)
    if (code !== 0) throw new DriverFailed(`host ${host.address}: ${lastWords(said) || `ssh ended with ${code}`}`)
  }

  return {
    // Its service manager starts an engine again; to ask a whole pool every few seconds would tell no more.
    list: async () => undefined,
    pick: taken => {
      const free = hosts.filter(({ address }) => !taken.includes(address))
      // By chance: one that fails is not the first again.
      return free[Math.floor(random() * free.length)]?.address
    },
    ensure: async ({ name, host, controllerUrl, token, signal }) =>
      onHost(name, host, installScript({ controllerId, name, controllerUrl, pin, ...(token === undefined ? {} : { token }) }), signal),
    destroy: async ({ name, host, signal }) => {
      // It never came to a host.
      if (host === undefined) return void mustBeEngineName(name)
      await onHost(name, host, removeScript({ controllerId, name }), signal)
    }
  }
}

/** The last line that says what is wrong: the installer and ssh tell many. */
function lastWords(said: string): string {
  const lines = said.split('\n').flatMap(line => {
    const text = line.replace(/[^\x20-\x7e]+/g, ' ').trim()
    return text === '' ? [] : [text]
  })
  return (lines.findLast(line => line.startsWith('weir: '))?.slice('weir: '.length) ?? lines.at(-1) ?? '').slice(0, 500)
}

/** Key and host keys lie in files for as long as it takes; nothing of the controller's own configuration of ssh counts. */
async function runOn(
  { privateKey, env, program = 'ssh' }: SshDriverOptions,
  { address, port, user, hostKey }: PoolHost,
  script: string,
  signal: AbortSignal
): Promise<{ readonly code: number; readonly said: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-ssh-'))
  try {
    const [key, known] = [join(folder, 'key'), join(folder, 'known')]
    writeFileSync(key, privateKey.endsWith('\n') ? privateKey : `${privateKey}\n`, { mode: 0o600 })
    writeFileSync(known, `${port === 22 ? address : `[${address}]:${port}`} ${hostKey}\n`, { mode: 0o600 })
    const settings = {
      BatchMode: 'yes',
      CheckHostIP: 'no',
      ConnectTimeout: String(CONNECT_S),
      ServerAliveInterval: '10',
      ServerAliveCountMax: '3',
      GlobalKnownHostsFile: '/dev/null',
      UserKnownHostsFile: known,
      StrictHostKeyChecking: 'yes',
      UpdateHostKeys: 'no',
      IdentitiesOnly: 'yes',
      IdentityAgent: 'none',
      IdentityFile: key,
      PreferredAuthentications: 'publickey',
      ForwardAgent: 'no',
      ForwardX11: 'no',
      ClearAllForwardings: 'yes',
      LogLevel: 'ERROR'
    }
    const args = [
      '-F',
      'none',
      '-T',
      '-p',
      String(port),
      '-l',
      user,
      ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
      '--',
      address,
      user === 'root' ? 'sh -s' : 'sudo -n sh -s'
    ]
    return await new Promise((done, fail) => {
      const child = spawn(program, args, {
        signal,
        stdio: ['pipe', 'ignore', 'pipe'],
        env: { PATH: env['PATH'] ?? '/usr/bin:/bin', HOME: folder, LANG: 'C' }
      })
      let said = ''
      child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-SAID_MAX)))
      child.once('error', (error: NodeJS.ErrnoException) => {
        const words =
          error.code === 'ENOENT' ? 'the OpenSSH client is missing on the host of the controller' : `ssh to ${address}: ${error.message}`
        fail(new DriverFailed(words, { cause: error }))
      })
      child.once('close', code => done({ code: code ?? 255, said }))
      child.stdin.on('error', () => undefined)
      child.stdin.end(script)
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
