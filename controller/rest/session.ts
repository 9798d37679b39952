/** Signing in and out, and what the SDKs and the dashboard ask first. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { JsonObject } from '#model/resource/kind.ts'
import type { Actor } from '#controller/access/actor.ts'
import { baseOf } from './answer.ts'
import { callerOf, checkOrigin, CSRF_COOKIE, ownTenant, SESSION_COOKIE, tenantsOf } from './caller.ts'
import { isObject } from './json.ts'
import { anyObject } from './openapi.ts'
import { Problem } from './problem.ts'
import type { RestServices } from './services.ts'

/** The level of Avi's API whose dialect this is; what the SDKs compare theirs with. */
export const API_LEVEL = '31.1.1'
const NAME_MAX = 256
const PASSWORD_MAX = 1_024

const credentialsBody: JsonObject = {
  type: 'object',
  required: ['username', 'password'],
  properties: { username: { type: 'string', maxLength: NAME_MAX }, password: { type: 'string', maxLength: PASSWORD_MAX, writeOnly: true } }
}

/** Reads name and password from a form or JSON. Throws Problem 400. */
function credentialsIn(body: unknown): { readonly username: string; readonly password: string } {
  const given = isObject(body) ? body : {}
  const username = given['username']
  const password = given['password']
  if (typeof username !== 'string' || typeof password !== 'string' || username === '')
    throw new Problem(400, 'MALFORMED', 'username and password are needed, as a form or as JSON')
  if (username.length > NAME_MAX || password.length > PASSWORD_MAX) throw new Problem(401, 'WRONG_CREDENTIALS', 'wrong name or password')
  return { username, password }
}

export function versionOf(version: string): JsonObject {
  return {
    Version: API_LEVEL,
    min_version: '17.2.1',
    Product: 'controller',
    ProductName: 'Weir',
    Tag: version,
    build: 0,
    weir_version: version
  }
}

export function useSession(app: FastifyInstance, services: RestServices, options: { readonly loginsPerMinute: number }): void {
  const { store, access, version, clock } = services
  const startedAt = new Date(clock.nowEpochMs()).toISOString()

  const setCookies = (reply: FastifyReply, sessionId: string, csrfToken: string): void => {
    const common = { path: '/', secure: true, sameSite: 'strict' } as const
    reply.setCookie(SESSION_COOKIE, sessionId, { ...common, httpOnly: true })
    // Read by the dashboard's own script, that sends it back as X-CSRFToken.
    reply.setCookie(CSRF_COOKIE, csrfToken, { ...common, httpOnly: false })
  }
  const clearCookies = (reply: FastifyReply): void => {
    for (const name of [SESSION_COOKIE, CSRF_COOKIE]) reply.clearCookie(name, { path: '/', secure: true, sameSite: 'strict' })
  }

  const describe = (request: FastifyRequest, actor: Actor): JsonObject => {
    const base = baseOf(request)
    const user = actor.userUuid === null ? undefined : store.get('user', actor.userUuid)
    const own = ownTenant(store, actor)
    const tenants = tenantsOf(store, actor).map(({ uuid, name }) => ({ uuid, name, url: `${base}/api/tenant/${uuid}#${name}` }))
    const textOf = (field: string): string => {
      const value = user?.body[field]
      return typeof value === 'string' ? value : ''
    }
    return {
      user: {
        uuid: actor.userUuid ?? '',
        name: user?.name ?? actor.name,
        username: user?.name ?? actor.name,
        full_name: textOf('full_name'),
        email: textOf('email'),
        is_superuser: actor.isSuperuser,
        local: true,
        ...(user === undefined ? {} : { url: `${base}/api/user/${user.uuid}`, _last_modified: user.lastModified })
      },
      tenants,
      tenant_ref: `${base}/api/tenant/${own}`,
      default_tenant: tenants.find(tenant => tenant.uuid === own)?.name ?? ''
    }
  }

  void app.register(async scope => {
    scope.addContentTypeParser(
      /^application\/x-www-form-urlencoded(?:;|$)/,
      { parseAs: 'string', bodyLimit: 16_384 },
      (_request, body, done) => {
        done(null, Object.fromEntries(new URLSearchParams(String(body))))
      }
    )
    scope.post(
      '/login',
      {
        bodyLimit: 16_384,
        config: {
          entry: 'open',
          rateLimit: { max: options.loginsPerMinute, timeWindow: 60_000 },
          doc: { summary: 'Sign in', tag: 'session', body: credentialsBody, status: 200, answer: anyObject }
        }
      },
      async (request, reply) => {
        // Another site must not sign somebody in as somebody else.
        checkOrigin(request)
        const { username, password } = credentialsIn(request.body)
        const signedIn = await access.signIn(username, password, request.ip)
        if (signedIn === undefined) throw new Problem(401, 'WRONG_CREDENTIALS', 'wrong name or password')
        setCookies(reply, signedIn.sessionId, signedIn.csrfToken)
        reply.header('cache-control', 'no-store')
        return {
          ...describe(request, signedIn.actor),
          version: versionOf(version),
          session_cookie_name: SESSION_COOKIE,
          user_initialized: true
        }
      }
    )
  })

  app.post(
    '/logout',
    { config: { entry: 'optional', doc: { summary: 'Sign out', tag: 'session', status: 200, answer: anyObject } } },
    async (request, reply) => {
      const sessionId = request.caller?.sessionId
      if (sessionId !== undefined) access.signOut(sessionId)
      clearCookies(reply)
      return {}
    }
  )

  app.get(
    '/api/initial-data',
    {
      config: {
        entry: 'optional',
        doc: { summary: 'What a client needs to begin; signed in, who one is', tag: 'session', status: 200, answer: anyObject }
      }
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const { caller } = request
      if (caller === null)
        return {
          version: { Version: API_LEVEL, Product: 'controller', ProductName: 'Weir' },
          signed_in: false,
          session_cookie_name: SESSION_COOKIE
        }
      return { ...describe(request, caller.actor), version: versionOf(version), signed_in: true, session_cookie_name: SESSION_COOKIE }
    }
  )

  app.get(
    '/api/user-tenant-list',
    { config: { doc: { summary: 'Tenants that one has a role in', tag: 'session', status: 200, answer: anyObject } } },
    async request => ({ tenants: describe(request, callerOf(request).actor)['tenants'] })
  )

  // Tools wait for a controller by this one before they can sign in; it tells nothing else then.
  app.get(
    '/api/cluster/runtime',
    { config: { entry: 'optional', doc: { summary: 'Is the controller up', tag: 'system', status: 200, answer: anyObject } } },
    async request => {
      const cluster_state = { state: 'CLUSTER_UP_NO_HA', progress: 100, up_since: startedAt }
      if (request.caller === null) return { cluster_state }
      return {
        cluster_state,
        node_states: [{ name: request.hostname, role: 'CLUSTER_LEADER', state: 'CLUSTER_ACTIVE', up_since: startedAt }]
      }
    }
  )

  app.get(
    '/api/cluster/version',
    { config: { doc: { summary: 'Version of API and controller', tag: 'system', status: 200, answer: anyObject } } },
    async () => versionOf(version)
  )
}
