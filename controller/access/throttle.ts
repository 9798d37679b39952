/**
 * Slows down whoever guesses passwords. After some failures each further attempt has to wait, longer each time up to a
 * bound; nobody is shut out for good, and what is remembered is forgotten some time after the last failure.
 *
 *   free --failure--> counted --more than `freeFailures`--> waiting --wait over--> counted
 *   counted --success, or `forgetMs` without failure--> free
 */
import type { Clock } from '#model/base/clock.ts'

export interface ThrottleSettings {
  /** Failures that cost nothing. */
  readonly freeFailures: number
  /** Wait after the first failure beyond them; doubles with each. */
  readonly firstWaitMs: number
  readonly maxWaitMs: number
  readonly forgetMs: number
  /** Keys remembered; the ones that failed longest ago are forgotten first. */
  readonly keysMax: number
}

interface Entry {
  failures: number
  lastFailureMs: number
}

export class Throttle {
  readonly #clock: Clock
  readonly #settings: ThrottleSettings
  /** In order of the last failure. */
  readonly #entries = new Map<string, Entry>()

  constructor(clock: Clock, settings: ThrottleSettings) {
    this.#clock = clock
    this.#settings = settings
  }

  /** Milliseconds that `key` still has to wait; 0: may try now. */
  waitMs(key: string): number {
    const entry = this.#entry(key)
    if (entry === undefined) return 0
    const { freeFailures, firstWaitMs, maxWaitMs } = this.#settings
    const beyond = entry.failures - freeFailures
    if (beyond <= 0) return 0
    const wait = Math.min(maxWaitMs, firstWaitMs * 2 ** Math.min(beyond - 1, 30))
    return Math.max(0, entry.lastFailureMs + wait - this.#clock.nowMs())
  }

  failed(key: string): void {
    const entry = this.#entry(key) ?? { failures: 0, lastFailureMs: 0 }
    entry.failures += 1
    entry.lastFailureMs = this.#clock.nowMs()
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    if (this.#entries.size > this.#settings.keysMax) this.#entries.delete(this.#entries.keys().next().value!)
  }

  succeeded(key: string): void {
    this.#entries.delete(key)
  }

  #entry(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#clock.nowMs() - entry.lastFailureMs < this.#settings.forgetMs) return entry
    this.#entries.delete(key)
    return undefined
  }
}

/** One household of addresses: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from. */
export function addressGroup(address: string): string {
  const plain = address
    .toLowerCase()
    .replace(/^::ffff:(?=\d+\.)/, '')
    .replace(/%.*$/, '')
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.split('::', 2)
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = tail === undefined ? front : [...front, ...Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0'), ...back]
  return `${groups
    .slice(0, 4)
    .map(group => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
