/** Requests off accepted connections by `node:http`'s parser, one at a time per connection. */
import { createServer, ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { HttpSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Entrance, EntranceSpine } from '../../exchange/forwarder.ts'
import { readHead } from '../head.ts'
import { answerTo } from '../rescue.ts'
import { Agents } from './agents.ts'
import type { Arrival, Connection, StockParts } from './connection.ts'
import { StockWire } from './wire.ts'

/** Requests that a client may send before it has the answer to the first. */
const MAX_PIPELINED = 64
/** How often the parser looks for connections whose header is late. */
const CHECK_INTERVAL_MS = 500

export function openEntrance(limits: HttpSpec, spine: EntranceSpine, parts: StockParts): Entrance {
  const connections = new Map<Duplex, Connection>()
  let isRetiring = false
  let onEmpty: (() => void) | null = null

  const server: Server = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headerTimeoutMs,
    // A body is limited by how long it stalls, not by how long it takes.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    // Judged in `readHead`, so that it is answered and recorded like every other refusal.
    requireHostHeader: false,
    joinDuplicateHeaders: false,
    shouldUpgradeCallback: request => limits.isWebsocketEnabled && request.headers.upgrade?.toLowerCase() === 'websocket'
  })
  // The parser would drop what is beyond, silently; the count is judged in `readHead`.
  server.maxHeadersCount = 0
  server.timeout = 0
  // Connections are handed in, nothing is bound here; but the watch over late headers starts with this event.
  server.emit('listening')

  const arrive = (request: IncomingMessage, arrival: Arrival): void => {
    const connection = connections.get(request.socket)
    if (connection === undefined) return void request.socket.destroy()
    connection.waiting.push(arrival)
    if (connection.waiting.length > MAX_PIPELINED) return void connection.socket.destroy()
    if (connection.current === null) next(connection)
  }

  const next = (connection: Connection): void => {
    const arrival = connection.waiting.shift()
    if (arrival === undefined || connection.isOver || connection.socket.destroyed) return
    const { request } = arrival
    connection.served++
    if (connection.served >= limits.maxRequestsPerConnection || isRetiring) connection.isLast = true
    const head = readHead(
      { method: request.method ?? '', target: request.url ?? '', version: request.httpVersion, headers: request.rawHeaders },
      limits
    )
    const fault = head instanceof Fault ? head : faultIn(arrival, head.isWebSocket)
    const wire = new StockWire(arrival, connection, limits, parts, () => {
      connection.current = null
      next(connection)
    })
    connection.current = wire
    if (fault !== null) refuse(wire, connection, fault)
    else if (!(head instanceof Fault)) spine.begin(head, connection.downstream, wire)
  }

  const refuse = (wire: StockWire, connection: Connection, fault: Fault): void => {
    const { answer } = answerTo(fault)
    const headers = [...answer.headers, 'content-length', String(answer.body.length)]
    wire.send({ status: answer.status, reason: answer.reason, headers }, answer.body, true, () => undefined)
    spine.refused(fault, connection.downstream)
  }

  server.on('request', (request, response) => arrive(request, { request, response, expects: 'nothing', upgrade: null }))
  server.on('checkContinue', (request, response) => arrive(request, { request, response, expects: 'continue', upgrade: null }))
  server.on('checkExpectation', (request, response) => arrive(request, { request, response, expects: 'unknown', upgrade: null }))
  server.on('connect', (request, socket) => {
    const connection = connections.get(socket)
    const fault = new Fault('DOWNSTREAM_METHOD_REFUSED', `${request.method} is not served`)
    endRaw(socket, fault)
    if (connection) spine.refused(fault, connection.downstream)
  })
  server.on('upgrade', (request, socket, head) => {
    const connection = connections.get(socket)
    if (connection === undefined) return void socket.destroy()
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(connection.socket)
    response.once('finish', () => connection.socket.end())
    arrive(request, { request, response, expects: 'nothing', upgrade: { socket: connection.socket, head } })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const connection = connections.get(socket)
    const fault = faultOf(error)
    if (connection === undefined || fault === null || connection.socket.bytesRead === 0) return void socket.destroy()
    if (connection.current !== null) return connection.current.broken(fault)
    endRaw(socket, fault)
    spine.refused(fault, connection.downstream)
  })

  return {
    accept: (socket, downstream) => {
      const connection: Connection = {
        socket,
        downstream,
        waiting: [],
        current: null,
        served: 0,
        isLast: false,
        isOver: false,
        agents: limits.isConnectionMultiplexed ? parts.agents : new Agents()
      }
      connections.set(socket, connection)
      socket.once('close', () => {
        connections.delete(socket)
        if (connection.agents !== parts.agents) connection.agents.close()
        if (connections.size === 0) onEmpty?.()
      })
      server.emit('connection', socket)
    },
    connections: () => connections.size,
    retire: whenEmpty => {
      isRetiring = true
      onEmpty = whenEmpty
      for (const connection of connections.values()) connection.isLast = true
      // Closes what is idle and ends the watch; late headers of what is left end with the drain.
      server.close()
      if (connections.size === 0) whenEmpty()
    },
    destroy: () => {
      server.close()
      for (const connection of connections.values()) connection.socket.destroy()
    }
  }
}

function faultIn(arrival: Arrival, isWebSocket: boolean): Fault | null {
  if (arrival.expects === 'unknown') return new Fault('DOWNSTREAM_EXPECTATION_FAILED', 'an expectation that is not known')
  if (arrival.upgrade !== null && !isWebSocket) return new Fault('DOWNSTREAM_BAD_REQUEST', 'a WebSocket handshake that is none')
  return null
}

/** What the parser stumbled over; null when the connection is simply gone. */
function faultOf(error: NodeJS.ErrnoException): Fault | null {
  const code = error.code ?? ''
  if (code === 'HPE_HEADER_OVERFLOW') return new Fault('DOWNSTREAM_HEADERS_TOO_LARGE', 'header fields over the limit', { cause: error })
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Fault('DOWNSTREAM_HEADERS_TIMEOUT', 'the header did not come in time', { cause: error })
  if (code.startsWith('HPE_')) return new Fault('DOWNSTREAM_BAD_REQUEST', `not HTTP: ${code}`, { cause: error })
  return null
}

/** An answer where the parser is of no use any more. */
function endRaw(socket: Duplex, fault: Fault): void {
  if (!socket.writable) return void socket.destroy()
  const { answer } = answerTo(fault)
  const head = `HTTP/1.1 ${answer.status} ${answer.reason}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${answer.body.length}\r\n\r\n`
  socket.end(Buffer.concat([Buffer.from(head, 'latin1'), answer.body]), () => socket.destroy())
}
