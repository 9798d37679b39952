/** What a script of Weir finds: put this file beside your scripts and an editor knows it. See docs/scripts.md. */

interface WeirHeaders {
  /** The first value; names in any case. */
  get(name: string): string | undefined
  all(name: string): string[]
  has(name: string): boolean
  names(): string[]
  /** Instead of all fields of that name. */
  set(name: string, value: unknown): void
  /** Beside those that are there. */
  add(name: string, value: unknown): void
  remove(name: string): void
}

/** `values` makes several fields of one name. */
type WeirHeaderValues = Record<string, unknown>

interface WeirGroup {
  has(key: string): boolean
  /** The value of a pair; '' for a text without one. */
  get(key: string): string | undefined
}

interface WeirAddressGroup {
  has(address: string): boolean
}

interface WeirBody {
  /** Bytes, as they came. */
  readonly length: number
  /** As UTF-8; what is none becomes U+FFFD. */
  text(): string
  /** A character from U+0000 to U+00FF for each byte. */
  bytes(): string
  /** Throws where it is not JSON. */
  json(): unknown
  /** Sent in its place, as UTF-8, with its length; trailers and digests of what came are gone. */
  replace(text: unknown): void
}

/** Kept from one exchange to another: texts, a thousand of one set in one worker, each for a time. */
interface WeirTable {
  get(key: string): string | undefined
  /** `seconds`: 60 unless told, at most a day. */
  set(key: string, value: unknown, seconds?: number): void
  /** Returns the sum; kept as long as its first addition said. */
  increment(key: string, by?: number, seconds?: number): number
  delete(key: string): void
}

interface Weir {
  readonly event: 'request' | 'request-body' | 'response' | 'response-body' | 'lb-failed'
  /** Name of the virtual service. */
  readonly virtualService: string
  readonly request: {
    readonly method: string
    /** Without its port, in lower case. */
    readonly host: string
    readonly version: '1.0' | '1.1' | '2'
    readonly scheme: 'http' | 'https'
    /** As it is sent on; may be written. */
    path: string
    /** Without `?`; '' for none; may be written. */
    query: string
    readonly headers: WeirHeaders
    /** In scripts for bodies of requests; else null. */
    readonly body: WeirBody | null
    cookie(name: string): string | undefined
  }
  readonly client: { readonly ip: string; readonly port: number; readonly localPort: number }
  /** Null without TLS. */
  readonly tls: { readonly version: string; readonly cipher: string; readonly serverName: string | null } | null
  /** In scripts for answers; else null. */
  readonly response: {
    status: number
    readonly headers: WeirHeaders
    /** In scripts for bodies of answers; else null. */
    readonly body: WeirBody | null
  } | null
  /** In scripts for failed balancing: NO_TARGET, NO_AVAILABLE_SERVER or the fault of the last server tried; else null. */
  readonly failure: string | null
  readonly table: WeirTable
  usePool(name: string): void
  usePoolGroup(name: string): void
  /** When that server cannot take it, the pool chooses. */
  useServer(pool: string, address: string, port?: number): void
  /** Requests with the same text go to the same server, in pools whose consistent hash goes by LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_STRING. */
  spreadBy(text: string): void
  respond(status: number, answer?: { body?: unknown; headers?: WeirHeaderValues }): void
  redirect(location: string, status?: 301 | 302 | 303 | 307 | 308): void
  /** Of HTTP/2 the stream, else the connection. */
  close(): void
  stringGroup(name: string): WeirGroup
  ipGroup(name: string): WeirAddressGroup
  /** To the access record, and the engine's log. */
  log(...values: unknown[]): void
  /** Adds to a counter that the metrics show. */
  count(name: string, by?: number): void
}

declare const weir: Weir
