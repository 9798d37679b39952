/** What authorities sign beside certificates: the shape that all of it has, and its signature. */
import { verify, type KeyObject } from 'node:crypto'
import { DER, derHex, derInside, readDer, type DerNode } from '#model/base/der.ts'

export interface Signed {
  readonly bytes: Buffer
  /** What is signed. */
  readonly signedPart: DerNode
  readonly isSignedBy: (key: KeyObject) => boolean
  /** Behind the signature. */
  readonly rest: readonly DerNode[]
}

/** Object identifier of the signature, in hex of its DER -> digest; RSA (PKCS#1 v1.5) and ECDSA. */
const digests: Readonly<Record<string, string>> = {
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512'
}

/**
 * Reads `SEQUENCE { what is signed, algorithm, signature, ... }`.
 *
 * Returns undefined when it is none; a signature by an algorithm that is not known, or not trusted any more, is by nobody
 * Source  RFC 5280 §4.1, §5.1, RFC 6960 §4.2.1
 */
export function readSigned(bytes: Buffer): Signed | undefined {
  const whole = readDer(bytes)
  const inside = whole?.tag === DER.SEQUENCE && whole.end === bytes.length ? derInside(bytes, whole) : undefined
  const [signedPart, algorithm, signature, ...rest] = inside ?? []
  if (signedPart === undefined || algorithm === undefined || signature?.tag !== DER.BIT_STRING) return undefined
  const [oid] = derInside(bytes, algorithm) ?? []
  if (oid?.tag !== DER.OID || bytes[signature.start] !== 0) return undefined
  const digest = digests[derHex(bytes, oid)]
  return {
    bytes,
    signedPart,
    rest,
    isSignedBy: key => {
      if (digest === undefined) return false
      const isEc = derHex(bytes, oid).startsWith('2a8648ce3d')
      if (key.asymmetricKeyType !== (isEc ? 'ec' : 'rsa')) return false
      try {
        return verify(digest, bytes.subarray(signedPart.from, signedPart.end), key, bytes.subarray(signature.start + 1, signature.end))
      } catch {
        return false
      }
    }
  }
}
