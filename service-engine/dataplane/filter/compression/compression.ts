import type { Transform } from 'node:stream'
import { constants, createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib'
import type { CompressionSpec } from '#model/snapshot/content.ts'
import { PASS, type ResponseHead } from '../../exchange/exchange.ts'
import { addVary, hasToken, headerOf, headersOf, removeHeader, setHeader } from '../../exchange/headers.ts'
import type { Filter } from '../filter.ts'

export type CompressionSettings = CompressionSpec

/** What each read of the server brings is sent on at once, so that a slow answer is no slower for it. */
const makers = {
  zstd: level => createZstdCompress({ flush: constants.ZSTD_e_flush, params: { [constants.ZSTD_c_compressionLevel]: level } }),
  br: level =>
    createBrotliCompress({
      flush: constants.BROTLI_OPERATION_FLUSH,
      params: { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_LGWIN]: 19 }
    }),
  gzip: level => createGzip({ flush: constants.Z_SYNC_FLUSH, level })
} as const satisfies Record<string, (level: number) => Transform>
type Coding = keyof typeof makers

/** In order of liking, where the client likes them equally. */
const codings = Object.keys(makers) as readonly Coding[]

/** Packs answers for clients that can unpack them (RFC 9110 §8.4), as they come. */
export function compression(settings: CompressionSettings): Filter {
  const isType = compileTypes(settings.contentTypes)
  return {
    kind: 'compression',
    onRequest: exchange => {
      const { headers, method, version } = exchange.request
      const coding = codingFor(headersOf(headers, 'accept-encoding').join(','))
      if (settings.hidesAcceptEncoding) removeHeader(headers, 'accept-encoding')
      if (method === 'HEAD' || version === '1.0') return PASS
      exchange.chooseCoder = head => {
        if (!isCompressible(head, settings.minBytes) || !isType(headerOf(head.headers, 'content-type') ?? '')) return null
        addVary(head.headers, 'Accept-Encoding')
        return coding === undefined ? null : encode(head, coding, settings.level)
      }
      return PASS
    }
  }
}

function encode({ headers }: ResponseHead, coding: Coding, level: number): Transform {
  setHeader(headers, 'content-encoding', coding)
  removeHeader(headers, 'content-length')
  removeHeader(headers, 'accept-ranges')
  const tag = headerOf(headers, 'etag')
  // The bytes are others now: RFC 9110 §8.8.3.3.
  if (tag?.startsWith('"') === true) setHeader(headers, 'etag', `W/${tag}`)
  return makers[coding](level)
}

/** A part, what is packed already, what must not be changed and what was counted or signed stay as they are. */
function isCompressible({ status, headers }: ResponseHead, minBytes: number): boolean {
  if (status < 200 || status === 204 || status === 206 || status === 304) return false
  if (headerOf(headers, 'content-encoding') !== undefined || hasToken(headerOf(headers, 'cache-control'), 'no-transform')) return false
  if (headerOf(headers, 'content-digest') !== undefined || headerOf(headers, 'content-md5') !== undefined) return false
  const length = headerOf(headers, 'content-length')
  return length === undefined || Number(length) >= minBytes
}

function compileTypes(types: readonly string[]): (contentType: string) => boolean {
  const exact = new Set(types.filter(type => !type.endsWith('/*')))
  const groups = types.filter(type => type.endsWith('/*')).map(type => type.slice(0, -1))
  return contentType => {
    const type = contentType.split(';', 1)[0]!.trim().toLowerCase()
    return type !== '' && (exact.has(type) || groups.some(group => type.startsWith(group)))
  }
}

/** The coding that the client likes best (RFC 9110 §12.5.3). */
function codingFor(accepted: string): Coding | undefined {
  const weights = new Map<string, number>()
  for (const part of accepted.split(',')) {
    const [name = '', ...parameters] = part.split(';').map(piece => piece.trim().toLowerCase())
    const weight = parameters.find(parameter => parameter.startsWith('q='))
    weights.set(name === 'x-gzip' ? 'gzip' : name, weight === undefined ? 1 : Number(weight.slice(2)))
  }
  let best: Coding | undefined
  let bestWeight = 0
  for (const coding of codings) {
    const weight = weights.get(coding) ?? weights.get('*') ?? 0
    if (weight > bestWeight) {
      best = coding
      bestWeight = weight
    }
  }
  return best
}
