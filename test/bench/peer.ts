/**
 * The peers, each told the same: one worker, the same keep-alive limits and timeouts, an access log of every request to a
 * file, its metrics on, X-Forwarded-For and X-Forwarded-Proto added, whatever buffering is best for it.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Scene } from './case.ts'

export interface Front {
  readonly address: string
  readonly port: number
}

/** Everything that a proxy is told about a scene. */
export interface Stand {
  readonly scene: Scene
  /** One for each virtual service. */
  readonly fronts: readonly Front[]
  readonly upstreamPort: number
  readonly certificate: { readonly certificatePath: string; readonly keyPath: string; readonly bothPath: string }
  /** The proxy's own. */
  readonly folder: string
  readonly sparePort: number
}

export interface Launch {
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Written to the proxy's folder before it starts. */
  readonly files: Readonly<Record<string, string>>
  /** The access log comes by standard output. */
  readonly isLogOnStdout?: boolean
}

export interface Peer {
  readonly name: string
  readonly version: (path: string) => string
  /** Why it has no part in a scene. */
  readonly cannot: (scene: Scene, path: string) => string | undefined
  readonly launch: (stand: Stand) => Launch
}

export const SERVER_NAME = 'bench.test'
export const MAX_REQUESTS = 1_000_000
export const KEEP_ALIVE_S = 75
export const UPSTREAM_IDLE_S = 60
export const UPSTREAM_IDLE_CONNECTIONS = 256

/** The first line that matches, of what a program says of itself. */
function versionOf(path: string, args: readonly string[], pattern: RegExp): string {
  try {
    // nginx says it on the standard error.
    const text = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', path, ...args], { encoding: 'utf8' })
    return pattern.exec(text)?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

const canAll = (): undefined => undefined

// --- nginx --------------------------------------------------------------------------------------------------------

const NGINX_STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'

function nginxHead({ folder, scene }: Pick<Stand, 'folder' | 'scene'>): string {
  return `
daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log error;
${scene.mode === 'tcp' && existsSync(NGINX_STREAM_MODULE) ? `load_module ${NGINX_STREAM_MODULE};` : ''}
events { worker_connections 18000; }
`
}

const nginxTemporary = (folder: string): string =>
  ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(kind => `${kind}_temp_path ${folder}/${kind};`).join('\n')

function nginxHttp(stand: Stand): string {
  const { scene, fronts, upstreamPort, certificate, folder } = stand
  const isGrpc = scene.upstream === 'grpc'
  const set = isGrpc ? 'grpc_set_header' : 'proxy_set_header'
  const listen = `${scene.tls === null ? '' : ' ssl'}${scene.isHttp2 ? ' http2' : ''}`
  const servers = fronts.map(
    ({ address, port }) => `
  server {
    listen ${address}:${port}${listen};
    location / {
      ${isGrpc ? 'grpc_pass grpc://servers' : 'proxy_pass http://servers'};
      ${isGrpc ? '' : 'proxy_http_version 1.1;'}
      ${set} X-Forwarded-For $remote_addr;
      ${set} X-Forwarded-Proto $scheme;
      ${isGrpc ? '' : 'proxy_set_header Host $http_host;'}
      ${isGrpc ? '' : `proxy_set_header Connection ${scene.upstream === 'websocket' ? '"upgrade"' : '""'};`}
      ${scene.upstream === 'websocket' ? 'proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 600s;' : ''}
    }
  }`
  )
  return `${nginxHead(stand)}
http {
  access_log ${folder}/access.log combined buffer=64k flush=1s;
  ${nginxTemporary(folder)}
  keepalive_requests ${MAX_REQUESTS};
  keepalive_timeout ${KEEP_ALIVE_S}s;
  tcp_nodelay on;
  proxy_buffer_size 16k;
  proxy_buffers 16 32k;
  proxy_busy_buffers_size 128k;
  proxy_max_temp_file_size 0;
  ${
    scene.tls === null
      ? ''
      : `ssl_certificate ${certificate.certificatePath}; ssl_certificate_key ${certificate.keyPath};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:bench:10m; ssl_session_tickets on;`
  }
  upstream servers {
    server 127.0.0.1:${upstreamPort};
    keepalive ${UPSTREAM_IDLE_CONNECTIONS};
    keepalive_requests ${MAX_REQUESTS};
    keepalive_timeout ${UPSTREAM_IDLE_S}s;
  }
  ${servers.join('\n')}
}
`
}

function nginxStream(stand: Stand): string {
  const { fronts, upstreamPort, folder } = stand
  const servers = fronts.map(({ address, port }) => `server { listen ${address}:${port}; proxy_pass 127.0.0.1:${upstreamPort}; }`)
  return `${nginxHead(stand)}
stream {
  log_format weir '$remote_addr [$time_local] $status $bytes_sent $bytes_received $session_time';
  access_log ${folder}/access.log weir buffer=64k flush=1s;
  ${servers.join('\n')}
}
`
}

const nginx: Peer = {
  name: 'nginx',
  version: path => versionOf(path, ['-v'], /nginx\/(\S+)/),
  cannot: ({ mode }, path) => {
    if (mode !== 'tcp' || existsSync(NGINX_STREAM_MODULE)) return undefined
    return versionOf(path, ['-V'], /(--with-stream)(?=\s|$)/) === 'unknown' ? 'its stream module is not installed' : undefined
  },
  launch: stand => ({
    args: ['-p', stand.folder, '-c', join(stand.folder, 'nginx.conf')],
    files: { 'nginx.conf': stand.scene.mode === 'tcp' ? nginxStream(stand) : nginxHttp(stand) }
  })
}

/** The server behind all proxies: answers from memory and from the page cache, logs nothing. */
export function staticServer(folder: string, port: number, smallBody: string): Launch {
  const config = `${nginxHead({ folder, scene: { mode: 'http', tls: null, isHttp2: false, upstream: 'static', services: 1 } })}
http {
  access_log off;
  ${nginxTemporary(folder)}
  keepalive_requests ${MAX_REQUESTS * 100};
  keepalive_timeout 600s;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=16 inactive=600s;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${folder};
    default_type application/octet-stream;
    location = /small { return 200 "${smallBody.trimEnd()}\\n"; }
  }
}
`
  return { args: ['-p', folder, '-c', join(folder, 'nginx.conf')], files: { 'nginx.conf': config } }
}

// --- HAProxy ------------------------------------------------------------------------------------------------------

function haproxyConfig({ scene, fronts, upstreamPort, certificate }: Stand): string {
  const isTcp = scene.mode === 'tcp'
  const tls =
    scene.tls === null ? '' : ` ssl crt ${certificate.bothPath} ssl-min-ver TLSv1.2 alpn ${scene.isHttp2 ? 'h2,http/1.1' : 'http/1.1'}`
  const http = isTcp
    ? ''
    : `  option forwardfor
  http-request set-header X-Forwarded-Proto ${scene.tls === null ? 'http' : 'https'}`
  const frontends = fronts.map(
    ({ address, port }, i) => `frontend front${i}
  bind ${address}:${port}${tls}
${http}
  default_backend servers`
  )
  return `global
  nbthread 1
  maxconn 18000
  no strict-limits
  log stdout format raw local0 info
defaults
  mode ${scene.mode}
  log global
  option dontlognull
  ${isTcp ? 'option tcplog\n  option splice-auto' : 'option httplog\n  http-reuse always'}
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  ${isTcp ? '' : `timeout http-request 10s\n  timeout http-keep-alive ${KEEP_ALIVE_S}s`}
${frontends.join('\n')}
backend servers
  server one 127.0.0.1:${upstreamPort}${scene.upstream === 'grpc' ? ' proto h2' : ''}${isTcp ? '' : ` pool-max-conn ${UPSTREAM_IDLE_CONNECTIONS} pool-purge-delay ${UPSTREAM_IDLE_S}s`}
`
}

const haproxy: Peer = {
  name: 'haproxy',
  version: path => versionOf(path, ['-v'], /version (\S+)/),
  cannot: canAll,
  launch: stand => ({
    args: ['-db', '-f', join(stand.folder, 'haproxy.cfg')],
    files: { 'haproxy.cfg': haproxyConfig(stand) },
    // A line to a file costs it less than a datagram to a log daemon.
    isLogOnStdout: true
  })
}

// --- Caddy --------------------------------------------------------------------------------------------------------

function caddyConfig({ scene, fronts, upstreamPort, certificate, folder }: Stand): object {
  const isTls = scene.tls !== null
  const transport = {
    protocol: 'http',
    keep_alive: { enabled: true, idle_timeout: `${UPSTREAM_IDLE_S}s`, max_idle_conns_per_host: UPSTREAM_IDLE_CONNECTIONS },
    ...(scene.upstream === 'grpc' ? { versions: ['h2c', '2'] } : {})
  }
  const routes = [{ handle: [{ handler: 'reverse_proxy', transport, upstreams: [{ dial: `127.0.0.1:${upstreamPort}` }] }] }]
  const servers = fronts.map(({ address, port }, i) => [
    `s${i}`,
    {
      listen: [`${address}:${port}`],
      protocols: scene.isHttp2 ? ['h1', 'h2'] : ['h1'],
      idle_timeout: `${KEEP_ALIVE_S}s`,
      automatic_https: { disable: true },
      logs: {},
      metrics: {},
      routes,
      ...(isTls ? { tls_connection_policies: [{ default_sni: SERVER_NAME }] } : {})
    }
  ])
  const { certificatePath, keyPath } = certificate
  return {
    admin: { disabled: true, config: { persist: false } },
    logging: {
      logs: {
        default: { writer: { output: 'stderr' }, level: 'ERROR', exclude: ['http.log.access'] },
        access: { writer: { output: 'file', filename: join(folder, 'access.log'), roll: false }, include: ['http.log.access'] }
      }
    },
    apps: {
      http: { servers: Object.fromEntries(servers) as object },
      ...(isTls ? { tls: { certificates: { load_files: [{ certificate: certificatePath, key: keyPath }] } } } : {})
    }
  }
}

const caddy: Peer = {
  name: 'caddy',
  version: path => versionOf(path, ['version'], /(\S+)/),
  cannot: ({ mode }) => (mode === 'tcp' ? 'it has no TCP proxy' : undefined),
  launch: stand => ({
    args: ['run', '--config', join(stand.folder, 'caddy.json')],
    env: { GOMAXPROCS: '1', HOME: stand.folder, XDG_DATA_HOME: stand.folder, XDG_CONFIG_HOME: stand.folder },
    files: { 'caddy.json': JSON.stringify(caddyConfig(stand)) }
  })
}

// --- Envoy --------------------------------------------------------------------------------------------------------

const envoyType = (name: string): { readonly '@type': string } => ({ '@type': `type.googleapis.com/${name}` })

function envoyListener(stand: Stand, { address, port }: Front, i: number): object {
  const { scene, certificate, folder } = stand
  const log = [
    {
      name: 'file',
      typed_config: { ...envoyType('envoy.extensions.access_loggers.file.v3.FileAccessLog'), path: join(folder, 'access.log') }
    }
  ]
  const http = {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      ...envoyType('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: `front${i}`,
      codec_type: 'AUTO',
      access_log: log,
      use_remote_address: true,
      common_http_protocol_options: { idle_timeout: `${KEEP_ALIVE_S}s` },
      ...(scene.upstream === 'websocket' ? { upgrade_configs: [{ upgrade_type: 'websocket' }] } : {}),
      route_config: {
        virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'servers', timeout: '0s' } }] }]
      },
      http_filters: [
        {
          name: 'envoy.filters.http.router',
          typed_config: envoyType('envoy.extensions.filters.http.router.v3.Router')
        }
      ]
    }
  }
  const tcp = {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      ...envoyType('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
      stat_prefix: `front${i}`,
      cluster: 'servers',
      access_log: log
    }
  }
  const tls = {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        ...envoyType('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
        common_tls_context: {
          tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
          alpn_protocols: scene.isHttp2 ? ['h2', 'http/1.1'] : ['http/1.1'],
          tls_certificates: [
            { certificate_chain: { filename: certificate.certificatePath }, private_key: { filename: certificate.keyPath } }
          ]
        }
      }
    }
  }
  return {
    name: `front${i}`,
    address: { socket_address: { address, port_value: port } },
    filter_chains: [{ filters: [scene.mode === 'tcp' ? tcp : http], ...(scene.tls === null ? {} : tls) }]
  }
}

function envoyConfig(stand: Stand): object {
  const { fronts, scene, upstreamPort } = stand
  const endpoint = { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: upstreamPort } } } }
  const http2 = {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        ...envoyType('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: {} }
      }
    }
  }
  return {
    static_resources: {
      listeners: fronts.map((front, i) => envoyListener(stand, front, i)),
      clusters: [
        {
          name: 'servers',
          type: 'STATIC',
          connect_timeout: '5s',
          circuit_breakers: { thresholds: [{ max_connections: 20_000, max_pending_requests: 20_000, max_requests: 20_000 }] },
          load_assignment: { cluster_name: 'servers', endpoints: [{ lb_endpoints: [endpoint] }] },
          ...(scene.upstream === 'grpc' ? http2 : {})
        }
      ]
    }
  }
}

const envoy: Peer = {
  name: 'envoy',
  version: path => versionOf(path, ['--version'], /(\d+\.\d+\.\d+)/),
  cannot: canAll,
  launch: stand => ({
    args: ['-c', join(stand.folder, 'envoy.json'), '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart'],
    files: { 'envoy.json': JSON.stringify(envoyConfig(stand)) }
  })
}

// --- Traefik ------------------------------------------------------------------------------------------------------

function traefikRoutes({ scene, fronts, upstreamPort, certificate }: Stand): object {
  const entryPoints = fronts.map((_, i) => `e${i}`)
  const tls = scene.tls === null ? {} : { tls: {} }
  if (scene.mode === 'tcp')
    return {
      tcp: {
        routers: { all: { entryPoints, rule: 'HostSNI(`*`)', service: 'servers' } },
        services: { servers: { loadBalancer: { servers: [{ address: `127.0.0.1:${upstreamPort}` }] } } }
      }
    }
  const { certificatePath: certFile, keyPath: keyFile } = certificate
  const url = `${scene.upstream === 'grpc' ? 'h2c' : 'http'}://127.0.0.1:${upstreamPort}`
  return {
    http: {
      routers: { all: { entryPoints, rule: 'PathPrefix(`/`)', service: 'servers', ...tls } },
      services: { servers: { loadBalancer: { servers: [{ url }], serversTransport: 'kept' } } },
      serversTransports: {
        kept: { maxIdleConnsPerHost: UPSTREAM_IDLE_CONNECTIONS, forwardingTimeouts: { idleConnTimeout: `${UPSTREAM_IDLE_S}s` } }
      }
    },
    ...(scene.tls === null ? {} : { tls: { stores: { default: { defaultCertificate: { certFile, keyFile } } } } })
  }
}

const traefik: Peer = {
  name: 'traefik',
  version: path => versionOf(path, ['version'], /Version:\s+(\S+)/),
  cannot: canAll,
  launch: stand => ({
    args: [
      ...stand.fronts.map(({ address, port }, i) => `--entrypoints.e${i}.address=${address}:${port}`),
      `--entrypoints.traefik.address=127.0.0.1:${stand.sparePort}`,
      '--metrics.prometheus=true',
      `--providers.file.filename=${join(stand.folder, 'routes.yml')}`,
      `--accesslog.filepath=${join(stand.folder, 'access.log')}`,
      '--accesslog.bufferingsize=100',
      '--log.level=ERROR',
      '--global.checknewversion=false',
      '--global.sendanonymoususage=false'
    ],
    env: { GOMAXPROCS: '1' },
    // JSON is YAML.
    files: { 'routes.yml': JSON.stringify(traefikRoutes(stand)) }
  })
}

export const peers: readonly Peer[] = [nginx, haproxy, caddy, envoy, traefik]
