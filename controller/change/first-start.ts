/** What exists before anybody wrote anything: the default objects and somebody who may sign in. */
import { defaultObjects } from '#model/resource/defaults.ts'
import type { DefaultObject } from '#model/resource/defaults.ts'
import { kinds } from '#model/resource/catalogue.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import type { RandomBytes } from '#controller/access/password.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { Store } from '#controller/store/store.ts'
import type { Change } from './apply.ts'
import type { Write } from './order.ts'

/** A default object that has to be made, such as a certificate; made only when it is not there. */
export interface MadeDefault {
  readonly kind: KindName
  readonly name: string
  readonly make: () => Promise<JsonObject>
}

export interface FirstStartOptions {
  readonly store: Store
  readonly change: Change
  readonly randomBytes: RandomBytes
  /** Counts only while there is no user at all; made up when it is left out. */
  readonly adminPassword?: string | undefined
  readonly defaults?: readonly DefaultObject[]
  readonly made?: readonly MadeDefault[]
}

export interface FirstStart {
  /** Kind and name of what was made now; [] at every later start. */
  readonly created: readonly string[]
  /** The admin's password when it was made up now: to be told once. */
  readonly generatedPassword?: string
}

const nameIn = (body: JsonObject): string => (typeof body['name'] === 'string' ? body['name'] : 'default')

const isThere = (store: Store, kind: KindName, name: string): boolean =>
  kinds[kind].scope === 'single' ? store.list(kind).length > 0 : store.findByName(kind, ADMIN_TENANT, name) !== undefined

/**
 * Makes what is missing of the default objects, and the user `admin` while there is no user. What is there stays as it is,
 * so that it may run at every start.
 *
 * Throws ChangeRefused, for a password that is too short
 */
export async function firstStart(options: FirstStartOptions): Promise<FirstStart> {
  const { store, change, randomBytes, defaults = defaultObjects, made = [] } = options
  const documents = defaults.filter(({ kind, body }) => !isThere(store, kind, nameIn(body)))
  for (const { kind, name, make } of made) if (!isThere(store, kind, name)) documents.push({ kind, body: await make() })

  const isPasswordMade = store.list('user').length === 0 && options.adminPassword === undefined
  const password = options.adminPassword ?? Buffer.from(randomBytes(15)).toString('base64url')
  if (store.list('user').length === 0)
    documents.push({ kind: 'user', body: { name: 'admin', username: 'admin', password, is_superuser: true } })

  const writes = documents.map(({ kind, body }): Write => ({
    op: 'create',
    kind,
    body,
    ...(kind === 'tenant' && body['name'] === 'admin' ? { uuid: ADMIN_TENANT } : {})
  }))
  if (writes.length === 0) return { created: [] }
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes, reason: 'default objects' })
  return {
    created: documents.map(({ kind, body }) => `${kind} ${nameIn(body)}`),
    ...(isPasswordMade ? { generatedPassword: password } : {})
  }
}
