/** Type of a driver -> how it is made. One that the model names and this does not makes no program. */
import { join } from 'node:path'
import type { EngineDriverSettings } from '#model/resource/cloud.ts'
import type { Driver } from './port.ts'
import type { Webhooks } from '#controller/webhook/webhook.ts'
import { openProcessDriver } from './process/process.ts'
import { openWebhookDriver } from './webhook/webhook.ts'

export interface CatalogOptions {
  readonly dataFolder: string
  /** What starts an engine of this version on this host. */
  readonly engineCommand: readonly [program: string, ...args: string[]]
  readonly env: NodeJS.ProcessEnv
  readonly webhooks: Pick<Webhooks, 'callNow'>
  /** sha256//... of the key that the controller's port shows. */
  readonly serverKeyPin: string
}

type Type = EngineDriverSettings['type']

const catalog: { readonly [T in Type]: (settings: EngineDriverSettings, options: CatalogOptions) => Driver } = {
  PROCESS: ({ process }, { dataFolder, engineCommand, env }) =>
    openProcessDriver({ folder: join(dataFolder, 'engines'), command: engineCommand, workers: process?.workers ?? 1, env }),
  WEBHOOK: ({ webhook_ref: webhook = '' }, { webhooks, serverKeyPin: pin }) => openWebhookDriver({ webhook, webhooks, pin })
}

/** Throws DriverFailed when it cannot be made as things are. */
export const makeDriver = (settings: EngineDriverSettings, options: CatalogOptions): Driver => catalog[settings.type](settings, options)
