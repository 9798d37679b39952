/**
 * The dashboard's live feed: a WebSocket that says once a second how the things on screen are, and at once when a state
 * changes. A client that does not keep up loses ticks, never order; one that is far behind is let go.
 */
import type { FastifyInstance } from 'fastify'
import type { WebSocket } from 'ws'
import type { Clock } from '#model/base/clock.ts'
import type { LiveMessage, LiveTopic } from '#model/resource/runtime.ts'
import type { StateChange } from '#controller/fleet/port.ts'
import type { Actor } from '#controller/access/actor.ts'
import type { RestServices } from './services.ts'
import { callerOf } from './caller.ts'
import type { Caller } from './caller.ts'
import { canSee } from './reads.ts'
import { Problem } from './problem.ts'
import { isDeeperThan } from './json.ts'

const TICK_MS = 1_000
/** State changes that come together are told together. */
const COALESCE_MS = 50
const CLIENTS_MAX = 256
const TOPICS_MAX = 1_000
const MESSAGE_LIMIT_BYTES = 65_536
/** Above it a tick is left out; above the second the client is let go. */
const BUFFERED_SKIP_BYTES = 1_048_576
const BUFFERED_CLOSE_BYTES = 16_777_216
/** Ticks between two looks at whether the session still stands. */
const RECHECK_TICKS = 5
const PING_TICKS = 20
const topicShape = /^(virtualservice|pool|serviceengine)(?::([\w.:-]{1,128}))?$/

type LiveKind = StateChange['kind']
const liveKinds: readonly LiveKind[] = ['virtualservice', 'pool', 'serviceengine']

interface Client {
  readonly socket: WebSocket
  readonly renew: () => Actor | undefined
  caller: Caller
  /** kind -> `*` or uuids. */
  topics: ReadonlyMap<LiveKind, '*' | ReadonlySet<string>>
  /** Uuids asked for with details, whatever else is subscribed. */
  detailed: ReadonlySet<string>
  isAlive: boolean
}

export interface LiveFeed {
  /** Something was committed. */
  readonly committed: (revision: number) => void
  readonly close: () => void
}

/**
 * Reads a client's message.
 *
 * Returns `undefined` when it is not a LiveSubscribe within bounds
 */
export function parseSubscribe(text: string): readonly LiveTopic[] | undefined {
  if (text.length > MESSAGE_LIMIT_BYTES || isDeeperThan(text, 4)) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { type, topics } = value as { type?: unknown; topics?: unknown }
  if (type !== 'subscribe' || !Array.isArray(topics) || topics.length > TOPICS_MAX) return undefined
  return topics.every((topic): topic is LiveTopic => typeof topic === 'string' && topicShape.test(topic)) ? topics : undefined
}

function sortTopics(topics: readonly LiveTopic[]): Pick<Client, 'topics' | 'detailed'> {
  const byKind = new Map<LiveKind, '*' | Set<string>>()
  const detailed = new Set<string>()
  for (const topic of topics) {
    const [, kind, uuid] = topicShape.exec(topic) as unknown as [string, LiveKind, string | undefined]
    if (uuid !== undefined) detailed.add(uuid)
    const before = byKind.get(kind)
    if (uuid === undefined) byKind.set(kind, '*')
    else if (before === undefined) byKind.set(kind, new Set([uuid]))
    else if (before !== '*') before.add(uuid)
  }
  return { topics: byKind, detailed }
}

export function useLive(app: FastifyInstance, services: RestServices): LiveFeed {
  const { store, fleet, scale, log } = services
  const clock: Clock = services.clock
  const clients = new Set<Client>()
  let ticks = 0
  let toldRevision = store.revision()
  let pending: StateChange[] = []
  let cancelFlush: (() => void) | undefined

  const runtimeOf = (kind: LiveKind, uuid: string, isDetailed: boolean): unknown => {
    if (kind === 'virtualservice') {
      const told = fleet.virtualServiceRuntime(uuid)
      const newest = isDetailed ? scale.ofService(uuid).decisions.at(-1) : undefined
      return told === undefined || newest === undefined ? told : { ...told, autoscale: newest }
    }
    if (kind === 'serviceengine') return fleet.engineRuntime(uuid)
    const runtime = fleet.poolRuntime(uuid)
    if (runtime === undefined || isDetailed) return runtime
    return { ...runtime, servers: [], virtualservices: runtime.virtualservices.map(({ uuid, name }) => ({ uuid, name })) }
  }

  const remembered = (known: Map<string, unknown>, kind: LiveKind, uuid: string, isDetailed: boolean): unknown => {
    const key = `${isDetailed ? '+' : '-'}${uuid}`
    if (!known.has(key)) known.set(key, runtimeOf(kind, uuid, isDetailed))
    return known.get(key)
  }

  /** What of a kind the client watches and may see; of `chosen` only, when given. */
  const uuidsOf = (client: Client, kind: LiveKind, chosen: ReadonlySet<string> | undefined): readonly string[] => {
    const wanted = client.topics.get(kind)
    if (wanted === undefined) return []
    if (wanted === '*' && chosen === undefined) return store.list(kind).flatMap(item => (canSee(client.caller, item) ? [item.uuid] : []))
    const candidates = wanted === '*' ? chosen! : chosen === undefined ? wanted : wanted.intersection(chosen)
    return [...candidates].filter(uuid => {
      const item = store.get(kind, uuid)
      return item !== undefined && canSee(client.caller, item)
    })
  }

  /** A failure of one round is told in the log and costs its client the connection, not everybody the controller. */
  const guarded = (work: () => void, client?: Client): void => {
    try {
      work()
    } catch (error) {
      log.error('the live feed failed', { error })
      client?.socket.close(1011, 'failed here')
    }
  }

  const send = (client: Client, message: LiveMessage): void => {
    if (client.socket.bufferedAmount > BUFFERED_CLOSE_BYTES) client.socket.terminate()
    else if (client.socket.readyState === client.socket.OPEN) client.socket.send(JSON.stringify(message))
  }

  /** `known` is what this round has worked out already, for whichever client. */
  const tell = (client: Client, known: Map<string, unknown>, only?: ReadonlyMap<LiveKind, ReadonlySet<string>>): void => {
    if (client.socket.bufferedAmount > BUFFERED_SKIP_BYTES) return
    for (const kind of liveKinds) {
      const chosen = only?.get(kind)
      if (!client.topics.has(kind) || (only !== undefined && chosen === undefined)) continue
      const items = uuidsOf(client, kind, chosen).flatMap(uuid => {
        const runtime = remembered(known, kind, uuid, client.detailed.has(uuid))
        return runtime === undefined ? [] : [{ uuid, runtime }]
      })
      // An empty round is told as well: silence means to a client that its figures are old.
      if (items.length > 0 || only === undefined)
        send(client, { type: 'runtime', kind, items, at: clock.nowEpochMs() } as unknown as LiveMessage)
    }
  }

  const tellChanges = (): void => {
    const revision = store.revision()
    if (revision <= toldRevision) return
    if (clients.size === 0) {
      toldRevision = revision
      return
    }
    const revisions = store.revisions({ limit: Math.min(revision - toldRevision, 200) }).filter(item => item.revision > toldRevision)
    toldRevision = revision
    for (const client of clients) {
      const kinds = new Set(revisions.flatMap(item => item.changes.flatMap(change => (canSee(client.caller, change) ? [change.kind] : []))))
      if (kinds.size > 0) send(client, { type: 'changed', revision, kinds: [...kinds].toSorted() })
    }
  }

  const flush = (): void => {
    cancelFlush = undefined
    guarded(tellChanges)
    const only = new Map<LiveKind, Set<string>>()
    for (const { kind, uuid } of pending) {
      const uuids = only.get(kind)
      if (uuids === undefined) only.set(kind, new Set([uuid]))
      else uuids.add(uuid)
    }
    pending = []
    const known = new Map<string, unknown>()
    if (only.size > 0) for (const client of clients) guarded(() => tell(client, known, only), client)
  }
  const flushSoon = (): void => {
    cancelFlush ??= clock.after(COALESCE_MS, flush)
  }

  const recheck = (client: Client): void => {
    const actor = client.renew()
    if (actor === undefined) client.socket.close(4401, 'signed out')
    else client.caller = { ...client.caller, actor }
  }

  const ping = (client: Client): void => {
    if (!client.isAlive) return client.socket.terminate()
    client.isAlive = false
    client.socket.ping()
  }

  const stops = [
    clock.every(TICK_MS, () => {
      ticks++
      guarded(tellChanges)
      const known = new Map<string, unknown>()
      for (const client of clients) {
        guarded(() => {
          if (ticks % PING_TICKS === 0) ping(client)
          if (ticks % RECHECK_TICKS === 0) recheck(client)
          tell(client, known)
        }, client)
      }
    }),
    fleet.onStateChange(change => {
      if (clients.size === 0) return
      pending.push(change)
      flushSoon()
    }),
    scale.onDecision(({ kind, uuid }) => {
      if (clients.size === 0 || kind === 'serviceenginegroup') return
      pending.push({ kind, uuid })
      flushSoon()
    })
  ]

  app.get(
    '/api/live',
    { websocket: true, config: { entry: 'signed-in', isSameOriginOnly: true, doc: { hidden: 'WebSocket' } } },
    (socket, request) => {
      const caller = callerOf(request)
      const client: Client = { socket, caller, renew: caller.renew, topics: new Map(), detailed: new Set(), isAlive: true }
      socket.on('error', () => socket.terminate())
      socket.on('pong', () => {
        client.isAlive = true
      })
      socket.on('close', () => clients.delete(client))
      if (clients.size >= CLIENTS_MAX) return socket.close(1013, 'too many watchers')
      clients.add(client)
      socket.on('message', (data, isBinary) => {
        const topics = isBinary || !Buffer.isBuffer(data) ? undefined : parseSubscribe(data.toString('utf8'))
        if (topics === undefined) return socket.close(1008, 'not a subscription')
        Object.assign(client, sortTopics(topics))
        guarded(() => tell(client, new Map()), client)
      })
    }
  )

  app.addHook('preValidation', async request => {
    if (request.routeOptions.url === '/api/live' && !request.ws)
      throw new Problem(426, 'UPGRADE_NEEDED', 'this is a WebSocket', { headers: { upgrade: 'websocket' } })
  })

  return {
    committed: flushSoon,
    close: () => {
      for (const stop of stops) stop()
      cancelFlush?.()
      for (const client of clients) client.socket.close(1001, 'controller stops')
      clients.clear()
    }
  }
}
