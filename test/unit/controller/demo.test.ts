import t from 'tap'
import { demoRow, demoWrites } from '../../../controller/demo.ts'

const settings = { port: 8080, servers: ['127.0.0.1:9001', '127.0.0.1:9002'] }
const row = { poolUuid: 'pool-1', serviceUuid: 'virtualservice-1' }

/** A store that holds what the first writes made. */
function storeOf(change: (kind: string, body: Record<string, unknown>) => Record<string, unknown> | undefined = (_, body) => body) {
  const made = new Map(
    demoWrites({ get: () => undefined }, undefined, settings).map(write => [write.kind, 'body' in write ? write.body : {}])
  )
  return {
    get: (kind: string, uuid: string) => {
      const body = change(kind, { ...(made.get(kind as 'pool') as Record<string, unknown>) })
      return body && { kind, uuid, tenant: 'admin', name: 'demo', body, createdRevision: 1, revision: 1, lastModified: '1' }
    }
  } as unknown as Parameters<typeof demoWrites>[0]
}

t.test('demoWrites makes addresses, pool and service the first time', async t => {
  const writes = demoWrites({ get: () => undefined }, undefined, settings)
  t.same(
    writes.map(write => `${write.op} ${write.kind}`),
    ['create vsvip', 'create pool', 'create virtualservice']
  )
})

t.test('demoWrites has nothing to do when all is so already', async t => {
  t.same(demoWrites(storeOf(), row, settings), [])
})

t.test('demoWrites follows ports that moved', async t => {
  const writes = demoWrites(storeOf(), row, { port: 8081, servers: ['127.0.0.1:9001', '127.0.0.1:9003'] })
  t.match(writes, [
    { op: 'patch', kind: 'pool', uuid: 'pool-1' },
    { op: 'patch', kind: 'virtualservice', uuid: 'virtualservice-1', patch: { replace: { services: [{ port: 8081 }] } } }
  ])
})

t.test('demoWrites leaves alone what somebody made his own or deleted', async t => {
  const moved = { port: 8081, servers: ['127.0.0.1:9003'] }
  t.same(
    demoWrites(
      storeOf((_, body) => ({ ...body, description: 'mine' })),
      row,
      moved
    ),
    []
  )
  t.same(
    demoWrites(
      storeOf(() => undefined),
      row,
      moved
    ),
    []
  )
})

t.test('demoRow remembers only a demo that is whole', async t => {
  t.same(
    demoRow([
      { kind: 'vsvip', uuid: 'a' },
      { kind: 'pool', uuid: 'b' },
      { kind: 'virtualservice', uuid: 'c' }
    ]),
    { poolUuid: 'b', serviceUuid: 'c' }
  )
  t.equal(demoRow([{ kind: 'vsvip', uuid: 'a' }]), undefined)
})
