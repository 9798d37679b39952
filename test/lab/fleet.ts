/** What lab tests ask of the controller: a command to join by, a service to carry, the state of its engines. */
import { createServer, get } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import type { Rest } from './controller.ts'

type Fields = Readonly<Record<string, unknown>>

export const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

async function post(controller: Rest, path: string, body: object): Promise<Fields> {
  const answer = await controller.call('POST', path, body)
  if (answer.status !== 201) throw new Error(`POST ${path} answers ${answer.status}: ${JSON.stringify(answer.body)}`)
  return fieldsOf(answer.body)
}

export interface Invitation {
  readonly token: string
  /** The whole line that a person pastes on a host. */
  readonly command: string
  /** The same for each way to run an engine. */
  readonly commands: Readonly<Record<string, string>>
}

export async function invite(controller: Rest): Promise<Invitation> {
  const { token, command, commands } = await post(controller, '/api/jointoken', {})
  return { token: String(token), command: String(command), commands: fieldsOf(commands) as Readonly<Record<string, string>> }
}

/** A virtual service on port 80 of an address, over one pool without a monitor. */
export async function serve(
  controller: Rest,
  name: string,
  address: string,
  server: { readonly host: string; readonly port: number }
): Promise<void> {
  const ip = (addr: string): object => ({ addr, type: 'V4' })
  await post(controller, '/api/pool', { name, servers: [{ ip: ip(server.host), port: server.port }] })
  await post(controller, '/api/vsvip', { name, vip: [{ vip_id: '1', ip_address: ip(address) }] })
  const refs = { vsvip_ref: `/api/vsvip?name=${name}`, pool_ref: `/api/pool?name=${name}` }
  await post(controller, '/api/virtualservice', { name, ...refs, services: [{ port: 80 }] })
}

/** A service that the kernel may forward: layer 4, fast path, on its own port of an address that is served already. */
export async function serveInKernel(
  controller: Rest,
  name: string,
  at: { readonly vsvip: string; readonly port: number },
  server: { readonly host: string; readonly port: number }
): Promise<void> {
  const servers = [{ ip: { addr: server.host, type: 'V4' }, port: server.port }]
  await post(controller, '/api/pool', { name, servers, lb_algorithm: 'LB_ALGORITHM_ROUND_ROBIN' })
  await post(controller, '/api/virtualservice', {
    name,
    vsvip_ref: `/api/vsvip?name=${at.vsvip}`,
    pool_ref: `/api/pool?name=${name}`,
    application_profile_ref: '/api/applicationprofile?name=System-L4-Application',
    network_profile_ref: '/api/networkprofile?name=System-TCP-Fast-Path',
    services: [{ port: at.port }]
  })
}

/** What the one engine says that it can do. */
export async function abilitiesOf(controller: Rest, engineName: string): Promise<readonly unknown[]> {
  const { results } = fieldsOf((await controller.call('GET', '/api/serviceengine')).body)
  const found = listOf(results)
    .map(fieldsOf)
    .find(engine => engine['name'] === engineName)
  const runtime = fieldsOf((await controller.call('GET', `/api/serviceengine/${String(found?.['uuid'])}/runtime`)).body)
  return listOf(runtime['abilities'])
}

/** name -> `OPER_UP` and the like, of all engines. */
export async function engineStates(controller: Rest): Promise<Readonly<Record<string, string>>> {
  const { results } = fieldsOf((await controller.call('GET', '/api/serviceengine')).body)
  const states = listOf(results).map(async item => {
    const { uuid, name } = fieldsOf(item)
    const runtime = fieldsOf((await controller.call('GET', `/api/serviceengine/${String(uuid)}/runtime`)).body)
    return [String(name), String(fieldsOf(runtime['oper_status'])['state'])] as const
  })
  return Object.fromEntries(await Promise.all(states))
}

export async function statesAre(controller: Rest, wanted: Readonly<Record<string, string>>): Promise<boolean> {
  return isDeepStrictEqual(await engineStates(controller), wanted)
}

/** A server behind the load balancer; says `name`. */
export function startServer(
  name: string,
  address: string
): Promise<{ readonly host: string; readonly port: number; readonly stop: () => Promise<void> }> {
  const server = createServer((_request, response) => response.end(name))
  return new Promise(done => {
    server.listen(0, address, () => {
      const at = server.address()
      const port = typeof at === 'object' && at !== null ? at.port : 0
      const stop = (): Promise<void> =>
        new Promise(stopped => {
          server.close(() => stopped())
          server.closeAllConnections()
        })
      done({ host: address, port, stop })
    })
  })
}

/** What a client reads, or the reason why it does not. */
export function fetchText(url: string): Promise<string> {
  return new Promise(done => {
    const asked = get(url, { agent: false, timeout: 2_000 }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', error => done(error.message))
      response.on('end', () => done(`${response.statusCode} ${Buffer.concat(chunks).toString()}`))
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.on('error', error => done(error.message))
  })
}

/**
 * Asks again and again, four at a time, while something happens.
 *
 * Returns how often it was asked, and every answer that was not the wanted one
 */
export async function askWhile(
  url: string,
  wanted: string,
  happens: () => Promise<unknown>
): Promise<{ readonly asked: number; readonly wrong: readonly string[] }> {
  let isOver = false
  let asked = 0
  const wrong: string[] = []
  const client = async (): Promise<void> => {
    while (!isOver) {
      const got = await fetchText(url)
      asked++
      if (got !== wanted) wrong.push(got)
    }
  }
  const clients = Promise.all(Array.from({ length: 4 }, client))
  try {
    await happens()
  } finally {
    isOver = true
    await clients
  }
  return { asked, wrong }
}
