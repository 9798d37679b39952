/** Who asks, in which tenant: worked out once for each request, before any route runs. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Store } from '#controller/store/store.ts'
import { isEqualSecret } from '#controller/access/access.ts'
import type { Actor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { RestServices } from './services.ts'
import type { RouteDoc } from './openapi.ts'
import { Problem } from './problem.ts'
import { one } from './query.ts'
import type { RawQuery } from './query.ts'

export const SESSION_COOKIE = 'sessionid'
export const CSRF_COOKIE = 'csrftoken'

export interface Caller {
  readonly actor: Actor
  /** Uuid of the tenant that the request is about; `*`: all that the actor may read. */
  readonly tenant: string
  /** False: nobody named one, it is the actor's own. */
  readonly isTenantGiven: boolean
  readonly sessionId?: string
  /** The same identity as it is now; undefined when it ended. */
  readonly renew: () => Actor | undefined
}

const challenge = { 'www-authenticate': 'Basic realm="weir", charset="UTF-8"' } as const

/** `open`: anybody; `optional`: anybody, and who is signed in is told more; default: signed in. */
export type Entry = 'open' | 'optional' | 'signed-in'

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null
  }
  interface FastifyContextConfig {
    entry?: Entry
    /** A browser of another origin may not even read (WebSocket). */
    isSameOriginOnly?: boolean
    doc?: RouteDoc
  }
}

/** Who is signed in. Throws Problem 401. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller !== null) return request.caller
  throw new Problem(401, 'NOT_SIGNED_IN', 'sign in by POST /login')
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[`x-avi-${name}`] ?? request.headers[`x-weir-${name}`]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const isMember = (actor: Actor, tenant: string): boolean => actor.tenants === '*' || actor.tenants.includes(tenant)

/** Tenants that an actor has a role in, in order of name. */
export function tenantsOf(store: Store, actor: Actor): readonly { readonly uuid: string; readonly name: string }[] {
  return store.list('tenant').flatMap(({ uuid, name }) => (isMember(actor, uuid) ? [{ uuid, name }] : []))
}

/** The tenant that a caller is in when it names none. */
export function ownTenant(store: Store, actor: Actor): string {
  const wanted = actor.userUuid === null ? undefined : store.get('user', actor.userUuid)?.body['default_tenant_ref']
  if (typeof wanted === 'string' && isMember(actor, wanted) && store.get('tenant', wanted) !== undefined) return wanted
  return isMember(actor, ADMIN_TENANT) ? ADMIN_TENANT : (tenantsOf(store, actor)[0]?.uuid ?? ADMIN_TENANT)
}

/**
 * The tenant that a request names. One that does not exist and one that the actor has no role in are refused alike.
 *
 * Throws Problem 403
 */
function tenantOf(store: Store, request: FastifyRequest, actor: Actor): Pick<Caller, 'tenant' | 'isTenantGiven'> {
  const uuid = header(request, 'tenant-uuid')
  const name =
    header(request, 'tenant') ?? (request.routeOptions.url === '/api/live' ? one(request.query as RawQuery, 'tenant') : undefined)
  if (uuid === undefined && name === undefined) return { tenant: ownTenant(store, actor), isTenantGiven: false }
  if (uuid === '*' || (uuid === undefined && name === '*')) return { tenant: '*', isTenantGiven: true }
  const tenant = uuid === undefined ? store.list('tenant').find(item => item.name === name) : store.get('tenant', uuid)
  if (tenant !== undefined && isMember(actor, tenant.uuid)) return { tenant: tenant.uuid, isTenantGiven: true }
  throw new Problem(403, 'NO_TENANT', `no access to tenant ${(uuid ?? name ?? '').slice(0, 128)}`)
}

/** Host and port of a URL, as a Host header says them; undefined for anything else. */
function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}

/** The host that the client believes to speak to, with the port left out where it is https's own. */
const ownHost = (request: FastifyRequest): string => request.host.toLowerCase().replace(/:443$/, '')

/** What a browser says of where a request comes from, where it says it. Throws Problem 403. */
export function checkOrigin(request: FastifyRequest): void {
  const { origin, referer } = request.headers
  if (origin !== undefined && hostOf(origin) !== ownHost(request))
    throw new Problem(403, 'WRONG_ORIGIN', 'the request comes from another origin')
  if (referer !== undefined && hostOf(referer) !== ownHost(request))
    throw new Problem(403, 'WRONG_ORIGIN', 'Referer must name this controller')
}

const isRead = (request: FastifyRequest): boolean => request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS'

/** What keeps another site from using somebody's session. Throws Problem 403. */
function checkSessionUse(request: FastifyRequest, csrfToken: string): void {
  if (request.routeOptions.config.isSameOriginOnly === true) {
    if (request.headers.origin === undefined) throw new Problem(403, 'WRONG_ORIGIN', 'Origin is needed')
    checkOrigin(request)
  }
  if (isRead(request)) return
  if (request.headers.referer === undefined && request.headers.origin === undefined)
    throw new Problem(403, 'CSRF', 'a write with a session needs the Referer header')
  checkOrigin(request)
  const sent = request.headers['x-csrftoken']
  if (typeof sent !== 'string' || !isEqualSecret(sent, csrfToken))
    throw new Problem(403, 'CSRF', 'X-CSRFToken must be the value of the csrftoken cookie')
}

/**
 * Reads `Authorization: Basic`.
 *
 * Returns `undefined` when it is not that, or not UTF-8 with a colon in it
 */
export function parseBasic(value: string | undefined): { readonly username: string; readonly password: string } | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]{1,1024})$/i.exec(value ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Adds `request.caller` and refuses whoever a route does not let in. */
export function useCaller(app: FastifyInstance, services: Pick<RestServices, 'store' | 'access'>): void {
  const { store, access } = services

  const basic = async (request: FastifyRequest): Promise<Caller> => {
    const credentials = parseBasic(request.headers.authorization)
    if (credentials === undefined) throw new Problem(401, 'WRONG_CREDENTIALS', 'Authorization must be HTTP basic, in UTF-8')
    if (!access.isBasicAllowed()) throw new Problem(401, 'BASIC_NOT_ALLOWED', 'the system configuration does not allow HTTP basic')
    const actor = await access.verify(credentials.username, credentials.password, request.ip)
    if (actor === undefined) throw new Problem(401, 'WRONG_CREDENTIALS', 'wrong name or password', { headers: challenge })
    return { actor, ...tenantOf(store, request, actor), renew: () => actor }
  }

  const session = (request: FastifyRequest): Caller | undefined => {
    const sessionId = request.cookies[SESSION_COOKIE]
    const known = sessionId === undefined ? undefined : access.session(sessionId)
    if (sessionId === undefined || known === undefined) return undefined
    checkSessionUse(request, known.csrfToken)
    return { actor: known.actor, ...tenantOf(store, request, known.actor), sessionId, renew: () => access.session(sessionId)?.actor }
  }

  app.decorateRequest('caller', null)
  app.addHook('onRequest', async request => {
    if (request.is404) return
    const { entry = 'signed-in' } = request.routeOptions.config
    if (entry === 'open') return
    request.caller = (request.headers.authorization === undefined ? session(request) : await basic(request)) ?? null
    if (entry === 'signed-in') callerOf(request)
  })
}
