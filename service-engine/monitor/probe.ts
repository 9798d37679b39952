/** What a health monitor is to the scheduler: one attempt at one server, that always ends and never throws. */
import type { Verdict } from '#model/message/message.ts'

export interface ProbeTarget {
  /** An address, never a name. */
  readonly ip: string
  readonly port: number
  /** Of a Unix socket: connected to instead of ip and port. */
  readonly path?: string
  /** What the operator wrote: an address or a name; SNI and Host come from it. */
  readonly host: string
  readonly hostHeader: string | null
}

export interface ProbeResult {
  /** `unknown`: the attempt says nothing about the server (this host cannot probe so). */
  readonly verdict: Verdict
  /** What was seen, in words; printable and short whatever the server sent. */
  readonly detail: string
  /** What was sent and what came back, legible and short; left out where nothing was. */
  readonly request?: string
  readonly answer?: string
  /** How much of its share the server says that it can take, 0 to 100; left out: all of it. */
  readonly weightPercent?: number
}

export interface Probe {
  readonly kind: string
  /** Ends within the timeout; resolves always. */
  readonly attempt: (target: ProbeTarget, timeoutMs: number) => Promise<ProbeResult>
  /** Ends what would outlive this process; attempts under way resolve. */
  readonly stop?: () => void
}

export interface ProbeServices {
  readonly certificate: (id: string) => { readonly certificatePem: string; readonly keyPem: string } | undefined
  /** Who scripts run as; null or left out: this engine runs none. */
  readonly scriptUser?: ScriptUser | null
}

export interface ScriptUser {
  readonly uid: number
  readonly gid: number
}

/** A server may send anything: no more than this is read of one answer's head and of its body. */
export const MAX_HEAD_BYTES = 16_384
export const MAX_BODY_BYTES = 2_048

/** The body of an answer that says: healthy, but take me out. */
export const MAINTENANCE: ProbeResult = { verdict: 'down', detail: 'maintenance' }

export function up(detail: string): ProbeResult {
  return { verdict: 'up', detail }
}

export function down(detail: string): ProbeResult {
  return { verdict: 'down', detail: printable(detail) }
}

/** Makes what a stranger sent fit for a log and a page: printable ASCII, at most 120 characters. */
export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]+/g, ' ').trim()
  return clean.length > 120 ? `${clean.slice(0, 117)}...` : clean
}

/** What is kept of a request and of an answer, in characters. */
export const MAX_SHOWN = 512

/** Makes what was sent or came legible: printable ASCII in lines, at most MAX_SHOWN characters. */
export function legible(text: string): string {
  const clean = text
    .slice(0, MAX_SHOWN + 1)
    .replace(/\r\n?/g, '\n')
    .replace(/[^\x20-\x7e\n]/g, '.')
  return clean.length > MAX_SHOWN || text.length > MAX_SHOWN + 1 ? `${clean.slice(0, MAX_SHOWN - 3)}...` : clean
}

const UNTRUSTED = 'its certificate leads to none of the roots that it must lead to'

const words: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network unreachable',
  EADDRNOTAVAIL: 'no address to connect from',
  EPIPE: 'connection closed while sending',
  ETIMEDOUT: 'connection timed out',
  EMFILE: 'too many open files on this host'
}

/** An error of the network in words. */
export function describeError(error: Error & { readonly code?: string }): string {
  return words[error.code ?? ''] ?? printable(error.message)
}
