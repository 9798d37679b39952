/** Pools that only a script chooses are pools of the service: their state is its state. */
import t from 'tap'
import type { StateChange } from '#controller/fleet/port.ts'
import { aBareEngine, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

const script = { evt: 'VS_DATASCRIPT_EVT_HTTP_REQ', script: "weir.usePool('gold')" }
const vs_datascripts = [{ index: 1, vs_datascript_set_ref: 'vsdatascriptset-1' }]
const toScripts = { pointer: '/vs_datascripts/0/vs_datascript_set_ref', toKind: 'vsdatascriptset', toUuid: 'vsdatascriptset-1' } as const
const services = [{ port: 80 }]

for (const [what, field, toKind] of [
  ['a pool', 'pool_refs', 'pool'],
  ['a pool of a group', 'pool_group_refs', 'poolgroup']
] as const)
  t.test(`a service whose script chooses ${what} is as that pool is`, async t => {
    const fleet = await aFleet(t)
    const keys = await joinBare(fleet)
    const pool = (addr: string, enabled: boolean) => ({ name: 'gold', servers: [{ ip: { addr, type: 'V4' }, port: 80, enabled }] })
    await fleet.put('pool', 'pool-1', pool('10.0.0.1', true))
    await fleet.put('poolgroup', 'poolgroup-1', { name: 'golds', members: [{ pool_ref: 'pool-1' }] }, [
      { pointer: '/members/0/pool_ref', toKind: 'pool', toUuid: 'pool-1' }
    ])
    const set = { name: 'by-customer', datascript: [script], [field]: [`${toKind}-1`] }
    await fleet.put('vsdatascriptset', 'vsdatascriptset-1', set, [{ pointer: `/${field}/0`, toKind, toUuid: `${toKind}-1` }])
    await fleet.put('virtualservice', 'virtualservice-1', { name: 'shop', services, vs_datascripts }, [toScripts])
    fleet.services.set('virtualservice-1', aService('virtualservice-1'))
    fleet.placed.set('virtualservice-1', { engineUuids: [keys.uuid], enginesWanted: 1, reasons: [] })
    const engine = await aBareEngine(t, fleet, keys)
    const { manifest } = await engine.next('ApplySnapshot')
    engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
    const status = () => fleet.fleet.virtualServiceRuntime('virtualservice-1')?.oper_status
    await until('it runs', () => status()?.state === 'OPER_UP')
    t.match(fleet.fleet.poolRuntime('pool-1')?.virtualservices, [{ uuid: 'virtualservice-1', name: 'shop' }])
    const changes: StateChange[] = []
    t.teardown(fleet.fleet.onStateChange(change => void changes.push(change)))
    await fleet.put('pool', 'pool-1', pool('10.0.0.1', false))
    await until('it is told', () => changes.some(({ uuid }) => uuid === 'virtualservice-1'))
    t.match(status(), { state: 'OPER_DOWN', reason: ['every server of pool gold is disabled'] })
  })

t.test('a service that has scripts and no pool answers by itself', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  await fleet.put('vsdatascriptset', 'vsdatascriptset-1', { name: 'answers', datascript: [{ ...script, script: 'weir.respond(204)' }] })
  await fleet.put('virtualservice', 'virtualservice-1', { name: 'shop', services, vs_datascripts }, [toScripts])
  fleet.services.set('virtualservice-1', aService('virtualservice-1'))
  fleet.placed.set('virtualservice-1', { engineUuids: [keys.uuid], enginesWanted: 1, reasons: [] })
  const engine = await aBareEngine(t, fleet, keys)
  const { manifest } = await engine.next('ApplySnapshot')
  engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
  await until('it runs', () => fleet.fleet.virtualServiceRuntime('virtualservice-1')?.oper_status.state === 'OPER_UP')
})
