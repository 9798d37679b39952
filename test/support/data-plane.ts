/** A data plane on real sockets of loopback, with servers behind it and raw clients before it. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
  type Server,
  type ServerOptions
} from 'node:http'
import { request as httpsRequest, type RequestOptions as TlsRequestOptions } from 'node:https'
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { systemClock, type Clock } from '#model/base/clock.ts'
import { makeLog } from '#model/base/log.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import { usesOf } from '#model/snapshot/uses.ts'
import type { Forwarder, ForwarderKind } from '#engine/dataplane/exchange/forwarder.ts'
import { makeForwarder } from '#engine/dataplane/http/forwarders.ts'
import { openDataPlane, type DataPlane } from '#engine/generation/generation.ts'
import { readQuickJs } from '#engine/quickjs-file.ts'
import { makeRates, openRates } from '#engine/meter/rates.ts'
import type { RequestTrace } from '#model/message/message.ts'
import { attachMemory, makeMemory, type AccessRecord, type Memory } from '#engine/meter/shared.ts'

type Scope = Pick<Test, 'teardown'>

export interface DataPlaneUnderTest {
  readonly plane: DataPlane
  readonly memory: Memory
  readonly records: AccessRecord[]
  /** What the log said; empty as long as nothing of ours broke. */
  readonly bugs: string[]
  readonly load: (snapshot: Snapshot) => Promise<readonly Violation[]>
  /** The port of a service's first listener. */
  readonly port: (serviceId?: string) => number
}

export function openTestPlane(
  t: Scope,
  options: {
    readonly traced?: (id: string, trace: RequestTrace) => void
    readonly forwarder?: Forwarder
    readonly reusePort?: boolean
    readonly clock?: Clock
  } = {}
): DataPlaneUnderTest {
  const { clock = systemClock } = options
  const memory = makeMemory({ workers: 1, nowMs: () => performance.now() })
  const records: AccessRecord[] = []
  const bugs: string[] = []
  const plane = openDataPlane({
    clock,
    random: Math.random,
    log: makeLog(line => bugs.push(line)),
    makeId: randomUUID,
    forwarder: options.forwarder ?? makeForwarder('wire', { clock }),
    record: record => records.push(record),
    traced: options.traced ?? (() => undefined),
    reusePort: options.reusePort ?? false,
    ticketKeys: null,
    readWasm: readQuickJs,
    rates: openRates(makeRates([1, 2]), () => process.hrtime.bigint())
  })
  t.teardown(() => plane.stop(0))
  return {
    plane,
    memory,
    records,
    bugs,
    load: snapshot => {
      const slots = memory.assign({
        virtualServices: snapshot.virtualServices.map(part => part.id),
        pools: snapshot.pools.map(part => ({ id: part.id, servers: part.servers.map(server => server.id) })),
        uses: usesOf(snapshot)
      })
      return plane.load(snapshot, attachMemory(memory.buffer, 0, 1, slots))
    },
    port: (serviceId = 'vs-1') => plane.bound().find(door => door.virtualServiceId === serviceId)?.port ?? 0
  }
}

export type OpenPlane = (t: Scope) => DataPlaneUnderTest

/** Opens planes that run one of the codecs. */
export function openerOf(kind: ForwarderKind): OpenPlane {
  return t => openTestPlane(t, { forwarder: makeForwarder(kind, { clock: systemClock }) })
}

export interface HttpServerUnderTest {
  readonly server: Server
  readonly port: number
  /** Connections accepted so far. */
  readonly connections: () => number
  readonly requests: IncomingMessage[]
}

/** A server behind the data plane. */
export async function openHttpServer(
  t: Scope,
  listener: RequestListener,
  options: ServerOptions & { host?: string } = {}
): Promise<HttpServerUnderTest> {
  let connections = 0
  const requests: IncomingMessage[] = []
  const server = createServer({ keepAliveTimeout: 60_000, ...options })
  server.on('connection', () => connections++)
  server.on('request', (request, response) => {
    requests.push(request)
    listener(request, response)
  })
  server.listen(0, options.host ?? '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, port: (server.address() as AddressInfo).port, connections: () => connections, requests }
}

/** A server that is bytes only. */
export async function openTcpServer(
  t: Scope,
  onSocket: (socket: Socket) => void,
  options: { readonly allowHalfOpen?: boolean } = {}
): Promise<{ readonly port: number; readonly close: () => void }> {
  const sockets = new Set<Socket>()
  const server = createTcpServer(options, socket => {
    sockets.add(socket)
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = (): void => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  t.teardown(close)
  return { port: (server.address() as AddressInfo).port, close }
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Sends bytes as they are; answers all that came until the other side ended, and whether it ended by a reset. */
export function sendRaw(
  port: number,
  bytes: string | Buffer,
  options: { readonly host?: string; readonly until?: (seen: string) => boolean } = {}
): Promise<{ text: string; isReset: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: options.host ?? '127.0.0.1' })
    let text = ''
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`nothing more came after: ${text}`))
    }, 15_000)
    const end = (isReset: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ text, isReset })
    }
    socket.on('connect', () => socket.write(bytes))
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      if (options.until?.(text) === true) end(false)
    })
    socket.on('end', () => end(false))
    socket.on('error', () => end(true))
    socket.on('close', () => end(false))
  })
}

export interface AnswerSeen {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** One request by `node:http` on a connection of its own, unless an agent is given. */
export function ask(
  port: number,
  options: RequestOptions & TlsRequestOptions & { readonly body?: string | Buffer; readonly isTls?: boolean } = {}
): Promise<AnswerSeen> {
  return new Promise((resolve, reject) => {
    const open = options.isTls === true ? httpsRequest : httpRequest
    const request = open({ host: '127.0.0.1', port, agent: false, ...options }, response => {
      text(response).then(body => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }), reject)
    })
    request.on('error', reject)
    request.end(options.body)
  })
}

/** Waits for a fact. */
export async function until(isTrue: () => boolean, what: string, deadlineMs = 10_000): Promise<void> {
  const start = performance.now()
  while (!isTrue()) {
    if (performance.now() - start > deadlineMs) throw new Error(`still not: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
