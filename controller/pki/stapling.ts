/**
 * OCSP responses that engines staple: fetched here in the background, a few at a time and spread out, believed only when they are signed and of
 * now, kept in the store until the next one. Engines get them with their snapshot; no handshake ever waits for a responder.
 */
import { X509Certificate } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { Random } from '#model/base/random.ts'
import { filled } from '#model/resource/catalogue.ts'
import type { FilledKind } from '#model/resource/catalogue.ts'
import type { Store } from '#controller/store/store.ts'
import { makeOcspRequest, readOcspResponse, responderUrls } from './ocsp.ts'

export type StapleError = 'GETCERT' | 'SELFSIGNED' | 'URL_LIST' | 'HTTP_REQ' | 'HTTP_RESP' | 'PARSE_CERT'

/** What is known of a certificate at its responder. */
export interface StapleRow {
  /** SHA-256 of the certificate that it is about. */
  readonly fingerprint: string
  readonly status: 'good' | 'revoked' | 'unknown' | ''
  /** Why there is no newer answer; '' when the last try went well. */
  readonly error: StapleError | ''
  readonly detail: string
  readonly url: string
  readonly thisUpdateEpochMs: number
  readonly nextUpdateEpochMs: number
  readonly revokedEpochMs: number
  /** Base64 of the last good response; '' for none. */
  readonly response: string
  readonly responseUntilEpochMs: number
  readonly dueEpochMs: number
  /** In a row. */
  readonly failures: number
}

export interface Staple {
  /** Base64 of DER. */
  readonly response: string
  readonly untilEpochMs: number
}

/** Sends a request; rejects in words. */
export type AskResponder = (url: string, request: Buffer, timeoutMs: number) => Promise<Buffer>

export interface StaplingOptions {
  readonly store: Pick<Store, 'table' | 'list' | 'get'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly ask: AskResponder
  /** Another response is to be stapled. */
  readonly changed: () => void
}

export interface Stapling {
  /** What engines staple to a certificate now. */
  readonly of: (uuid: string) => Staple | undefined
  /** Raised with every change of a staple. */
  readonly version: () => number
  readonly stop: () => void
}

export const STAPLE_TABLE = 'ocsp-staples'
const LOOK_MS = 5_000
const ASKED_AT_ONCE = 4
/** How long a response that is about to end is asked for again before its end, at least. */
const MARGIN_MS = 60_000
const WARN_DAYS = [30, 7, 1] as const
const DAY_MS = 86_400_000
const block = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

type Certificate = FilledKind['sslkeyandcertificate']

export function startStapling(options: StaplingOptions): Stapling {
  const { store, clock, random, log, ask } = options
  const table = store.table<StapleRow>(STAPLE_TABLE)
  const told = store.table<number>('certificate-expiry-told')
  let version = 0
  let isStopped = false
  const asking = new Set<string>()
  /** A start asks for all, and not in one moment. */
  const firstDue = new Map<string, number>()

  const jittered = (ms: number): number => Math.round(ms * (0.9 + 0.2 * random()))

  const set = (uuid: string, row: StapleRow): void => {
    const before = table.get(uuid)
    table.set(uuid, row)
    if ((before?.response ?? '') === row.response) return
    version++
    options.changed()
  }

  const askAll = async (uuid: string, body: Certificate, leaf: X509Certificate, fingerprint: string): Promise<void> => {
    const config = body.ocsp_config
    const intervalMs = (config?.ocsp_req_interval ?? 86_400) * 1_000
    const retryMs = (config?.failed_ocsp_jobs_retry_interval ?? 3_600) * 1_000
    const before = table.get(uuid)
    const same = before?.fingerprint === fingerprint ? before : undefined
    const isKept = same !== undefined && same.response !== '' && same.responseUntilEpochMs > clock.nowEpochMs()
    const failed = (error: StapleError, detail: string, url = ''): void => {
      const failures = (same?.failures ?? 0) + 1
      if (failures === 1) log.warn('no OCSP response for a certificate', { certificate: uuid, url, detail })
      const waitMs = failures % (config?.max_tries ?? 10) === 0 ? Math.max(intervalMs, retryMs) : retryMs
      set(uuid, {
        ...(same ?? nothing),
        fingerprint,
        ...(isKept ? {} : { response: '', responseUntilEpochMs: 0 }),
        error,
        detail,
        url,
        failures,
        dueEpochMs: clock.nowEpochMs() + jittered(waitMs)
      })
    }
    const issuer = issuerOf(store, body, leaf)
    if (leaf.checkIssued(leaf)) return failed('SELFSIGNED', 'it is signed by itself')
    if (issuer === undefined) return failed('GETCERT', 'its issuer is neither behind it nor in ca_certs')
    const request = makeOcspRequest(leaf, issuer)
    if (request === undefined) return failed('PARSE_CERT', 'it cannot be read')
    const own = config?.responder_url_lists ?? []
    const urls = config?.url_action === 'OCSP_RESPONDER_URL_OVERRIDE' && own.length > 0 ? own : [...responderUrls(leaf), ...own]
    if (urls.length === 0) return failed('URL_LIST', 'neither it nor ocsp_config names a responder')
    let last: { readonly error: StapleError; readonly detail: string; readonly url: string } | undefined
    for (const url of urls) {
      let response: Buffer
      try {
        response = await ask(url, request, (config?.ocsp_resp_timeout ?? 10) * 1_000)
      } catch (error) {
        last = { error: 'HTTP_REQ', detail: error instanceof Error ? error.message : String(error), url }
        continue
      }
      if (isStopped) return
      const nowEpochMs = clock.nowEpochMs()
      const read = readOcspResponse(response, leaf, issuer, nowEpochMs)
      if (read.is === 'refused') {
        last = { error: 'HTTP_RESP', detail: read.reason, url }
        continue
      }
      const { answer } = read
      if (answer.status === 'revoked') log.warn('a certificate is revoked', { certificate: uuid, url })
      // A responder that does not know it says nothing against the last good answer; one that revokes it does.
      const isGood = answer.status === 'good'
      const isStill = answer.status === 'unknown' && isKept
      const halfMs = (answer.nextUpdateEpochMs - nowEpochMs) / 2
      return set(uuid, {
        fingerprint,
        ...answer,
        error: '',
        detail: '',
        url,
        response: isGood ? response.toString('base64') : isStill ? same.response : '',
        responseUntilEpochMs: isGood ? answer.nextUpdateEpochMs : isStill ? same.responseUntilEpochMs : 0,
        dueEpochMs: nowEpochMs + Math.max(MARGIN_MS, jittered(Math.min(intervalMs, halfMs))),
        failures: 0
      })
    }
    if (last !== undefined) failed(last.error, last.detail, last.url)
  }

  const warn = (uuid: string, name: string, leaf: X509Certificate): void => {
    const days = Math.floor((leaf.validToDate.getTime() - clock.nowEpochMs()) / DAY_MS)
    const limit = days < 0 ? -1 : WARN_DAYS.findLast(one => days <= one)
    const before = told.get(uuid)
    if (limit === undefined) {
      if (before !== undefined) told.delete(uuid)
      return
    }
    if (before === limit) return
    told.set(uuid, limit)
    log.warn(limit < 0 ? 'a certificate has ended' : 'a certificate ends soon', { certificate: uuid, name, days })
  }

  const look = (): void => {
    const nowEpochMs = clock.nowEpochMs()
    const wanted = new Set<string>()
    for (const { uuid, name, body: stored } of store.list('sslkeyandcertificate')) {
      const body = filled('sslkeyandcertificate', stored)
      const leaf = leafOf(body)
      if (leaf === undefined) continue
      warn(uuid, name, leaf)
      if (!body.enable_ocsp_stapling) continue
      wanted.add(uuid)
      const row = table.get(uuid)
      const isAbout = row?.fingerprint === leaf.fingerprint256
      if (isAbout && row.response !== '' && row.responseUntilEpochMs <= nowEpochMs) set(uuid, { ...row, response: '' })
      let due = isAbout ? row.dueEpochMs : firstDue.get(uuid)
      if (due === undefined) firstDue.set(uuid, (due = row === undefined ? nowEpochMs + random() * LOOK_MS : nowEpochMs))
      if (due > nowEpochMs || asking.has(uuid) || asking.size >= ASKED_AT_ONCE) continue
      firstDue.delete(uuid)
      asking.add(uuid)
      askAll(uuid, body, leaf, leaf.fingerprint256)
        .catch((error: unknown) => log.error('the OCSP job broke', { certificate: uuid, error }))
        .finally(() => asking.delete(uuid))
    }
    for (const [uuid, row] of table.entries()) {
      if (wanted.has(uuid)) continue
      table.delete(uuid)
      if (row.response === '') continue
      version++
      options.changed()
    }
    for (const [uuid] of told.entries()) if (store.get('sslkeyandcertificate', uuid) === undefined) told.delete(uuid)
  }
  const stopLooking = clock.every(LOOK_MS, look)

  return {
    of: uuid => {
      const row = table.get(uuid)
      return row === undefined || row.response === '' ? undefined : { response: row.response, untilEpochMs: row.responseUntilEpochMs }
    },
    version: () => version,
    stop: () => {
      isStopped = true
      stopLooking()
    }
  }
}

const nothing: Omit<StapleRow, 'fingerprint' | 'error' | 'detail' | 'url' | 'failures' | 'dueEpochMs'> = {
  status: '',
  thisUpdateEpochMs: 0,
  nextUpdateEpochMs: 0,
  revokedEpochMs: 0,
  response: '',
  responseUntilEpochMs: 0
}

function certificatesIn(pem: string): X509Certificate[] {
  try {
    return (pem.match(block) ?? []).map(one => new X509Certificate(one))
  } catch {
    return []
  }
}

const leafOf = (body: Certificate): X509Certificate | undefined => certificatesIn(body.certificate.certificate ?? '')[0]

function issuerOf(store: Pick<Store, 'get'>, body: Certificate, leaf: X509Certificate): X509Certificate | undefined {
  const beside = (body.ca_certs ?? []).flatMap(({ ca_ref: ref }) => {
    const ca = ref === undefined ? undefined : store.get('sslkeyandcertificate', ref)
    return ca === undefined ? [] : certificatesIn(filled('sslkeyandcertificate', ca.body).certificate.certificate ?? '')
  })
  const behind = certificatesIn(body.certificate.certificate ?? '').slice(1)
  return [...behind, ...beside].find(one => leaf.checkIssued(one) && leaf.verify(one.publicKey))
}
