/** Joining: a token proves the permission, a certificate request the key; the answer is an identity of 30 days. */
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import { parseJoinToken } from '#model/message/token.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { hashJoinSecret } from '#controller/access/join-token.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import type { ChangeOrder, ChangeResult } from '#controller/change/order.ts'
import { CsrRefused } from '#controller/pki/port.ts'
import type { AuthorityPort, EngineCertificate, Seal } from '#controller/pki/port.ts'
import { readCsr } from '#controller/pki/x509.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { EnrolRefused } from './port.ts'
import type { Enrolment, EnrolRequest } from './port.ts'

/** Names tried for a host before giving up: `web`, `web-2` ... */
const NAMES_TRIED = 200
const DEFAULT_USES = 1

interface UseRow {
  readonly used: number
}

export interface EnrolOptions {
  readonly store: Store
  readonly change: { readonly apply: (order: ChangeOrder) => Promise<ChangeResult> }
  readonly authority: AuthorityPort
  readonly seal: Seal
  readonly clock: Clock
  readonly log: Log
  readonly enginePort: () => number
  /** The engine exists from now on, under this certificate. */
  readonly onEnrolled: (engineUuid: string, certificate: EngineCertificate) => void
}

/**
 * The way to enrol. Uses are counted in one durable step before anything is made, so that hosts which join at once, or a
 * restart between, cannot use a token more often than it says; a join that fails after that gives its use back.
 */
export function makeEnrol(options: EnrolOptions): (request: EnrolRequest) => Promise<Enrolment> {
  const { store, clock, log, authority } = options
  const uses = store.table<UseRow>('fleet-token-use')
  // A token that is gone cannot be used: its count need not be kept.
  for (const [uuid] of uses.entries()) if (store.get('jointoken', uuid) === undefined) uses.delete(uuid)

  return async request => {
    const token = findToken(options, request.token)
    const refuse = (reason: string): never => {
      log.warn('a host was refused', { hostname: request.hostname.slice(0, 255), from: request.remoteAddress, reason })
      throw new EnrolRefused(401, reason)
    }
    if (token === undefined) return refuse('the join token is unknown: it was mistyped, deleted, or is for another controller')
    if (token.body['revoked'] === true) return refuse('the join token was revoked')
    if (isExpired(token, clock.nowEpochMs())) return refuse('the join token has expired: make a new one')
    try {
      await readCsr(request.csrPem)
    } catch (error) {
      throw new EnrolRefused(400, error instanceof CsrRefused ? error.message : 'the certificate request cannot be read')
    }
    if (!takeUse(token)) return refuse('the join token is used up: make a new one')
    try {
      const engine = await createEngine(token, request.hostname)
      const certificate = await authority.signEngine(request.csrPem, engine.uuid)
      options.onEnrolled(engine.uuid, certificate)
      await tellUsesLeft(token)
      log.info('an engine joined', { engine: engine.uuid, name: engine.name, from: request.remoteAddress })
      return {
        engineUuid: engine.uuid,
        engineName: engine.name,
        groupName: groupName(engine),
        certificatePem: certificate.certificatePem,
        caPem: authority.caPem,
        enginePort: options.enginePort()
      }
    } catch (error) {
      uses.update(token.uuid, row => ({ used: Math.max(0, (row?.used ?? 1) - 1) }))
      throw error
    }
  }

  function takeUse(token: StoredResource): boolean {
    const allowed = allowedUses(token)
    let isTaken = false
    uses.update(token.uuid, row => {
      const used = row?.used ?? 0
      isTaken = used < allowed
      return isTaken ? { used: used + 1 } : row
    })
    return isTaken
  }

  /** For people to read; what counts is the table. */
  async function tellUsesLeft(token: StoredResource): Promise<void> {
    const left = Math.max(0, allowedUses(token) - (uses.get(token.uuid)?.used ?? 0))
    const write = { op: 'patch', kind: 'jointoken', uuid: token.uuid, patch: {}, serverFields: { uses_left: left } } as const
    try {
      await options.change.apply({ actor: controllerActor, tenant: token.tenant, writes: [write], reason: 'join token used' })
    } catch (error) {
      // The token may have been deleted meanwhile: the host has joined all the same.
      log.debug('the uses left of a join token were not noted', { token: token.uuid, error })
    }
  }

  async function createEngine(token: StoredResource, hostname: string): Promise<StoredResource> {
    const base =
      hostname
        .replace(/[^A-Za-z0-9._-]+/g, '-')
        .replace(/^[-.]+/, '')
        .slice(0, 200) || 'engine'
    const group = token.body['se_group_ref']
    const labels = token.body['labels']
    const intent = token.body['engine_intent']
    for (let i = 1; i <= NAMES_TRIED; i++) {
      const name = i === 1 ? base : `${base}-${i}`
      if (store.findByName('serviceengine', token.tenant, name) !== undefined) continue
      const body: JsonObject = {
        name,
        ...(group === undefined ? {} : { se_group_ref: group }),
        ...(labels === undefined ? {} : { labels })
      }
      const serverFields = { hostname, controller_created: true, ...(intent === undefined ? {} : { engine_intent: intent }) }
      try {
        const write = { op: 'create', kind: 'serviceengine', body, serverFields } as const
        const order = { actor: controllerActor, tenant: token.tenant, writes: [write], reason: `${name} joined` }
        return (await options.change.apply(order)).resources[0]!
      } catch (error) {
        // Two hosts of one name joined at once: the next name is free for one of them.
        const isTaken = error instanceof ChangeRefused && store.findByName('serviceengine', token.tenant, name) !== undefined
        if (!isTaken) throw error
      }
    }
    throw new EnrolRefused(400, `there are too many engines of the name ${base}`)
  }

  function groupName(engine: StoredResource): string {
    const group = engine.body['se_group_ref']
    return (typeof group === 'string' ? store.get('serviceenginegroup', group)?.name : undefined) ?? 'Default-Group'
  }
}

/** Compares with every token's hash in constant time, so that the time of an answer tells nothing. */
function findToken(options: EnrolOptions, text: string): StoredResource | undefined {
  const token = parseJoinToken(text)
  if (token === undefined || token.caFingerprint !== options.authority.caFingerprint) return undefined
  const hash = hashJoinSecret(token.secret)
  let found: StoredResource | undefined
  for (const resource of options.store.list('jointoken')) {
    const stored = resource.body['token_hash']
    if (typeof stored !== 'string') continue
    const bytes = Buffer.from(options.seal.isSealed(stored) ? options.seal.open(stored) : stored, 'base64url')
    if (bytes.length === hash.length && timingSafeEqual(bytes, hash)) found = resource
  }
  return found
}

function isExpired(token: StoredResource, nowEpochMs: number): boolean {
  const expiresAt = token.body['expires_at']
  const atEpochMs = typeof expiresAt === 'string' ? Date.parse(expiresAt) : (numberOf(expiresAt) ?? Number.NaN)
  // A token without a readable end is no token.
  return !(nowEpochMs < atEpochMs)
}

const allowedUses = (token: StoredResource): number => numberOf(token.body['uses']) ?? DEFAULT_USES

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}
