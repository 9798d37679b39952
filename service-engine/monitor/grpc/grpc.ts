/** gRPC: the server is up when its health service (grpc.health.v1) says that it serves. */
import { connect, constants, type ClientHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { ProbeSpec } from '#model/snapshot/snapshot.ts'
import { makeProbeTls, openSocket } from '../connect.ts'
import { describeError, down, legible, up, type Probe, type ProbeResult, type ProbeServices } from '../probe.ts'

/** The answer is a few bytes; more is not read. */
const MAX_ANSWER_BYTES = 4_096
const SERVING = 1
const servingNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']

/** Statuses that a health service gives (gRPC's list of codes). */
const NOT_FOUND = 5
const UNIMPLEMENTED = 12

/** `HealthCheckRequest { string service = 1 }` as one message that is not compressed. */
export function formatCheck(service: string): Buffer {
  const name = Buffer.from(service)
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name])
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}

/**
 * Reads `HealthCheckResponse { ServingStatus status = 1 }`.
 *
 * Shapes  body: one message with its head of five bytes
 * Returns the status, 0 when the field is left out; undefined when it is no such message
 * Source  Protocol Buffers encoding; unknown fields are passed over
 */
export function parseCheck(body: Buffer): number | undefined {
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) return undefined
  let at = 5
  const number = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = body[at++]
      if (byte === undefined || scale > 2 ** 42) return Number.NaN
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }
  let status = 0
  while (at < body.length) {
    const tag = number()
    const wire = tag % 8
    if (wire === 0) {
      const value = number()
      if (Number.isNaN(value)) return undefined
      if (tag === 8) status = value
    } else if (wire === 2) {
      const length = number()
      at += length
    } else if (wire === 1) at += 8
    else if (wire === 5) at += 4
    else return undefined
    if (!(at <= body.length)) return undefined
  }
  return status
}

/** What an answer says: `status` is the HTTP status, `grpcStatus` as in the trailers, or '' when there is none. */
export function judgeGrpc(status: number, grpcStatus: string, grpcMessage: string, body: Buffer): ProbeResult {
  if (status !== 200) return down(`status ${status}`)
  if (grpcStatus === '') return down('the answer has no grpc-status')
  const code = Number(grpcStatus)
  if (code === UNIMPLEMENTED) return down('it has no health service (grpc.health.v1)')
  if (code === NOT_FOUND) return down('its health service does not know this service')
  if (code !== 0) return down(grpcMessage === '' ? `grpc-status ${grpcStatus}` : `grpc-status ${grpcStatus}: ${grpcMessage}`)
  const serving = parseCheck(body)
  if (serving === undefined) return down('the answer cannot be read')
  return serving === SERVING ? up('SERVING') : down(servingNames[serving] ?? `serving status ${serving}`)
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Throws what OpenSSL says about TLS settings that it cannot use. */
export function makeGrpcProbe(spec: Extract<ProbeSpec, { is: 'grpc' }>, services: ProbeServices): Probe {
  const tls = spec.tls === null ? null : makeProbeTls(spec.tls, services)
  const check = formatCheck(spec.service)
  const request = `POST /grpc.health.v1.Health/Check\nservice: ${spec.service === '' ? '(the server as a whole)' : spec.service}`
  return {
    kind: 'grpc',
    attempt: (target, timeoutMs) =>
      new Promise(resolve => {
        let session: ClientHttp2Session | undefined
        let isDone = false
        const socket = openSocket(target, tls, ['h2'])
        const finish = (result: ProbeResult, answer = ''): void => {
          if (isDone) return
          isDone = true
          clearTimeout(timer)
          session?.destroy()
          socket.destroy()
          resolve({ ...result, ...(session === undefined ? {} : { request }), ...(answer === '' ? {} : { answer: legible(answer) }) })
        }
        const failed = (error: Error): void => finish(down(describeError(error)))
        const timer = setTimeout(
          () => finish(down(session === undefined ? `no connection within ${timeoutMs} ms` : `no answer within ${timeoutMs} ms`)),
          timeoutMs
        )
        socket.on('error', failed)
        socket.on('close', () => finish(down('connection closed before an answer')))
        socket.once(tls === null ? 'connect' : 'secureConnect', () => {
          if (tls !== null && (socket as TLSSocket).alpnProtocol !== 'h2') return finish(down('it does not speak HTTP/2'))
          const authority = target.hostHeader ?? `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`
          session = connect(`${tls === null ? 'http' : 'https'}://${authority}`, {
            createConnection: () => socket,
            maxHeaderListPairs: 64,
            settings: { enablePush: false, maxHeaderListSize: 16_384 }
          })
          session.on('error', failed)
          ask(session)
        })

        const ask = (open: ClientHttp2Session): void => {
          const stream = open.request({
            [constants.HTTP2_HEADER_METHOD]: 'POST',
            [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
            'content-type': 'application/grpc',
            te: 'trailers',
            'user-agent': 'Weir-Health-Monitor',
            'grpc-timeout': `${Math.min(99_999_999, Math.ceil(timeoutMs))}m`
          })
          let status = 0
          let grpcStatus = ''
          let grpcMessage = ''
          let body = Buffer.alloc(0)
          const readStatus = (fields: Readonly<Record<string, unknown>>): void => {
            grpcStatus = textOf(fields['grpc-status']) ?? grpcStatus
            grpcMessage = textOf(fields['grpc-message']) ?? grpcMessage
          }
          stream.on('error', failed)
          stream.on('response', fields => {
            status = Number(fields[':status'])
            readStatus(fields as Readonly<Record<string, unknown>>)
          })
          stream.on('trailers', fields => readStatus(fields as Readonly<Record<string, unknown>>))
          stream.on('data', (chunk: Buffer) => {
            body = Buffer.concat([body, chunk])
            if (body.length > MAX_ANSWER_BYTES) finish(down('the answer is too large'))
          })
          stream.on('end', () => {
            const result = judgeGrpc(status, grpcStatus, grpcMessage, body)
            finish(result, `HTTP status ${status}\ngrpc-status: ${grpcStatus} ${grpcMessage}\n${result.detail}`)
          })
          stream.end(check)
        }
      })
  }
}
