/** Where a kind's objects are shown and made. */

const pages: Readonly<Record<string, string>> = {
  virtualservice: '/services',
  pool: '/pools',
  vsvip: '/addresses',
  serviceengine: '/fabric'
}

export function pathOfKind(kind: string): string {
  return pages[kind] ?? `/settings/objects/${kind}`
}

export function pathOfNew(kind: string): string {
  return `${pathOfKind(kind)}/new`
}

/** The page of an object; kinds without a page of their own have their form. */
export function pathOfObject(kind: string, uuid: string): string {
  return `${pathOfKind(kind)}/${uuid}`
}
