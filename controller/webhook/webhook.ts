/**
 * Tells others what was decided: a POST of JSON to the address of a webhook. What is to be told lies in a table until it was taken or
 * given up, so that a restart forgets nothing. Nothing of the answer but its status is read.
 */
import { createHmac } from 'node:crypto'
import { lookup as dnsLookup } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'

export interface Webhooks {
  /** Queues a message; when too much waits the oldest is given up. */
  readonly tell: (webhook: string, message: object) => void
  /**
   * Posts now, under a delivery that the caller chooses, and keeps nothing: for messages that hold a secret, which go over https only.
   * Throws an Error in words when it was not taken.
   */
  readonly callNow: (webhook: string, delivery: string, message: object, signal: AbortSignal) => Promise<void>
  readonly stop: () => void
}

export interface WebhookOptions {
  readonly store: Store
  readonly openSecret: (sealed: string) => string
  readonly clock: Clock
  readonly log: Log
  /** Loopback addresses may be called: for tests and trials on one host. */
  readonly isLoopbackAllowed?: boolean
  /** How long an answer may take; 5 s. */
  readonly timeoutMs?: number
}

interface Waiting {
  readonly webhook: string
  readonly body: string
  readonly attempts: number
}

const WAITING_MAX = 1_000
const ATTEMPTS_MAX = 6
/** Before the second attempt; doubled for each further one: 1, 2, 4, 8, 16 s. */
const BACKOFF_MS = 1_000

const refused = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3]
] as const)
  refused.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  ['fe80::', 10],
  ['ff00::', 8],
  ['::', 128]
] as const)
  refused.addSubnet(network, prefix, 'ipv6')
const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * Why an address is not called: the link's own (where clouds keep their credentials), multicast, unspecified, and the controller's host.
 * IPv4 in IPv6 is judged as what it is.
 */
export function refusalOfAddress(address: string, isLoopbackAllowed: boolean): string | undefined {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  if (refused.check(address, family)) return `${address} is an address of the link, of nobody or of many`
  if (!isLoopbackAllowed && loopback.check(address, family)) return `${address} is the controller's own host`
  return undefined
}

/** Of the time (epoch seconds) and the body, so that nobody can send an old message again as a new one. */
export function signatureOf(token: string, atEpochS: number, body: string): string {
  return `sha256=${createHmac('sha256', token).update(`${atEpochS}.${body}`).digest('hex')}`
}

const addressOf = ({ body }: StoredResource): string => (typeof body['callback_url'] === 'string' ? body['callback_url'] : '')

export function openWebhooks(options: WebhookOptions): Webhooks {
  const { store, openSecret, clock, log, isLoopbackAllowed = false, timeoutMs = 5_000 } = options
  const table = store.table<Waiting>('webhook')
  const cancels = new Map<string, () => void>()
  let count = 0
  let isStopped = false

  const lookup: LookupFunction = (hostname, wanted, done) =>
    dnsLookup(hostname, { ...wanted, all: true }, (error, addresses) => {
      if (error) return done(error, [])
      const wrong = addresses.flatMap(({ address }) => refusalOfAddress(address, isLoopbackAllowed) ?? [])[0]
      if (wrong !== undefined) return done(new Error(wrong), [])
      if (wanted.all === true) done(null, addresses)
      else done(null, addresses[0]!.address, addresses[0]!.family)
    })

  const post = (url: URL, headers: Record<string, string>, body: string, given?: AbortSignal): Promise<number> =>
    new Promise((answered, failed) => {
      const literal = url.hostname.replace(/^\[|\]$/g, '')
      const wrong = isIP(literal) === 0 ? undefined : refusalOfAddress(literal, isLoopbackAllowed)
      if (wrong !== undefined) return failed(new Error(wrong))
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest
      const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(given === undefined ? [] : [given])])
      const sent = send(url, { method: 'POST', headers, lookup, agent: false, signal }, response => {
        answered(response.statusCode ?? 0)
        response.destroy()
      })
      sent.on('error', failed)
      sent.end(body)
    })

  /** Undefined when it was taken, else why not. */
  const deliver = async (resource: StoredResource, key: string, body: string, signal?: AbortSignal): Promise<string | undefined> => {
    try {
      const atEpochS = Math.floor(clock.nowEpochMs() / 1_000)
      const sealed = resource.body['verification_token']
      const signature = typeof sealed === 'string' && sealed !== '' ? signatureOf(openSecret(sealed), atEpochS, body) : undefined
      const headers = {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        'user-agent': 'weir',
        'x-weir-delivery': key,
        'x-weir-timestamp': String(atEpochS),
        ...(signature === undefined ? {} : { 'x-weir-signature': signature })
      }
      const status = await post(new URL(addressOf(resource)), headers, body, signal)
      return status >= 200 && status < 300 ? undefined : `answered ${status}`
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  const attempt = async (key: string): Promise<void> => {
    const waiting = table.get(key)
    if (waiting === undefined || isStopped) return
    const resource = store.get('webhook', waiting.webhook)
    if (resource === undefined) return void table.delete(key)
    const problem = await deliver(resource, key, waiting.body)
    if (problem === undefined) return void table.delete(key)
    if (isStopped) return
    const attempts = waiting.attempts + 1
    if (attempts >= ATTEMPTS_MAX) {
      table.delete(key)
      log.warn('a webhook was not reached and is given up', { webhook: resource.name, attempts, problem })
      return
    }
    table.set(key, { ...waiting, attempts })
    plan(key, BACKOFF_MS * 2 ** (attempts - 1))
  }

  const plan = (key: string, delayMs: number): void => {
    cancels.get(key)?.()
    const cancel = clock.after(delayMs, () => {
      cancels.delete(key)
      attempt(key).catch((error: unknown) => log.error('a webhook failed', { error }))
    })
    cancels.set(key, cancel)
  }

  for (const [key] of table.entries()) plan(key, 0)

  return {
    tell: (webhook, message) => {
      const entries = table.entries()
      if (entries.length >= WAITING_MAX) table.delete(entries[0]![0])
      const key = `${String(clock.nowEpochMs()).padStart(15, '0')}-${String(++count).padStart(6, '0')}`
      table.set(key, { webhook, body: JSON.stringify(message), attempts: 0 })
      plan(key, 0)
    },
    callNow: async (webhook, delivery, message, signal) => {
      const resource = store.get('webhook', webhook)
      if (resource === undefined) throw new Error('the webhook is not there any more')
      if (!isLoopbackAllowed && !addressOf(resource).startsWith('https:'))
        throw new Error(`webhook ${resource.name} must have an https address: what it is told holds a secret`)
      const problem = await deliver(resource, delivery, JSON.stringify(message), signal)
      if (problem !== undefined) throw new Error(`webhook ${resource.name}: ${problem}`)
    },
    stop: () => {
      isStopped = true
      for (const cancel of cancels.values()) cancel()
    }
  }
}
