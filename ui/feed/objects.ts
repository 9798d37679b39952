/** The parts of resources that views read, and which runtime belongs to which kind. What a form edits stays JSON. */
import type { InventoryRow, PoolRuntime, ServiceEngineRuntime, VirtualServiceRuntime } from '#model/resource/runtime.ts'

export interface RuntimeByKind {
  readonly virtualservice: VirtualServiceRuntime
  readonly pool: PoolRuntime
  readonly serviceengine: ServiceEngineRuntime
}
/** The kinds that run, and so have live figures. */
export type LiveKind = keyof RuntimeByKind
export type AnyRuntime = RuntimeByKind[LiveKind]

interface Named {
  readonly uuid: string
  readonly name: string
  readonly url?: string
  readonly description?: string
  readonly enabled?: boolean
  readonly tenant_ref?: string
  readonly _last_modified?: string
}

export interface IpAddr {
  readonly addr: string
  readonly type: 'V4' | 'V6' | 'DNS'
}

export interface VirtualServiceConfig extends Named {
  readonly services?: readonly { readonly port: number; readonly port_range_end?: number; readonly enable_ssl?: boolean }[]
  readonly vsvip_ref?: string
  readonly pool_ref?: string
  readonly pool_group_ref?: string
  readonly se_group_ref?: string
  readonly application_profile_ref?: string
  readonly network_security_policy_ref?: string
  readonly http_policies?: readonly { readonly index: number; readonly http_policy_set_ref: string }[]
  readonly ssl_key_and_certificate_refs?: readonly string[]
}

export interface ServerConfig {
  readonly ip: IpAddr
  readonly hostname?: string
  readonly port?: number
  readonly enabled?: boolean
  readonly ratio?: number
}

export interface PoolConfig extends Named {
  readonly default_server_port?: number
  readonly lb_algorithm?: string
  readonly health_monitor_refs?: readonly string[]
  readonly servers?: readonly ServerConfig[]
}

export interface ServiceEngineConfig extends Named {
  readonly se_group_ref?: string
}

export interface VsVipConfig extends Named {
  readonly vip?: readonly {
    readonly vip_id?: string
    readonly enabled?: boolean
    readonly ip_address?: IpAddr
    readonly ip6_address?: IpAddr
  }[]
}

export interface ConfigByKind {
  readonly virtualservice: VirtualServiceConfig
  readonly pool: PoolConfig
  readonly serviceengine: ServiceEngineConfig
}

export type Row<K extends LiveKind> = InventoryRow<ConfigByKind[K], RuntimeByKind[K]>

export type AnyObject = Named & Readonly<Record<string, unknown>>

/** Addresses of a vsvip as a person writes them. */
export function addressesOf(vsvip: VsVipConfig | undefined): readonly string[] {
  return (vsvip?.vip ?? []).flatMap(vip => [vip.ip_address, vip.ip6_address].flatMap(ip => (ip === undefined ? [] : [ip.addr])))
}

/** `443, 8000-8010`: the ports of a service, TLS ones marked. */
export function portsOf(config: VirtualServiceConfig): readonly string[] {
  return (config.services ?? []).map(service => {
    const range = service.port_range_end !== undefined && service.port_range_end > service.port ? `-${service.port_range_end}` : ''
    return `${service.port}${range}${service.enable_ssl ? ' TLS' : ''}`
  })
}
