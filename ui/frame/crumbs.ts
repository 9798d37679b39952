/** The breadcrumb is the path, with names in place of uuids. */
import { titleOfKind } from '../settings/kinds.ts'

export interface Crumb {
  readonly to: string
  readonly text: string
  /** The text is the uuid of one of these: show its name. */
  readonly kind: string | undefined
}

const kindBySection: Readonly<Record<string, string>> = {
  services: 'virtualservice',
  pools: 'pool',
  addresses: 'vsvip',
  fabric: 'serviceengine'
}

/** The crumbs of a path inside the router; the start page is `Overview`. */
export function crumbsOf(pathname: string): readonly Crumb[] {
  const parts = pathname.split('/').filter(part => part !== '')
  if (parts.length === 0) return [{ to: '/', text: 'Overview', kind: undefined }]
  return parts.flatMap((part, at) => {
    const to = `/${parts.slice(0, at + 1).join('/')}`
    const before = parts[at - 1]
    const kind = before === undefined ? undefined : (kindBySection[before] ?? (parts[at - 2] === 'objects' ? before : undefined))
    const isUuid = /^[a-z]+-[0-9a-f]{8}-/u.test(part)
    if (part === 'objects') return []
    const text = isUuid ? part : (titleOfKind(part)?.plural ?? part.charAt(0).toUpperCase() + part.slice(1))
    return [{ to, text, kind: isUuid ? kind : undefined }]
  })
}
