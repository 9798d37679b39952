/** A virtual service is up when a pool that its clients may be sent to is: not by a copy's, not by one without a share. */
import t, { type Test } from 'tap'
import { aBareEngine, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

type Fleet = Awaited<ReturnType<typeof aFleet>>
type Reference = NonNullable<Parameters<Fleet['put']>[3]>[number]

const toPool = (pointer: string, toUuid: string): Reference => ({ pointer, toKind: 'pool', toUuid })
const backup = { type: 'FAIL_ACTION_BACKUP_POOL', backup_pool: { backup_pool_ref: 'pool-b' } }
const toBackup = toPool('/fail_action/backup_pool/backup_pool_ref', 'pool-b')

/** Pools a and b: each has one server, enabled or not. The service runs. */
async function running(t: Test, write: (fleet: Fleet) => Promise<void>) {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const put = (id: 'a' | 'b', enabled: boolean, more: object = {}, references: readonly Reference[] = []) =>
    fleet.put(
      'pool',
      `pool-${id}`,
      { name: id, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' }, port: 80, enabled }], ...more },
      references
    )
  await put('a', false)
  await put('b', true)
  await write(fleet)
  fleet.services.set('virtualservice-1', aService('virtualservice-1'))
  fleet.placed.set('virtualservice-1', { engineUuids: [keys.uuid], enginesWanted: 1, reasons: [] })
  const engine = await aBareEngine(t, fleet, keys)
  const { manifest } = await engine.next('ApplySnapshot')
  engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
  const runtime = () => fleet.fleet.virtualServiceRuntime('virtualservice-1')!
  const becomes = (state: string) => until(state, () => runtime().oper_status.state === state)
  return { fleet, put, runtime, becomes }
}

const put = (fleet: Fleet, body: object, references: readonly Reference[]) =>
  fleet.put('virtualservice', 'virtualservice-1', { name: 'shop', services: [{ port: 80 }], ...body }, references)

t.test('a mirror keeps nobody up', async t => {
  const {
    becomes,
    put: putPool,
    runtime
  } = await running(t, fleet =>
    put(fleet, { pool_ref: 'pool-a', mirror: { pool_ref: 'pool-b' } }, [
      toPool('/pool_ref', 'pool-a'),
      toPool('/mirror/pool_ref', 'pool-b')
    ])
  )
  await becomes('OPER_DOWN')
  await putPool('a', true)
  await becomes('OPER_UP')
  await putPool('b', false)
  await becomes('OPER_UP')
  t.same(runtime().oper_status.reason, [], 'nor does one that is down concern it')
})

t.test('a member of a group without a share keeps nobody up', async t => {
  const references = [toPool('/members/0/pool_ref', 'pool-a'), toPool('/members/1/pool_ref', 'pool-b')]
  const { fleet, becomes } = await running(t, async fleet => {
    await fleet.put(
      'poolgroup',
      'poolgroup-1',
      { name: 'g', members: [{ pool_ref: 'pool-a' }, { pool_ref: 'pool-b', ratio: 0 }] },
      references
    )
    await put(fleet, { pool_group_ref: 'poolgroup-1' }, [{ pointer: '/pool_group_ref', toKind: 'poolgroup', toUuid: 'poolgroup-1' }])
  })
  await becomes('OPER_DOWN')
  const members = [{ pool_ref: 'pool-a' }, { pool_ref: 'pool-b', ratio: 1, priority_label: '0' }]
  await fleet.put('poolgroup', 'poolgroup-1', { name: 'g', members }, references)
  await becomes('OPER_UP')
})

t.test('a backup pool keeps a service up, and says so', async t => {
  const {
    fleet,
    becomes,
    put: putPool,
    runtime
  } = await running(t, async fleet => {
    await put(fleet, { pool_ref: 'pool-a' }, [toPool('/pool_ref', 'pool-a')])
  })
  await becomes('OPER_DOWN')
  await putPool('a', false, { fail_action: backup }, [toBackup])
  await becomes('OPER_UP')
  t.match(runtime().oper_status.reason, [/pool a/, 'backup pool b stands in'])
  t.match(fleet.fleet.poolRuntime('pool-b')?.virtualservices, [{ name: 'shop' }])
  await putPool('b', false)
  await becomes('OPER_DOWN')
})
