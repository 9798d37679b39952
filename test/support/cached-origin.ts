/** A service that keeps answers, its one server that answers as it is told, and a clock that is moved by hand. */
import type { IncomingMessage } from 'node:http'
import type { Test } from 'tap'
import { systemClock, type Clock } from '#model/base/clock.ts'
import type { CacheSpec } from '#model/snapshot/content.ts'
import type { VirtualServicePart } from '#model/snapshot/snapshot.ts'
import type { ForwarderKind } from '#engine/dataplane/exchange/forwarder.ts'
import { makeForwarder } from '#engine/dataplane/http/forwarders.ts'
import { aPool, aService, aSnapshot } from './snapshot.ts'
import { openHttpServer, openTestPlane, type DataPlaneUnderTest } from './data-plane.ts'

export const aCache = (given: Partial<CacheSpec> = {}): CacheSpec => ({
  maxBytes: 64 * 1024 * 1024,
  minObjectBytes: 0,
  maxObjectBytes: 4 * 1024 * 1024,
  defaultExpireS: 600,
  isHeuristic: false,
  isAggressive: false,
  ignoresRequests: false,
  keepsQueries: true,
  sendsAge: true,
  sendsDate: true,
  sendsXCache: true,
  excludedPaths: null,
  contentTypes: [],
  blockedContentTypes: [],
  ...given
})

export interface OriginAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Buffer
  /** No Date is sent. */
  readonly isDateless?: boolean
  /** The connection ends after so many bytes of the body; 0: without an answer. */
  readonly breaksAfter?: number
  readonly isChunked?: boolean
}

export interface CachedOrigin extends DataPlaneUnderTest {
  /** What the server answers, one after another; the last one again and again. */
  answers: OriginAnswer[]
  readonly requests: IncomingMessage[]
  /** Time goes on by so many seconds. */
  readonly pass: (seconds: number) => void
  readonly nowEpochMs: () => number
}

export async function openCachedOrigin(
  t: Test,
  given: {
    readonly kind?: ForwarderKind
    readonly cache?: Partial<CacheSpec>
    readonly service?: Partial<Omit<VirtualServicePart, 'http'>>
  } = {}
): Promise<CachedOrigin> {
  let aheadMs = 0
  const nowEpochMs = (): number => systemClock.nowEpochMs() + aheadMs
  const clock: Clock = { ...systemClock, nowEpochMs }
  const web = await openHttpServer(t, (request, response) => {
    request.resume()
    const answer = (origin.answers.length > 1 ? origin.answers.shift() : origin.answers[0]) ?? { status: 599 }
    const { status = 200, headers = {}, body = 'body', isDateless = false } = answer
    if (answer.breaksAfter === 0) return void request.socket.destroy()
    response.sendDate = false
    if (!isDateless && headers['date'] === undefined) response.setHeader('date', new Date(nowEpochMs()).toUTCString())
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value as string)
    response.statusCode = status
    if (status === 304 || status === 204 || request.method === 'HEAD') return void response.end()
    const bytes = Buffer.from(body)
    if (answer.isChunked !== true && headers['content-length'] === undefined) response.setHeader('content-length', bytes.length)
    if (answer.breaksAfter === undefined) {
      if (answer.isChunked === true) response.write(bytes.subarray(0, 1))
      return void response.end(answer.isChunked === true ? bytes.subarray(1) : bytes)
    }
    response.write(bytes.subarray(0, answer.breaksAfter), () => response.destroy())
  })
  const plane = openTestPlane(t, { clock, forwarder: makeForwarder(given.kind ?? 'wire', { clock }) })
  const origin: CachedOrigin = {
    ...plane,
    answers: [],
    requests: web.requests,
    pass: seconds => void (aheadMs += seconds * 1000),
    nowEpochMs
  }
  await plane.load(aSnapshot({ services: [aService({ cache: aCache(given.cache), ...given.service })], pools: [aPool([web.port])] }))
  return origin
}
