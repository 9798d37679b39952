import fc from 'fast-check'
import t from 'tap'
import { filled } from '#model/resource/catalogue.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { decide, type ScaleMemory } from '#controller/scale/decide.ts'
import { poolSettings, scheduleAt } from '#controller/scale/pool.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const policyOf = (more: JsonObject) => filled('serverautoscalepolicy', { name: 'p', ...more })

/** A pool whose servers come at once. */
function simulate(seconds: number, policy: JsonObject, requestsAt: (s: number) => number, from: number, startEpochMs = 0) {
  let memory: ScaleMemory | undefined
  let servers = from
  const events: { readonly is: string; readonly atS: number; readonly servers: number; readonly cause: string }[] = []
  const filledPolicy = policyOf(policy)
  for (let s = 0; s < seconds; s++) {
    const settings = poolSettings(filledPolicy, scheduleAt(filledPolicy, startEpochMs + s * 1_000))
    const sample = {
      engines: servers,
      cpuRatio: undefined,
      isCpuOwn: false,
      connections: 0,
      requestsPerS: requestsAt(s),
      bytesPerS: 0,
      latencyMs: undefined
    }
    const decision = decide(sample, settings, memory, s * 1_000)
    memory = decision.memory
    if (decision.is === 'stay') continue
    servers = decision.wanted
    events.push({ is: decision.is, atS: s, servers, cause: decision.cause })
  }
  return { events, servers }
}

t.test('a pool follows its load by its steps, between its sizes', async t => {
  const policy = { min_size: 2, max_size: 6, max_requests_per_server: 100, max_scaleout_adjustment_step: 2 }
  t.equal(simulate(20, policy, () => 0, 0).servers, 2, 'from nothing to the least')
  const grown = simulate(700, policy, () => 480, 2)
  t.same(
    grown.events.map(({ servers }) => servers),
    [4, 5]
  )
  t.equal(simulate(3_000, policy, () => 9_000, 2).servers, 6)
  t.equal(simulate(3_000, { ...policy, max_scalein_adjustment_step: 3 }, () => 10, 6).servers, 2)
})

t.test('margins keep spare capacity both ways', async t => {
  const policy = { min_size: 1, max_size: 20, max_requests_per_server: 100, intelligent_autoscale: true, max_scaleout_adjustment_step: 20 }
  t.equal(simulate(60, policy, () => 950, 10).servers, 12, '950 and a fifth are 1140')
  t.equal(simulate(60, policy, () => 820, 10).servers, 10, '820 and a fifth still fit')
  t.equal(simulate(4_000, policy, () => 600, 10).servers, 9, '600 and two fifths are 840')
})

t.test('a pool never goes to and fro under steady load, whatever its margins', async () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 15, noNaN: true }),
      fc.integer({ min: 1, max: 15 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 5, max: 39 }),
      (demand, from, out, more) => {
        const policy = {
          min_size: 1,
          max_size: 20,
          max_requests_per_server: 100,
          intelligent_autoscale: true,
          intelligent_scaleout_margin: out,
          intelligent_scalein_margin: out + more,
          scaleout_cooldown: 30,
          scalein_cooldown: 60
        }
        const { events } = simulate(1_800, policy, () => demand * 100, from)
        return new Set(events.map(({ is }) => is)).size <= 1
      }
    ),
    { seed, numRuns: 100 }
  )
})

t.test('a schedule raises the least while it holds, and what it asked for goes afterwards', async t => {
  const policy = {
    min_size: 1,
    max_size: 10,
    scheduled_scalings: [
      { cron_expression: '0 8 * * *', desired_capacity: 4, schedule_max_step: 3, autoscaling_duration: 1 },
      { cron_expression: '0 8 * * *', desired_capacity: 9, enable: false },
      { cron_expression: '0 8 * * *', desired_capacity: 9, end_date: '2020-01-01' }
    ],
    max_scalein_adjustment_step: 5
  }
  const { events } = simulate(5_400, policy, () => 0, 1, Date.parse('2026-11-25T07:50:00Z'))
  t.match(events, [
    { is: 'out', servers: 4, cause: 'schedule' },
    { is: 'in', servers: 1 }
  ])
  t.ok(events[0]!.atS >= 600 && events[0]!.atS < 610)
  t.ok(events[1]!.atS >= 600 + 3_600 + 300, 'an hour, and the delay')
  const filledPolicy = policyOf(policy)
  t.equal(scheduleAt(filledPolicy, Date.parse('2026-11-25T08:59:59Z'))?.desired_capacity, 4)
  t.equal(scheduleAt(filledPolicy, Date.parse('2026-11-25T09:00:00Z')), undefined)
})
