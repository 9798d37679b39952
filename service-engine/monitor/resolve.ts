/**
 * Servers by name: each name is looked up again when its time to live ends. What was good last stays when a lookup fails,
 * so that a DNS server that is gone takes no server with it.
 */
import { promises as dns } from 'node:dns'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Clock } from '#model/base/clock.ts'
import { backoffMs, type Random } from '#model/base/random.ts'

export interface Resolved {
  readonly addresses: readonly string[]
  readonly ttlS: number
}
/** Rejects when the name cannot be resolved now. */
export type LookUp = (name: string) => Promise<Resolved>

export interface Names {
  /** Takes over the names to keep resolved; those that are no longer wanted are forgotten. */
  readonly watch: (names: ReadonlySet<string>) => void
  /** As last resolved; empty before the first answer. */
  readonly addressesOf: (name: string) => readonly string[]
  readonly stop: () => void
}

/** A zero TTL must not become a busy loop; a long one must not keep a moved server away for hours. */
const MIN_TTL_S = 1
const MAX_TTL_S = 300
const FIRST_RETRY_MS = 1_000
const MAX_RETRY_MS = 60_000
/** An answer may hold hundreds of addresses: so many are used. */
export const MAX_ADDRESSES = 64
/** Where no TTL is told (the hosts file, the system's own resolver). */
const LOCAL_TTL_S = 10

interface Watched {
  addresses: readonly string[]
  failures: number
  cancel: () => void
  isGone: boolean
}

/** Sorted, without doubles; of too many, those that are in use stay, so that connections are not moved about. */
function chooseAddresses(found: readonly string[], inUse: readonly string[]): readonly string[] {
  const valid = [...new Set(found)].filter(address => isIP(address) !== 0).toSorted()
  if (valid.length <= MAX_ADDRESSES) return valid
  const staying = valid.filter(address => inUse.includes(address))
  const others = valid.filter(address => !inUse.includes(address))
  return [...staying, ...others].slice(0, MAX_ADDRESSES).toSorted()
}

export function watchNames(options: {
  readonly lookUp: LookUp
  readonly clock: Clock
  readonly random: Random
  readonly changed: (name: string, addresses: readonly string[]) => void
}): Names {
  const { lookUp, clock, random, changed } = options
  const watchedByName = new Map<string, Watched>()

  const resolve = (name: string, watched: Watched): void => {
    const again = (delayMs: number): void => {
      if (!watched.isGone) watched.cancel = clock.after(delayMs, () => resolve(name, watched))
    }
    lookUp(name)
      .then(({ addresses, ttlS }) => {
        const chosen = chooseAddresses(addresses, watched.addresses)
        if (chosen.length === 0) throw new Error(`no address for ${name}`)
        watched.failures = 0
        const isSame = chosen.join() === watched.addresses.join()
        watched.addresses = chosen
        again(Math.min(MAX_TTL_S, Math.max(MIN_TTL_S, Number.isFinite(ttlS) ? ttlS : MIN_TTL_S)) * 1_000)
        if (!isSame && !watched.isGone) changed(name, chosen)
      })
      .catch(() => {
        again(backoffMs(watched.failures, { firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS, random }))
        watched.failures += 1
      })
  }

  const forget = (name: string, watched: Watched): void => {
    watched.isGone = true
    watched.cancel()
    watchedByName.delete(name)
  }

  return {
    watch: names => {
      for (const [name, watched] of watchedByName) if (!names.has(name)) forget(name, watched)
      for (const name of names) {
        if (watchedByName.has(name)) continue
        const watched: Watched = { addresses: [], failures: 0, cancel: () => undefined, isGone: false }
        watchedByName.set(name, watched)
        resolve(name, watched)
      }
    },
    addressesOf: name => watchedByName.get(name)?.addresses ?? [],
    stop: () => {
      for (const [name, watched] of watchedByName) forget(name, watched)
    }
  }
}

/**
 * Addresses that a hosts file gives a name.
 *
 * Shapes  text: as in hosts(5); names compare without case
 */
export function parseHosts(text: string, name: string): string[] {
  const wanted = name.toLowerCase()
  return text.split('\n').flatMap(line => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    return isIP(address) !== 0 && names.some(alias => alias.toLowerCase() === wanted) ? [address] : []
  })
}

/** The system's way: the hosts file, then DNS (A and AAAA with their TTL), then whatever else the host is set up for. */
export function systemLookUp(hostsPath = '/etc/hosts', resolver = new dns.Resolver({ timeout: 2_000, tries: 2 })): LookUp {
  return async name => {
    const local = parseHosts(await readFile(hostsPath, 'utf8').catch(() => ''), name)
    if (local.length > 0) return { addresses: local, ttlS: LOCAL_TTL_S }
    const answers = await Promise.allSettled([resolver.resolve4(name, { ttl: true }), resolver.resolve6(name, { ttl: true })])
    const records = answers.flatMap(answer => (answer.status === 'fulfilled' ? answer.value : []))
    if (records.length > 0) {
      return { addresses: records.map(record => record.address), ttlS: Math.min(...records.map(record => record.ttl)) }
    }
    const found = await dns.lookup(name, { all: true })
    return { addresses: found.map(entry => entry.address), ttlS: LOCAL_TTL_S }
  }
}
