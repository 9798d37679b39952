/** What engines leave out is shown with its reason, and is over when they say so. */
import t from 'tap'
import { aBareEngine, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { aSample, traffic } from '#test/support/sample.ts'
import { until } from '#test/support/wait.ts'

t.test('a server that the only engine has ejected is down, and says why and until when', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const servers = [1, 2].map(n => ({ ip: { addr: `10.0.0.${n}`, type: 'V4' }, port: 80 }))
  await fleet.put('pool', 'pool-1', { name: 'web', servers })
  fleet.services.set('virtualservice-1', aService('virtualservice-1'))
  const engine = await aBareEngine(t, fleet, keys)
  const { manifest } = await engine.next('ApplySnapshot')
  engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
  const status = () => fleet.fleet.poolRuntime('pool-1')?.servers.map(server => server.oper_status)
  const say = (sequence: number, ejection?: { reason: string; untilEpochMs: number }): void =>
    engine.say({
      type: 'SampleTaken',
      sample: aSample({
        sequence,
        servers: ['10.0.0.1:80', '10.0.0.2:80'].map((id, i) => ({
          ...traffic(id),
          poolId: 'pool-1',
          ...(i === 0 && ejection !== undefined ? { ejection } : {})
        }))
      })
    })
  const changes: string[] = []
  t.teardown(fleet.fleet.onStateChange(({ uuid }) => void changes.push(uuid)))
  say(1)
  say(2, { reason: 'too many errors (5xx) in a row', untilEpochMs: Date.UTC(2030, 0, 1) })
  await until('ejected', () => status()?.[0]?.reason.length === 1)
  t.match(status(), [
    { state: 'OPER_DOWN', reason: ['ejected by engine bare until 2030-01-01T00:00:00.000Z: too many errors (5xx) in a row'] },
    { state: 'OPER_UP', reason: [] }
  ])
  t.match(fleet.fleet.poolRuntime('pool-1'), { oper_status: { state: 'OPER_UP' }, num_servers_up: 1 })
  say(3)
  await until('back', () => status()?.[0]?.state === 'OPER_UP')
  t.same(status()?.[0]?.reason, [])
})
