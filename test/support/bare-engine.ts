/** An engine that is nothing but its connection: it sends and receives frames as a test says. */
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { decodeHubMessage, encode } from '#model/message/codec.ts'
import type { AgentMessage, Hello, HubMessage } from '#model/message/message.ts'
import { aCsr } from './csr.ts'
import type { TestFleet } from './fleet.ts'
import { until } from './wait.ts'

export interface Keys {
  readonly uuid: string
  readonly cert: string
  readonly key: string
}

export async function joinBare(fleet: TestFleet, hostname = 'bare'): Promise<Keys> {
  const { csrPem, keyPem } = await aCsr()
  const enrolment = await fleet.fleet.enrol({ token: await fleet.token(), csrPem, hostname, remoteAddress: '127.0.0.1' })
  return { uuid: enrolment.engineUuid, cert: enrolment.certificatePem, key: keyPem }
}

export interface BareEngine {
  readonly socket: WebSocket
  readonly received: HubMessage[]
  readonly say: (message: AgentMessage) => void
  readonly next: <T extends HubMessage['type']>(type: T) => Promise<Extract<HubMessage, { readonly type: T }>>
  readonly closed: Promise<number>
}

export const aHello: Hello = {
  type: 'Hello',
  protocol: 1,
  version: '0.0.0-test',
  bootId: 'boot-1',
  hostname: 'bare',
  addresses: ['127.0.0.1'],
  cpuCount: 2,
  memoryBytes: 1e9,
  workers: 2,
  runningRevision: 0,
  runningHash: '',
  heldParts: [],
  abilities: []
}

/** Connects and, unless told otherwise, says hello. Its heart beats by the real clock, so that a slow machine does not make it silent. */
export async function aBareEngine(
  t: Test,
  fleet: TestFleet,
  keys: Pick<Keys, 'cert' | 'key'>,
  hello: Hello | null = aHello
): Promise<BareEngine> {
  const socket = new WebSocket(`wss://127.0.0.1:${fleet.fleet.port}/engine`, { ca: fleet.authority.caPem, cert: keys.cert, key: keys.key })
  t.teardown(() => socket.terminate())
  const received: HubMessage[] = []
  let seen = 0
  socket.on('message', (data: Buffer) => {
    const decoded = decodeHubMessage(data.toString())
    if (decoded.is === 'message') received.push(decoded.message)
  })
  const closed = new Promise<number>(resolve => void socket.on('close', code => resolve(code)))
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve)
    socket.on('error', reject)
    socket.on('unexpected-response', (_, response) => reject(new Error(`status ${response.statusCode}`)))
  })
  const say = (message: AgentMessage): void => socket.send(encode(message))
  if (hello !== null) {
    say(hello)
    let sequence = 0
    const heart = setInterval(() => say({ type: 'Heartbeat', sequence: ++sequence }), 250)
    socket.on('close', () => clearInterval(heart))
  }
  return {
    socket,
    received,
    say,
    closed,
    next: type =>
      until(`a ${type}`, () => {
        for (; seen < received.length; seen++) {
          const message = received[seen]!
          if (message.type !== type) continue
          seen++
          return message as Extract<HubMessage, { readonly type: typeof type }>
        }
        return undefined
      })
  }
}
