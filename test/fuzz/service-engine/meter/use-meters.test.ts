/** Whoever comes, goes and shares pools meanwhile: each request is counted once, for who sent it, and no row is somebody else's. */
import fc from 'fast-check'
import t from 'tap'
import { useKey } from '#model/snapshot/uses.ts'
import { attachMemory, makeMemory, type TrafficMeter } from '#engine/meter/shared.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`WEIR_SEED=${seed}`)

const GRACE_MS = 1_000
const SERVICES = ['a', 'b', 'c'] as const
const POOLS = ['p', 'q'] as const
const pairs = SERVICES.flatMap(service => POOLS.map(pool => ({ service, pool })))

type Step =
  | { readonly do: 'load'; readonly services: readonly string[]; readonly uses: readonly number[] }
  | { readonly do: 'send'; readonly pair: number; readonly count: number }
  | { readonly do: 'send on'; readonly flow: number; readonly count: number }
  | { readonly do: 'pass'; readonly ms: number }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('load' as const),
      // Mostly all: what changes is who leads where, as rules do.
      services: fc.oneof({ weight: 3, arbitrary: fc.constant([...SERVICES]) }, fc.subarray([...SERVICES], { minLength: 1 })),
      uses: fc.subarray(
        pairs.map((_, i) => i),
        { minLength: 2 }
      )
    }),
    fc.record({ do: fc.constant('send' as const), pair: fc.nat(pairs.length - 1), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ do: fc.constant('send on' as const), flow: fc.nat(50), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(100, GRACE_MS / 2, GRACE_MS, 3 * GRACE_MS) })
  ),
  { minLength: 20, maxLength: 80, size: 'max' }
)

/** Null, or what is wrong. */
function walk(all: readonly Step[], maxSlots: number): string | null {
  let nowMs = 0
  const memory = makeMemory({ workers: 1, nowMs: () => nowMs, graceMs: GRACE_MS, maxSlots })
  let view = attachMemory(memory.buffer, 0, 1, memory.assign({ virtualServices: [], pools: [] }))
  let uses = new Set<string>()
  /** By pool: what was sent since it came. */
  const sent = new Map<string, number>()
  /** By pair: what was sent by a row of its own. */
  const own = new Map<string, number>()
  /** Of pools, and of pairs of which one or both do not run. */
  const goneAtMs = new Map<string, number>()
  let flows: { readonly service: string; readonly pool: string; readonly meter: TrafficMeter; readonly isOwn: boolean }[] = []

  const send = ({ service, pool, meter, isOwn }: (typeof flows)[number], count: number): void => {
    for (let n = 0; n < count; n++) meter.exchangeEnded(200, 5)
    sent.set(pool, (sent.get(pool) ?? 0) + count)
    if (isOwn) own.set(useKey(service, pool), (own.get(useKey(service, pool)) ?? 0) + count)
  }
  /** A flow ends before the grace of what it goes by is over. */
  const mayWrite = (id: string): boolean => nowMs - (goneAtMs.get(id) ?? nowMs) < GRACE_MS / 2

  for (const step of all) {
    if (step.do === 'pass') nowMs += step.ms
    if (step.do === 'load') {
      const chosen = step.uses.map(i => pairs[i]!).filter(({ service }) => step.services.includes(service))
      const pools = [...new Set(chosen.map(({ pool }) => pool))]
      const now = new Set<string>([...step.services, ...pools])
      const isRunning = (id: string): boolean => id.split('/').every(one => now.has(one))
      for (const [id, atMs] of goneAtMs) {
        // Its row is handed on: whoever comes by that name begins anew.
        if (nowMs - atMs >= GRACE_MS) for (const counts of [sent, own]) counts.delete(id)
        if (isRunning(id)) goneAtMs.delete(id)
      }
      for (const id of [...POOLS, ...pairs.map(({ service, pool }) => useKey(service, pool))])
        if (!isRunning(id) && !goneAtMs.has(id)) goneAtMs.set(id, nowMs)
      const tenants = {
        virtualServices: step.services,
        pools: pools.map(id => ({ id, servers: [`${id}-1`] })),
        uses: chosen.map(({ service, pool }) => ({ virtualServiceId: service, poolId: pool }))
      }
      view = attachMemory(memory.buffer, 0, 1, memory.assign(tenants))
      uses = new Set(chosen.map(({ service, pool }) => useKey(service, pool)))
    }
    flows = flows.filter(({ service, pool }) => mayWrite(useKey(service, pool)))
    if (step.do === 'send') {
      const { service, pool } = pairs[step.pair]!
      if (!uses.has(useKey(service, pool))) continue
      const row = view.useMeter(service, pool)
      const flow = { service, pool, meter: row ?? view.poolMeter(pool), isOwn: row !== undefined }
      send(flow, step.count)
      flows.push(flow)
    }
    if (step.do === 'send on' && flows.length > 0) send(flows[step.flow % flows.length]!, step.count)

    const told = memory.readTotals()
    for (const { id, totals, latency, onlyOf } of told.pools) {
      if (totals.requests !== (sent.get(id) ?? 0)) return `pool ${id} has ${totals.requests}, was sent ${sent.get(id) ?? 0}`
      const counted = latency.reduce((sum, value, i) => (i % 2 === 1 ? sum + value : sum), 0)
      if (counted !== totals.requests) return `pool ${id} has ${counted} times of ${totals.requests}`
      const users = told.uses.filter(({ poolId }) => poolId === id).map(use => use.id)
      if (onlyOf !== undefined && users.length > 0) return `pool ${id} is told as that of ${onlyOf} and of ${users.join()}`
      if (onlyOf !== undefined && !uses.has(useKey(onlyOf, id))) return `${onlyOf} does not use pool ${id}`
      for (const key of uses)
        if (users.length > 0 && key.endsWith(`/${id}`) && !users.includes(key.split('/')[0]!)) return `${key} is left out`
    }
    for (const { id, poolId, totals } of told.uses) {
      const wanted = own.get(useKey(id, poolId)) ?? 0
      if (totals.requests !== wanted) return `${id} of ${poolId} has ${totals.requests}, sent ${wanted}`
    }
    for (const { id, totals } of [...told.virtualServices, ...told.servers])
      if (totals.requests !== 0) return `${id} has ${totals.requests} of somebody else`
  }
  return null
}

for (const [what, maxSlots] of [
  ['with room for all', 1_000],
  // All fit, of six parts only four.
  ['with room for few parts', 9]
] as const)
  t.test(`meters of pools that are shared: ${what}`, async t => {
    fc.assert(
      fc.property(steps, all => {
        const wrong = walk(all, maxSlots)
        if (wrong !== null) throw new Error(wrong)
      }),
      { numRuns: 600, seed }
    )
    t.pass('held')
  })
