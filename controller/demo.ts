/** The demo service of `make run`: made once, and followed when its ports move; a person who deletes it is rid of it. */
import type { JsonObject } from '#model/resource/kind.ts'
import type { Write } from '#controller/change/order.ts'
import type { Store, Table } from '#controller/store/store.ts'

export interface DemoSettings {
  readonly port: number
  /** `address:port` of each demo server. */
  readonly servers: readonly string[]
}

interface DemoRow {
  readonly poolUuid: string
  readonly serviceUuid: string
}

const DESCRIPTION = 'Made by make run to have something to look at; delete it when you like.'

const serversOf = (settings: DemoSettings): JsonObject[] =>
  settings.servers.map(server => {
    const [addr = '', port = ''] = server.split(':')
    return { ip: { addr, type: 'V4' }, port: Number(port), description: 'demo server' }
  })

/**
 * What has to be written so that the demo is as the settings say.
 *
 * Returns the writes, empty when all is so already; those of the first time create vsvip, pool and virtual service in this order
 */
export function demoWrites(store: Pick<Store, 'get'>, row: DemoRow | undefined, settings: DemoSettings): readonly Write[] {
  if (row === undefined) {
    return [
      { op: 'create', kind: 'vsvip', body: { name: 'demo-vip', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] } },
      {
        op: 'create',
        kind: 'pool',
        body: {
          name: 'demo-pool',
          description: DESCRIPTION,
          lb_algorithm: 'LB_ALGORITHM_ROUND_ROBIN',
          health_monitor_refs: ['/api/healthmonitor/?name=System-HTTP'],
          servers: serversOf(settings)
        }
      },
      {
        op: 'create',
        kind: 'virtualservice',
        body: {
          name: 'demo',
          description: DESCRIPTION,
          services: [{ port: settings.port }],
          vsvip_ref: '/api/vsvip/?name=demo-vip',
          pool_ref: '/api/pool/?name=demo-pool'
        }
      }
    ]
  }
  const writes: Write[] = []
  const pool = store.get('pool', row.poolUuid)
  const places = (servers: unknown): string =>
    Array.isArray(servers)
      ? servers.map((server: { ip?: { addr?: string }; port?: number }) => `${server.ip?.addr}:${server.port}`).join(',')
      : ''
  if (pool?.body['description'] === DESCRIPTION && places(pool.body['servers']) !== settings.servers.join(',')) {
    writes.push({ op: 'patch', kind: 'pool', uuid: row.poolUuid, patch: { replace: { servers: serversOf(settings) } } })
  }
  const service = store.get('virtualservice', row.serviceUuid)
  const ports = Array.isArray(service?.body['services']) ? service.body['services'].map((item: { port?: number }) => item.port) : []
  if (service?.body['description'] === DESCRIPTION && ports.length === 1 && ports[0] !== settings.port) {
    writes.push({ op: 'patch', kind: 'virtualservice', uuid: row.serviceUuid, patch: { replace: { services: [{ port: settings.port }] } } })
  }
  return writes
}

/** The row that remembers the demo, from the resources that `demoWrites` made. */
export function demoRow(resources: readonly { readonly kind: string; readonly uuid: string }[]): DemoRow | undefined {
  const uuidOf = (kind: string): string | undefined => resources.find(resource => resource.kind === kind)?.uuid
  const poolUuid = uuidOf('pool')
  const serviceUuid = uuidOf('virtualservice')
  return poolUuid === undefined || serviceUuid === undefined ? undefined : { poolUuid, serviceUuid }
}

export const demoTable = (store: Pick<Store, 'table'>): Table<DemoRow> => store.table<DemoRow>('demo')
