/**
 * The types that the data plane turns on. The spine, the filters, the rules and the balancers know an Exchange and a
 * Forwarder; none of them knows which HTTP codec runs.
 */
import type { Duplex } from 'node:stream'
import type { Fault } from '#engine/base/fault.ts'
import type { TargetSpec } from '#model/snapshot/snapshot.ts'
import type { Pacer } from './pacer.ts'

/** How the request's body is framed; `length` may be 0. */
export type BodyFraming = 'none' | 'length' | 'chunked'

/** The request's head: sound, its path normalised, hop-by-hop fields gone except `connection` and `upgrade`, which a forwarder replaces. */
export interface RequestHead {
  method: string
  /** Origin-form target that is sent on: dot segments resolved, unreserved characters decoded; `*` for OPTIONS. */
  target: string
  /** What rules decide on: the target's path, duplicate slashes merged. */
  readonly path: string
  /** Without `?`; '' for none. */
  readonly query: string
  /** Lower case, without port; '' for HTTP/1.0 without Host. Rules decide on it. */
  readonly host: string
  /** What is sent on as Host: with the port, as received, unless rewritten. */
  authority: string
  /** '1.0', '1.1' or '2'. */
  readonly version: string
  /** Lower-case names; [name, value, name, value ...] in order received. `host` is not among them: see `authority`. */
  headers: string[]
  framing: BodyFraming
  /** Bytes; 0 for none, -1 for chunked. */
  contentLength: number
  /** A sound WebSocket handshake. */
  readonly isWebSocket: boolean
}

/** What came of a body that was taken ahead of its server. */
export type TakenBody =
  | { readonly is: 'whole'; readonly bytes: Buffer }
  /** It is longer than the limit; the rest stays with the client. */
  | { readonly is: 'begun'; readonly bytes: Buffer }
  | { readonly is: 'failed'; readonly fault: Fault }

/** Where a request's body can be had before a server gets it; once for an exchange. */
export interface BodySource {
  /** What was taken goes to the server as if nobody had looked. `taken` is called exactly once. */
  readonly collect: (limitBytes: number, taken: (taken: TakenBody) => void) => void
  /** These bytes go instead of a body that was taken whole; its trailers are gone. The head has to say their length. */
  readonly replaceBody: (bytes: Buffer) => void
}

export interface ResponseHead {
  status: number
  reason: string
  /** Lower-case names, flat as the request's; without hop-by-hop fields. */
  headers: string[]
}

export interface Downstream {
  readonly clientIp: string
  readonly clientPort: number
  /** Address of the peer, where it is a proxy that named the client. */
  readonly sourceIp?: string
  readonly localPort: number
  readonly vip: string
  readonly isTls: boolean
  readonly serverName: string | null
  /** 'TLSv1.3' and the like; '' without TLS. */
  readonly tlsVersion: string
  readonly tlsCipher: string
  /** How long the TLS handshake took: the client's round trip and some work, the best estimate of it that there is. */
  readonly handshakeUs?: number
  /** The connection speaks HTTP/2. */
  readonly isHttp2?: boolean
  /** The client was asked for a certificate. */
  readonly identity?: ClientIdentity
  /** Left out where nobody follows sessions. */
  readonly tlsSession?: TlsSession
  /** Left out where nobody asks for it. */
  readonly fingerprint?: TlsFingerprint
}

/** By what a client's program is known, in lower case. */
export interface TlsFingerprint {
  readonly ja3: string
  readonly ja4: string
}

/** A TLS session, by what its client shows when it comes again. */
export interface TlsSession {
  /** Of the tickets: the one that the client showed, and those that it was given. */
  readonly ids: readonly string[]
  /** `bind` is called with each of them, and with those that come later; it takes the place of the pool's last one. */
  readonly follow: (poolId: string, bind: (id: string) => void) => void
}

export interface ClientIdentity {
  /** Id of the settings that it was asked and checked by. */
  readonly authId: string
  /** One that was found good; null: none. */
  readonly certificate: { readonly text: (of: ClientCertificateText) => string } | null
}

export type ClientCertificateText =
  | 'fingerprint'
  | 'serial'
  | 'issuer'
  | 'subject'
  | 'raw'
  | 'escaped'
  | 'version'
  | 'sigalg'
  | 'notvalidbefore'
  | 'notvalidafter'

/** One request and its response, from the first header byte to the last body byte. */
export interface Exchange {
  /** Made by us, unless the client's own was kept. */
  id: string
  readonly virtualServiceId: string
  readonly virtualServiceName: string
  readonly downstream: Downstream
  readonly request: RequestHead
  response: ResponseHead | null
  /** Where it goes when nothing ends it earlier; rules may change it. */
  target: TargetSpec | null
  /** Name of the rule that decided, '' for none. */
  rule: string
  /** What scripts said of it, and how they failed; '' for nothing. */
  notes: string
  /** What a script wants it to be spread by, where the pool goes by that; '' for nothing. */
  spreadBy: string
  /** Id of the server that a script chose; '' leaves it to the pool. */
  wantedServer: string
  /** A rule that asks to be logged matched. */
  isLogged: boolean
  poolId: string
  poolName: string
  serverId: string
  /** How many filters were entered: `runEnd` tells exactly these. */
  entered: number
  /** How many times a server was tried. */
  attempts: number
  /** Whether the answer is that of a second server that was asked beside the first; '' where only one was. */
  hedge: '' | 'LOST' | 'WON'
  bytesIn: number
  bytesOut: number
  readonly startedUs: number
  readonly startedEpochMs: number
  /** When the last attempt began; what is before it went into rules, waiting and earlier attempts. 0 until it happens, as those below. */
  sentUs: number
  connectedUs: number
  firstByteUs: number
  fault: Fault | null
  /** Null where the codec cannot give bodies. */
  source: BodySource | null
  /** A second receiver of the request; null: none. */
  copy: RequestCopy | null
  /** Whether the response's body is encoded; null: it is not. */
  chooseCoder: ChooseCoder | null
  /** Sees what servers send, and may send something else in its place; null: nobody. */
  keeper: BodyKeeper | null
  /** Waits for the whole body of the answer before any of it goes out; null: nobody does. */
  inspector: BodyInspector | null
  /** How fast its bodies may go; null: as fast as they can. */
  pacer: Pacer | null
  /** Where the answer came from, as logs say it; '' where nothing is kept. */
  cacheStatus: CacheStatus
}

/** `BYPASS`: what is kept was not looked at. */
export type CacheStatus = '' | 'HIT' | 'MISS' | 'STALE' | 'REVALIDATED' | 'BYPASS'

/** A part of a body that is there. `length`: what is said of it; -1: nothing. */
export interface StoredBody {
  readonly bytes: Buffer
  readonly from: number
  readonly to: number
  readonly length: number
}

/** Takes a response's body as the server sends it. */
export interface BodyKeeper {
  /** Sent in its place; read once the head is known. */
  readonly instead: StoredBody | null
  /** The body ends with the connection: whether it is whole cannot be told. Set before the head is shown. */
  isEndUncertain: boolean
  /** Bytes are not kept. */
  readonly write: (bytes: Buffer, from: number, to: number) => void
  /** It is whole. */
  readonly end: () => void
}

/** Sees the body of an answer, whole. */
export interface BodyInspector {
  /** A longer one is not waited for. */
  readonly limitBytes: number
  /** The body as it goes out; `exchange.response` may be changed. Throws Fault when nothing of it may. */
  readonly inspect: (bytes: Buffer) => Buffer
  /** It is longer than the limit. Throws Fault when then nothing of it may go out. */
  readonly exceeded: () => void
}

/** A second receiver of a request. It may give up, but never hold up. */
export interface RequestCopy {
  /** Another attempt begins: what it sends comes from the beginning again. */
  readonly attempt: () => void
  readonly write: (bytes: Buffer, from: number, to: number) => void
  readonly end: () => void
  /** The exchange is over, whether the request was whole or not. */
  readonly drop: () => void
}

/** Decides once the response's head is there; changes the head when its body is encoded. */
export type ChooseCoder = (head: ResponseHead) => Duplex | null

/** What a filter or a rule decided. Named, never a boolean. */
export type Verdict = { readonly is: 'pass' } | Answer | { readonly is: 'close'; readonly reason: string }

/** A response of our own. */
export interface Answer {
  readonly is: 'answer'
  readonly status: number
  readonly reason: string
  /** Flat; `content-length` is added. */
  readonly headers: readonly string[]
  readonly body: Buffer
  /** Made from a fault: an operator's error page may take its place. */
  readonly isPlain?: boolean
}

export const PASS: Verdict = { is: 'pass' }

/** Rules of a virtual service, compiled; what runs them is a filter. */
export interface RuleBook {
  /** Walks the request rules; may change the head and the target. */
  readonly decide: (exchange: Exchange) => Verdict
  /** Applies the response rules to the response head. */
  readonly amend: (exchange: Exchange) => void
}

/** An exchange in its first state; one shape for all. */
export function makeExchange(
  site: { readonly id: string; readonly name: string; readonly target: TargetSpec | null },
  downstream: Downstream,
  request: RequestHead,
  at: { readonly id: string; readonly startedUs: number; readonly startedEpochMs: number }
): Exchange {
  return {
    id: at.id,
    virtualServiceId: site.id,
    virtualServiceName: site.name,
    downstream,
    request,
    response: null,
    target: site.target,
    rule: '',
    notes: '',
    spreadBy: '',
    wantedServer: '',
    isLogged: false,
    poolId: '',
    poolName: '',
    serverId: '',
    entered: 0,
    attempts: 0,
    hedge: '',
    bytesIn: 0,
    bytesOut: 0,
    startedUs: at.startedUs,
    startedEpochMs: at.startedEpochMs,
    sentUs: 0,
    connectedUs: 0,
    firstByteUs: 0,
    fault: null,
    source: null,
    copy: null,
    chooseCoder: null,
    keeper: null,
    inspector: null,
    pacer: null,
    cacheStatus: ''
  }
}
