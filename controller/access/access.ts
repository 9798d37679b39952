/** Who is asking: signs people in, keeps their sessions, and says what they may do. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import { StoreUnavailable } from '#controller/store/store.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import type { Actor } from './actor.ts'
import { hashPassword, PASSWORD_MAX_LENGTH, verifyPassword } from './password.ts'
import type { PasswordCost, RandomBytes } from './password.ts'
import { actorOfUser } from './permission.ts'
import { addressGroup, Throttle } from './throttle.ts'

export interface AccessOptions {
  readonly store: Store
  readonly clock: Clock
  readonly randomBytes: RandomBytes
  /** A session that is not used for so long ends. */
  readonly idleMs?: number
  /** A session ends after so long, used or not; what the system configuration says when it is left out. */
  readonly lifetimeMs?: number
  readonly sessionsMax?: number
  readonly sessionsPerUserMax?: number
  /** Passwords that may wait to be looked at, beyond the two that are; more at once are refused. */
  readonly waitingMax?: number
  /** What `change` hashes passwords with, so that an unknown user takes the same time. */
  readonly passwordCost?: PasswordCost
}

export interface SignedIn {
  /** For the cookie; told once, only its hash is kept. */
  readonly sessionId: string
  readonly csrfToken: string
  readonly actor: Actor
}

/** Too many failures, or too many sign-ins at once: try again after a while. */
export class TooManyAttempts extends Error {
  override readonly name = 'TooManyAttempts'
  readonly statusCode = 429
  readonly retryAfterS: number
  constructor(retryAfterS: number) {
    super(`too many attempts to sign in: try again in ${retryAfterS} s`)
    this.retryAfterS = retryAfterS
  }
}

export interface Access {
  /**
   * Starts a session. `undefined`: wrong name or password, or a user that is not active; which of them is not told.
   * Throws TooManyAttempts. `remote` is the client's address.
   */
  readonly signIn: (username: string, password: string, remote?: string) => Promise<SignedIn | undefined>
  /** The session as it is now; `undefined` when it ended, its user is gone or disabled, or has a new password. */
  readonly session: (sessionId: string) => Omit<SignedIn, 'sessionId'> | undefined
  readonly actorOf: (sessionId: string) => Actor | undefined
  /** Compares in constant time. */
  readonly isCsrfToken: (sessionId: string, token: string) => boolean
  readonly signOut: (sessionId: string) => void
  readonly signOutUser: (userUuid: string) => void
  /** After its user changed the password: this session goes on, the user's others have ended. */
  readonly keepSession: (sessionId: string) => void
  /** Name and password without a session, as for HTTP basic; a pair that was right is known for a minute. */
  readonly verify: (username: string, password: string, remote?: string) => Promise<Actor | undefined>
  /** Does the system configuration allow HTTP basic? */
  readonly isBasicAllowed: () => boolean
  /** Drops sessions that ended; called each minute. */
  readonly prune: () => void
}

interface SessionRow {
  readonly userUuid: string
  readonly csrfToken: string
  readonly createdAtEpochMs: number
  readonly usedAtEpochMs: number
  /** Mark of the password that it was started with: another password ends it. */
  readonly passwordMark: string
}

interface KnownPair {
  readonly userUuid: string
  readonly passwordMark: string
  readonly untilMs: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** Use of a session is written no more often than this. */
const TOUCH_MS = MINUTE_MS
/** argon2 takes 19 MB and a core each: more at once would only be slower. */
const VERIFY_AT_ONCE = 2
const KNOWN_PAIRS_MAX = 1_000

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Are two texts equal? Takes the same time wherever they differ. */
export function isEqualSecret(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())
}

/** Lets a few run at once and a bounded number wait. */
function makeTurnstile(atOnce: number, waitingMax: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0
  const waiting: (() => void)[] = []
  return async work => {
    if (running >= atOnce) {
      if (waiting.length >= waitingMax) throw new TooManyAttempts(1)
      await new Promise<void>(resolve => waiting.push(resolve))
    } else running += 1
    try {
      return await work()
    } finally {
      // Whoever waits takes over the place.
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}

const isActive = (user: StoredResource): boolean => user.body['is_active'] !== false
const passwordOf = (user: StoredResource): string => (typeof user.body['password'] === 'string' ? user.body['password'] : '')
const markOf = (user: StoredResource): string => sha256(passwordOf(user)).slice(0, 32)

function portalOf(store: Store): Readonly<Record<string, unknown>> {
  const portal = store.list('systemconfiguration')[0]?.body['portal_configuration']
  return typeof portal === 'object' && portal !== null ? (portal as Readonly<Record<string, unknown>>) : {}
}

/** Avi's `api_force_timeout`, hours. */
function forcedEndMs(store: Store): number {
  const hours = portalOf(store)['api_force_timeout']
  return (typeof hours === 'number' ? hours : 24) * HOUR_MS
}

/** Keeps sessions in memory, written through to a table of the store. */
function openSessions({ store, clock, randomBytes, ...limits }: AccessOptions) {
  const { idleMs = HOUR_MS, lifetimeMs, sessionsMax = 10_000, sessionsPerUserMax = 100 } = limits
  const table = store.table<SessionRow>('session')
  const byHash = new Map(table.entries())

  const write = (hash: string, row: SessionRow): void => {
    byHash.set(hash, row)
    table.set(hash, row)
  }
  const drop = (hash: string): void => {
    if (byHash.delete(hash)) table.delete(hash)
  }
  /** What is only tidied up must not fail a request, or a timer, because the disk is full. */
  const quietly = (tidy: () => void): void => {
    try {
      tidy()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
    }
  }
  const isOver = (row: SessionRow): boolean => {
    const now = clock.nowEpochMs()
    return now - row.usedAtEpochMs > idleMs || now - row.createdAtEpochMs > (lifetimeMs ?? forcedEndMs(store))
  }
  const userOf = (row: SessionRow): StoredResource | undefined => {
    const user = store.get('user', row.userUuid)
    return user !== undefined && isActive(user) && markOf(user) === row.passwordMark ? user : undefined
  }
  const prune = (): void => {
    for (const [hash, row] of byHash) if (isOver(row) || userOf(row) === undefined) quietly(() => drop(hash))
  }
  const makeRoom = (userUuid: string): void => {
    if (byHash.size < sessionsPerUserMax) return
    prune()
    const oldestFirst = [...byHash].sort(([, a], [, b]) => a.usedAtEpochMs - b.usedAtEpochMs)
    const own = oldestFirst.filter(([, row]) => row.userUuid === userUuid)
    for (const [hash] of own.slice(0, Math.max(0, own.length - sessionsPerUserMax + 1))) drop(hash)
    for (const [hash] of oldestFirst) {
      if (byHash.size < sessionsMax) break
      drop(hash)
    }
  }

  return {
    start: (user: StoredResource): { readonly sessionId: string; readonly csrfToken: string } => {
      makeRoom(user.uuid)
      const sessionId = Buffer.from(randomBytes(32)).toString('base64url')
      const csrfToken = Buffer.from(randomBytes(32)).toString('base64url')
      const now = clock.nowEpochMs()
      const row = { userUuid: user.uuid, csrfToken, createdAtEpochMs: now, usedAtEpochMs: now, passwordMark: markOf(user) }
      write(sha256(sessionId), row)
      return { sessionId, csrfToken }
    },
    find: (sessionId: string): { readonly row: SessionRow; readonly user: StoredResource } | undefined => {
      const hash = sha256(sessionId)
      const row = byHash.get(hash)
      if (row === undefined) return undefined
      const user = isOver(row) ? undefined : userOf(row)
      if (user === undefined) {
        quietly(() => drop(hash))
        return undefined
      }
      const now = clock.nowEpochMs()
      if (now - row.usedAtEpochMs >= TOUCH_MS) quietly(() => write(hash, { ...row, usedAtEpochMs: now }))
      return { row, user }
    },
    end: (sessionId: string): void => drop(sha256(sessionId)),
    endOfUser: (userUuid: string): void => {
      for (const [hash, row] of byHash) if (row.userUuid === userUuid) drop(hash)
    },
    keep: (sessionId: string): void => {
      const hash = sha256(sessionId)
      const row = byHash.get(hash)
      const user = row === undefined ? undefined : store.get('user', row.userUuid)
      if (row === undefined || user === undefined || isOver(row) || markOf(user) === row.passwordMark) return
      for (const [other, { userUuid }] of byHash) if (userUuid === row.userUuid && other !== hash) drop(other)
      write(hash, { ...row, passwordMark: markOf(user) })
    },
    prune
  }
}

/**
 * Opens the door. Sessions outlive a restart; what is known of failed attempts does not.
 *
 * Cost    a right or wrong password costs one argon2id off the event loop; everything else is answered from memory
 */
export function openAccess(options: AccessOptions): Access {
  const { store, clock, randomBytes } = options
  const sessions = openSessions(options)
  const turnstile = makeTurnstile(VERIFY_AT_ONCE, options.waitingMax ?? 64)
  const shared = { firstWaitMs: 1_000, maxWaitMs: MINUTE_MS, forgetMs: 30 * MINUTE_MS, keysMax: 10_000 }
  // Somebody who mistypes has ten tries; a whole address, behind which many may sit, fifty.
  const byUserAndAddress = new Throttle(clock, { ...shared, freeFailures: 10 })
  const byAddress = new Throttle(clock, { ...shared, freeFailures: 50 })
  // Guessing from many addresses is slowed to one try in two seconds, so that the user still gets in.
  const byUser = new Throttle(clock, { ...shared, freeFailures: 100, maxWaitMs: 2_000 })
  const pairKey = randomBytes(32)
  const known = new Map<string, KnownPair>()
  const actors = new Map<string, { readonly revision: number; readonly actor: Actor }>()
  let decoy: Promise<string> | undefined

  const actorOf = (user: StoredResource): Actor => {
    const revision = store.revision()
    const kept = actors.get(user.uuid)
    if (kept?.revision === revision) return kept.actor
    if (actors.size >= KNOWN_PAIRS_MAX) actors.clear()
    const actor = actorOfUser(store, user.uuid, user.name, user.body)
    actors.set(user.uuid, { revision, actor })
    return actor
  }

  const userNamed = (username: string): StoredResource | undefined =>
    store.list('user').find(user => user.name === username || user.body['username'] === username)

  /** The user whose password it is. Whether the name, the password or the state is wrong takes the same time. */
  const authenticate = async (username: string, password: string, remote: string): Promise<StoredResource | undefined> => {
    if (username === '' || password === '' || username.length > 255 || password.length > PASSWORD_MAX_LENGTH) return undefined
    const address = addressGroup(remote)
    const pair = JSON.stringify([username, address])
    const mustNotWait = (): void => {
      const wait = Math.max(byUserAndAddress.waitMs(pair), byAddress.waitMs(address), byUser.waitMs(username))
      if (wait > 0) throw new TooManyAttempts(Math.ceil(wait / 1000))
    }
    mustNotWait()
    const user = userNamed(username)
    decoy ??= hashPassword(Buffer.from(randomBytes(32)).toString('hex'), randomBytes, options.passwordCost)
    const hash = user === undefined || passwordOf(user) === '' ? await decoy : passwordOf(user)
    const isRight = await turnstile(async () => {
      // Those that came in together are judged one after the other.
      mustNotWait()
      return await verifyPassword(password, hash)
    })
    // Read again: it may have changed while the hash was computed.
    const now = user === undefined ? undefined : store.get('user', user.uuid)
    if (!isRight || now === undefined || passwordOf(now) !== hash || !isActive(now)) {
      byUserAndAddress.failed(pair)
      byAddress.failed(address)
      byUser.failed(username)
      return undefined
    }
    byUserAndAddress.succeeded(pair)
    return now
  }

  const verify: Access['verify'] = async (username, password, remote = '') => {
    const key = createHmac('sha256', pairKey)
      .update(JSON.stringify([username, password]))
      .digest('base64')
    const pair = known.get(key)
    const before = pair === undefined ? undefined : store.get('user', pair.userUuid)
    if (
      pair !== undefined &&
      before !== undefined &&
      pair.untilMs > clock.nowMs() &&
      isActive(before) &&
      markOf(before) === pair.passwordMark
    ) {
      return actorOf(before)
    }
    known.delete(key)
    const user = await authenticate(username, password, remote)
    if (user === undefined) return undefined
    if (known.size >= KNOWN_PAIRS_MAX) known.delete(known.keys().next().value!)
    known.set(key, { userUuid: user.uuid, passwordMark: markOf(user), untilMs: clock.nowMs() + MINUTE_MS })
    return actorOf(user)
  }

  return {
    signIn: async (username, password, remote = '') => {
      const user = await authenticate(username, password, remote)
      return user === undefined ? undefined : { ...sessions.start(user), actor: actorOf(user) }
    },
    session: sessionId => {
      const found = sessions.find(sessionId)
      return found === undefined ? undefined : { csrfToken: found.row.csrfToken, actor: actorOf(found.user) }
    },
    actorOf: sessionId => {
      const found = sessions.find(sessionId)
      return found === undefined ? undefined : actorOf(found.user)
    },
    isCsrfToken: (sessionId, token) => {
      const found = sessions.find(sessionId)
      return found !== undefined && isEqualSecret(found.row.csrfToken, token)
    },
    signOut: sessions.end,
    signOutUser: sessions.endOfUser,
    keepSession: sessions.keep,
    verify,
    isBasicAllowed: () => portalOf(store)['allow_basic_authentication'] === true,
    prune: sessions.prune
  }
}
