import t from 'tap'
import type { ServerSpec } from '#model/snapshot/snapshot.ts'
import { zonesOf } from '#controller/fleet/zones.ts'
import type { Engine } from '#controller/fleet/roster.ts'
import type { StoredResource } from '#controller/store/store.ts'
import { document } from '#test/support/resources.ts'
import { aServer } from '#test/support/snapshot.ts'

const stored = (body: object): StoredResource =>
  ({ ...document('pool', { name: 'web', ...body }), references: [] }) as unknown as StoredResource
const pool = stored({ locality: {}, health_monitor_refs: ['healthmonitor-m'] })
const edge = { ...document('serviceengine', { name: 'edge', labels: { zone: 'a' } }), references: [] } as unknown as StoredResource

/** By port: what the engine says of each. */
function told(servers: readonly ServerSpec[], up: readonly number[], of = pool, resource = edge) {
  const judgements = new Map(servers.map(({ id, port }) => [`${of.uuid}/${id}`, { verdict: up.includes(port) ? 'up' : 'down' }]))
  const engine = { uuid: 'e', judgements, ejections: new Map() } as unknown as Engine
  return zonesOf({ pool: of, servers, engines: [{ engine, name: 'edge', resource }], wentTo: () => ({ own: 3, others: 1 }) })?.[0]
}

t.test('zonesOf says what stays in a zone, by what the engine says of the servers', async t => {
  const servers = [aServer(1, { zone: 'a' }), aServer(2, { zone: 'a' }), aServer(11, { zone: 'b' }), aServer(12)]
  t.same(told(servers, [1, 2, 11, 12]), {
    engine_uuid: 'e',
    engine_name: 'edge',
    zone: 'a',
    own_percent: 100,
    own_requests: 3,
    other_requests: 1
  })
  t.match(told(servers, [1, 11, 12]), { own_percent: 70 })
  t.match(told(servers, [11]), { own_percent: 0 })
  t.match(told(servers.slice(0, 2), [1]), { own_percent: null })
  t.match(told(servers, [1], pool, { ...edge, body: { name: 'edge' } }), { zone: '', own_percent: null })
  t.equal(told(servers, [1], stored({})), undefined)
})

t.test('zonesOf goes by the servers of the lowest order that is up', async t => {
  const servers = [
    aServer(1, { zone: 'a' }),
    aServer(11, { zone: 'b' }),
    aServer(2, { zone: 'a', order: 2 }),
    aServer(3, { zone: 'a', order: 2 }),
    aServer(12, { zone: 'b', order: 2 })
  ]
  t.match(told(servers, [1, 11, 2, 3, 12]), { own_percent: 100 })
  t.match(told(servers, [11, 2, 3, 12]), { own_percent: 0 }, 'order goes before zones')
  t.match(told(servers, [2, 12]), { own_percent: 70 })
})
