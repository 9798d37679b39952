/** A fast path service on an engine that cannot program the kernel works in user space, and its runtime says so. */
import t from 'tap'
import { aBareEngine, aHello, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

for (const [abilities, reasons] of [
  [['tcp'], ['engine bare forwards it in user space: it has not the ability l4-kernel']],
  [['tcp', 'l4-kernel'], []]
] as const)
  t.test(`an engine of ${abilities.join()}`, async t => {
    const fleet = await aFleet(t)
    const keys = await joinBare(fleet)
    await fleet.put('networkprofile', 'networkprofile-1', { name: 'fast', profile: { type: 'PROTOCOL_TYPE_TCP_FAST_PATH' } })
    await fleet.put('pool', 'pool-1', { name: 'db', servers: [{ ip: { addr: '10.0.0.1', type: 'V4' }, port: 80 }] })
    const body = { name: 'db', pool_ref: 'pool-1', network_profile_ref: 'networkprofile-1', services: [{ port: 80 }] }
    await fleet.put('virtualservice', 'virtualservice-1', body, [{ pointer: '/pool_ref', toKind: 'pool', toUuid: 'pool-1' }])
    fleet.services.set('virtualservice-1', aService('virtualservice-1'))
    fleet.placed.set('virtualservice-1', { engineUuids: [keys.uuid], enginesWanted: 1, reasons: [] })
    const engine = await aBareEngine(t, fleet, keys, { ...aHello, abilities: [...abilities] })
    const { manifest } = await engine.next('ApplySnapshot')
    engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
    const status = () => fleet.fleet.virtualServiceRuntime('virtualservice-1')?.oper_status
    await until('up', () => status()?.state === 'OPER_UP')
    t.same(status()?.reason, reasons)
    t.same(fleet.fleet.engineRuntime(keys.uuid)?.abilities, abilities)
  })
