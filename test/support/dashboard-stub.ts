/**
 * A stand-in for the controller that shows the dashboard what is hard to bring about for real: nothing at all, a failing
 * store, a silent live feed, a role that may not, two thousand services. Keeps objects in memory, checks next to nothing.
 */
import { createReadStream, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, resolve } from 'node:path'
import { WebSocketServer } from 'ws'
import type { LiveFigures, OperState, PoolRuntime, ServiceEngineRuntime, VirtualServiceRuntime } from '#model/resource/runtime.ts'

const dist = resolve(import.meta.dirname, '../../ui/dist')
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml'
}
/** The strictest policy that the dashboard must live with: not even inline styles. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"

type Fields = Record<string, unknown>
interface Stored extends Fields {
  uuid: string
  name: string
}

export interface StubMode {
  /** How many services there are; 0 means that there is nothing at all. */
  services: number
  /** Reads answer this status. */
  readsFail: number | undefined
  /** The engine's installer was built. */
  isPackaged: boolean
  isMute: boolean
}

export interface DashboardStub {
  readonly url: string
  readonly mode: StubMode
  readonly close: () => Promise<void>
}

const uuid = (kind: string, at: number): string => `${kind}-00000000-0000-4000-8000-${String(at).padStart(12, '0')}`

function figures(load: number, nowMs: number): LiveFigures {
  const wave = 1 + 0.25 * Math.sin(nowMs / 9_000 + load) + 0.08 * Math.sin(nowMs / 1_300 + load * 3)
  const requests = load * wave
  return {
    requests_per_s: requests,
    errors_5xx_per_s: load > 400 ? requests * 0.02 : 0,
    errors_4xx_per_s: requests * 0.004,
    bytes_in_per_s: requests * 700,
    bytes_out_per_s: requests * 18_000,
    open_connections: Math.round(requests / 6),
    new_connections_per_s: requests / 9,
    latency_p50_ms: load === 0 ? null : 3 * wave,
    latency_p95_ms: load === 0 ? null : 11 * wave,
    latency_p99_ms: load === 0 ? null : 34 * wave,
    at: Math.floor(nowMs / 1000) * 1000
  }
}

const states: readonly (readonly [state: OperState, score: number, reason: string])[] = [
  ['OPER_UP', 100, ''],
  ['OPER_UP', 97, 'latency p99 34 ms, above 30 ms'],
  ['OPER_UP', 72, 'server 10.0.0.7:8080 answers 8 times slower than its pool'],
  ['OPER_UP', 41, '2 % of answers are 5xx'],
  ['OPER_DOWN', 0, 'no server of pool web is up: connection refused'],
  ['OPER_DISABLED', 0, 'disabled by its operator']
]
const names = ['shop', 'shop-api', 'search', 'payments', 'images', 'accounts', 'mail-relay', 'metrics-in']

class Stub {
  readonly mode: StubMode
  readonly #byKind = new Map<string, Stored[]>()
  readonly #revisions: Fields[] = []
  #last = 41

  constructor(mode: StubMode) {
    this.mode = mode
    this.fill()
  }

  /** A minute apart, newest first. */
  events(url: URL): Fields {
    const told = [
      ['VS_DOWN', 'ERROR', 'virtualservice', 4, 'payments', 'is down: no server of pool web is up: connection refused'],
      ['SERVER_DOWN', 'WARNING', 'pool', 0, 'web', 'server 10.0.0.7:8080 is down: connection refused'],
      ['VS_MIGRATE', 'INFO', 'virtualservice', 2, 'search', 'moves from engine-1 to engine-2; it is placed on engine-2'],
      ['VS_AUTOSCALE_OUT', 'INFO', 'virtualservice', 2, 'search', 'scale out, 1 to 2 engines, by load: CPU at 91 %, above 80 %'],
      ['SE_HEARTBEAT_FAILURE', 'ERROR', 'serviceengine', 1, 'engine-1', 'is not heard of: no word on an open connection']
    ] as const
    const [uuids, levels] = ['obj_uuid', 'level'].map(name => url.searchParams.get(name)?.split(','))
    const results = told.map(([event_id, level, obj_type, at, obj_name, event_description], i) => ({
      id: 900 - i,
      report_timestamp: Date.now() - i * 60_000,
      event_id,
      level,
      obj_type,
      obj_uuid: uuid(obj_type, at),
      obj_name,
      event_description,
      related_uuids: [],
      tenant: 'tenant-1'
    }))
    return {
      results:
        this.mode.services === 0
          ? []
          : results.filter(
              event => (uuids === undefined || uuids.includes(event.obj_uuid)) && (levels === undefined || levels.includes(event.level))
            )
    }
  }

  fill(): void {
    this.#byKind.clear()
    const put = (kind: string, ...objects: Stored[]): void => void this.#byKind.set(kind, objects)
    put('serviceenginegroup', { uuid: uuid('serviceenginegroup', 1), name: 'Default-Group' })
    put('healthmonitor', { uuid: uuid('healthmonitor', 1), name: 'System-HTTP' }, { uuid: uuid('healthmonitor', 2), name: 'System-TCP' })
    put('applicationprofile', { uuid: uuid('applicationprofile', 1), name: 'System-HTTP' })
    for (const kind of ['sslkeyandcertificate', 'tenant', 'httppolicyset']) put(kind)
    const count = this.mode.services
    put('virtualservice', ...Array.from({ length: count }, (_, at) => this.service(at)))
    put('pool', ...(count === 0 ? [] : ['web', 'api', 'static'].map((name, at) => this.pool(name, at))))
    put(
      'vsvip',
      ...(count === 0
        ? []
        : [
            {
              uuid: uuid('vsvip', 1),
              name: 'front',
              vip: [{ vip_id: '0', ip_address: { addr: '192.0.2.10', type: 'V4' }, ip6_address: { addr: '2001:db8::10', type: 'V6' } }]
            }
          ])
    )
    put(
      'serviceengine',
      ...(count === 0
        ? []
        : [1, 2].map(at => ({
            uuid: uuid('serviceengine', at),
            name: `edge-${at}`,
            se_group_ref: '/api/serviceenginegroup/x-1#Default-Group'
          })))
    )
  }

  service(at: number): Stored {
    return {
      uuid: uuid('virtualservice', at),
      name: at < names.length ? names[at]! : `service-${String(at).padStart(4, '0')}`,
      enabled: at % states.length !== 5,
      services: [{ port: 443, enable_ssl: true }, { port: 80 }],
      vsvip_ref: `/api/vsvip/${uuid('vsvip', 1)}#front`,
      pool_ref: `/api/pool/${uuid('pool', at % 3)}#${['web', 'api', 'static'][at % 3]}`
    }
  }

  pool(name: string, at: number): Stored {
    return {
      uuid: uuid('pool', at),
      name,
      default_server_port: 8080,
      health_monitor_refs: [`/api/healthmonitor/${uuid('healthmonitor', 1)}#System-HTTP`],
      servers: [5, 6, 7].map(host => ({ ip: { addr: `10.0.${at}.${host}`, type: 'V4' }, enabled: host !== 6 }))
    }
  }

  virtualServiceRuntime(at: number, nowMs: number): VirtualServiceRuntime {
    const [state, score, reason] = states[at % states.length]!
    return {
      oper_status: { state, reason: score === 0 ? [reason] : [], last_changed_time: 1_790_000_000_000 },
      placed_on: state === 'OPER_UP' ? [this.placed(1), this.placed(2)] : [],
      answers_at: [1, 2].map(engine => ({
        address: `10.1.0.${engine}`,
        engine_uuid: uuid('serviceengine', engine),
        engine_name: `edge-${engine}`,
        answers: engine === 1,
        reason: engine === 1 ? '' : 'it does not run it yet'
      })),
      engines_wanted: 2,
      limits: [
        {
          name: 'requests',
          admitted_per_s: 1_000,
          refused_per_s: 4_000,
          engines: [1, 2].map(engine => ({
            engine_uuid: uuid('serviceengine', engine),
            engine_name: `edge-${engine}`,
            share: engine === 1 ? 0.75 : 0.25,
            admitted_per_s: 500,
            refused_per_s: 2_000,
            admitted: 1e6,
            refused: 4e6
          }))
        }
      ],
      cache: {
        hits: 900,
        misses: 100,
        stale: 0,
        revalidated: 0,
        bypassed: 7,
        hit_ratio: 0.9,
        saved_bytes: 5e9,
        objects: 1_234,
        bytes: 6e7,
        purges: [
          {
            what: 'tag',
            value: 'shoes',
            by: 'mona',
            at: 1_790_000_000_000,
            objects: 12,
            engines: [{ engine_uuid: uuid('serviceengine', 2), engine_name: 'edge-2', state: 'WAITING', objects: 0 }]
          }
        ]
      },
      live: figures(state === 'OPER_UP' ? 60 + ((at * 131) % 700) : 0, nowMs),
      health_score: { score, reasons: reason === '' || score === 0 ? [] : [{ reason, points: 100 - score }] }
    }
  }

  placed(at: number): VirtualServiceRuntime['placed_on'][number] {
    return {
      engine_uuid: uuid('serviceengine', at),
      engine_name: `edge-${at}`,
      state: 'OPER_UP',
      primary: at === 1,
      standby: false,
      owns_addresses: at === 1,
      announces_addresses: at === 1,
      announce_reason: at === 1 ? '' : 'BIRD has no session with a router',
      phase: 'running',
      wanted_revision: this.#last,
      running_revision: this.#last - (at - 1)
    }
  }

  poolRuntime(object: Stored, nowMs: number): PoolRuntime {
    const servers = (object['servers'] ?? []) as readonly { ip: { addr: string }; enabled?: boolean }[]
    return {
      oper_status: { state: 'OPER_UP', reason: [], last_changed_time: 1_790_000_000_000 },
      servers: servers.map(({ ip, enabled = true }, at) => ({
        zone: at === 0 ? 'south' : 'north',
        server: ip.addr,
        ip: ip.addr,
        port: 8080,
        enabled,
        ratio: 1,
        oper_status: {
          state: enabled ? (at === 2 ? 'OPER_DOWN' : 'OPER_UP') : 'OPER_DISABLED',
          reason: [],
          last_changed_time: 1_790_000_000_000
        },
        engines: [
          {
            engine_uuid: uuid('serviceengine', 1),
            engine_name: 'edge-1',
            verdict: at === 2 ? 'down' : 'up',
            weight_percent: 100,
            own_zone: at !== 0,
            probes: [
              {
                monitor_name: 'System-HTTP',
                monitor_uuid: uuid('healthmonitor', 1),
                verdict: at === 2 ? 'down' : 'up',
                detail: at === 2 ? 'connection refused' : '200 in 3 ms',
                request: at === 2 ? '' : 'HEAD / HTTP/1.0',
                answer: at === 2 ? '' : 'HTTP/1.1 200 OK',
                duration_ms: 3,
                at: nowMs - 2_000
              }
            ]
          }
        ],
        live: figures(enabled && at !== 2 ? 80 + at * 20 : 0, nowMs)
      })),
      num_servers: servers.length,
      num_servers_up: 1,
      num_servers_enabled: 2,
      live: figures(260, nowMs),
      health_score: { score: 84, reasons: [{ reason: '1 of 2 enabled servers is down', points: 16 }] },
      locality: [
        {
          engine_uuid: uuid('serviceengine', 1),
          engine_name: 'edge-1',
          zone: 'north',
          own_percent: 100,
          own_requests: 81_234,
          other_requests: 12
        }
      ],
      virtualservices: [
        { uuid: uuid('virtualservice', 0), name: 'shop', live: figures(60, nowMs) },
        { uuid: uuid('virtualservice', 1), name: 'api', live: figures(200, nowMs) }
      ]
    }
  }

  engineRuntime(at: number, nowMs: number): ServiceEngineRuntime {
    return {
      oper_status: { state: 'OPER_UP', reason: [], last_changed_time: 1_790_000_000_000 },
      connected: true,
      last_seen: nowMs,
      wanted_revision: this.#last,
      running_revision: this.#last - (at - 1),
      ...(at === 2 ? { held: { known_revision: this.#last - 3, since: nowMs - 60_000 } } : {}),
      violations: at === 2 ? [{ pointer: '/virtual-service/shop/listeners/0', message: 'port 443 is in use' }] : [],
      version: '0.1.0',
      build: '',
      platform: '',
      upgrade_ended: null,
      hostname: `edge-${at}.example`,
      addresses: [`10.1.0.${at}`, `2001:db8::1:${at}`],
      workers: 4,
      abilities: ['http-wire', 'tcp', 'udp', 'tls'],
      bgp: {
        state: at === 2 ? 'down' : 'up',
        reason: at === 2 ? 'BIRD has no session with a router' : '',
        sessions: [{ name: 'router_v4', up: at !== 2, state: at === 2 ? 'start Active Socket: Connection refused' : 'up Established' }],
        vips: [
          { vsvip_uuid: uuid('vsvip', 1), vsvip_name: 'front', announced: true, reason: '' },
          { vsvip_uuid: uuid('vsvip', 2), vsvip_name: 'back', announced: false, reason: 'enable_rhi is false' }
        ]
      },
      host: {
        cpu_ratio: 0.3 + 0.1 * Math.sin(nowMs / 7_000 + at),
        memory_used_bytes: 3.1e9,
        memory_total_bytes: 8.3e9,
        network_received_bytes_per_s: 2.1e6,
        network_sent_bytes_per_s: 31e6
      },
      live: figures(410, nowMs),
      health_score: { score: 96, reasons: [] },
      virtualservices: [{ uuid: uuid('virtualservice', 0), name: 'shop' }],
      certificate_not_after: nowMs + 20 * 86_400_000
    }
  }

  objects(kind: string): Stored[] {
    return this.#byKind.get(kind) ?? []
  }

  runtime(kind: string, object: Stored, nowMs: number): unknown {
    const at = Number(object.uuid.slice(-12))
    if (kind === 'virtualservice') return this.virtualServiceRuntime(at, nowMs)
    if (kind === 'pool') return this.poolRuntime(object, nowMs)
    return this.engineRuntime(at, nowMs)
  }

  commit(action: string, kind: string, object: Stored, diff: readonly unknown[]): void {
    this.#revisions.unshift({
      revision: ++this.#last,
      author: 'admin',
      reason: '',
      at: new Date().toISOString(),
      changes: [{ action, kind, uuid: object.uuid, name: object.name, diff }]
    })
  }

  /** Status and body for an API request. */
  answer(method: string, url: URL, body: Fields): readonly [status: number, body: unknown] {
    const [, , kind = '', id, sub] = url.pathname.split('/')
    if (method === 'GET' && this.mode.readsFail !== undefined && kind !== 'initial-data')
      return [
        this.mode.readsFail,
        {
          title: 'Unavailable',
          status: this.mode.readsFail,
          detail: this.mode.readsFail === 403 ? 'alice may not read this kind' : 'the store cannot do this now',
          instance: 'urn:uuid:4711'
        }
      ]
    if (kind === 'initial-data')
      return [
        200,
        {
          signed_in: true,
          user: { username: 'admin', is_superuser: true },
          tenants: [{ name: 'admin', uuid: 'tenant-1' }],
          default_tenant: 'admin',
          version: { weir_version: '0.1.0' }
        }
      ]
    if (kind === 'revision')
      return [
        200,
        {
          results: this.#revisions.filter(
            revision => !url.searchParams.has('uuid') || JSON.stringify(revision).includes(url.searchParams.get('uuid')!)
          )
        }
      ]
    if (kind === 'jointoken')
      return [
        201,
        {
          uuid: uuid('jointoken', 1),
          token: 'weir_1',
          commands: {
            systemd: "curl -fsSLk --pinnedpubkey 'sha256//abc=' 'https://192.0.2.1:9443/install.sh' | sh -s -- --token weir_1",
            container: "curl -fsSLk --pinnedpubkey 'sha256//abc=' 'https://192.0.2.1:9443/install/container.sh' | sh -s -- --token weir_1",
            cloudinit: '#cloud-config'
          }
        }
      ]
    if (kind === 'analytics') return [200, id === 'logs' ? this.events(url) : this.metrics(url)]
    if (kind === 'upgrade') return [200, { count: 0, results: [], given_out: { version: '0.2.0', builds: {} } }]
    if (kind.endsWith('-inventory')) return this.inventory(kind.slice(0, -'-inventory'.length), url)
    const objects = this.objects(kind)
    if (id === undefined && method === 'GET') {
      const wanted = url.searchParams.get('name.icontains') ?? ''
      return this.page(
        objects.filter(object => object.name.includes(wanted)),
        url
      )
    }
    if (id === undefined) {
      if (body['name'] === '' || body['name'] === undefined)
        return [
          422,
          { title: 'Invalid', detail: 'the pool is not valid', violations: [{ pointer: '/name', message: 'must not be empty' }] }
        ]
      const made: Stored = { ...body, uuid: uuid(kind, 900 + objects.length), name: body['name'] as string }
      const changes = [{ action: 'create', kind, uuid: made.uuid, name: made.name, diff: [{ pointer: '', after: body }] }]
      if (url.searchParams.has('dry_run')) return [200, { ...made, _changes: changes }]
      objects.push(made)
      this.commit('create', kind, made, changes[0]!.diff)
      return [201, made]
    }
    const found = objects.find(object => object.uuid === id)
    if (!found) return [404, { title: 'Not found', detail: `${kind} ${id} not found` }]
    if (sub === 'runtime') return [200, this.runtime(kind, found, Date.now())]
    if (sub === 'autoscale') return [200, { enabled: false, now: null, forecast: null, decisions: [] }]
    if (method === 'GET') return [200, found]
    if (method === 'DELETE') {
      if (kind === 'pool') return [409, { title: 'Conflict', detail: `pool ${found.name} is in use by virtualservice shop` }]
      objects.splice(objects.indexOf(found), 1)
      this.commit('delete', kind, found, [{ pointer: '', before: found }])
      return [204, undefined]
    }
    const next = method === 'PATCH' ? { ...found, ...(body['replace'] as Fields) } : { ...body }
    const diff = Object.keys({ ...found, ...next })
      .filter(name => JSON.stringify(found[name]) !== JSON.stringify((next as Fields)[name]))
      .map(name => ({ pointer: `/${name}`, before: found[name], after: (next as Fields)[name] }))
    if (url.searchParams.has('dry_run'))
      return [200, { ...next, _changes: diff.length === 0 ? [] : [{ action: 'update', kind, uuid: found.uuid, name: found.name, diff }] }]
    Object.assign(found, next)
    this.commit('update', kind, found, diff)
    return [200, found]
  }

  page(objects: readonly unknown[], url: URL): readonly [number, unknown] {
    const size = Number(url.searchParams.get('page_size') ?? 25)
    const page = Number(url.searchParams.get('page') ?? 1)
    return [200, { count: objects.length, results: objects.slice((page - 1) * size, page * size) }]
  }

  inventory(kind: string, url: URL): readonly [number, unknown] {
    const nowMs = Date.now()
    return this.page(
      this.objects(kind).map(config => {
        const runtime = this.runtime(kind, config, nowMs) as { readonly health_score: unknown }
        return { uuid: config.uuid, config, runtime, health_score: runtime.health_score, alert: { low: 0, medium: 0, high: 0 } }
      }),
      url
    )
  }

  metrics(url: URL): unknown {
    const step = Number(url.searchParams.get('step'))
    const limit = Number(url.searchParams.get('limit'))
    const stop = Math.floor(Date.now() / 1000 / step) * step
    const read: Readonly<Record<string, (live: LiveFigures) => number | null>> = {
      avg_complete_responses: live => live.requests_per_s,
      avg_resp_4xx: live => live.errors_4xx_per_s,
      avg_resp_5xx: live => live.errors_5xx_per_s,
      pct50_latency: live => live.latency_p50_ms,
      pct95_latency: live => live.latency_p95_ms,
      pct99_latency: live => live.latency_p99_ms,
      avg_rx_bytes: live => live.bytes_in_per_s,
      avg_tx_bytes: live => live.bytes_out_per_s,
      max_open_conns: live => live.open_connections,
      avg_cpu_usage: live => 30 + live.requests_per_s / 20,
      avg_mem_usage: () => 37
    }
    return {
      series: (url.searchParams.get('metric_id') ?? '').split(',').map(name => ({
        header: { name, entity_uuid: '', units: '', statistics: { min: 0, max: 0, mean: 0, num_samples: 0 } },
        data: Array.from({ length: limit }, (_, at) => stop - (limit - at) * step)
          // A gap, as when the engine was away.
          .filter(atS => atS % 900 < 780)
          .map(atS => ({
            timestamp: new Date(atS * 1000).toISOString(),
            value: read[name.split('.')[1]!]?.(figures(410, atS * 1000)) ?? 0
          }))
      }))
    }
  }

  live(topics: readonly string[]): readonly string[] {
    const nowMs = Date.now()
    return ['virtualservice', 'pool', 'serviceengine'].flatMap(kind => {
      const wanted = topics.filter(topic => topic.split(':')[0] === kind)
      if (wanted.length === 0) return []
      const items = this.objects(kind)
        .filter(object => wanted.some(topic => topic === kind || topic === `${kind}:${object.uuid}`))
        .map(object => ({ uuid: object.uuid, runtime: this.runtime(kind, object, nowMs) }))
      return [JSON.stringify({ type: 'runtime', kind, items, at: nowMs })]
    })
  }
}

async function bodyOf(request: IncomingMessage): Promise<Fields> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text === '' ? {} : (JSON.parse(text) as Fields)
}

function serveFile(path: string, response: ServerResponse): void {
  const file = path !== '/' && existsSync(join(dist, path)) ? join(dist, path) : join(dist, 'index.html')
  response.writeHead(200, {
    'content-type': types[extname(file)] ?? 'application/octet-stream',
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer'
  })
  createReadStream(file).pipe(response)
}

export async function startDashboardStub(port = 0, services = 14): Promise<DashboardStub> {
  const mode: StubMode = { services, readsFail: undefined, isPackaged: true, isMute: false }
  const stub = new Stub(mode)
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'set-cookie': 'csrftoken=stub; Path=/' })
      response.end(body === undefined ? undefined : JSON.stringify(body))
    }
    if (url.pathname === '/login' || url.pathname === '/logout') return send(200, {})
    if (url.pathname.startsWith('/install')) {
      if (mode.isPackaged) return void response.end('#!/bin/sh\n')
      return send(503, {
        title: 'NOT_PACKAGED',
        status: 503,
        detail: "install.sh was not built here: run make package on the controller's host"
      })
    }
    if (!url.pathname.startsWith('/api/')) return serveFile(url.pathname, response)
    void bodyOf(request).then(body => send(...stub.answer(request.method ?? 'GET', url, body)))
  })
  const sockets = new WebSocketServer({ server, path: '/api/live' })
  sockets.on('connection', socket => {
    let topics: readonly string[] = []
    const tell = (): void => {
      if (!mode.isMute) for (const text of stub.live(topics)) socket.send(text)
    }
    const timer = setInterval(tell, 1000)
    socket.on('message', data => {
      topics = (JSON.parse((data as Buffer).toString()) as { topics: string[] }).topics
      tell()
    })
    socket.on('close', () => clearInterval(timer))
  })
  await new Promise<void>(listening => server.listen(port, '127.0.0.1', listening))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : port}`,
    mode: new Proxy(mode, {
      set: (target, name, value) => {
        Object.assign(target, { [name]: value })
        if (name === 'services') stub.fill()
        return true
      }
    }),
    close: async () => {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await new Promise(closed => server.close(closed))
    }
  }
}
