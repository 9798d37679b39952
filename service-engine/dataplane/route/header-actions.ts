/** Changes of rules to fields and cookies. */
import type { HeaderAction } from '#model/snapshot/snapshot.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { headersOf, removeHeader, setHeader } from '../exchange/headers.ts'
import { compileText } from './text.ts'

export type HeaderChange = (exchange: Exchange, headers: string[]) => void

/** Fields that frame the message belong to the codec, whatever a rule says. */
const framing = new Set(['content-length', 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer', 'keep-alive'])
const notInValue = /[^\t\x20-\x7e\x80-\xff]/g
/** What a variable brings ends no cookie, so that nothing that a client wrote becomes another one or an attribute. */
const withoutEnds = (text: string): string => text.replaceAll(';', '')

/** In their order; undefined when there are none. */
export function compileHeaderActions(actions: readonly HeaderAction[], of: 'request' | 'answer'): HeaderChange | undefined {
  const changes = actions
    .filter(action => action.of === 'cookie' || !framing.has(action.name.toLowerCase()))
    .map(action => {
      if (action.of !== 'cookie') return compileField(action)
      return of === 'request' ? compileCookie(action) : compileSetCookie(action)
    })
  if (changes.length === 0) return undefined
  return (exchange, headers) => {
    for (const change of changes) change(exchange, headers)
  }
}

function compileField(action: HeaderAction): HeaderChange {
  const name = action.name.toLowerCase()
  const make = compileText(action.value)
  const valueFor = (exchange: Exchange): string => make(exchange).replace(notInValue, '')
  if (name === 'host') {
    return (exchange, headers) => {
      if (action.is !== 'remove' && headers === exchange.request.headers) exchange.request.authority = valueFor(exchange)
    }
  }
  if (action.is === 'remove') return (_exchange, headers) => removeHeader(headers, name)
  if (action.is === 'replace') return (exchange, headers) => setHeader(headers, name, valueFor(exchange))
  return (exchange, headers) => void headers.push(name, valueFor(exchange))
}

function pairOf({ name, value }: HeaderAction): (exchange: Exchange) => string {
  const make = compileText(value, withoutEnds)
  return exchange => `${name}=${make(exchange).replace(notInValue, '')}`
}

const nameOf = (cookie: string): string => cookie.split('=', 1)[0]!.trim()

/** RFC 6265 §4.2: all cookies of a request in one field; those that came in several (RFC 9113 §8.2.3) leave in one. */
function compileCookie(action: HeaderAction): HeaderChange {
  const make = pairOf(action)
  return (exchange, headers) => {
    const there = headersOf(headers, 'cookie').flatMap(field => field.split(';').map(cookie => cookie.trim()))
    const kept = there.filter(cookie => cookie !== '' && (action.is === 'add' || nameOf(cookie) !== action.name))
    const cookies = action.is === 'remove' ? kept : [...kept, make(exchange)]
    if (cookies.length > 0) setHeader(headers, 'cookie', cookies.join('; '))
    else removeHeader(headers, 'cookie')
  }
}

/** RFC 6265 §4.1: a field for each cookie that an answer sets. */
function compileSetCookie(action: HeaderAction): HeaderChange {
  const make = pairOf(action)
  return (exchange, headers) => {
    if (action.is !== 'add') {
      const fields = headersOf(headers, 'set-cookie')
      removeHeader(headers, 'set-cookie')
      for (const field of fields) if (nameOf(field) !== action.name) headers.push('set-cookie', field)
    }
    if (action.is !== 'remove') headers.push('set-cookie', make(exchange))
  }
}
