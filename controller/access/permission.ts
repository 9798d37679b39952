/** What roles allow: Avi's permissions over our kinds. */
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { permissionOf } from '#model/resource/role.ts'
import type { Store } from '#controller/store/store.ts'
import type { Actor } from './actor.ts'

/** Uuid of the tenant that exists from the first start, as in Avi. */
export const ADMIN_TENANT = 'admin'

/** Kinds whose objects in the admin tenant serve every tenant: the defaults that unset references mean. */
export const sharedKinds: ReadonlySet<KindName> = new Set([
  'cloud',
  'serviceenginegroup',
  'healthmonitor',
  'applicationprofile',
  'networkprofile',
  'applicationpersistenceprofile',
  'sslprofile',
  'pkiprofile',
  'ipaddrgroup',
  'stringgroup',
  'analyticsprofile'
])

type Level = 'read' | 'write'
/** Permission -> what it allows; from all roles that hold in one tenant. */
type Grants = Map<string, Level>

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
const objectsIn = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : [])

function addPrivileges(grants: Grants, role: JsonObject): void {
  for (const { resource, type } of objectsIn(role['privileges'])) {
    if (typeof resource !== 'string') continue
    if (type === 'WRITE_ACCESS') grants.set(resource, 'write')
    else if (type === 'READ_ACCESS' && grants.get(resource) === undefined) grants.set(resource, 'read')
  }
}

/** A superuser's hand. */
export function superActor(name: string, userUuid: string | null): Actor {
  return { name, userUuid, isSuperuser: true, tenants: '*', may: () => true }
}

/**
 * What a user may do, worked out from its roles as they are now. Several roles add up; NO_ACCESS adds nothing.
 *
 * Shapes  user: stored document, references as uuids
 */
export function actorOfUser(store: Pick<Store, 'get'>, userUuid: string, name: string, user: JsonObject): Actor {
  if (user['is_superuser'] === true) return superActor(name, userUuid)
  const byTenant = new Map<string, Grants>()
  for (const access of objectsIn(user['access'])) {
    const role = typeof access['role_ref'] === 'string' ? store.get('role', access['role_ref']) : undefined
    const tenant = access['all_tenants'] === true ? '*' : access['tenant_ref']
    if (role === undefined || typeof tenant !== 'string') continue
    let grants = byTenant.get(tenant)
    if (grants === undefined) byTenant.set(tenant, (grants = new Map()))
    addPrivileges(grants, role.body)
  }
  const inEvery = byTenant.get('*')
  const has = (grants: Grants | undefined, permission: string, action: Level): boolean => {
    const level = grants?.get(permission)
    return level === 'write' || level === action
  }
  return {
    name,
    userUuid,
    isSuperuser: false,
    tenants: inEvery === undefined ? [...byTenant.keys()] : '*',
    may: (action, kind, tenant) => {
      const permission = permissionOf[kind]
      if (has(inEvery, permission, action) || has(byTenant.get(tenant), permission, action)) return true
      // What serves every tenant may be seen from every tenant where its kind may be seen.
      const isShared = action === 'read' && tenant === ADMIN_TENANT && sharedKinds.has(kind)
      return isShared && [...byTenant.values()].some(grants => has(grants, permission, 'read'))
    }
  }
}
