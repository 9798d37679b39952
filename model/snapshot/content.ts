/** What is done to answers on their way: who may read them, in how many bytes, and which are kept. */
import type { StringMatch } from './text-match.ts'

export interface CorsSpec {
  /** `https://shop.test`, `https://*.shop.test`, or `*` for everybody. */
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  /** Empty: whatever is asked for. */
  readonly headers: readonly string[]
  readonly exposedHeaders: readonly string[]
  readonly hasCredentials: boolean
  readonly maxAgeS: number
}

export interface CompressionSpec {
  /** Lower case; `text/*` stands for all of them. */
  readonly contentTypes: readonly string[]
  /** Smaller answers stay as they are; those of unknown length do not. */
  readonly minBytes: number
  /** 1 (fast) to 9 (small), for gzip; the others follow. */
  readonly level: number
  /** Servers are not told what the client takes, so that they leave it to us. */
  readonly hidesAcceptEncoding: boolean
}

/** Answers that are kept (RFC 9111). */
export interface CacheSpec {
  /** Of one engine, for this virtual service; its workers have equal parts of it. */
  readonly maxBytes: number
  /** Bounds on a body that is kept, inclusive. */
  readonly minObjectBytes: number
  readonly maxObjectBytes: number
  /** Lifetime of an answer that says that it may be kept, and not for how long. */
  readonly defaultExpireS: number
  /** A tenth of the time since it was last modified is the lifetime of an answer that says none. */
  readonly isHeuristic: boolean
  /** Answers that say nothing at all are kept as well. */
  readonly isAggressive: boolean
  /** What clients say about caching is not heard. */
  readonly ignoresRequests: boolean
  /** Answers to requests with a query are kept. */
  readonly keepsQueries: boolean
  readonly sendsAge: boolean
  readonly sendsDate: boolean
  readonly sendsXCache: boolean
  /** Paths whose answers are not kept. */
  readonly excludedPaths: StringMatch | null
  /** Lower case; `text/*` stands for all of them. Empty: every type. */
  readonly contentTypes: readonly string[]
  readonly blockedContentTypes: readonly string[]
}

/** Texts that are replaced in the bodies of answers, each in what the one before it left. */
export interface ContentRewriteSpec {
  /** Lower case; `text/*` stands for all of them. */
  readonly contentTypes: readonly string[]
  readonly replacements: readonly { readonly search: string; readonly isPattern: boolean; readonly by: string }[]
}
