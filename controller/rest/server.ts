/** The door of the REST layer: one TLS port for the API, the dashboard and its live feed. */
import type { Server as TlsServer } from 'node:tls'
import cookie from '@fastify/cookie'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { addressGroup } from '#controller/access/throttle.ts'
import { useActions } from './action.ts'
import { useAnalytics } from './analytics.ts'
import { useCaller } from './caller.ts'
import { useBackup } from './backup.ts'
import { useCrud } from './crud.ts'
import { useAutoscale } from './autoscale.ts'
import { useCache } from './cache.ts'
import { useExplain } from './explain.ts'
import { useTrace } from './trace.ts'
import { useHealth } from './health.ts'
import { useIdempotency } from './idempotency.ts'
import { useJoin } from './join.ts'
import { BODY_LIMIT_BYTES, useJson } from './json.ts'
import { useLive } from './live.ts'
import type { LiveFeed } from './live.ts'
import { useMacro } from './macro.ts'
import { collectRoutes, useOpenapi } from './openapi.ts'
import { Problem } from './problem.ts'
import { useRelease } from './release.ts'
import { useUpgrade } from './upgrade.ts'
import { rescueConnection, sendProblem, useRescue } from './rescue.ts'
import { useRevision } from './revision.ts'
import { useRuntime } from './runtime.ts'
import type { RestServices } from './services.ts'
import { useSession } from './session.ts'
import { useTimeline } from './timeline.ts'
import { useUi } from './ui.ts'

const REQUEST_TIMEOUT_MS = 30_000
const HEADERS_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 72_000
const HEADER_LIMIT_BYTES = 16_384
const CONNECTIONS_MAX = 4_096
/** Open WebSockets and requests get so long to end when the controller stops. */
const STOP_MS = 3_000

export interface RestOptions extends RestServices {
  /** False: plain HTTP, for tests. */
  readonly tls?: boolean
  readonly loginsPerMinute?: number
  readonly enrolmentsPerMinute?: number
  readonly bodyLimitBytes?: number
}

export interface Rest {
  readonly start: (address: { readonly host: string; readonly port: number }) => Promise<{ readonly port: number }>
  readonly inject: FastifyInstance['inject']
  /** Something was committed: who watches is told at once. */
  readonly committed: LiveFeed['committed']
  readonly stop: () => Promise<void>
}

/** The dashboard brings everything itself; Mantine writes style elements and attributes, scripts are files only. */
const contentSecurityPolicy = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'self'"],
    baseUri: ["'none'"],
    connectSrc: ["'self'"],
    fontSrc: ["'self'"],
    formAction: ["'self'"],
    frameAncestors: ["'none'"],
    imgSrc: ["'self'", 'data:'],
    objectSrc: ["'none'"],
    scriptSrc: ["'self'"],
    scriptSrcAttr: ["'none'"],
    styleSrc: ["'self'"]
  }
}

function makeApp(options: RestOptions): FastifyInstance {
  const { tls = true, log, bodyLimitBytes = BODY_LIMIT_BYTES } = options
  const server = { maxHeaderSize: HEADER_LIMIT_BYTES, headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 5_000 }
  const common = {
    logger: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    genReqId: () => crypto.randomUUID(),
    clientErrorHandler: rescueConnection,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 255 },
    frameworkErrors: (error: Error, request: Parameters<typeof sendProblem>[0], reply: Parameters<typeof sendProblem>[1]) => {
      void sendProblem(request, reply, error, log)
    }
  } as const
  if (!tls) return Fastify({ ...common, http: server } as object) as unknown as FastifyInstance
  const { keyPem, certificatePem } = options.authority.serverCertificate()
  const https = { ...server, key: keyPem, cert: certificatePem, minVersion: 'TLSv1.2', handshakeTimeout: 10_000 }
  return Fastify({ ...common, https } as object) as unknown as FastifyInstance
}

function followCertificate(app: FastifyInstance, { authority, log }: RestOptions): () => void {
  return authority.onServerRenewed(() => {
    const { keyPem, certificatePem } = authority.serverCertificate()
    ;(app.server as unknown as TlsServer).setSecureContext({ key: keyPem, cert: certificatePem, minVersion: 'TLSv1.2' })
    log.info('the server certificate was renewed')
  })
}

/**
 * Builds the REST layer; `start` opens its port.
 *
 * Returns when everything is in place, so that `inject` answers before `start`
 */
export async function openRest(options: RestOptions): Promise<Rest> {
  const { log, loginsPerMinute = 60, enrolmentsPerMinute = 300, tls = true } = options
  const app = makeApp(options)
  const routes = collectRoutes(app)
  useRescue(app, log)
  useJson(app)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
  })
  await app.register(helmet, {
    contentSecurityPolicy,
    crossOriginEmbedderPolicy: false,
    frameguard: { action: 'deny' },
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: false
  })
  await app.register(cookie)
  await app.register(rateLimit, {
    global: false,
    max: loginsPerMinute,
    timeWindow: 60_000,
    cache: 10_000,
    keyGenerator: request => addressGroup(request.ip),
    errorResponseBuilder: (_request, { ttl }) =>
      new Problem(429, 'TOO_MANY_REQUESTS', `too many requests: try again in ${Math.ceil(ttl / 1_000)} s`)
  })
  await app.register(websocket, { options: { maxPayload: 65_536, perMessageDeflate: false } })
  useCaller(app, options)
  useIdempotency(app, options)
  app.addHook('onSend', async (request, reply) => {
    if (request.url.startsWith('/api') && !reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  })

  const feed = useLive(app, options)
  useSession(app, options, { loginsPerMinute })
  useHealth(app, options)
  useCrud(app, options)
  useMacro(app, options)
  useRuntime(app, options)
  useActions(app, options)
  useAnalytics(app, options)
  useTimeline(app, options)
  useJoin(app, options, { enrolmentsPerMinute })
  useRevision(app, options)
  useExplain(app, options)
  useTrace(app, options)
  useRelease(app, options)
  useUpgrade(app, options)
  useAutoscale(app, options)
  useCache(app, options)
  useBackup(app, options)
  useOpenapi(app, routes, options.version)
  await useUi(app, options)
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      request,
      reply,
      new Problem(404, 'NOT_FOUND', `${request.method} ${request.url.split('?', 1)[0]!.slice(0, 256)} is not known here`),
      log
    )
  )
  const stopFollowing = tls ? followCertificate(app, options) : () => undefined
  app.server.maxConnections = CONNECTIONS_MAX
  await app.ready()

  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    stopFollowing()
    feed.close()
    // What does not end by itself is ended, so that a restart never waits for somebody else's browser.
    const cancel = options.clock.after(STOP_MS, () => {
      app.server.closeAllConnections()
      for (const socket of app.websocketServer.clients) socket.terminate()
    })
    await app.close()
    cancel()
  }
  return {
    start: async ({ host, port }) => {
      await app.listen({ host, port })
      const address = app.server.address()
      return { port: typeof address === 'object' && address !== null ? address.port : port }
    },
    inject: app.inject.bind(app) as FastifyInstance['inject'],
    committed: feed.committed,
    stop: () => (stopping ??= stop())
  }
}
