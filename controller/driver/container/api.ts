/** One request to the Docker API, over the socket of the container engine. */
import { request } from 'node:http'
import { DriverFailed } from '../port.ts'

export interface DockerAnswer {
  readonly status: number
  /** JSON; undefined when there is none. */
  readonly body: unknown
  /** What it says of a failure, one line; '' when it says nothing. */
  readonly message: string
}

export type DockerCall = (
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: object | undefined,
  signal: AbortSignal
) => Promise<DockerAnswer>

/** A list of a thousand containers is far below. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024

/** Throws DriverFailed when it cannot be reached, or answers what is no answer. */
export function openDockerApi(socketPath: string): DockerCall {
  return (method, path, body, signal) =>
    new Promise((answered, fail) => {
      const failed = (error: Error): void =>
        fail(new DriverFailed(`the container engine at ${socketPath} does not answer: ${error.message}`, { cause: error }))
      const payload = body === undefined ? undefined : JSON.stringify(body)
      const headers = {
        host: 'docker',
        ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) })
      }
      const sent = request({ socketPath, method, path, headers, agent: false, signal }, response => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > ANSWER_MAX_BYTES) sent.destroy(new Error('it answers more than 16 MiB'))
          else chunks.push(chunk)
        })
        response.on('error', failed)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          try {
            const parsed: unknown = text.trim() === '' ? undefined : JSON.parse(text)
            answered({ status: response.statusCode ?? 0, body: parsed, message: messageIn(parsed) })
          } catch {
            failed(new Error('what it answers is no JSON'))
          }
        })
      })
      sent.on('error', failed)
      sent.end(payload)
    })
}

function messageIn(body: unknown): string {
  const message = typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined
  return typeof message === 'string' ? message.replace(/\s+/g, ' ').trim().slice(0, 500) : ''
}
