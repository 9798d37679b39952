/** What is measured: a scene that every proxy is put into, and the load on it. */
import { features, type Feature } from './feature.ts'

export interface Scene {
  readonly mode: 'http' | 'tcp'
  readonly tls: 'ec' | 'rsa' | null
  /** Offered to clients by ALPN. */
  readonly isHttp2: boolean
  readonly upstream: 'static' | 'websocket' | 'grpc'
  /** Virtual services, each with an address of its own. */
  readonly services: number
}

export type Load =
  | { readonly by: 'wrk'; readonly path: string; readonly connections: number; readonly threads: number }
  | { readonly by: 'h2load'; readonly path: string; readonly connections: number; readonly streams: number; readonly isGrpc: boolean }
  | { readonly by: 'handshakes'; readonly isResumed: boolean; readonly lanes: number }
  | { readonly by: 'websocket'; readonly connections: number }
  | { readonly by: 'idle'; readonly connections: number }

export interface Case {
  readonly name: string
  readonly title: string
  /** What one of the load's units is. */
  readonly unit: 'request' | 'handshake' | 'message' | 'connection'
  readonly scene: Scene
  readonly load: Load
  /** Nobody is compared with peers: two services without it, with it on the one that gets no load, and with it on the other. */
  readonly feature?: Feature
  /** Why it cannot be measured with this build at all. */
  readonly skipped?: string
}

const plain: Scene = { mode: 'http', tls: null, isHttp2: false, upstream: 'static', services: 1 }
const tcp: Scene = { ...plain, mode: 'tcp' }
const wrk = (path: string, connections = 64, threads = 1): Load => ({ by: 'wrk', path, connections, threads })
const handshakes = (isResumed: boolean): Load => ({ by: 'handshakes', isResumed, lanes: 16 })

const FEATURE = 'feature'

/** 65 bytes, as in the figures of the design. */
export const SMALL_BODY = `${'x'.repeat(64)}\n`
/** What a WebSocket client sends (masked by zeros) and gets, header and 64 bytes. */
export const WEBSOCKET_SENT = Buffer.concat([Buffer.from([0x82, 0x80 | 64, 0, 0, 0, 0]), Buffer.alloc(64, 120)])
export const WEBSOCKET_ANSWER = Buffer.concat([Buffer.from([0x82, 64]), Buffer.alloc(64, 120)])

export const cases: readonly Case[] = [
  { name: 'http', title: 'HTTP/1.1, 65-byte answers, 64 connections', unit: 'request', scene: plain, load: wrk('/small') },
  { name: 'http-64k', title: 'HTTP/1.1, 64 kB answers, 64 connections', unit: 'request', scene: plain, load: wrk('/64k') },
  { name: 'http-1m', title: 'HTTP/1.1, 1 MB answers, 16 connections', unit: 'request', scene: plain, load: wrk('/1m', 16) },
  {
    name: 'https',
    title: 'HTTPS keep-alive, 65-byte answers, 64 connections',
    unit: 'request',
    scene: { ...plain, tls: 'ec' },
    load: wrk('/small')
  },
  { name: 'tls-ec', title: 'TLS handshakes, EC, full', unit: 'handshake', scene: { ...plain, tls: 'ec' }, load: handshakes(false) },
  {
    name: 'tls-ec-resumed',
    title: 'TLS handshakes, EC, resumed',
    unit: 'handshake',
    scene: { ...plain, tls: 'ec' },
    load: handshakes(true)
  },
  { name: 'tls-rsa', title: 'TLS handshakes, RSA 2048, full', unit: 'handshake', scene: { ...plain, tls: 'rsa' }, load: handshakes(false) },
  {
    name: 'tls-rsa-resumed',
    title: 'TLS handshakes, RSA 2048, resumed',
    unit: 'handshake',
    scene: { ...plain, tls: 'rsa' },
    load: handshakes(true)
  },
  {
    name: 'http2',
    title: 'HTTP/2 over TLS, 8 connections x 16 streams',
    unit: 'request',
    scene: { ...plain, tls: 'ec', isHttp2: true },
    load: { by: 'h2load', path: '/small', connections: 8, streams: 16, isGrpc: false }
  },
  {
    name: 'grpc',
    title: 'gRPC unary over TLS, 8 connections x 16 streams, HTTP/2 to the server',
    unit: 'request',
    scene: { ...plain, tls: 'ec', isHttp2: true, upstream: 'grpc' },
    load: { by: 'h2load', path: '/bench.Echo/Say', connections: 8, streams: 16, isGrpc: true }
  },
  {
    name: 'websocket',
    title: 'WebSocket, 64-byte messages there and back, 64 connections',
    unit: 'message',
    scene: { ...plain, upstream: 'websocket' },
    load: { by: 'websocket', connections: 64 }
  },
  { name: 'tcp', title: 'TCP, small requests and answers on 64 flows', unit: 'request', scene: tcp, load: wrk('/small') },
  { name: 'tcp-1m', title: 'TCP, 1 MB answers on 16 flows', unit: 'request', scene: tcp, load: wrk('/1m', 16) },
  {
    name: 'tcp-kernel',
    title: 'TCP between network namespaces, forwarded by the kernel',
    unit: 'request',
    scene: tcp,
    load: wrk('/small'),
    skipped: 'it needs hosts of its own: node test/bench/kernel.ts measures it'
  },
  {
    name: 'idle',
    title: 'idle keep-alive connections, one request each before',
    unit: 'connection',
    scene: plain,
    load: { by: 'idle', connections: 10_000 }
  },
  {
    name: 'services',
    title: '1,000 virtual services on one engine, requests to 8 of them',
    unit: 'request',
    scene: { ...plain, services: 1_000 },
    load: wrk('/small', 64, 8)
  },
  ...features.map((feature): Case => ({
    name: `${FEATURE}-${feature.name}`,
    title: feature.title,
    unit: 'request',
    scene: { ...plain, services: 2 },
    load: wrk('/small'),
    feature
  }))
]

/** Cases by name; `feature` is all of those. */
export function findCases(name: string): readonly Case[] {
  return cases.filter(one => one.name === name || (name === FEATURE && one.feature !== undefined))
}
