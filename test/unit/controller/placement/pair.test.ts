/** Active/standby: what holds whatever happens to engines, services and the wishes of operators. */
import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { pairOf } from '#controller/placement/pair.ts'
import { place, type EngineToPlace, type Placement, type ServiceToPlace } from '#controller/placement/place.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const engine = (rank: number, more: Partial<EngineToPlace> = {}): EngineToPlace => ({
  // The order of uuids is not that of joining.
  uuid: `e${9 - rank}`,
  name: `engine ${rank}`,
  group: 'g',
  addresses: [],
  isUp: true,
  takes: 'all',
  rank,
  ...more
})
const [FIRST, SECOND, THIRD] = ['e8', 'e7', 'e6']
const service = (i: number, more: Partial<ServiceToPlace> = {}): ServiceToPlace => ({
  uuid: `s${i}`,
  name: `service ${i}`,
  group: 'g',
  listeners: [{ address: `192.0.2.${i}`, protocol: 'TCP', port: 80 }],
  enginesWanted: 2,
  rank: i,
  side: i % 2 === 0 ? 0 : 1,
  ...more
})

interface Scene {
  readonly engines: readonly EngineToPlace[]
  readonly services: readonly ServiceToPlace[]
  readonly current?: Placement['assignments']
  readonly distributes?: boolean
  readonly returns?: boolean
  readonly isRedistributed?: boolean
}
const run = ({ engines, services, current = new Map(), distributes = false, returns = false, isRedistributed = false }: Scene): Placement =>
  place({
    groups: [{ uuid: 'g', name: 'Pair', maxServicesPerEngine: 100, movesAddresses: true, pair: { distributes, returns } }],
    engines,
    services,
    current,
    rebalance: new Set(isRedistributed ? ['g'] : [])
  })
const where = (scene: Scene): Record<string, readonly string[]> => Object.fromEntries(run(scene).assignments)

const both = [engine(1), engine(2)]
const two = [service(2), service(3)]

t.test('the pair is who joined first; who is down belongs to it, who is drained does not', async t => {
  const names = (engines: readonly EngineToPlace[]): string[] => pairOf(engines).map(({ uuid }) => uuid)
  t.same(names([engine(3), engine(2), engine(1)]), [FIRST, SECOND])
  t.same(names([engine(1, { isUp: false }), engine(2), engine(3)]), [FIRST, SECOND])
  t.same(names([engine(1, { takes: 'none' }), engine(2), engine(3)]), [SECOND, THIRD])
  t.same(names([engine(2)]), [SECOND])
})

t.test('one is active for all; by their tags where load is distributed', async t => {
  t.same(where({ engines: both, services: two }), { s2: [FIRST, SECOND], s3: [FIRST, SECOND] })
  t.same(where({ engines: both, services: two, distributes: true }), { s2: [FIRST, SECOND], s3: [SECOND, FIRST] })
  const gone = [engine(1, { isUp: false }), engine(2)]
  t.same(where({ engines: gone, services: two, distributes: true }), { s2: [SECOND], s3: [SECOND] })
})

t.test('a new service is active where the others are', async t => {
  const current = new Map([['s2', [SECOND, FIRST]]])
  t.same(where({ engines: both, services: two, current }), { s2: [SECOND, FIRST], s3: [SECOND, FIRST] })
})

t.test('who comes back stands by, until it is told to take its own again, or does so by itself', async t => {
  const current = new Map([
    ['s2', [SECOND]],
    ['s3', [SECOND]]
  ])
  const scene = { engines: both, services: two, current, distributes: true }
  t.same(where(scene), { s2: [SECOND, FIRST], s3: [SECOND, FIRST] })
  t.same(where({ ...scene, isRedistributed: true }), { s2: [FIRST, SECOND], s3: [SECOND, FIRST] })
  t.same(where({ ...scene, returns: true }), { s2: [FIRST, SECOND], s3: [SECOND, FIRST] })
})

t.test('redistributed without tags: all to the one that is active for most', async t => {
  const current = new Map([
    ['s2', [SECOND, FIRST]],
    ['s3', [FIRST, SECOND]],
    ['s4', [SECOND, FIRST]]
  ])
  const services = [...two, service(4)]
  t.same(where({ engines: both, services, current })['s3'], [FIRST, SECOND], 'nothing moves by itself')
  t.same(where({ engines: both, services, current, isRedistributed: true })['s3'], [SECOND, FIRST])
})

t.test('a third engine carries nothing, and it is said why a third place is not to be had', async t => {
  const greedy = service(2, { enginesWanted: 3 })
  const { assignments, unplaced } = run({ engines: [...both, engine(3)], services: [greedy] })
  t.same(assignments.get('s2'), [FIRST, SECOND])
  t.same(unplaced.get('s2'), ['group Pair is active/standby: two engines carry its services'])
  const alone = run({ engines: [engine(1)], services: two })
  t.same(alone.unplaced.get('s2'), ['group Pair has no more engines'])
})

t.test('services that share an address are active together', async t => {
  const sharing = [service(2), service(3, { listeners: [{ address: '192.0.2.2', protocol: 'TCP', port: 81 }] })]
  t.same(where({ engines: both, services: sharing, distributes: true }), { s2: [FIRST, SECOND], s3: [FIRST, SECOND] })
})

t.test('what one engine refuses is active on the other, and nothing else follows it', async t => {
  const engines = [engine(1, { refuses: new Map([['s2', 'no']]) }), engine(2)]
  t.same(where({ engines, services: two }), { s2: [SECOND], s3: [FIRST, SECOND] })
})

t.test('through random failures: both carry everything that they can, nothing moves without need', async t => {
  const random = seededRandom(seed)
  const below = (n: number): number => Math.floor(random() * n)
  let engines = [engine(1), engine(2), engine(3)]
  let services: ServiceToPlace[] = []
  let current: Placement['assignments'] = new Map()
  for (let step = 0; step < 500; step++) {
    const what = below(4)
    if (what === 0 && services.length < 50) services = [...services, service(10 + step, { listeners: [] })]
    services = services.map(one =>
      one.listeners.length > 0
        ? one
        : { ...one, listeners: [{ address: `10.0.${(one.rank ?? 0) >> 8}.${(one.rank ?? 0) & 255}`, protocol: 'TCP', port: 80 }] }
    )
    if (what === 1 && services.length > 0) services = services.toSpliced(below(services.length), 1)
    if (what >= 2) {
      const at = below(3)
      const takes = (['all', 'all', 'all', 'keeps', 'none', 'forced'] as const)[below(6)]!
      engines = engines.map((one, i) => (i === at ? { ...one, isUp: random() < 0.7, takes } : one))
    }
    const [distributes, returns, isRedistributed] = [random() < 0.5, random() < 0.3, random() < 0.1]
    const scene = { engines, services, current, distributes, returns: returns && distributes, isRedistributed }
    const { assignments } = run(scene)
    const problems: string[] = []
    const pair = pairOf(engines)
    const willing = pair.filter(({ isUp, takes }) => isUp && takes === 'all')
    for (const one of services) {
      const on = assignments.get(one.uuid) ?? []
      const before = current.get(one.uuid) ?? []
      if (on.length > 2 || new Set(on).size !== on.length) problems.push(`${one.uuid} is on ${on.join()}`)
      for (const { uuid } of willing) if (!on.includes(uuid)) problems.push(`${one.uuid} is not on ${uuid}, which would take it`)
      const isPlain = !isRedistributed && !scene.returns
      const stays = before.find(uuid => on.includes(uuid))
      if (isPlain && stays !== undefined && on[0] !== stays) problems.push(`${one.uuid} went from ${before.join()} to ${on.join()}`)
      const side = pair[one.side ?? 0]
      if (distributes && !isPlain && side !== undefined && on.includes(side.uuid) && on[0] !== side.uuid)
        problems.push(`${one.uuid} is not on its side`)
    }
    if (problems.length > 0) {
      t.fail(`step ${step}: ${problems.slice(0, 3).join('; ')}`)
      break
    }
    t.same(
      Object.fromEntries(run({ ...scene, engines: engines.toReversed(), services: services.toReversed() }).assignments),
      Object.fromEntries(assignments)
    )
    // What is placed nowhere keeps its last place, as the placer remembers it.
    current = new Map([...current, ...[...assignments].filter(([, on]) => on.length > 0)])
  }
})
