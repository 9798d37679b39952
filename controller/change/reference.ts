/** References in every spelling that Avi's tools use, and what they mean. */
import { kindNames } from '#model/resource/kind.ts'
import type { KindName } from '#model/resource/kind.ts'
import { ADMIN_TENANT, sharedKinds } from '#controller/access/permission.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'

export type Spelled =
  | { readonly is: 'uuid'; readonly kind: KindName | undefined; readonly uuid: string }
  | { readonly is: 'name'; readonly kind: KindName; readonly name: string }
  | { readonly is: 'nonsense' }

const NONSENSE: Spelled = { is: 'nonsense' }
const isKind = (text: string): text is KindName => kindNames.some(kind => kind === text)

/**
 * Takes a reference apart: `/api/pool/<uuid>`, `/api/pool/?name=web`, `/api/pool?name=web`, absolute URLs of these, a bare
 * uuid; each may end in `#name`.
 *
 * Throws  nothing, whatever the text is
 */
export function parseReference(text: string): Spelled {
  const [plain = ''] = text.split('#', 1)
  const [, path, query = ''] = /^(?:https?:\/\/[^/?#]+)?\/?(api\/[^?]*)(?:\?(.*))?$/i.exec(plain) ?? []
  if (path === undefined) return /^[\w.:-]{1,255}$/.test(plain) ? { is: 'uuid', kind: undefined, uuid: plain } : NONSENSE
  const [, kind = '', uuid = '', more] = path.split('/')
  if (!isKind(kind) || (more !== undefined && more !== '')) return NONSENSE
  const name = new URLSearchParams(query).get('name')
  if (uuid !== '') return /^[\w.:-]{1,255}$/.test(uuid) ? { is: 'uuid', kind, uuid } : NONSENSE
  return name === null || name === '' ? NONSENSE : { is: 'name', kind, name }
}

/** May an object be referred to from a tenant that it is not in? Only the defaults that serve all. */
export function isShared(resource: Pick<StoredResource, 'kind' | 'tenant' | 'name'>): boolean {
  if (resource.tenant !== ADMIN_TENANT) return false
  return sharedKinds.has(resource.kind) || (resource.kind === 'sslkeyandcertificate' && resource.name.startsWith('System-'))
}

export type Resolved = { readonly is: 'found'; readonly uuid: string } | { readonly is: 'not-found'; readonly message: string }

/**
 * What a reference means to somebody in a tenant: the tenant's own object first, then a shared one of the admin tenant.
 * What lies in another tenant is told like what does not exist.
 *
 * Shapes  scope: of the kind that is referred to
 */
export function resolveReference(
  view: Pick<Store, 'get' | 'findByName'>,
  reference: { readonly text: string; readonly toKind: KindName; readonly scope: 'tenant' | 'global' | 'single' },
  tenant: string
): Resolved {
  const { text, toKind, scope } = reference
  const spelled = parseReference(text)
  const notFound = (message: string): Resolved => ({ is: 'not-found', message })
  if (spelled.is === 'nonsense') return notFound(`must refer to a ${toKind}: /api/${toKind}/<uuid> or /api/${toKind}?name=<name>`)
  if (spelled.kind !== undefined && spelled.kind !== toKind) return notFound(`must refer to a ${toKind}, not to a ${spelled.kind}`)
  const isVisible = (resource: StoredResource | undefined): resource is StoredResource =>
    resource !== undefined && (scope !== 'tenant' || resource.tenant === tenant || isShared(resource))
  if (spelled.is === 'uuid') {
    const found = view.get(toKind, spelled.uuid)
    return isVisible(found)
      ? { is: 'found', uuid: found.uuid }
      : notFound(`refers to no ${toKind}: there is none with uuid ${spelled.uuid}`)
  }
  const own = view.findByName(toKind, scope === 'tenant' ? tenant : ADMIN_TENANT, spelled.name)
  const found = own ?? view.findByName(toKind, ADMIN_TENANT, spelled.name)
  return isVisible(found) ? { is: 'found', uuid: found.uuid } : notFound(`refers to no ${toKind}: there is none named ${spelled.name}`)
}
