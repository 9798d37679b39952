/** What is shown of a certificate: until when it is good, and what its authority says. */
import type { Band } from '../part/band.ts'

export interface CertificateFacts {
  readonly subject_alt_names?: readonly string[]
  readonly not_after?: string
  readonly days_until_expire?: number
  readonly expiry_status?: string
}

export interface OcspFacts {
  readonly cert_status?: string
  readonly next_update?: string
  readonly detail?: string
}

export interface Shown {
  readonly band: Band
  readonly text: string
  /** More, for who points at it. */
  readonly title: string
}

/** How long a certificate is still good; undefined when that could not be read. */
export function expiryShown(certificate: CertificateFacts | undefined): Shown | undefined {
  const { days_until_expire: days, expiry_status: status, not_after: end = '' } = certificate ?? {}
  if (days === undefined || status === undefined) return undefined
  const title = `until ${end} UTC`
  if (status === 'SSL_CERTIFICATE_EXPIRED') return { band: 'down', text: 'ended', title }
  const text = days < 1 ? 'ends today' : `${days} d left`
  return { band: status === 'SSL_CERTIFICATE_GOOD' ? 'good' : days <= 7 ? 'poor' : 'fair', text, title }
}

/** What the authority says (OCSP); undefined where it is not asked. */
export function ocspShown(error: string | undefined, info: OcspFacts | undefined): Shown | undefined {
  const word = error?.replace('OCSP_ERR_CERTSTATUS_', '') ?? 'DISABLED'
  if (word === 'DISABLED') return undefined
  const until = info?.next_update === undefined ? '' : `, next update ${info.next_update} UTC`
  if (word === 'GOOD') return { band: 'good', text: 'good', title: `the authority says good${until}` }
  if (word === 'REVOKED') return { band: 'down', text: 'revoked', title: `the authority says revoked${until}` }
  if (word === 'JOBDB') return { band: 'off', text: 'not asked yet', title: '' }
  if (word === 'UNKNOWN') return { band: 'poor', text: 'unknown', title: `the authority does not know it${until}` }
  return { band: 'poor', text: 'no answer', title: `${info?.detail ?? word}${until}` }
}
