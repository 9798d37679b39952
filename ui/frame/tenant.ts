/** The tenant that one looks at is the first part of the URL, unless it is one's own: `/t/shop/services`. */

/** Splits the tenant off a path. `base` is what the router takes as the root of all links. */
export function tenantIn(pathname: string): { readonly tenant: string | undefined; readonly base: string } {
  const match = /^\/t\/([^/]+)/u.exec(pathname)
  if (!match) return { tenant: undefined, base: '/' }
  try {
    return { tenant: decodeURIComponent(match[1]!), base: match[0] }
  } catch {
    return { tenant: undefined, base: '/' }
  }
}

/** Where the dashboard of a tenant starts. */
export function pathOfTenant(tenant: string, own: string): string {
  return tenant === own ? '/' : `/t/${encodeURIComponent(tenant)}/`
}
