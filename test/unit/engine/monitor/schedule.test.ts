import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import type { ServerJudgement, Verdict } from '#model/message/message.ts'
import type { MonitorSpec, PoolPart, ServerSpec } from '#model/snapshot/snapshot.ts'
import type { ProbeTarget } from '#engine/monitor/probe.ts'
import { combine, startMonitors } from '#engine/monitor/schedule.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const monitor = (over: Partial<MonitorSpec> = {}): MonitorSpec => ({
  id: 'hm-1',
  name: 'check',
  probe: { is: 'tcp', request: null, response: null, maintenanceResponse: null, isHalfOpen: false },
  sendIntervalMs: 10_000,
  receiveTimeoutMs: 4_000,
  successfulChecks: 2,
  failedChecks: 3,
  port: null,
  isQuickStart: true,
  ...over
})

const server = (host: string, over: Partial<ServerSpec> = {}): ServerSpec => ({
  id: `${host}:80`,
  host,
  port: 80,
  isName: false,
  isEnabled: true,
  weight: 1,
  hostHeader: null,
  ...over
})

const pool = (servers: readonly ServerSpec[], over: Partial<PoolPart> = {}): PoolPart => ({
  kind: 'pool',
  id: 'pool-1',
  name: 'web',
  tenant: 'admin',
  algorithm: { is: 'round-robin' },
  servers,
  monitors: [monitor()],
  minMonitorsUp: 0,
  tls: null,
  maxConnectionsPerServer: null,
  connectTimeoutMs: 1_000,
  serverTimeoutMs: null,
  idleConnectionTimeoutMs: 1_000,
  maxIdleConnectionsPerServer: 1,
  rewritesHost: 'no',
  queue: null,
  failAction: { is: 'close' },
  gracefulDisableS: 0,
  ...over
})

const services = { certificate: () => undefined }

/** Monitors over a world in which every address is as `world` says; answers come at the next turn of the loop. */
function bench(options: { readonly maxRunning?: number; readonly addresses?: Record<string, readonly string[]> } = {}) {
  const clock = manualClock()
  const world = new Map<string, Verdict>()
  const attempts: ProbeTarget[] = []
  const told: ServerJudgement[][] = []
  const written = new Map<string, Verdict>()
  const moved: string[] = []
  const weights = new Map<string, number | null>()
  const percents = new Map<string, number>()
  const startedAtMs: number[] = []
  let running = 0
  let mostRunning = 0
  const monitors = startMonitors({
    clock,
    random: seededRandom(1),
    makeProbe: spec => ({
      kind: spec.is,
      attempt: async target => {
        attempts.push(target)
        startedAtMs.push(clock.nowMs())
        mostRunning = Math.max(mostRunning, ++running)
        await Promise.resolve()
        running -= 1
        const verdict = world.get(target.ip) ?? 'up'
        const weightPercent = percents.get(target.ip)
        const seen = { verdict, detail: `seen ${verdict}`, request: 'asked', answer: verdict }
        return weightPercent === undefined ? seen : { ...seen, weightPercent }
      }
    }),
    addressesOf: name => options.addresses?.[name] ?? [],
    judge: (poolId, serverId, verdict) => written.set(`${poolId}/${serverId}`, verdict),
    weigh: (poolId, serverId, percent) => weights.set(`${poolId}/${serverId}`, percent),
    told: judgements => told.push([...judgements]),
    usableChanged: (poolId, serverId) => moved.push(`${poolId}/${serverId}`),
    ...(options.maxRunning === undefined ? {} : { maxRunning: options.maxRunning })
  })
  /** Moves time on in small steps, so that answers come between. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 25) {
      clock.advance(Math.min(25, left))
      for (let i = 0; i < 4; i++) await new Promise(setImmediate)
    }
  }
  return { clock, world, weights, percents, startedAtMs, attempts, told, written, moved, monitors, pass, mostRunning: () => mostRunning }
}

t.test('combine weighs several monitors', async t => {
  t.equal(combine([], 0), 'up')
  t.equal(combine(['up', 'up'], 0), 'up')
  t.equal(combine(['up', 'down'], 0), 'down')
  t.equal(combine(['up', 'down'], 1), 'up')
  t.equal(combine(['up', 'unknown'], 0), 'unknown')
  t.equal(combine(['up', 'unknown'], 1), 'up')
  t.equal(combine(['down', 'unknown'], 2), 'down')
  t.equal(combine(['down', 'down'], 9), 'down')
})

t.test('a new server is probed back to back until its first verdict, then at its interval', async t => {
  const { monitors, attempts, told, written, pass } = bench()
  monitors.update([pool([server('10.0.0.1')])], services)
  t.equal(written.get('pool-1/10.0.0.1:80'), 'unknown')
  await pass(500)
  t.equal(attempts.length, 2)
  t.equal(written.get('pool-1/10.0.0.1:80'), 'up')
  t.match(told, [
    [{ poolId: 'pool-1', serverId: '10.0.0.1:80', verdict: 'up', ip: '10.0.0.1', probes: [{ monitorId: 'hm-1', detail: 'seen up' }] }]
  ])
  await pass(8_000)
  t.equal(attempts.length, 2)
  await pass(3_000)
  t.equal(attempts.length, 3)
})

t.test('a verdict turns after its threshold in a row and is told at once', async t => {
  const { monitors, world, told, written, pass } = bench()
  monitors.update([pool([server('10.0.0.1')], { monitors: [monitor({ sendIntervalMs: 1_000 })] })], services)
  await pass(500)
  world.set('10.0.0.1', 'down')
  await pass(2_200)
  t.equal(written.get('pool-1/10.0.0.1:80'), 'up', 'two failures are not enough')
  await pass(1_500)
  t.equal(written.get('pool-1/10.0.0.1:80'), 'down')
  t.match(told.at(-1), [{ verdict: 'down', probes: [{ verdict: 'down', detail: 'seen down' }] }])
  world.set('10.0.0.1', 'up')
  await pass(4_000)
  t.equal(written.get('pool-1/10.0.0.1:80'), 'up')
})

t.test('an edit keeps the verdict of servers that stay', async t => {
  const { monitors, written, attempts, pass } = bench()
  monitors.update([pool([server('10.0.0.1')])], services)
  await pass(500)
  monitors.update([pool([server('10.0.0.1'), server('10.0.0.2')], { monitors: [monitor({ receiveTimeoutMs: 1 })] })], services)
  t.equal(written.get('pool-1/10.0.0.1:80'), 'up')
  t.equal(written.get('pool-1/10.0.0.2:80'), 'unknown')
  const before = attempts.length
  monitors.update([pool([server('10.0.0.1')], { monitors: [monitor(), monitor({ id: 'hm-2' })] })], services)
  t.equal(written.get('pool-1/10.0.0.1:80'), 'up', 'a monitor that has not spoken does not take it out')
  t.equal(monitors.judgements().length, 1)
  await pass(500)
  t.same(
    attempts.slice(before).map(target => target.ip),
    ['10.0.0.1', '10.0.0.1'],
    'only the new monitor probes; the removed server is left alone'
  )
})

t.test('pools that share a server and a monitor share its probes', async t => {
  const { monitors, attempts, written, pass } = bench()
  monitors.update([pool([server('10.0.0.1')]), pool([server('10.0.0.1')], { id: 'pool-2' })], services)
  await pass(500)
  t.equal(attempts.length, 2)
  t.same(
    [...written],
    [
      ['pool-1/10.0.0.1:80', 'up'],
      ['pool-2/10.0.0.1:80', 'up']
    ]
  )
})

t.test('a disabled server is not probed, and one without monitors is up', async t => {
  const { monitors, attempts, told, pass } = bench()
  monitors.update([pool([server('10.0.0.1', { isEnabled: false })]), pool([server('10.0.0.2')], { id: 'pool-2', monitors: [] })], services)
  t.match(told, [[{ poolId: 'pool-2', serverId: '10.0.0.2:80', verdict: 'up', probes: [] }]])
  await pass(1_000)
  t.same(attempts, [])
})

t.test('a server by name is up while one of its addresses is, and traffic keeps to those', async t => {
  const addresses = { 'web.test': ['10.0.0.1', '10.0.0.2'] }
  const { monitors, world, moved, written, pass } = bench({ addresses })
  world.set('10.0.0.1', 'down')
  monitors.update([pool([server('web.test', { isName: true })])], services)
  await pass(1_000)
  t.equal(written.get('pool-1/web.test:80'), 'up')
  t.same(monitors.usableAddresses('pool-1', 'web.test:80'), ['10.0.0.2'])
  t.equal(monitors.judgements()[0]?.ip, '10.0.0.2')
  t.ok(moved.length > 0)
  world.set('10.0.0.2', 'down')
  await pass(40_000)
  t.equal(written.get('pool-1/web.test:80'), 'down')
  t.same(monitors.usableAddresses('pool-1', 'web.test:80'), ['10.0.0.1', '10.0.0.2'])
  addresses['web.test'] = ['10.0.0.3']
  monitors.addressesChanged()
  await pass(1_000)
  t.equal(written.get('pool-1/web.test:80'), 'up')
})

t.test('a name without an address is told from time to time, with no verdict', async t => {
  const { monitors, told, pass } = bench()
  t.teardown(monitors.stop)
  monitors.update([pool([server('gone.test', { isName: true })])], services)
  await pass(5_100)
  t.match(told.flat(), [{ serverId: 'gone.test:80', ip: '', verdict: 'unknown' }])
})

t.test('a thousand servers are probed with few attempts at once', async t => {
  const { monitors, mostRunning, pass } = bench({ maxRunning: 8 })
  monitors.update([pool(Array.from({ length: 1_000 }, (_, i) => server(`10.0.${i >> 8}.${i & 255}`)))], services)
  await pass(3_000)
  t.equal(mostRunning(), 8)
  t.ok(monitors.judgements().every(judgement => judgement.verdict === 'up'))
})

t.test('what says nothing about a server leaves it unknown, and details are told from time to time', async t => {
  const { monitors, world, told, attempts, pass } = bench()
  world.set('10.0.0.1', 'unknown')
  monitors.update([pool([server('10.0.0.1')])], services)
  await pass(4_900)
  t.equal(attempts.length, 1, 'no busy loop')
  t.same(told, [])
  await pass(200)
  t.match(told, [[{ verdict: 'unknown', probes: [{ detail: 'seen unknown' }] }]])
})

t.test('a monitor that cannot be made tells why', async t => {
  const clock = manualClock()
  const monitors = startMonitors({
    clock,
    random: () => 0,
    makeProbe: () => {
      throw new Error('no such cipher')
    },
    addressesOf: () => [],
    judge: () => undefined,
    weigh: () => undefined,
    told: () => undefined
  })
  monitors.update([pool([server('10.0.0.1')])], services)
  clock.advance(10)
  await new Promise(setImmediate)
  t.match(monitors.judgements(), [{ verdict: 'unknown', probes: [{ detail: 'this monitor cannot run here: no such cipher' }] }])
})

t.test('a restart with a thousand servers asks them little by little', async t => {
  const { monitors, startedAtMs, pass, attempts, mostRunning } = bench({ maxRunning: 64 })
  const hosts = Array.from({ length: 1_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
  // Two pools with the same servers and monitor: each server is asked once for both.
  monitors.update(
    ['pool-1', 'pool-2'].map(id =>
      pool(
        hosts.map(host => server(host)),
        { id }
      )
    ),
    services
  )
  await pass(1_950)
  const inWindow = new Map<number, number>()
  for (const atMs of startedAtMs) inWindow.set(Math.floor(atMs / 100), (inWindow.get(Math.floor(atMs / 100)) ?? 0) + 1)
  t.ok(Math.max(...inWindow.values()) <= 200, 'first and second probes of 500 servers a second, spread evenly')
  await pass(500)
  t.equal(new Set(attempts.map(({ ip }) => ip)).size, 1_000, 'all were asked')
  t.ok(attempts.length <= 2_000, 'once for both pools')
  t.ok(mostRunning() <= 64)
  t.equal(monitors.judgements().length, 2_000)
})

t.test('what a server says that it can take is written and told, and holds until it says otherwise', async t => {
  const { monitors, world, percents, weights, pass } = bench()
  const part = pool([server('10.0.0.1'), server('10.0.0.2')])
  percents.set('10.0.0.1', 40)
  monitors.update([part], services)
  await pass(500)
  t.equal(weights.get('pool-1/10.0.0.1:80'), 40)
  t.equal(weights.get('pool-1/10.0.0.2:80'), null)
  t.match(monitors.judgements(), [{ weightPercent: 40, probes: [{ request: 'asked', answer: 'up' }] }, { weightPercent: undefined }])
  world.set('10.0.0.1', 'down')
  percents.delete('10.0.0.1')
  await pass(12_000)
  t.equal(weights.get('pool-1/10.0.0.1:80'), 40, 'a failure says nothing about it')
  world.set('10.0.0.1', 'up')
  await pass(12_000)
  t.equal(weights.get('pool-1/10.0.0.1:80'), null, 'an answer without it takes it back')
  percents.set('10.0.0.1', 0)
  await pass(12_000)
  monitors.update([{ ...part }], services)
  t.equal(weights.get('pool-1/10.0.0.1:80'), 0, 'a new generation hears it again')
})

t.test('stop ends all probing', async t => {
  const { monitors, attempts, pass, clock, told } = bench()
  monitors.update([pool([server('10.0.0.1')])], services)
  monitors.stop()
  await pass(1_000)
  t.equal(attempts.length, 1, 'the one that ran already')
  t.same(told, [])
  t.equal(clock.waiting(), 0)
})
