/** Asks an OCSP responder over HTTP: bounded in time and size, no redirects, and never an address that only this host should reach. */
import { lookup } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP } from 'node:net'
import type { AskResponder } from './stapling.ts'

/** Responses are 0.5 to 4 kB. */
const MAX_ANSWER_BYTES = 64 * 1024

const local = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4]
] as const)
  local.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8]
] as const)
  local.addSubnet(network, prefix, 'ipv6')

/** Neither this host nor its links (cloud metadata): a certificate from elsewhere may name any address. */
export const isReachable = (ip: string): boolean => !local.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4')

export function makeResponderClient(mayReach: (ip: string) => boolean = isReachable): AskResponder {
  return (text, body, timeoutMs) =>
    new Promise((resolve, reject) => {
      const url = URL.parse(text)
      if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return reject(new Error('must be an http or https URL'))
      const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
      if (isIP(host) !== 0 && !mayReach(host)) return reject(new Error('is at an address that is not asked'))
      const open = url.protocol === 'https:' ? httpsRequest : httpRequest
      const request = open(
        url,
        {
          method: 'POST',
          headers: { 'content-type': 'application/ocsp-request', accept: 'application/ocsp-response' },
          agent: false,
          signal: AbortSignal.timeout(timeoutMs),
          lookup: (name, options, done) =>
            lookup(name, { ...options, all: true }, (error, addresses) => {
              const good = (addresses ?? []).filter(({ address }) => mayReach(address))
              if (error !== null) return done(error, [])
              if (good.length === 0) return done(new Error('is at an address that is not asked'), [])
              if (options.all === true) done(null, good)
              else done(null, good[0]!.address, good[0]!.family)
            })
        },
        response => {
          const chunks: Buffer[] = []
          let size = 0
          if (response.statusCode !== 200) {
            request.destroy()
            return reject(new Error(`answered ${response.statusCode ?? 0}`))
          }
          response.on('data', (chunk: Buffer) => {
            chunks.push(chunk)
            size += chunk.length
            if (size > MAX_ANSWER_BYTES) request.destroy(new Error('answered too much'))
          })
          response.on('end', () => resolve(Buffer.concat(chunks)))
          response.on('error', reject)
        }
      )
      request.on('error', error => reject(error.name === 'TimeoutError' ? new Error(`did not answer within ${timeoutMs} ms`) : error))
      request.end(body)
    })
}
