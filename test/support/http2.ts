/** HTTP/2 on both sides of a data plane: clients and servers by `node:http2`. */
import { once } from 'node:events'
import {
  connect,
  createSecureServer,
  createServer,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import type { CertificatePart, HttpSpec, PoolPart, Snapshot } from '#model/snapshot/snapshot.ts'
import { makeWireForwarder } from '#engine/dataplane/http/wire/wire.ts'
import { openTestPlane, type DataPlaneUnderTest } from './data-plane.ts'
import { aListener, aPool, aService, aSnapshot, aTls } from './snapshot.ts'

type Scope = Pick<Test, 'teardown'>

export interface Http2ServerUnderTest {
  readonly port: number
  /** Connections accepted so far. */
  readonly sessions: ServerHttp2Session[]
  readonly requests: IncomingHttpHeaders[]
}

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

/** A server behind the data plane; with a certificate it speaks TLS. */
export async function openHttp2Server(
  t: Scope,
  onStream: OnStream,
  options: SecureServerOptions & { readonly certificate?: CertificatePart } = {}
): Promise<Http2ServerUnderTest> {
  const { certificate, ...rest } = options
  const sessions: ServerHttp2Session[] = []
  const requests: IncomingHttpHeaders[] = []
  const server: Http2Server =
    certificate === undefined
      ? createServer(rest)
      : createSecureServer({ ...rest, cert: certificate.certificatePem, key: certificate.keyPem })
  server.on('session', session => {
    sessions.push(session)
    session.on('error', () => undefined)
  })
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => undefined)
    requests.push(headers)
    onStream(stream, headers)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, sessions, requests }
}

/** A data plane at byte level whose one service speaks HTTP/2 over TLS. */
export async function openHttp2Plane(
  t: Scope,
  given: {
    readonly certificate: CertificatePart
    readonly ports: readonly number[]
    readonly http?: Partial<HttpSpec>
    readonly pool?: Partial<PoolPart>
  }
): Promise<DataPlaneUnderTest & { readonly snapshot: Snapshot }> {
  const { certificate, ports, http, pool } = given
  const under = openTestPlane(t, { forwarder: makeWireForwarder({ clock: systemClock }) })
  const snapshot = aSnapshot({
    services: [
      aService({
        listeners: [aListener({ isTls: true, isHttp2: true })],
        tls: aTls([certificate.id]),
        ...(http === undefined ? {} : { http })
      })
    ],
    pools: [aPool(ports, pool ?? {})],
    certificates: [certificate]
  })
  const violations = await under.load(snapshot)
  if (violations.length > 0) throw new Error(JSON.stringify(violations))
  return { ...under, snapshot }
}

export async function openHttp2Client(t: Scope, port: number): Promise<ClientHttp2Session> {
  const client = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, servername: 'shop.test' })
  client.on('error', () => undefined)
  t.teardown(() => client.destroy())
  await once(client, 'connect')
  return client
}

export interface StreamAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders
  /** The stream ended with its head. */
  readonly isHeadOnly: boolean
  /** Of the RST_STREAM that ended it; 0 for none. */
  readonly code: number
}

/** The whole of a response; also of one that breaks off. */
export function collect(stream: ClientHttp2Stream): Promise<StreamAnswer> {
  return new Promise(resolve => {
    let headers: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    let isHeadOnly = false
    const chunks: Buffer[] = []
    stream.on('response', (fields, flags) => {
      headers = fields
      isHeadOnly = (flags & 1) !== 0
    })
    stream.on('trailers', fields => (trailers = fields))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', () => undefined)
    stream.on('close', () => {
      const body = Buffer.concat(chunks).toString('latin1')
      resolve({ status: Number(headers[':status'] ?? 0), headers, body, trailers, isHeadOnly, code: stream.rstCode ?? 0 })
    })
  })
}

/** One request on a stream of its own. */
export function askOn(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string | Buffer): Promise<StreamAnswer> {
  const stream = client.request({ ':path': '/', ...headers }, { endStream: body === undefined })
  const answer = collect(stream)
  if (body !== undefined) stream.end(body)
  return answer
}
