/** References as the API writes them: `https://host/api/pool/pool-...#web`, a path of it, or a bare uuid. */

export interface Reference {
  readonly uuid: string
  /** undefined when the API was not asked to `include_name`. */
  readonly name: string | undefined
}

/**
 * Reads a reference.
 *
 * Returns undefined for anything that is no text or has no uuid (a reference by name)
 */
export function parseReference(value: unknown): Reference | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  const [address = '', name] = value.split('#', 2)
  const uuid = address.split('?')[0]!.replace(/\/+$/u, '').split('/').at(-1) ?? ''
  if (!/^[a-z]+-[0-9a-z-]+$/iu.test(uuid)) return undefined
  return { uuid, name: name === undefined || name === '' ? undefined : decode(name) }
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** What to write into a reference field. */
export function referenceTo(kind: string, uuid: string): string {
  return `/api/${kind}/${uuid}`
}
