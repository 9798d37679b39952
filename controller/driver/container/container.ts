/** Engines as containers of one Docker or Podman, over the API that both have; each with a volume of its own, under the same name. */
import { DriverFailed, isEngineName, mustBeEngineName, type Driver } from '../port.ts'
import { openDockerApi, type DockerAnswer } from './api.ts'

export interface ContainerDriverOptions {
  readonly socketPath: string
  /** Tells our containers from those of another controller. */
  readonly controllerId: string
  readonly image: string
  /** `host`, or the name of a network. */
  readonly network: string
  readonly workers: number
  /** MiB; 0: no limit. */
  readonly memory: number
}

/** An engine that is told to stop drains for 8 s. */
const STOP_S = 15
const LABEL = 'weir.driver'

export function openContainerDriver(options: ContainerDriverOptions): Driver {
  const { socketPath, controllerId, image, network, workers, memory } = options
  const call = openDockerApi(socketPath)

  const must = ({ status, message }: DockerAnswer, allowed: readonly number[], what: string): void => {
    if (!allowed.includes(status))
      throw new DriverFailed(`${what}: the container engine answers ${status}${message === '' ? '' : `, ${message}`}`)
  }

  /** Undefined: there is none. Throws when it is somebody else's. */
  const find = async (name: string, signal: AbortSignal): Promise<{ readonly isRunning: boolean } | undefined> => {
    const answer = await call('GET', `/containers/${mustBeEngineName(name)}/json`, undefined, signal)
    if (answer.status === 404) return undefined
    must(answer, [200], `container ${name} cannot be looked at`)
    const { Config, State } = answer.body as {
      readonly Config?: { readonly Labels?: Record<string, unknown> }
      readonly State?: { readonly Running?: unknown }
    }
    if (Config?.Labels?.[LABEL] !== controllerId) throw new DriverFailed(`there is a container ${name} that this controller did not make`)
    return { isRunning: State?.Running === true }
  }

  return {
    list: async signal => {
      const filters = encodeURIComponent(JSON.stringify({ label: [`${LABEL}=${controllerId}`] }))
      const answer = await call('GET', `/containers/json?all=true&filters=${filters}`, undefined, signal)
      must(answer, [200], 'containers cannot be listed')
      if (!Array.isArray(answer.body)) throw new DriverFailed('containers cannot be listed: the container engine answers no list')
      return (answer.body as readonly { readonly Names?: readonly unknown[]; readonly State?: unknown }[]).flatMap(({ Names, State }) => {
        const first = Names?.[0]
        const name = typeof first === 'string' ? first.replace(/^\//, '') : ''
        return isEngineName(name) ? [{ name, isRunning: State === 'running' }] : []
      })
    },

    ensure: async ({ name, controllerUrl, token, signal }) => {
      const there = await find(name, signal)
      if (there?.isRunning === true) return
      if (there === undefined) {
        const env = {
          WEIR_CONTROLLER: controllerUrl,
          WEIR_NAME: name,
          WEIR_WORKERS: String(workers),
          ...(token === undefined ? {} : { WEIR_TOKEN: token })
        }
        const answer = await call('POST', `/containers/create?name=${name}`, containerOf(name, env), signal)
        if (answer.status === 404)
          throw new DriverFailed(`there is no image ${image}: make it on the host of the container engine (container.sh image)`)
        must(answer, [201], `container ${name} could not be made`)
      }
      must(await call('POST', `/containers/${name}/start`, undefined, signal), [204, 304], `container ${name} could not be started`)
    },

    destroy: async ({ name, signal }) => {
      if ((await find(name, signal)) !== undefined) {
        must(
          await call('POST', `/containers/${name}/stop?t=${STOP_S}`, undefined, signal),
          [204, 304, 404],
          `container ${name} could not be stopped`
        )
        must(
          await call('DELETE', `/containers/${name}?force=true`, undefined, signal),
          [200, 204, 404],
          `container ${name} could not be removed`
        )
      }
      must(await call('DELETE', `/volumes/${mustBeEngineName(name)}`, undefined, signal), [204, 404], `volume ${name} could not be removed`)
    }
  }

  /** As the installer for containers starts one: nobody, one capability, nothing to write to but its volume. */
  function containerOf(name: string, env: Readonly<Record<string, string>>): object {
    return {
      Image: image,
      Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
      Labels: { [LABEL]: controllerId },
      StopTimeout: STOP_S,
      HostConfig: {
        NetworkMode: network,
        CapDrop: ['ALL'],
        CapAdd: ['NET_BIND_SERVICE'],
        SecurityOpt: ['no-new-privileges'],
        ReadonlyRootfs: true,
        Tmpfs: { '/tmp': '' },
        Mounts: [{ Type: 'volume', Source: name, Target: '/var/lib/weir' }],
        RestartPolicy: { Name: 'always' },
        ...(memory === 0 ? {} : { Memory: memory * 1024 * 1024 })
      }
    }
  }
}
