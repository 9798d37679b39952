/** What of the store a caller gets to see. Every route that reads resources reads them here. */
import { kinds } from '#model/resource/catalogue.ts'
import type { KindName } from '#model/resource/kind.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { isShared } from '#controller/change/reference.ts'
import type { Caller } from './caller.ts'
import { Problem, notFound } from './problem.ts'

type Owned = Pick<StoredResource, 'kind' | 'tenant' | 'name'>

/** Does the caller's role let it read the object, whatever the request is about? */
function mayRead({ actor, tenant }: Caller, owned: Owned): boolean {
  return actor.may('read', owned.kind, owned.tenant) || (tenant !== '*' && isShared(owned) && actor.may('read', owned.kind, tenant))
}

/** Is the object part of what the request is about, and may the caller read it? */
export function canSee(caller: Caller, owned: Owned): boolean {
  const isInTenant = caller.tenant === '*' || owned.tenant === caller.tenant || kinds[owned.kind].scope !== 'tenant' || isShared(owned)
  return isInTenant && mayRead(caller, owned)
}

/** All that the caller sees of a kind, in order of name. Throws Problem 403 when its role reads none of the kind at all. */
export function listSeen(store: Store, caller: Caller, kind: KindName): readonly StoredResource[] {
  if (!mayReadAny(store, caller, kind))
    throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not read ${kinds[kind].titlePlural.toLowerCase()}`)
  return store.list(kind).filter(resource => canSee(caller, resource))
}

function mayReadAny(store: Store, caller: Caller, kind: KindName): boolean {
  if (caller.tenant !== '*') return caller.actor.may('read', kind, caller.tenant) || caller.actor.may('read', kind, ADMIN_TENANT)
  const tenants = caller.actor.tenants === '*' ? store.list('tenant').map(tenant => tenant.uuid) : caller.actor.tenants
  return tenants.some(tenant => caller.actor.may('read', kind, tenant))
}

/**
 * One object; one's own user is always there. A tenant that the caller did not name does not hide what its role may read elsewhere; what it may not
 * read is not there.
 *
 * Throws Problem 404
 */
export function findSeen(store: Store, caller: Caller, kind: KindName, uuid: string): StoredResource {
  const resource = store.get(kind, uuid)
  const isOwn = kind === 'user' && caller.actor.userUuid === uuid
  const isSeen = resource !== undefined && (isOwn || (caller.isTenantGiven ? canSee(caller, resource) : mayRead(caller, resource)))
  if (!isSeen) throw notFound(`${kind} ${uuid.slice(0, 128)}`)
  return resource
}
