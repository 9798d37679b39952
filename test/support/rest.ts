/** The REST layer over a memory store, with the real change and access, for tests that inject requests. */
import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import type { Clock } from '#model/base/clock.ts'
import { makeLog, silentLog } from '#model/base/log.ts'
import { defaultObjects } from '#model/resource/defaults.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { noFigures } from '#model/resource/runtime.ts'
import { openAccess } from '#controller/access/access.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { makeChange } from '#controller/change/apply.ts'
import type { Change } from '#controller/change/apply.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openDrivers } from '#controller/driver/drivers.ts'
import { DriverFailed } from '#controller/driver/port.ts'
import { openReleases } from '#controller/release/release.ts'
import { openScale } from '#controller/scale/scale.ts'
import { openUpgrades } from '#controller/upgrade/upgrade.ts'
import { openRest } from '#controller/rest/server.ts'
import type { Rest, RestOptions } from '#controller/rest/server.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import type { Store } from '#controller/store/store.ts'
import { openTimeline, type Timeline } from '#controller/timeline/timeline.ts'
import { aSigner } from './upgrade.ts'
import { toldFleet, toldTelemetry } from './rest-ports.ts'
import type { ToldFleet, ToldTelemetry } from './rest-ports.ts'

export const PASSWORD = 'correct horse battery'
const HOST = 'controller.test:9443'

export interface RestAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  /** The body as a JSON object; {} when there is none. */
  readonly body: Readonly<Record<string, unknown>>
  /** Of a list. */
  readonly results: readonly Readonly<Record<string, unknown>>[]
  readonly violations: readonly { readonly pointer: string; readonly message: string }[]
}

export interface RestClient {
  readonly call: (
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    body?: object | string,
    headers?: Readonly<Record<string, string>>
  ) => Promise<RestAnswer>
  readonly cookie: string
  readonly csrfToken: string
}

export interface RestHouse {
  readonly rest: Rest
  readonly store: Store
  readonly change: Change
  readonly fleet: ToldFleet
  readonly telemetry: ToldTelemetry
  readonly timeline: Timeline
  /** Signed in as the superuser. */
  readonly admin: RestClient
  readonly signIn: (username: string, password?: string) => Promise<RestClient>
  readonly anonymous: RestClient
  /** What was logged as an error: a test that expects none says so. */
  readonly errors: string[]
}

const standIn = {
  caPem: 'ca',
  caFingerprint: Buffer.alloc(32, 7).toString('base64url'),
  serverKeyPin: 'sha256//cGlu',
  serverCertificate: () => ({ keyPem: '', certificatePem: '' }),
  onServerRenewed: () => () => undefined
}

export async function aRest(
  t: Test,
  options: Partial<RestOptions> & { readonly clock?: Clock; readonly configuration?: JsonObject } = {}
): Promise<RestHouse> {
  const { configuration, ...more } = options
  const clock = options.clock ?? systemClock
  const store = openMemoryStore()
  const change = makeChange({ store, seal: makeSeal(Buffer.alloc(32, 1)), clock, randomBytes, committed: () => undefined })
  const apply = (writes: Parameters<Change['apply']>[0]['writes']): ReturnType<Change['apply']> =>
    change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes })
  await apply(defaultObjects.map(({ kind, body }) => ({ op: 'create', kind, body, ...(kind === 'tenant' ? { uuid: ADMIN_TENANT } : {}) })))
  await apply([{ op: 'create', kind: 'user', body: { name: 'admin', password: PASSWORD, is_superuser: true } }])
  if (configuration !== undefined) {
    const single = store.list('systemconfiguration')[0]
    if (single === undefined) await apply([{ op: 'create', kind: 'systemconfiguration', body: configuration }])
    else await apply([{ op: 'patch', kind: 'systemconfiguration', uuid: single.uuid, patch: { replace: configuration } }])
  }
  const fleet = toldFleet()
  const telemetry = toldTelemetry()
  const nothing = { read: () => ({ requests: 0, errors: 0, latency: [] }), stop: () => undefined }
  const timeline = openTimeline({ store, clock, log: silentLog })
  t.teardown(timeline.stop)
  const releases = openReleases({
    store,
    change,
    telemetry: { measure: () => nothing },
    healthOf: () => null,
    webhooks: { tell: () => undefined },
    timeline,
    actor: controllerActor,
    clock,
    log: silentLog
  })
  t.teardown(releases.stop)
  const upgrades = openUpgrades({
    store,
    telemetry: { measure: () => nothing },
    fleet,
    enginesOf: group => store.list('serviceengine').flatMap(({ uuid, body }) => (body['se_group_ref'] === group ? [uuid] : [])),
    sign: aSigner().sign,
    givenOut: () => ({ version: '2.0.0', builds: { 'linux-x64': 'cd'.repeat(32) } }),
    webhooks: { tell: () => undefined },
    timeline,
    clock,
    log: silentLog
  })
  t.teardown(upgrades.stop)
  const noLoad = { live: () => noFigures, liveOfEngine: () => noFigures, hostOfEngine: () => null }
  const groups = { sites: () => [], services: () => [], isMoving: () => false }
  const scale = openScale({
    store,
    change,
    actor: controllerActor,
    poolRuntime: fleet.poolRuntime,
    webhooks: { tell: () => undefined },
    actions: fleet.actions,
    enginesOf: () => [],
    groups,
    telemetry: noLoad,
    clock,
    log: silentLog
  })
  t.teardown(scale.stop)
  const drivers = openDrivers({
    store,
    change,
    actor: controllerActor,
    authority: standIn,
    seal: makeSeal(Buffer.alloc(32, 1)),
    randomBytes,
    fleet,
    sites: () => [],
    wantedOf: scale.enginesWanted,
    note: scale.note,
    makeDriver: () => {
      throw new DriverFailed('no driver works here')
    },
    ownUrl: () => 'https://127.0.0.1:9443',
    clock,
    log: silentLog
  })
  t.teardown(drivers.stop)
  const errors: string[] = []
  const rest = await openRest({
    store,
    change,
    access: openAccess({ store, clock, randomBytes }),
    authority: standIn,
    fleet,
    releases,
    upgrades,
    backups: { make: () => undefined },
    scale,
    drivers,
    timeline,
    telemetry,
    clock,
    log: makeLog(line => errors.push(line), { level: 'error' }),
    uiFolder: '/nonexistent/ui',
    installFolder: '/nonexistent/install',
    version: '0.0.0-test',
    tls: false,
    ...more
  })
  t.teardown(() => rest.stop())

  const client = (cookie: string, csrfToken: string): RestClient => ({
    cookie,
    csrfToken,
    call: async (method, url, body, headers = {}) => {
      const isText = typeof body === 'string'
      const response = await rest.inject({
        method,
        url,
        headers: {
          host: HOST,
          ...(cookie === '' ? {} : { cookie, referer: `https://${HOST}/`, 'x-csrftoken': csrfToken }),
          ...(isText ? { 'content-type': 'application/json' } : {}),
          ...headers
        },
        ...(body === undefined ? {} : { payload: body })
      })
      const isJson = /json/.test(String(response.headers['content-type']))
      const parsed: Readonly<Record<string, unknown>> = isJson ? response.json() : {}
      return {
        status: response.statusCode,
        headers: response.headers,
        text: response.body,
        body: parsed,
        results: (parsed['results'] ?? []) as RestAnswer['results'],
        violations: (parsed['violations'] ?? []) as RestAnswer['violations']
      }
    }
  })
  const anonymous = client('', '')

  const signIn = async (username: string, password = PASSWORD): Promise<RestClient> => {
    const answer = await anonymous.call('POST', '/login', { username, password })
    if (answer.status !== 200) throw new Error(`could not sign in as ${username}: ${answer.text}`)
    const cookies = answer.headers['set-cookie'] as readonly string[]
    const valueOf = (name: string): string =>
      cookies
        .find(item => item.startsWith(`${name}=`))!
        .slice(name.length + 1)
        .split(';', 1)[0]!
    return client(`sessionid=${valueOf('sessionid')}; csrftoken=${valueOf('csrftoken')}`, valueOf('csrftoken'))
  }
  return { rest, store, change, fleet, telemetry, timeline, errors, anonymous, signIn, admin: await signIn('admin') }
}

/** A tenant with a user of a role in it and nowhere else. */
export async function aTenant(
  { admin, signIn }: RestHouse,
  name: string,
  role = 'Tenant-Admin'
): Promise<{ readonly uuid: string; readonly client: RestClient }> {
  const made = await admin.call('POST', '/api/tenant', { name })
  const user = {
    name: `${name}-user`,
    password: PASSWORD,
    access: [{ role_ref: `/api/role?name=${role}`, tenant_ref: `/api/tenant?name=${name}` }],
    default_tenant_ref: `/api/tenant?name=${name}`
  }
  const answer = await admin.call('POST', '/api/user', user)
  if (answer.status !== 201) throw new Error(answer.text)
  return { uuid: String(made.body['uuid']), client: await signIn(`${name}-user`) }
}
