import { compose, type Duplex, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { PASS, type ResponseHead } from '../../exchange/exchange.ts'
import { forgetBody, hasToken, headerOf, removeHeader } from '../../exchange/headers.ts'
import type { Filter } from '../filter.ts'
import { Replacer, type Replacement } from './replacer.ts'

export interface ContentRewriteSettings {
  /** Lower case; `text/*` stands for all of them. */
  readonly contentTypes: readonly string[]
  readonly replacements: readonly Replacement[]
}

/** What servers pack though they are asked not to. */
const unpackers: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress
}

/** Replaces texts in the bodies of answers, as they come. */
export function contentRewrite({ contentTypes, replacements }: ContentRewriteSettings): Filter {
  const exact = new Set(contentTypes)
  const isType = (given: string): boolean => {
    const type = given.split(';', 1)[0]!.trim().toLowerCase()
    return exact.has(type) || exact.has(`${type.split('/', 1)[0]!}/*`)
  }
  return {
    kind: 'content-rewrite',
    onRequest: exchange => {
      const { headers, method } = exchange.request
      // A part of the body of before is none of the one of after; and what is packed would have to be unpacked.
      for (const name of ['accept-encoding', 'range', 'if-range']) removeHeader(headers, name)
      if (method === 'HEAD') {
        exchange.chooseCoder = head => {
          if (isRewritable(head) && isType(headerOf(head.headers, 'content-type') ?? '') && unpackerOf(head) !== undefined) changeHead(head)
          return null
        }
        return PASS
      }
      const pack = exchange.chooseCoder
      exchange.chooseCoder = head => {
        const unpack = isRewritable(head) && isType(headerOf(head.headers, 'content-type') ?? '') ? unpackerOf(head) : undefined
        if (unpack === undefined) return pack?.(head) ?? null
        changeHead(head)
        const packer = pack?.(head) ?? null
        return joined([...(unpack === null ? [] : [unpack()]), new Replacer(replacements), ...(packer === null ? [] : [packer])])
      }
      return PASS
    }
  }
}

/** A part, and what must not be changed, stay as they are. */
const isRewritable = ({ status, headers }: ResponseHead): boolean =>
  status >= 200 && status !== 204 && status !== 206 && status !== 304 && !hasToken(headerOf(headers, 'cache-control'), 'no-transform')

/** Null: it is not packed; undefined: nobody here can unpack it, and it stays as it is. */
function unpackerOf({ headers }: ResponseHead): (() => Transform) | null | undefined {
  const coding = headerOf(headers, 'content-encoding')?.trim().toLowerCase() ?? ''
  if (coding === '' || coding === 'identity') return null
  return Object.hasOwn(unpackers, coding) ? unpackers[coding] : undefined
}

function changeHead({ headers }: ResponseHead): void {
  removeHeader(headers, 'content-encoding')
  forgetBody(headers)
}

function joined(steps: readonly Duplex[]): Duplex {
  // Whoever fails takes the others with it, and who reads the last one hears of it.
  return steps.reduce((before, next) => compose(before, next))
}
