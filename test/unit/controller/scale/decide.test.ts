import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { filled } from '#model/resource/catalogue.ts'
import { decide, type LoadSample, type Prediction, type ScaleMemory, type ScaleSettings } from '#controller/scale/decide.ts'
import { serviceSettings } from '#controller/scale/services.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const settings: ScaleSettings = {
  ...serviceSettings(
    filled('serviceenginegroup', { name: 'g', max_scaleout_per_vs: 8, autoscale: { max_requests_per_engine: 1_000 } }),
    {}
  )!
}

const idle: Omit<LoadSample, 'engines'> = {
  cpuRatio: 0.1,
  isCpuOwn: true,
  connections: 0,
  requestsPerS: 0,
  bytesPerS: 0,
  latencyMs: undefined
}

interface Event {
  readonly is: 'out' | 'in'
  readonly atS: number
  readonly engines: number
  readonly reasons: readonly string[]
}

/** A service whose engines come a few seconds after they are asked for. */
function simulate(
  seconds: number,
  sampleAt: (s: number, engines: number) => LoadSample | undefined,
  more: Partial<ScaleSettings> = {},
  from = 1,
  ahead?: (s: number) => Prediction | undefined
) {
  let memory: ScaleMemory | undefined
  let engines = from
  const events: Event[] = []
  for (let s = 0; s < seconds; s++) {
    const decision = decide(sampleAt(s, engines), { ...settings, ...more }, memory, s * 1_000, ahead?.(s))
    memory = decision.memory
    if (decision.is === 'stay') continue
    engines = decision.wanted
    events.push({ is: decision.is, atS: s, engines, reasons: decision.reasons })
  }
  return { events, engines }
}

const requests = (perS: number, engines: number): LoadSample => ({ ...idle, engines, requestsPerS: perS })

t.test('decide answers doubled load within ten seconds, and says why with numbers', async t => {
  const { events, engines } = simulate(120, (s, n) => requests(s < 60 ? 900 : 1_800, n))
  t.equal(events[0]?.is, 'out')
  t.ok(events[0]!.atS - 60 <= 10, `after ${events[0]!.atS - 60} s`)
  t.equal(engines, 2)
  t.match(events[0]!.reasons[0], /^requests: .*\/s an engine, of 1000\/s; its load is that of \d\.\d+ engines, and there are 1$/)
})

t.test('decide answers doubled load of any service that it fills, within ten seconds', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.double({ min: 0.6, max: 1, noNaN: true }), (n, fill) => {
      const before = n * fill * 1_000
      const { events } = simulate(400, (s, now) => requests(s < 310 ? before : 2 * before, now), {}, n)
      const after = events.filter(({ atS }) => atS >= 310)
      return after[0]?.is === 'out' && after[0].atS <= 320
    }),
    { seed, numRuns: 40 }
  )
})

t.test('decide never goes to and fro under steady or noisy load, whatever it is', async () => {
  const random = seededRandom(seed)
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 7, noNaN: true }),
      fc.integer({ min: 1, max: 8 }),
      fc.constantFrom(0, 0.02, 0.05, 0.1),
      (demand, from, noise) => {
        const { events } = simulate(
          30 * 60,
          (_, n) => requests(demand * 1_000 * (1 + noise * (random() + random() + random() + random() - 2) * 1.73), n),
          {},
          from
        )
        return new Set(events.map(({ is }) => is)).size <= 1
      }
    ),
    { seed, numRuns: 150 }
  )
})

t.test('decide never goes to and fro when CPU is what counts', async () => {
  const random = seededRandom(seed)
  fc.assert(
    fc.property(fc.double({ min: 0.05, max: 6, noNaN: true }), fc.integer({ min: 1, max: 8 }), (load, from) => {
      const { events } = simulate(
        30 * 60,
        (_, engines) => ({ ...idle, engines, cpuRatio: Math.min(1, 0.03 + (load / engines) * (0.95 + 0.1 * random())) }),
        { maxRequestsPerS: 0 },
        from
      )
      return new Set(events.map(({ is }) => is)).size <= 1
    }),
    { seed, numRuns: 100 }
  )
})

t.test('decide scales in only after the delay, one engine at a time, and cools down between', async t => {
  const { events, engines } = simulate(2_000, (s, n) => requests(s < 100 ? 3_800 : 900, n), {}, 4)
  t.ok(events.every(({ is }) => is === 'in'))
  t.ok(events[0]!.atS >= 100 + settings.inDelayMs / 1_000, `at ${events[0]!.atS}`)
  t.same(
    events.map(event => event.engines),
    [3, 2]
  )
  t.ok(events[1]!.atS - events[0]!.atS >= settings.inCooldownMs / 1_000)
  t.equal(engines, 2, '900 of 1000 on one engine would leave no margin')
  t.match(events[0]!.reasons[0], /^for 3\d\d s its load was that of 0\.9 engines, which 3 carry/)
})

t.test('decide keeps between least and most, and steps by what it may', async t => {
  t.equal(simulate(600, (_, n) => requests(50_000, n), { most: 5 }).engines, 5)
  t.equal(simulate(4_000, (_, n) => requests(0, n), { least: 3 }, 6).engines, 3)
  const { events } = simulate(20, (_, n) => requests(50_000, n))
  t.same(
    events.map(event => event.engines),
    [3],
    'two at once, then it cools down'
  )
  t.equal(simulate(1_000, (_, n) => requests(3_000, n), { most: 3 }, 5).engines, 3, 'above the most it comes down, whatever the load')
})

t.test('decide takes the unknown for unknown', async t => {
  t.same(simulate(3_000, () => undefined, {}, 3).events, [])
  const patchy = simulate(3_000, (s, n) => (s % 200 === 0 ? undefined : requests(100, n)), {}, 3)
  t.same(patchy.events, [], 'a time of idling that was not seen to the end is none')
})

t.test('decide is asked for nothing by the load that others make, nor by slow servers', async t => {
  const busy = (more: Partial<LoadSample>) => (_: number, engines: number) => ({ ...idle, engines, cpuRatio: 0.95, ...more })
  t.equal(simulate(100, busy({ isCpuOwn: false })).engines, 1)
  t.ok(simulate(100, busy({})).engines > 1)
  t.equal(simulate(600, busy({ isCpuOwn: false }), {}, 3).engines, 3, 'and does not leave busy engines either')
  const slow = { latencyMs: 900 }
  t.equal(simulate(100, busy({ ...slow, cpuRatio: 0.1 }), { maxLatencyMs: 300 }).engines, 1, 'idle engines are not why')
  const helped = simulate(40, busy({ ...slow, cpuRatio: 0.5 }), { maxLatencyMs: 300 })
  t.match(helped.events[0]?.reasons, ['latency: p95 900 ms, of 300 ms, while its engines are busy'])
})

t.test('decide goes ahead of what is expected, and never below what is there', async t => {
  const rise = simulate(
    60,
    (_, n) => requests(500, n),
    {},
    1,
    () => ({ demand: 2.4, aheadMs: 900_000 })
  )
  t.equal(rise.engines, 3)
  t.match(
    rise.events[0]?.reasons[0],
    /^within 15 min its load is expected to be that of 2\.4 engines; it is that of 0\.5 now, and there are 1$/
  )
  t.equal(
    simulate(
      60,
      (_, n) => requests(2_500, n),
      {},
      1,
      () => ({ demand: 0.1, aheadMs: 900_000 })
    ).engines,
    3
  )
  t.same(
    simulate(
      2_000,
      (_, n) => requests(500, n),
      {},
      3,
      () => ({ demand: 2.4, aheadMs: 900_000 })
    ).events,
    [],
    'nor in before it'
  )
})

t.test('serviceSettings is undefined where nobody asked', async t => {
  t.equal(serviceSettings(filled('serviceenginegroup', { name: 'g' }), {}), undefined)
  t.equal(serviceSettings(filled('serviceenginegroup', { name: 'g', autoscale: { enabled: false } }), {}), undefined)
  t.match(serviceSettings(filled('serviceenginegroup', { name: 'g', autoscale: {} }), { min_scale: 2, max_scale: 3 }), {
    least: 2,
    most: 3,
    maxCpuRatio: 0.8
  })
})
