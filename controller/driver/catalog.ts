/** Type of a driver -> how it is made. One that the model names and this does not makes no program. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { EngineDriverSettings } from '#model/resource/cloud.ts'
import { openContainerDriver } from './container/container.ts'
import { DriverFailed, type Driver } from './port.ts'
import type { Webhooks } from '#controller/webhook/webhook.ts'
import { openProcessDriver } from './process/process.ts'
import { openSshDriver } from './ssh/ssh.ts'
import { openWebhookDriver } from './webhook/webhook.ts'

export interface CatalogOptions {
  readonly dataFolder: string
  /** What starts an engine of this version on this host. */
  readonly engineCommand: readonly [program: string, main: string]
  readonly env: NodeJS.ProcessEnv
  readonly webhooks: Pick<Webhooks, 'callNow'>
  /** sha256//... of the key that the controller's port shows. */
  readonly serverKeyPin: string
  readonly caFingerprint: string
  readonly openSecret: (sealed: string) => string
  readonly random: () => number
  /** Of Docker or Podman; '' when the controller was told of none. */
  readonly containerSocket: string
}

/** What tells one controller from another where both make engines. */
const idOf = (caFingerprint: string): string => createHash('sha256').update(caFingerprint).digest('hex').slice(0, 16)

type Type = EngineDriverSettings['type']

const catalog: { readonly [T in Type]: (settings: EngineDriverSettings, options: CatalogOptions) => Driver } = {
  PROCESS: ({ process }, { dataFolder, engineCommand, env }) => {
    const [, main] = engineCommand
    if (!existsSync(main))
      throw new DriverFailed(`an installed controller has no engine beside it (${main}): type CONTAINER, SSH or WEBHOOK makes them`)
    return openProcessDriver({ folder: join(dataFolder, 'engines'), command: engineCommand, workers: process?.workers ?? 1, env })
  },
  CONTAINER: ({ container }, { containerSocket, caFingerprint }) => {
    if (containerSocket === '') throw new DriverFailed('the controller knows no container engine: set WEIR_CONTAINER_SOCKET')
    const { image = 'weir-engine', network = 'host', workers = 1, memory = 0 } = container ?? {}
    return openContainerDriver({ socketPath: containerSocket, controllerId: idOf(caFingerprint), image, network, workers, memory })
  },
  SSH: ({ ssh }, { caFingerprint, serverKeyPin: pin, env, random, openSecret }) => {
    if (ssh === undefined) throw new DriverFailed('it has no hosts')
    const hosts = ssh.hosts.map(({ host_key: hostKey, ...host }) => ({ ...host, hostKey }))
    return openSshDriver({ hosts, privateKey: openSecret(ssh.private_key), controllerId: idOf(caFingerprint), pin, env, random })
  },
  WEBHOOK: ({ webhook_ref: webhook = '' }, { webhooks, serverKeyPin: pin }) => openWebhookDriver({ webhook, webhooks, pin })
}

/** Throws DriverFailed when it cannot be made as things are. */
export const makeDriver = (settings: EngineDriverSettings, options: CatalogOptions): Driver => catalog[settings.type](settings, options)
