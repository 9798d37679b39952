/** A thousand engines and ten thousand services through failures, growth and a rolling upgrade: what placement promises holds at every step. */
import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { place, type EngineToPlace, type Placement, type ServiceToPlace } from '#controller/placement/place.ts'

t.setTimeout(180_000)

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const ENGINES = 1_000
const SERVICES = 10_000
const GROUPS = 10
const MAX_PER_ENGINE = 30

const groupOf = (i: number): string => `group-${i % GROUPS}`

function anEngine(i: number): EngineToPlace {
  return {
    uuid: `engine-${i}`,
    name: `e${i}`,
    group: groupOf(i),
    addresses: [],
    isUp: true,
    takes: 'all',
    host: `host-${Math.floor(i / 20)}`
  }
}

function aService(i: number, enginesWanted: number): ServiceToPlace {
  // An address of its own and a port of many: ports do not stand in each other's way more than they would.
  const listeners = [
    { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 1_000 + Math.floor(i / GROUPS), protocol: 'TCP' as const }
  ]
  return {
    uuid: `service-${i}`,
    name: `s${i}`,
    group: groupOf(i),
    listeners,
    enginesWanted,
    rank: i,
    apart: { by: 'host', isStrict: false }
  }
}

class World {
  readonly engines = new Map<string, EngineToPlace>()
  readonly services = new Map<string, ServiceToPlace>()
  current: ReadonlyMap<string, readonly string[]> = new Map()
  moves = 0

  set(engine: EngineToPlace): void {
    this.engines.set(engine.uuid, engine)
  }

  change(uuid: string, more: Partial<EngineToPlace>): void {
    this.set({ ...this.engines.get(uuid)!, ...more })
  }

  /** Places anew and checks what must hold; `moves` is how many engines services were put on. */
  step(t: { readonly fail: (message: string) => unknown }, what: string): Placement {
    const groups = Array.from({ length: GROUPS }, (_, i) => ({ uuid: groupOf(i), name: groupOf(i), maxServicesPerEngine: MAX_PER_ENGINE }))
    const placement = place({ groups, engines: [...this.engines.values()], services: [...this.services.values()], current: this.current })
    const count = new Map<string, number>()
    const ports = new Set<string>()
    this.moves = 0
    const problems: string[] = []
    for (const [uuid, on] of placement.assignments) {
      const service = this.services.get(uuid)!
      const before = this.current.get(uuid) ?? []
      if (new Set(on).size !== on.length) problems.push(`${uuid} is twice on one engine`)
      for (const engine of on) {
        const site = this.engines.get(engine)
        if (site === undefined || !site.isUp || site.takes === 'none') problems.push(`${uuid} is on ${engine}, which is not there`)
        count.set(engine, (count.get(engine) ?? 0) + 1)
        const socket = `${engine} ${service.listeners[0]!.port}`
        if (ports.has(socket)) problems.push(`two listen on ${socket}`)
        ports.add(socket)
        if (!before.includes(engine)) this.moves += 1
      }
    }
    for (const [engine, services] of count) if (services > MAX_PER_ENGINE) problems.push(`${engine} has ${services}`)
    if (problems.length > 0) t.fail(`${what}: ${problems.slice(0, 5).join(', ')}`)
    this.current = placement.assignments
    return placement
  }

  on(engine: string): number {
    return [...this.current.values()].filter(on => on.includes(engine)).length
  }
}

t.test('placement keeps its promises through failures, growth and a rolling upgrade', async t => {
  const random = seededRandom(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const world = new World()
  for (let i = 0; i < ENGINES; i++) world.set(anEngine(i))
  for (let i = 0; i < SERVICES; i++) {
    const service = aService(i, i % 10 < 8 ? 1 : 2)
    world.services.set(service.uuid, service)
  }
  const short = (placement: Placement): string[] =>
    [...world.services.values()].flatMap(({ uuid, enginesWanted }) =>
      (placement.assignments.get(uuid)?.length ?? 0) < enginesWanted ? [uuid] : []
    )
  t.same(short(world.step(t, 'start')), [], 'all are placed')
  t.equal(world.moves, 12_000)
  world.step(t, 'nothing happened')
  t.equal(world.moves, 0, 'nothing happens, nothing moves')

  for (let round = 0; round < 10; round++) {
    const dead = Array.from({ length: 1 + below(20) }, () => `engine-${below(ENGINES)}`).filter(uuid => world.engines.get(uuid)!.isUp)
    const lost = new Set(dead)
    const hit = [...lost].reduce((sum, uuid) => sum + world.on(uuid), 0)
    for (const uuid of lost) world.change(uuid, { isUp: false })
    t.same(short(world.step(t, `failure ${round}`)), [], 'no service below its minimum: there is capacity')
    t.equal(world.moves, hit, `a failure of ${lost.size} engines moves what was on them and nothing else`)
    for (const uuid of lost) world.change(uuid, { isUp: true })
    world.step(t, `return ${round}`)
    t.equal(world.moves, 0, 'who comes back disturbs nobody')
  }

  for (let round = 0; round < 5; round++) {
    const grown = Array.from({ length: 200 }, () => `service-${below(SERVICES)}`)
    let asked = 0
    for (const uuid of new Set(grown)) {
      const service = world.services.get(uuid)!
      if (service.enginesWanted >= 4) continue
      asked += 1
      world.services.set(uuid, { ...service, enginesWanted: service.enginesWanted + 1 })
    }
    t.same(short(world.step(t, `growth ${round}`)), [])
    t.equal(world.moves, asked, 'each that grows gets one engine, and nothing else moves')
  }

  // A rolling upgrade: fifty at a time give away what they have, are gone, and come back.
  for (let from = 0; from < ENGINES; from += 50) {
    const batch = Array.from({ length: 50 }, (_, i) => `engine-${from + i}`)
    const hit = batch.reduce((sum, uuid) => sum + world.on(uuid), 0)
    for (const uuid of batch) world.change(uuid, { takes: 'none' })
    t.same(short(world.step(t, `upgrade of ${from}`)), [], 'no service below its minimum during the upgrade')
    t.equal(world.moves, hit)
    for (const uuid of batch) world.change(uuid, { takes: 'all' })
  }
  world.step(t, 'after the upgrade')
  t.equal(world.moves, 0)

  // More than there is room for: what cannot be placed is said, no engine is above its limit, and what has a place keeps it.
  for (let i = 0; i < 700; i++) world.change(`engine-${i}`, { isUp: false })
  const crowded = world.step(t, 'seven of ten gone')
  t.ok(short(crowded).length > 0)
  t.ok(
    short(crowded).every(uuid => (crowded.unplaced.get(uuid)?.length ?? 0) > 0),
    'each says why'
  )
  t.equal(
    [...crowded.assignments.values()].reduce((sum, on) => sum + on.length, 0),
    300 * MAX_PER_ENGINE,
    'every place is used'
  )
})
