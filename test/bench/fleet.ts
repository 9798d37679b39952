/**
 * Engines that run nothing, as one process: reads a FleetOrder from its standard input, connects each engine to the real
 * channel, takes every order at once and says so. Prints `ready` when each was told what it should run for the first time.
 */
import { text } from 'node:stream/consumers'
import { WebSocket } from 'ws'
import { decodeHubMessage, encode } from '#model/message/codec.ts'
import { HEARTBEAT_INTERVAL_MS, PROTOCOL, type AgentMessage } from '#model/message/message.ts'

export interface FleetOrder {
  readonly port: number
  readonly caPem: string
  /** One key for all: what is measured is not their secrecy. */
  readonly keyPem: string
  readonly engines: readonly { readonly certificatePem: string; readonly hostname: string }[]
}

const order = JSON.parse(await text(process.stdin)) as FleetOrder
let told = 0

function connectEngine({ certificatePem, hostname }: FleetOrder['engines'][number]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://127.0.0.1:${order.port}/engine`, { ca: order.caPem, cert: certificatePem, key: order.keyPem })
    const held = new Set<string>()
    let isTold = false
    let sequence = 0
    const say = (message: AgentMessage): void => socket.send(encode(message))
    socket.on('error', reject)
    socket.on('open', () => {
      say({
        type: 'Hello',
        protocol: PROTOCOL,
        version: '0.0.0-bench',
        bootId: hostname,
        hostname,
        addresses: ['127.0.0.1'],
        cpuCount: 2,
        memoryBytes: 4e9,
        workers: 2,
        runningRevision: 0,
        runningHash: '',
        heldParts: [],
        abilities: []
      })
      setInterval(() => say({ type: 'Heartbeat', sequence: ++sequence }), HEARTBEAT_INTERVAL_MS)
      resolve()
    })
    socket.on('close', (code, reason) => {
      console.error(`engine ${hostname}: closed ${code} ${reason.toString()}`)
      process.exit(1)
    })
    socket.on('message', (data: Buffer) => {
      const decoded = decodeHubMessage(data.toString())
      if (decoded.is !== 'message' || decoded.message.type !== 'ApplySnapshot') return
      const { manifest, parts } = decoded.message
      const hashOf = new Map(manifest.parts.map(entry => [`${entry.kind}/${entry.id}`, entry.hash]))
      for (const part of parts) held.add(hashOf.get(`${part.kind}/${part.id}`) ?? '')
      const missing = manifest.parts.map(entry => entry.hash).filter(hash => !held.has(hash))
      if (missing.length > 0) return say({ type: 'PartsWanted', hashes: missing })
      say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 0 })
      if (isTold) return
      isTold = true
      if (++told === order.engines.length) console.log('ready')
    })
  })
}

const CONNECTS_AT_ONCE = 20
for (let i = 0; i < order.engines.length; i += CONNECTS_AT_ONCE)
  await Promise.all(order.engines.slice(i, i + CONNECTS_AT_ONCE).map(connectEngine))
