/** Keep-alive connections to servers: one `http.Agent` per destination. */
import { Agent as HttpAgent, type AgentOptions } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { Destination } from '../../exchange/forwarder.ts'
import { upstreamTlsOptions } from '../../upstream/tls.ts'

/** The agents of one sharer: all clients of a worker, or one client connection when servers are not to be shared. */
export class Agents {
  readonly #agents = new Map<Destination, HttpAgent>()

  of(destination: Destination): HttpAgent {
    let agent = this.#agents.get(destination)
    if (agent === undefined) this.#agents.set(destination, (agent = openAgent(destination)))
    return agent
  }

  /** One kept connection turned out dead: the others are of the same age, and are not tried one by one. */
  dropIdle(destination: Destination): void {
    const agent = this.#agents.get(destination)
    if (agent !== undefined) closeIdle(agent)
  }

  /** Idle connections close now, busy ones after their exchange. */
  forget(destination: Destination): void {
    const agent = this.#agents.get(destination)
    if (agent === undefined) return
    this.#agents.delete(destination)
    letGo(agent)
  }

  close(): void {
    for (const agent of this.#agents.values()) letGo(agent)
    this.#agents.clear()
  }
}

function letGo(agent: HttpAgent): void {
  agent.maxFreeSockets = 0
  closeIdle(agent)
}

function closeIdle(agent: HttpAgent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}

function openAgent(destination: Destination): HttpAgent {
  const options: AgentOptions = {
    keepAlive: true,
    maxFreeSockets: destination.maxIdleConnections,
    timeout: destination.idleTimeoutMs,
    scheduling: 'lifo',
    ...(destination.path === undefined ? {} : { socketPath: destination.path })
  }
  const { tls } = destination
  const agent = tls === null ? new HttpAgent(options) : new HttpsAgent({ ...options, ...upstreamTlsOptions(tls) })
  return withGuards(agent, destination)
}

/** Counts connections, and drops one that speaks while nobody asked: what it says must not become somebody's answer. */
function withGuards(agent: HttpAgent, destination: Destination): HttpAgent {
  const seen = new WeakSet<Socket>()
  const breach = function (this: Socket): void {
    this.destroy()
  }
  agent.on('free', (socket: Socket) => {
    if (!socket.destroyed) socket.on('data', breach)
  })
  const reuse = agent.reuseSocket.bind(agent)
  agent.reuseSocket = (socket, request) => {
    socket.removeListener('data', breach)
    reuse(socket, request)
  }
  const create = agent.createConnection.bind(agent)
  agent.createConnection = (options, callback) => {
    const made = create(options, callback)
    const socket = made as Socket | null | undefined
    if (socket && !seen.has(socket)) {
      seen.add(socket)
      socket.setNoDelay(true)
      destination.connectionOpened()
      socket.once('close', () => destination.connectionClosed())
    }
    return made
  }
  return agent
}
