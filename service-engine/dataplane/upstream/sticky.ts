/** A client keeps its side of a group: who it is, and the cookie that tells. */
import type { StickySpec, TargetSpec } from '#model/snapshot/snapshot.ts'
import type { Question } from '../balance/balancer.ts'
import { cookieOf } from '../exchange/headers.ts'
import type { Exchange } from '../exchange/exchange.ts'

/** What a client is known by; '' when it brings no cookie: it is to be given one. */
export function clientKey(sticky: StickySpec, { clientIp, header }: Question): string {
  switch (sticky.by) {
    case 'client-address':
      return clientIp
    case 'header':
      // Without the header there is nothing to know it by but its address.
      return header(sticky.name) || clientIp
    case 'cookie':
      return cookieOf(header('cookie'), sticky.name)
  }
}

/** Gives a client the cookie that it is known by from now on. */
export function giveSide({ response, downstream }: Exchange, target: TargetSpec | null, side: string): void {
  if (response === null || target?.is !== 'group' || target.sticky?.by !== 'cookie') return
  const { name, maxAgeS } = target.sticky
  const age = maxAgeS === 0 ? '' : `; Max-Age=${maxAgeS}`
  response.headers.push('set-cookie', `${name}=${side}; Path=/${age}; HttpOnly; SameSite=Lax${downstream.isTls ? '; Secure' : ''}`)
}
