/** How the requests of one client stay with one server: who it was, and how it is remembered. */
import { isIPv4, isIPv6 } from 'node:net'
import type { PersistenceSpec } from '#model/snapshot/resilience.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { hashText, slotOf } from '../balance/consistent-hash.ts'
import type { Question } from '../balance/balancer.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { cookieOf, headerOf } from '../exchange/headers.ts'
import { Bindings, makeHome } from './bindings.ts'
import { ServerCookie } from './server-cookie.ts'

export interface PersistenceServices {
  readonly pool: PoolPart
  /** The shared table. */
  readonly bindings: Int32Array
  readonly nowEpochMs: () => number
}

export interface Persistence {
  readonly whenDown: PersistenceSpec['whenDown']
  /** The server that the client is bound to; undefined for none, or one that is not of the pool. */
  readonly find: (question: Question) => string | undefined
  /** What an unbound client is spread by, in place of the pool's algorithm; undefined: that one. */
  readonly keyOf?: (question: Question) => string
  /** The client was given this server. */
  readonly given?: (question: Question, serverId: string) => void
  /** The server has answered: the response's head may be changed. */
  readonly answered?: (exchange: Exchange, serverId: string) => void
}

const makers: {
  readonly [K in PersistenceSpec['is']]: (spec: Extract<PersistenceSpec, { is: K }>, services: PersistenceServices) => Persistence
} = { cookie: byCookie, 'client-address': byAddress, header: byHeader, 'app-cookie': byAppCookie, 'tls-session': byTlsSession }

export function makePersistence<K extends PersistenceSpec['is']>(
  spec: Extract<PersistenceSpec, { is: K }>,
  services: PersistenceServices
): Persistence {
  const make = makers[spec.is as K]
  return make(spec, services)
}

function byCookie(spec: Extract<PersistenceSpec, { is: 'cookie' }>, { pool, nowEpochMs }: PersistenceServices): Persistence {
  const { name, timeoutS, whenDown } = spec
  const cookie = new ServerCookie(spec.keyBase64, pool.id)
  const known = new Set(pool.servers.map(({ id }) => id))
  const nowS = (): number => Math.trunc(nowEpochMs() / 1000)
  const find = (header: string): string | undefined => {
    const value = cookieOf(header, name)
    const binding = value === '' ? undefined : cookie.open(value)
    if (binding === undefined || (timeoutS !== null && nowS() - binding.atS > timeoutS)) return undefined
    return known.has(binding.serverId) ? binding.serverId : undefined
  }
  return {
    whenDown,
    find: question => find(question.header('cookie')),
    answered: ({ request, response, downstream }, serverId) => {
      if (!spec.isAlwaysSent && find(headerOf(request.headers, 'cookie') ?? '') === serverId) return
      const age = spec.isKept && timeoutS !== null ? `; Max-Age=${timeoutS}` : ''
      const flags = `${spec.isHttpOnly ? '; HttpOnly' : ''}${downstream.isTls ? '; Secure' : ''}`
      response?.headers.push('set-cookie', `${name}=${cookie.seal({ serverId, atS: nowS() })}; Path=/${age}${flags}`)
    }
  }
}

function byAddress(spec: Extract<PersistenceSpec, { is: 'client-address' }>, services: PersistenceServices): Persistence {
  const { whenDown, timeoutS, prefixLength } = spec
  return { whenDown, ...spreadBy(({ clientIp }) => networkOf(clientIp, prefixLength), timeoutS, services) }
}

function byHeader(spec: Extract<PersistenceSpec, { is: 'header' }>, services: PersistenceServices): Persistence {
  const { servers, timeoutS, whenDown } = spec
  const name = spec.name.toLowerCase()
  // Without the header there is nothing to stick to but the client.
  const spread = spreadBy(question => question.header(name) || question.clientIp, timeoutS, services)
  return {
    whenDown,
    ...spread,
    find: question => {
      const value = question.header(name)
      return value !== '' && Object.hasOwn(servers, value) ? servers[value] : spread.find(question)
    }
  }
}

/** A hash spreads clients, the same on every engine; the table keeps who was here lately where it was when servers come and go. */
function spreadBy(
  keyOf: (question: Question) => string,
  timeoutS: number,
  services: PersistenceServices
): Required<Pick<Persistence, 'find' | 'keyOf' | 'given'>> {
  const table = tableOf(timeoutS, services)
  return {
    find: question => table.find(keyOf(question)),
    keyOf,
    given: (question, serverId) => {
      const key = keyOf(question)
      table.bind(key, serverId, slotOf(key))
    }
  }
}

function byAppCookie(
  { name, timeoutS, whenDown }: Extract<PersistenceSpec, { is: 'app-cookie' }>,
  services: PersistenceServices
): Persistence {
  const table = tableOf(timeoutS, services)
  return {
    whenDown,
    find: question => {
      const session = cookieOf(question.header('cookie'), name)
      return session === '' ? undefined : table.find(session)
    },
    given: (question, serverId) => {
      const session = cookieOf(question.header('cookie'), name)
      if (session !== '') table.bind(session, serverId)
    },
    answered: ({ response }, serverId) => {
      const headers = response?.headers ?? []
      for (let i = 0; i < headers.length; i += 2) {
        if (headers[i] !== 'set-cookie') continue
        const text = headers[i + 1]!
        const end = text.indexOf(';')
        const session = cookieOf(end < 0 ? text : text.slice(0, end), name)
        if (session !== '') table.bind(session, serverId)
      }
    }
  }
}

/** Tickets that a client was given lead it back to the server that it had then. */
function byTlsSession({ timeoutS, whenDown }: Extract<PersistenceSpec, { is: 'tls-session' }>, services: PersistenceServices): Persistence {
  const table = tableOf(timeoutS, services)
  const poolId = services.pool.id
  const given = ({ tlsSession }: Question, serverId: string): void => tlsSession?.follow(poolId, id => table.bind(id, serverId))
  return {
    whenDown,
    find: question => {
      for (const id of question.tlsSession?.ids ?? []) {
        const serverId = table.find(id)
        if (serverId === undefined) continue
        // What it is given on this connection leads there too.
        given(question, serverId)
        return serverId
      }
      return undefined
    },
    given
  }
}

/** The shared table in terms of server ids. */
function tableOf(timeoutS: number, { bindings, pool, nowEpochMs }: PersistenceServices) {
  const table = new Bindings(bindings, { poolId: pool.id, timeoutS, home: makeHome(pool), nowEpochMs })
  const idOf = new Map(pool.servers.map(({ id }) => [hashText(id), id]))
  return {
    find: (client: string): string | undefined => {
      const server = table.find(client)
      return server === undefined ? undefined : idOf.get(server)
    },
    bind: (client: string, serverId: string, spread?: number): void => table.bind(client, hashText(serverId), spread)
  }
}

/**
 * The network of an address, as a text that all addresses of it share.
 *
 * Shapes  prefixLength: 0 or beyond the address's own length: the address itself
 */
export function networkOf(address: string, prefixLength: number): string {
  if (prefixLength === 0) return address
  const groups = isIPv4(address) ? address.split('.').map(Number) : isIPv6(address) ? groupsOf(address) : []
  const width = groups.length === 4 ? 8 : 16
  return groups.length * width <= prefixLength
    ? address
    : groups
        .map((group, i) => {
          const kept = Math.min(width, Math.max(0, prefixLength - i * width))
          return group & ~((1 << (width - kept)) - 1)
        })
        .join()
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [before = '', after] = address.split('%')[0]!.split('::')
  const read = (text: string | undefined): number[] =>
    text === undefined || text === ''
      ? []
      : text.split(':').flatMap(group => {
          if (!group.includes('.')) return [Number.parseInt(group, 16)]
          const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
          return [a * 256 + b, c * 256 + d]
        })
  const [head, tail] = [read(before), read(after)]
  return after === undefined ? head : [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail]
}
