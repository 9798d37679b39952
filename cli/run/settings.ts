/** The environment of `make run`, read and checked once. */
import { resolve } from 'node:path'

export interface Settings {
  readonly dataFolder: string
  readonly port: number
  readonly enginePort: number
  readonly demoPort: number
  readonly hasDemo: boolean
}

/** What a person got wrong, or what the machine does not give: told in one line, exit code 2. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

function portIn(env: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const text = env[name]
  if (text === undefined || text === '') return otherwise
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (!(port >= 1 && port <= 65535)) throw new Refused(`${name} must be a port from 1 to 65535, not "${text}"`)
  return port
}

/** Throws Refused for a bad variable. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const demo = env['WEIR_DEMO'] ?? '1'
  if (demo !== '0' && demo !== '1') throw new Refused(`WEIR_DEMO must be 0 or 1, not "${demo}"`)
  const settings = {
    dataFolder: resolve(env['WEIR_DATA'] || '.weir'),
    port: portIn(env, 'WEIR_PORT', 9443),
    enginePort: portIn(env, 'WEIR_ENGINE_PORT', 9444),
    demoPort: portIn(env, 'WEIR_DEMO_PORT', 8080),
    hasDemo: demo === '1'
  }
  const ports = [
    ['WEIR_PORT', settings.port],
    ['WEIR_ENGINE_PORT', settings.enginePort],
    ...(settings.hasDemo ? [['WEIR_DEMO_PORT', settings.demoPort] as const] : [])
  ] as const
  for (const [i, [name, port]] of ports.entries()) {
    const twin = ports.slice(0, i).find(([, other]) => other === port)
    if (twin) throw new Refused(`${twin[0]} and ${name} are both ${port}: they must differ`)
  }
  return settings
}
