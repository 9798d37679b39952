/** What is done to answers on their way: who may read them, and in how many bytes. */

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
