/** Who may do what to which document, and what nobody may do. */
import { kinds, withDefaults, withSecrets } from '#model/resource/catalogue.ts'
import { defaultObjects } from '#model/resource/defaults.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { Actor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { StoredResource } from '#controller/store/store.ts'
import { SENSITIVE, valueAt } from './draft.ts'
import type { Draft } from './draft.ts'
import { isEqualJson } from './json.ts'
import { ChangeRefused } from './order.ts'
import type { View } from './view.ts'

/** What a user may change of itself without any role. */
const ownFields: ReadonlySet<string> = new Set(['password', 'full_name', 'email', 'default_tenant_ref', 'ui_property'])
/** Whoever may write these may give itself everything. */
const powerKinds: ReadonlySet<KindName> = new Set(['user', 'role'])

const isOwnUser = (actor: Actor, kind: KindName, uuid: string): boolean => kind === 'user' && actor.userUuid === uuid

const nameIn = (body: JsonObject): string => (typeof body['name'] === 'string' ? body['name'] : 'default')

const defaultNames: ReadonlySet<string> = new Set([
  ...defaultObjects.map(({ kind, body }) => `${kind} ${nameIn(body)}`),
  'sslkeyandcertificate System-Default-Cert'
])

/** Is it one of the objects of the first start? */
export function isDefaultObject({ kind, name, tenant }: Pick<StoredResource, 'kind' | 'name' | 'tenant'>): boolean {
  return tenant === ADMIN_TENANT && defaultNames.has(`${kind} ${name}`)
}

/** Throws ChangeRefused; what one may not even see is told like what does not exist. */
export function mustBeThere(resource: StoredResource | undefined, kind: KindName, uuid: string, actor: Actor): StoredResource {
  if (resource !== undefined && (actor.may('read', kind, resource.tenant) || isOwnUser(actor, kind, uuid))) return resource
  throw new ChangeRefused('NOT_FOUND', `there is no ${kind} ${uuid.slice(0, 128)}`)
}

/** Throws ChangeRefused when the actor may not write such a document there. */
export function mustBeAllowed(actor: Actor, kind: KindName, tenant: string, uuid?: string): void {
  if (uuid !== undefined && isOwnUser(actor, kind, uuid)) return
  if (powerKinds.has(kind) && !actor.isSuperuser) throw new ChangeRefused('FORBIDDEN', `only a superuser may write a ${kind}`)
  if (!actor.may('write', kind, tenant)) throw new ChangeRefused('FORBIDDEN', `${actor.name} may not write a ${kind} in this tenant`)
}

/** What a user without power changes of itself beyond what is its own. */
export function ownUserViolations(actor: Actor, draft: Draft, before: StoredResource | undefined): Violation[] {
  if (actor.isSuperuser || !isOwnUser(actor, draft.kind, draft.uuid) || before === undefined) return []
  const [now, then] = [withDefaults(draft.kind, draft.body), withDefaults(draft.kind, before.body)]
  return [...new Set([...Object.keys(now), ...Object.keys(then)])]
    .filter(name => !ownFields.has(name) && !isEqualJson(now[name], then[name]))
    .map(name => ({ pointer: `/${name}`, message: 'may be changed by a superuser only' }))
}

/** Who may say what the controller starts, and where, may do more than look after engines. */
export function driverViolations(actor: Actor, draft: Draft, before: StoredResource | undefined): Violation[] {
  if (actor.isSuperuser || draft.kind !== 'cloud') return []
  // A secret that says that it stays is what it was.
  const kept = withSecrets('cloud', draft.body, ({ pointer, value }) => {
    const stored = value === SENSITIVE ? valueAt(before?.body, pointer) : undefined
    return typeof stored === 'string' ? stored : value
  })
  const [now, then] = [kept, before?.body ?? {}].map(body => withDefaults('cloud', body)['engine_driver'] ?? null)
  const isSame = isEqualJson(now, then)
  return isSame ? [] : [{ pointer: '/engine_driver', message: 'may be changed by a superuser only' }]
}

/** What must never go: the tenant and the one object that everything else rests on. */
export function mustBeRemovable(resource: StoredResource): void {
  if (isDefaultObject(resource)) {
    throw new ChangeRefused('CONFLICT', `${resource.kind} ${resource.name} is a default object: it may be changed and not deleted`)
  }
  if (kinds[resource.kind].scope === 'single') throw new ChangeRefused('CONFLICT', `the ${resource.kind} cannot be deleted`)
}

/** References that are left out mean the defaults by name. */
export function renameViolations({ before, name }: Draft): Violation[] {
  const isRenamed = before !== undefined && before.name !== name && isDefaultObject(before)
  return isRenamed ? [{ pointer: '/name', message: `must stay ${before.name}: it is a default object` }] : []
}

const isPowerful = (user: StoredResource): boolean => user.body['is_superuser'] === true && user.body['is_active'] !== false

/** Somebody must be left who may do everything. Throws ChangeRefused. */
export function mustLeaveSuperuser(before: readonly StoredResource[], view: View): void {
  if (before.some(isPowerful) && !view.list('user').some(isPowerful)) {
    throw new ChangeRefused('CONFLICT', 'the last active superuser must stay one')
  }
}
