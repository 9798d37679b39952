/** Who is signed in, as `GET /api/initial-data` and the sign-in itself tell it. */

export interface Session {
  readonly userName: string
  readonly isSuperuser: boolean
  readonly tenants: readonly { readonly name: string; readonly uuid: string }[]
  /** The tenant of a request that names none. */
  readonly defaultTenant: string
  readonly version: string
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null

function versionIn(value: unknown): string {
  if (typeof value === 'string') return value
  if (!isRecord(value)) return ''
  return String(value['weir_version'] ?? value['Version'] ?? '')
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
    userName: String(userFields['username'] ?? userFields['name'] ?? ''),
    isSuperuser: userFields['is_superuser'] === true,
    tenants: tenants.flatMap((tenant: unknown) =>
      isRecord(tenant) && typeof tenant['name'] === 'string' ? [{ name: tenant['name'], uuid: String(tenant['uuid'] ?? '') }] : []
    ),
    defaultTenant: String(fields['default_tenant'] ?? ''),
    version: versionIn(fields['version'])
  }
}
