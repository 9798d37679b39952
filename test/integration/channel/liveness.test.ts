import t from 'tap'
import { HANDED_OVER } from '#model/message/message.ts'
import type { StateChange } from '#controller/fleet/port.ts'
import { aFolder, anAgent, anEngine, joinFolder } from '#test/support/agent.ts'
import { aBareEngine, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample } from '#test/support/message.ts'
import { until } from '#test/support/wait.ts'

t.test('an engine whose connection closes is down at once, and every change is announced', async t => {
  const clock = manualClock(Date.now())
  const fleet = await aFleet(t, { clock })
  const changes: StateChange[] = []
  t.teardown(fleet.fleet.onStateChange(change => void changes.push(change)))
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  t.equal(fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state, 'OPER_UP')
  const before = changes.length
  // As the kernel does for a process that was killed. The clock stands still: no timeout has a part in it.
  engine.socket.terminate()
  await until('down', () => fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state === 'OPER_DOWN')
  t.ok(changes.slice(before).some(change => change.kind === 'serviceengine' && change.uuid === keys.uuid))
})

t.test('an engine that is silent on an open connection is partitioned, and down after a longer while', async t => {
  const clock = manualClock(Date.now())
  const fleet = await aFleet(t, { clock })
  const keys = await joinBare(fleet)
  const state = (): string | undefined => fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  for (let i = 1; i < 8; i++) {
    clock.advance(1_000)
    engine.say({ type: 'SampleTaken', sample: aSample(i) })
    await until('heard', () => fleet.samples.length === i)
  }
  t.equal(state(), 'OPER_UP')
  clock.advance(1_500)
  t.equal(state(), 'OPER_UP')
  clock.advance(500)
  t.equal(state(), 'OPER_PARTITIONED')
  t.equal(fleet.fleet.engineRuntime(keys.uuid)?.connected, false)
  await engine.closed
  clock.advance(29_000)
  t.equal(state(), 'OPER_PARTITIONED')
  clock.advance(1_000)
  t.equal(state(), 'OPER_DOWN')
  const again = await aBareEngine(t, fleet, keys)
  await again.next('Welcome')
  t.equal(state(), 'OPER_UP')
})

t.test('an engine whose process handed over is counted on for a grace, and down when nobody connects', async t => {
  const clock = manualClock(Date.now())
  const fleet = await aFleet(t, { clock })
  const keys = await joinBare(fleet)
  const state = (): string | undefined => fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  engine.socket.close(HANDED_OVER)
  await until('it waits', () => state() === 'OPER_INITIALIZING')
  clock.advance(4_999)
  t.same(fleet.usable(), [keys.uuid])
  clock.advance(1)
  t.match(fleet.fleet.engineRuntime(keys.uuid), {
    oper_status: { state: 'OPER_DOWN', reason: ['the process that took over did not connect'] }
  })
  clock.advance(20)
  t.same(fleet.usable(), [])
})

t.test('a stall of the controller itself is not taken for silence of the engines', async t => {
  const clock = manualClock(Date.now())
  // A timer that comes an hour late comes once, as it does in a process that stood still.
  const stalled = { ...clock, every: (ms: number, call: () => void) => (ms === 250 ? clock.every(3_600_000, call) : clock.every(ms, call)) }
  const fleet = await aFleet(t, { clock: stalled })
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  clock.advance(3_600_000)
  t.equal(fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state, 'OPER_UP')
})

t.test('an engine that left while the controller stood still has a moment to come back', async t => {
  const clock = manualClock(Date.now())
  const standing = { ...clock, every: (ms: number, call: () => void) => clock.every(ms === 250 ? 5_000 : ms, call) }
  const fleet = await aFleet(t, { clock: standing })
  const keys = await joinBare(fleet)
  const state = (): string | undefined => fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  clock.advance(5_000)
  engine.socket.close()
  await until('it waits', () => state() === 'OPER_INITIALIZING')
  t.same(fleet.usable(), [keys.uuid], 'nothing is placed elsewhere')
  clock.advance(8_000)
  t.match(fleet.fleet.engineRuntime(keys.uuid), {
    oper_status: { state: 'OPER_DOWN', reason: ['it did not connect again after the controller stood still'] }
  })
})

t.test('heartbeats go both ways, and an agent leaves a controller that is silent', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  t.ok((await engine.next('Heartbeat')).sequence < (await engine.next('Heartbeat')).sequence)

  const clock = manualClock(Date.now())
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  await anAgent(t, folder, anEngine(), clock)
  await until('connected', () => fleet.fleet.engineRuntime(uuid)?.connected)
  // Its own clock leaps: nothing can have arrived meanwhile. It connects again when the clock goes on.
  clock.advance(2_000)
  await until('it left', () => fleet.fleet.engineRuntime(uuid)?.connected === false)
  clock.advance(100)
  await until('it came back', () => fleet.fleet.engineRuntime(uuid)?.connected)
  t.equal(fleet.fleet.engineRuntime(uuid)?.oper_status.state, 'OPER_UP')
})

t.test('an agent comes back by itself to a controller that was restarted; nothing is applied again and nothing moves', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  fleet.services.set('a', aService('a'))
  const engine = anEngine()
  await anAgent(t, folder, engine)
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === fleet.store.revision())
  const { port } = fleet.fleet
  await fleet.fleet.stop()

  const again = await aFleet(t, { store: fleet.store, services: fleet.services, port })
  const early = again.fleet.engineRuntime(uuid)
  t.match(
    early,
    { connected: false, oper_status: { state: 'OPER_INITIALIZING' }, hostname: 'host', version: '0.0.0-test' },
    'known from before'
  )
  t.same(again.usable(), [uuid], 'and counted on')
  await until('back', () => again.fleet.engineRuntime(uuid)?.connected)
  await until('told', () => again.fleet.engineRuntime(uuid)?.running_revision === again.store.revision())
  t.equal(engine.applied.length, 1)
})

t.test('an engine that does not come back after a restart of the controller is counted on for a grace only', async t => {
  const clock = manualClock(Date.now())
  const fleet = await aFleet(t, { clock })
  const [keys, never] = [await joinBare(fleet), await joinBare(fleet)]
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  await fleet.fleet.stop()
  const again = await aFleet(t, { store: fleet.store, clock })
  t.same(again.usable(), [keys.uuid], 'not one that was never here')
  t.equal(again.fleet.engineRuntime(never.uuid)?.oper_status.state, 'OPER_DOWN')
  clock.advance(7_900)
  t.same(again.usable(), [keys.uuid])
  clock.advance(200)
  t.same(again.usable(), [])
  t.equal(again.fleet.engineRuntime(keys.uuid)?.oper_status.state, 'OPER_DOWN')
})

t.test('verdicts of servers make the state of pools and virtual services', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  await fleet.put('pool', 'pool-1', {
    name: 'web',
    health_monitor_refs: ['healthmonitor-1'],
    servers: [
      { ip: { addr: '10.0.0.1', type: 'V4' }, port: 8001 },
      { ip: { addr: '10.0.0.2', type: 'V4' }, enabled: false }
    ]
  })
  await fleet.put('pool', 'pool-2', { name: 'plain', servers: [{ ip: { addr: '10.0.0.3', type: 'V4' } }] })
  await fleet.put('virtualservice', 'virtualservice-1', { name: 'shop', pool_ref: 'pool-1' }, [
    { pointer: '/pool_ref', toKind: 'pool', toUuid: 'pool-1' }
  ])
  await fleet.put('virtualservice', 'virtualservice-2', { name: 'off', enabled: false })
  await fleet.put('virtualservice', 'virtualservice-3', { name: 'homeless' })
  fleet.placed.set('virtualservice-1', { engineUuids: [keys.uuid], enginesWanted: 1, reasons: [] })
  fleet.placed.set('virtualservice-3', {
    engineUuids: [],
    enginesWanted: 1,
    reasons: ['waiting for an engine: no engine in group Default-Group is up']
  })
  const service = (n: number) => fleet.fleet.virtualServiceRuntime(`virtualservice-${n}`)
  const status = (n: number) => service(n)?.oper_status
  t.match(status(2), { state: 'OPER_DISABLED' })
  t.match(status(3), { state: 'OPER_DOWN', reason: ['waiting for an engine: no engine in group Default-Group is up'] })
  t.match(status(1), { state: 'OPER_DOWN', reason: [/engine bare: it has not connected yet/] })
  t.match(fleet.fleet.poolRuntime('pool-2'), { oper_status: { state: 'OPER_UP' }, num_servers_up: 1 }, 'without a monitor a server is up')
  t.match(fleet.fleet.poolRuntime('pool-1'), { oper_status: { state: 'OPER_UNKNOWN' }, num_servers: 2, num_servers_enabled: 1 })

  fleet.services.set('virtualservice-1', aService('virtualservice-1'))
  await fleet.commit()
  const engine = await aBareEngine(t, fleet, keys)
  const { manifest } = await engine.next('ApplySnapshot')
  t.match(status(1), { state: 'OPER_CREATING' })
  engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
  await until('probing', () => status(1)?.state === 'OPER_INITIALIZING')
  t.match(service(1)?.placed_on, [{ engine_name: 'bare', state: 'OPER_UP', running_revision: manifest.revision }])

  const changes: string[] = []
  t.teardown(fleet.fleet.onStateChange(change => void changes.push(`${change.kind} ${change.uuid}`)))
  const judge = (verdict: 'up' | 'down', detail: string): void =>
    engine.say({
      type: 'ServersJudged',
      servers: [
        {
          poolId: 'pool-1',
          serverId: '10.0.0.1:8001',
          ip: '10.0.0.1',
          verdict,
          sinceEpochMs: 1,
          probes: [{ monitorId: 'healthmonitor-1', verdict, detail, durationMs: 1, atEpochMs: 2 }]
        }
      ]
    })
  judge('up', '200 in 1 ms')
  await until('up', () => status(1)?.state === 'OPER_UP')
  await until('announced', () => changes.includes('virtualservice virtualservice-1') && changes.includes('pool pool-1'))
  judge('down', 'connection refused')
  await until('down', () => status(1)?.state === 'OPER_DOWN')
  t.match(status(1)?.reason, ['pool web has no server up'])
  const pool = fleet.fleet.poolRuntime('pool-1')
  t.match(pool, {
    oper_status: { state: 'OPER_DOWN' },
    num_servers_up: 0,
    servers: [
      {
        server: '10.0.0.1',
        port: 8001,
        oper_status: { state: 'OPER_DOWN', reason: ['connection refused'] },
        engines: [{ engine_name: 'bare', verdict: 'down', probes: [{ detail: 'connection refused' }] }]
      },
      { server: '10.0.0.2', port: 80, enabled: false, oper_status: { state: 'OPER_DISABLED' } }
    ],
    virtualservices: [{ name: 'shop' }]
  })
  t.equal(fleet.fleet.poolRuntime('pool-1')?.oper_status.last_changed_time, pool?.oper_status.last_changed_time, 'kept while it stays')
  engine.socket.terminate()
  await until('the engine is down', () => status(1)?.reason.some(reason => reason.includes('its connection was closed')))
})

t.test('a server whose name has no address says so', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const servers = [{ ip: { addr: 'gone.test', type: 'DNS' }, port: 80, resolve_server_by_dns: true }]
  await fleet.put('pool', 'pool-1', { name: 'web', servers })
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  const judged = { poolId: 'pool-1', serverId: 'gone.test:80', verdict: 'unknown', sinceEpochMs: 1, probes: [] } as const
  const status = () => fleet.fleet.poolRuntime('pool-1')?.servers[0]?.oper_status
  engine.say({ type: 'ServersJudged', servers: [{ ...judged, ip: '' }] })
  await until('told', () => status()?.state === 'OPER_DOWN')
  t.match(status()?.reason, ['the name gone.test has no address yet: it could not be resolved'])
  engine.say({ type: 'ServersJudged', servers: [{ ...judged, ip: '10.0.0.1' }] })
  await until('resolved', () => status()?.state === 'OPER_UP')
})

t.test('a service that has nowhere to send traffic to is down, unless it answers by itself', async t => {
  const fleet = await aFleet(t)
  const services: Readonly<Record<string, object>> = {
    empty: {},
    ruled: { http_policies: [{ index: 1, http_policy_set_ref: 'httppolicyset-1' }] },
    secure: { application_profile_ref: 'applicationprofile-1' }
  }
  await fleet.put('applicationprofile', 'applicationprofile-1', {
    name: 'secure',
    type: 'APPLICATION_PROFILE_TYPE_HTTP',
    http_profile: { http_to_https: true }
  })
  const keys = await joinBare(fleet)
  for (const [name, more] of Object.entries(services)) {
    await fleet.put('virtualservice', name, { name, ...more })
    fleet.placed.set(name, { engineUuids: [keys.uuid], enginesWanted: 1, reasons: [] })
    fleet.services.set(name, aService(name))
  }
  const engine = await aBareEngine(t, fleet, keys)
  const { manifest } = await engine.next('ApplySnapshot')
  engine.say({ type: 'SnapshotApplied', revision: manifest.revision, hash: manifest.hash, tookMs: 1 })
  const status = (name: string) => fleet.fleet.virtualServiceRuntime(name)?.oper_status
  await until('running', () => status('ruled')?.state === 'OPER_UP')
  t.match(status('secure'), { state: 'OPER_UP' })
  t.match(status('empty'), { state: 'OPER_DOWN', reason: ['it has no pool: there is nowhere for traffic to go'] })
})
