/** Who is signed in, as `GET /api/initial-data` tells it. */
import { isRecord, textIn } from '../json.ts'

export interface Session {
  readonly userName: string
  readonly isSuperuser: boolean
  readonly tenants: readonly { readonly name: string; readonly uuid: string }[]
  /** The tenant of a request that names none. */
  readonly defaultTenant: string
  readonly version: string
}

function versionIn(value: unknown): string {
  if (typeof value === 'string') return value
  if (!isRecord(value)) return ''
  return textIn(value['weir_version'], textIn(value['Version']))
}

/**
 * Reads the answer; SDKs of Avi read the same one, so its shape is theirs: `user` an object, `version` with `Version`.
 *
 * Returns null when nobody is signed in; a session without tenants when they are not told
 */
export function parseSession(value: unknown): Session | null {
  const fields = isRecord(value) ? value : {}
  if (fields['signed_in'] === false) return null
  const user = fields['user']
  const userFields = isRecord(user) ? user : { username: user }
  const tenants = Array.isArray(fields['tenants']) ? fields['tenants'] : []
  return {
    userName: textIn(userFields['username'], textIn(userFields['name'])),
    isSuperuser: userFields['is_superuser'] === true,
    tenants: tenants.flatMap((tenant: unknown) =>
      isRecord(tenant) && typeof tenant['name'] === 'string' ? [{ name: tenant['name'], uuid: textIn(tenant['uuid']) }] : []
    ),
    defaultTenant: textIn(fields['default_tenant']),
    version: versionIn(fields['version'])
  }
}
