/** Copies of requests on their way to a pool that only listens in. Whatever becomes of one, its original never learns of it. */
import { Agent, request as httpRequest, type ClientRequest, type RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as httpsRequest } from 'node:https'
import type { Question } from '../balance/balancer.ts'
import type { Exchange, RequestCopy } from '../exchange/exchange.ts'
import { headerOf } from '../exchange/headers.ts'
import { upstreamTlsOptions } from '../upstream/tls.ts'
import type { Lease, Pool } from '../upstream/pool.ts'
import type { UseMeters } from '../upstream/use-meters.ts'

/** Copies under way at once, for one virtual service in one worker; more are not begun. */
const MAX_COPIES = 256
/** A copy whose server takes no more than so much less than the original's is given up. */
const MAX_WAITING_BYTES = 1_048_576
const TIMEOUT_MS = 10_000

/**
 * Begins copies for one pool.
 *
 * Returns null for a copy where no server is available, all are at their limit, or too many copies are under way
 */
export function makeMirror(
  poolId: string,
  poolOf: (id: string) => Pool | undefined,
  uses: UseMeters
): (exchange: Exchange) => RequestCopy | null {
  const agents = { plain: new Agent({ keepAlive: true, timeout: TIMEOUT_MS }), tls: new TlsAgent({ keepAlive: true, timeout: TIMEOUT_MS }) }
  let underWay = 0
  return exchange => {
    if (underWay >= MAX_COPIES) return null
    const lease = poolOf(poolId)?.lease(questionOf(exchange), null)
    if (lease === undefined || lease === 'full' || lease === 'none') return null
    underWay++
    const startedMs = performance.now()
    let status = 0
    const outgoing = open(exchange, lease, agents)
    const copy = new Copy(outgoing)
    outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy())
    outgoing.on('response', incoming => {
      status = incoming.statusCode ?? 0
      incoming.on('error', () => undefined).resume()
    })
    outgoing.on('error', () => undefined)
    outgoing.once('close', () => {
      underWay--
      lease.release()
      if (copy.isLetGo) return
      for (const meter of [uses.of(lease.pool), lease.meter]) {
        if (status === 0) meter.faulted('upstream')
        meter.exchangeEnded(status, (performance.now() - startedMs) * 1000)
      }
    })
    return copy
  }
}

function open({ request }: Exchange, { destination }: Lease, agents: { readonly plain: Agent; readonly tls: TlsAgent }): ClientRequest {
  const { tls } = destination
  const headers = [
    ...request.headers,
    'host',
    destination.hostHeader ?? (request.authority || `${destination.address()}:${destination.port}`)
  ]
  if (request.framing === 'length') headers.push('content-length', String(request.contentLength))
  else if (request.framing === 'chunked') headers.push('transfer-encoding', 'chunked')
  const options: RequestOptions = {
    host: destination.address(),
    port: destination.port,
    ...(destination.path === undefined ? {} : { socketPath: destination.path }),
    method: request.method,
    path: request.target,
    headers: headerObject(headers),
    setHost: false,
    agent: tls === null ? agents.plain : agents.tls
  }
  return tls === null ? httpRequest(options) : httpsRequest({ ...options, ...upstreamTlsOptions(tls) })
}

function questionOf({ downstream, request }: Exchange): Question {
  const { clientIp, clientPort } = downstream
  return { clientIp, clientPort, uri: request.target, header: name => headerOf(request.headers, name) ?? '' }
}

/** Framing is ours to say; repeats become arrays, which are sent as repeated fields. */
function headerObject(headers: readonly string[]): Record<string, string | string[]> {
  const object = Object.create(null) as Record<string, string | string[]>
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const before = object[name]
    if (name === 'connection' || name === 'upgrade' || name === 'keep-alive') continue
    if (before === undefined || name === 'content-length' || name === 'transfer-encoding') object[name] = headers[i + 1]!
    else if (Array.isArray(before)) before.push(headers[i + 1]!)
    else object[name] = [before, headers[i + 1]!]
  }
  return object
}

class Copy implements RequestCopy {
  readonly #outgoing: ClientRequest
  /** By us, which is no fault of its server. */
  isLetGo = false
  #attempts = 0
  #hasBody = false

  constructor(outgoing: ClientRequest) {
    this.#outgoing = outgoing
  }

  /** What was sent cannot be taken back: a body that comes again would be there twice. */
  attempt(): void {
    if (++this.#attempts > 1 && this.#hasBody) this.#letGo()
  }

  write(bytes: Buffer, from: number, to: number): void {
    const outgoing = this.#outgoing
    this.#hasBody = true
    if (outgoing.destroyed || outgoing.writableEnded) return
    outgoing.write(Buffer.from(bytes.subarray(from, to)))
    if (outgoing.writableLength > MAX_WAITING_BYTES) this.#letGo()
  }

  end(): void {
    if (!this.#outgoing.destroyed && !this.#outgoing.writableEnded) this.#outgoing.end()
  }

  drop(): void {
    if (!this.#outgoing.writableEnded) this.#letGo()
  }

  #letGo(): void {
    if (this.#outgoing.destroyed) return
    this.isLetGo = true
    this.#outgoing.destroy()
  }
}
