/**
 * The engine port: TLS that accepts nothing but a client certificate of our authority, and on it nothing but a WebSocket at
 * `/engine`. Who speaks is known from the verified SPIFFE name alone, never from anything that is said.
 */
import { constants } from 'node:crypto'
import { createServer } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import { AGENT_FRAME_MAX_BYTES } from '#model/message/codec.ts'
import type { AuthorityPort } from '#controller/pki/port.ts'

const PATH = '/engine'
const HANDSHAKE_TIMEOUT_MS = 5_000
const CONNECTIONS_MAX = 20_000
const engineName = /^URI:spiffe:\/\/weir\/engine\/([A-Za-z0-9-]{1,80})$/

export interface Caller {
  readonly engineUuid: string
  readonly serialNumber: string
  readonly certificateNotAfterEpochMs: number
  readonly remoteAddress: string
}

/** 403 ends an engine's trust for good; 401 says that we do not know it, which a restored controller may cure. */
export type Admission = { readonly is: 'admitted' } | { readonly is: 'refused'; readonly status: 401 | 403; readonly reason: string }

export interface ChannelOptions {
  readonly host: string
  readonly port: number
  readonly authority: AuthorityPort
  readonly clock: Clock
  readonly log: Log
  readonly admit: (caller: Caller) => Admission
  readonly accept: (caller: Caller, socket: WebSocket, transport: TLSSocket) => void
}

export interface Channel {
  readonly port: number
  readonly close: () => Promise<void>
}

/** Listens; rejects when the port cannot be bound. */
export async function openChannel(options: ChannelOptions): Promise<Channel> {
  const { authority, log, clock } = options
  const tls = () => {
    const { keyPem, certificatePem } = authority.serverCertificate()
    return {
      key: keyPem,
      cert: certificatePem,
      ca: authority.caPem,
      minVersion: 'TLSv1.2' as const,
      // A resumed session would skip the check of the certificate's end.
      secureOptions: constants.SSL_OP_NO_TICKET
    }
  }
  const server = createServer({
    ...tls(),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    headersTimeout: HANDSHAKE_TIMEOUT_MS,
    requestTimeout: HANDSHAKE_TIMEOUT_MS,
    maxHeaderSize: 8_192
  })
  server.maxConnections = CONNECTIONS_MAX
  const sockets = new WebSocketServer({ noServer: true, maxPayload: AGENT_FRAME_MAX_BYTES, perMessageDeflate: false, clientTracking: true })

  server.on('request', (_request, response) => {
    response.writeHead(404, { 'content-type': 'text/plain', connection: 'close' }).end('this port is for engines\n')
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const caller = callerOf(request.socket, clock.nowEpochMs())
    if (caller === undefined || !(socket instanceof TLSSocket)) return refuse(socket, 401, 'no engine certificate')
    if (request.url !== PATH) return refuse(socket, 404, 'this port is for engines')
    const admission = options.admit(caller)
    if (admission.is === 'refused') return refuse(socket, admission.status, admission.reason)
    sockets.handleUpgrade(request, socket, head, webSocket => options.accept(caller, webSocket, socket))
  })
  server.on('tlsClientError', (error, socket) => {
    log.debug('a connection to the engine port was refused', { from: socket.remoteAddress, reason: error.message })
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  server.on('error', error => log.error('the engine port failed', { error }))
  const stopRenewal = authority.onServerRenewed(() => server.setSecureContext(tls()))

  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      stopRenewal()
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await closed
    }
  }
}

/** The identity that the verified certificate carries: exactly one name, ours, and not past its end. */
function callerOf(socket: unknown, nowEpochMs: number): Caller | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const certificate = socket.getPeerX509Certificate()
  const engineUuid = engineName.exec(certificate?.subjectAltName ?? '')?.[1]
  if (certificate === undefined || engineUuid === undefined || certificate.validToDate.getTime() <= nowEpochMs) return undefined
  return {
    engineUuid,
    serialNumber: certificate.serialNumber.toLowerCase(),
    certificateNotAfterEpochMs: certificate.validToDate.getTime(),
    remoteAddress: socket.remoteAddress ?? ''
  }
}

const statusTexts = { 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found' } as const

function refuse(socket: Duplex, status: keyof typeof statusTexts, reason: string): void {
  const body = JSON.stringify({ reason })
  const head = [
    `HTTP/1.1 ${status} ${statusTexts[status]}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
