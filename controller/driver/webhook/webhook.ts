/**
 * Engines that somebody else makes: a webhook is told to, and the join is waited for. What it is told is the same however often it is
 * said, so that whoever answers knows an engine by its name.
 */
import { DriverFailed, mustBeEngineName, type Driver } from '../port.ts'

export interface WebhookDriverOptions {
  /** Uuid of its resource. */
  readonly webhook: string
  readonly webhooks: {
    readonly callNow: (webhook: string, delivery: string, message: object, signal: AbortSignal) => Promise<void>
  }
  /** sha256//... of the controller's key, for whoever fetches an installer there. */
  readonly pin: string
}

export function openWebhookDriver({ webhook, webhooks, pin }: WebhookDriverOptions): Driver {
  const call = async (event: string, name: string, message: object, signal: AbortSignal): Promise<void> => {
    const delivery = `${event}-${mustBeEngineName(name)}`
    try {
      await webhooks.callNow(webhook, delivery, { event, id: delivery, ...message }, signal)
    } catch (error) {
      throw new DriverFailed(error instanceof Error ? error.message : String(error), { cause: error })
    }
  }
  return {
    // Nobody can tell what others run.
    list: async () => undefined,
    ensure: ({ name, group, controllerUrl, token, signal }) =>
      call(
        'engine.create',
        name,
        { engine: { name, group }, controller: controllerUrl, pin, ...(token === undefined ? {} : { token }) },
        signal
      ),
    destroy: ({ name, group, signal }) => call('engine.destroy', name, { engine: { name, group } }, signal)
  }
}
