/** Certificate revocation lists, and what of a certificate is looked up in them. */
import { DER, derHex, derInside, derTime, derWholeHex, readDer, type DerNode } from './der.ts'

export interface RevocationList {
  /** DER of the name of who made it, in hex. */
  readonly issuer: string
  /** Lower-case hex. */
  readonly serials: readonly string[]
  readonly thisUpdateEpochMs: number
  /** Null: it does not say. */
  readonly nextUpdateEpochMs: number | null
}

const EXTENSIONS = 0xa0
/** Base64 of DER between the lines of PEM; one list. */
const pem = /^\s*-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----\s*$/

/** The bytes of one list in PEM; undefined when it is none. */
export const crlBase64 = (text: string): string | undefined => pem.exec(text)?.[1]?.replaceAll(/\s/g, '')

/**
 * Reads what is signed of a list.
 *
 * Returns undefined when it cannot be read, or has a critical extension: a list of changes or of a part of the certificates, which
 *         alone does not say who is not revoked
 * Source  RFC 5280 §5.1, §5.2
 */
export function readCrl(bytes: Uint8Array): RevocationList | undefined {
  const whole = readDer(bytes)
  const [tbs] = whole?.tag === DER.SEQUENCE && whole.end === bytes.length ? (derInside(bytes, whole) ?? []) : []
  const parts = tbs?.tag === DER.SEQUENCE ? derInside(bytes, tbs) : undefined
  if (parts === undefined) return undefined
  if (parts[0]?.tag === DER.INTEGER) parts.shift()
  const [, issuer, thisUpdate, ...rest] = parts
  const thisUpdateEpochMs = thisUpdate === undefined ? undefined : derTime(bytes, thisUpdate)
  if (issuer?.tag !== DER.SEQUENCE || thisUpdateEpochMs === undefined) return undefined
  const next = rest[0] === undefined ? undefined : derTime(bytes, rest[0])
  if (next !== undefined) rest.shift()
  const serials: string[] = []
  if (rest[0]?.tag === DER.SEQUENCE) {
    for (const entry of derInside(bytes, rest.shift()!) ?? []) {
      const [serial] = derInside(bytes, entry) ?? []
      if (serial?.tag !== DER.INTEGER) return undefined
      serials.push(derHex(bytes, serial))
    }
  }
  if (rest[0]?.tag === EXTENSIONS && hasCritical(bytes, rest[0])) return undefined
  return { issuer: derWholeHex(bytes, issuer), serials, thisUpdateEpochMs, nextUpdateEpochMs: next ?? null }
}

function hasCritical(bytes: Uint8Array, explicit: DerNode): boolean {
  const list = readDer(bytes, explicit.start, explicit.end)
  const extensions = list === undefined ? undefined : derInside(bytes, list)
  // What cannot be read is taken for the worst.
  if (extensions === undefined) return true
  return extensions.some(extension => (derInside(bytes, extension) ?? [])[1]?.tag === 0x01)
}

interface Leaf {
  /** Lower-case hex. */
  readonly serial: string
  /** DER of the authority's name, in hex. */
  readonly issuer: string
  readonly version: number
}

const VERSION = 0xa0

/** The fields at the beginning of a certificate: RFC 5280 §4.1. */
export function readLeaf(der: Uint8Array): Leaf | undefined {
  const whole = readDer(der)
  const [tbs] = whole === undefined ? [] : (derInside(der, whole) ?? [])
  const fields = tbs?.tag === DER.SEQUENCE ? derInside(der, tbs) : undefined
  if (fields === undefined) return undefined
  const explicit = fields[0]?.tag === VERSION ? fields.shift() : undefined
  const version = explicit === undefined ? undefined : readDer(der, explicit.start, explicit.end)
  const [serial, , issuer] = fields
  if (serial?.tag !== DER.INTEGER || issuer?.tag !== DER.SEQUENCE) return undefined
  return {
    serial: derHex(der, serial),
    issuer: derWholeHex(der, issuer),
    version: version === undefined ? 1 : Number(`0x${derHex(der, version)}`) + 1
  }
}

/** What counts of a list. */
export interface RevokedSerials {
  /** DER of the authority's name, in hex. */
  readonly issuer: string
  /** Lower-case hex. */
  readonly serials: readonly string[]
  /** Then it is not believed any more; null: always. */
  readonly nextUpdateEpochMs: number | null
}

interface CompiledList {
  readonly serials: ReadonlySet<string>
  readonly nextUpdateEpochMs: number | null
}

/**
 * Compiles revocation lists.
 *
 * Returns why a certificate (DER) that leads to a trusted root is not good; undefined: it is. One of an authority without a list, or
 *         whose list is too old, is not.
 */
export function compileRevocation(lists: readonly RevokedSerials[]): (der: Uint8Array, nowEpochMs: number) => string | undefined {
  const byIssuer = Map.groupBy(lists, ({ issuer }) => issuer)
  const compiled = new Map<string, readonly CompiledList[]>()
  for (const [issuer, own] of byIssuer)
    compiled.set(
      issuer,
      own.map(({ serials, nextUpdateEpochMs }) => ({ serials: new Set(serials), nextUpdateEpochMs }))
    )
  return (der, nowEpochMs) => {
    const leaf = readLeaf(der)
    if (leaf === undefined) return 'cannot be read'
    const own = compiled.get(leaf.issuer) ?? []
    if (own.some(({ serials }) => serials.has(leaf.serial))) return 'is revoked'
    const isKnown = own.some(({ nextUpdateEpochMs }) => nextUpdateEpochMs === null || nowEpochMs <= nextUpdateEpochMs)
    return isKnown ? undefined : 'has an authority without a revocation list of now'
  }
}
