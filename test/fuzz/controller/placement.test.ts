/** What must hold of every placement, whatever the fleet looks like. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { place } from '#controller/placement/place.ts'
import type { EngineToPlace, Placement, PlacementInput, ServiceToPlace } from '#controller/placement/place.ts'
import { canonicalAddress } from '#model/resource/address.ts'
import type { Listener } from '#model/resource/conflict.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`seed ${seed}`)
const bounded = { seed, numRuns: 400, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false }

const groups = ['g1', 'g2']
const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '192.0.2.1', '192.0.2.2', '127.0.0.1', '2001:db8::1', '2001:DB8:0::1']

const engines = fc
  .array(
    fc.record({
      group: fc.constantFrom(...groups),
      addresses: fc.uniqueArray(fc.constantFrom('10.0.0.1', '10.0.0.2', '2001:db8::1'), { maxLength: 1 }),
      isUp: fc.boolean(),
      takes: fc.constantFrom('all' as const, 'all' as const, 'keeps' as const, 'none' as const, 'forced' as const),
      loadRatio: fc.constantFrom(0, 0.5, 1),
      labels: fc.constantFrom({}, { rack: 'a' }, { rack: 'b' }),
      host: fc.constantFrom('h1', 'h2', 'h3')
    }),
    { maxLength: 6 }
  )
  .map(list => list.map((one, i): EngineToPlace => ({ uuid: `e${i}`, name: `e${i}`, ...one })))

const listener: fc.Arbitrary<Listener> = fc.record({
  address: fc.constantFrom(...addresses),
  protocol: fc.constantFrom('TCP' as const, 'UDP' as const),
  port: fc.constantFrom(80, 81, 82, 443)
})
const services = fc
  .array(
    fc.record({
      group: fc.constantFrom(...groups, 'gone'),
      listeners: fc.array(listener, { maxLength: 3 }),
      enginesWanted: fc.integer({ min: 1, max: 3 }),
      rank: fc.nat({ max: 3 }),
      selector: fc.constantFrom({}, {}, { rack: 'a' }),
      apart: fc.constantFrom({ by: 'host' as const, isStrict: true }, { by: 'host' as const, isStrict: false })
    }),
    { maxLength: 12 }
  )
  .map(list => list.map((one, i): ServiceToPlace => ({ uuid: `s${i}`, name: `s${i}`, ...one })))

const scene: fc.Arbitrary<PlacementInput> = fc
  .record({
    engines,
    services,
    limits: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
    order: fc.constantFrom('distributed' as const, 'packed' as const),
    rebalance: fc.subarray(groups),
    draws: fc.array(fc.nat(), { minLength: 12, maxLength: 12 })
  })
  .map(({ engines: some, services: wanted, limits, order, rebalance, draws }) => ({
    groups: groups.map((uuid, i) => ({ uuid, name: uuid, maxServicesPerEngine: limits[i]!, order })),
    rebalance: new Set(rebalance),
    engines: some,
    services: wanted,
    current: new Map(wanted.map(({ uuid }, i) => [uuid, some.length === 0 ? [] : [some[draws[i]! % some.length]!.uuid]]))
  }))

const servicesOn = (uuid: string, { assignments }: Placement, { services: all }: PlacementInput): ServiceToPlace[] =>
  all.filter(service => assignments.get(service.uuid)!.includes(uuid))

interface Socket {
  readonly address: string
  readonly port: number
  readonly protocol: string
  readonly family: number
}
/** Written without the code under test: what an engine binds for a service. */
function socketsOn({ addresses: own }: EngineToPlace, { listeners }: ServiceToPlace): Socket[] {
  const mine = new Set(own.map(canonicalAddress))
  return listeners.map(({ address: given, port, protocol }) => {
    const address = canonicalAddress(given)
    const isBound = mine.has(address) || address.startsWith('127.')
    return { address: isBound ? address : '*', port, protocol, family: address.includes(':') ? 6 : 4 }
  })
}
const clash = (a: Socket, b: Socket): boolean =>
  a.port === b.port &&
  a.protocol === b.protocol &&
  a.family === b.family &&
  (a.address === b.address || a.address === '*' || b.address === '*')
const doClash = (engine: EngineToPlace, a: ServiceToPlace, b: ServiceToPlace): boolean =>
  socketsOn(engine, a).some(one => socketsOn(engine, b).some(other => clash(one, other)))

const hasLabels = ({ labels = {} }: EngineToPlace, { selector = {} }: ServiceToPlace): boolean =>
  Object.entries(selector).every(([name, value]) => labels[name] === value)

t.test('every engine has the labels that were asked for, and who must be apart is', async t => {
  fc.assert(
    fc.property(scene, input => {
      const { assignments } = place(input)
      return input.services.every(service => {
        const on = assignments.get(service.uuid)!.map(uuid => input.engines.find(engine => engine.uuid === uuid)!)
        const isApart = service.apart?.isStrict !== true || new Set(on.map(({ host }) => host)).size === on.length
        return on.every(engine => hasLabels(engine, service)) && isApart
      })
    }),
    bounded
  )
  t.pass('holds')
})

t.test('no engine is above its limit, of another group, down, or bound twice', async t => {
  fc.assert(
    fc.property(scene, input => {
      const placement = place(input)
      return input.engines.every(engine => {
        const here = servicesOn(engine.uuid, placement, input)
        const limit = input.groups.find(({ uuid }) => uuid === engine.group)!.maxServicesPerEngine
        const isFree = here.every((a, i) => here.every((b, j) => i >= j || !doClash(engine, a, b)))
        const isKept = engine.takes === 'all' || here.every(({ uuid }) => input.current.get(uuid)!.includes(engine.uuid))
        // Who gives all away keeps only what nobody else can take, and it is said of each.
        const isGiven = engine.takes === 'forced'
        const isOpen = here.every(({ uuid }) => engine.isUp && !isGiven && (engine.takes !== 'none' || placement.unplaced.has(uuid)))
        return here.length <= limit && here.every(({ group }) => group === engine.group) && isFree && isKept && isOpen
      })
    }),
    bounded
  )
  t.pass('holds')
})

t.test('no service is below what it wants while an engine could take it, and every lack has a reason', async t => {
  fc.assert(
    fc.property(scene, input => {
      const placement = place(input)
      return input.services.every(service => {
        const placed = placement.assignments.get(service.uuid)!
        if (placed.length < service.enginesWanted && (placement.unplaced.get(service.uuid) ?? []).length === 0) return false
        if (placed.length >= service.enginesWanted || service.listeners.length === 0) return true
        const vips = new Set(service.listeners.map(({ address }) => canonicalAddress(address)))
        const owns = (engine: EngineToPlace): boolean => engine.addresses.some(address => vips.has(canonicalAddress(address)))
        const inGroup = input.engines.filter(({ group }) => group === service.group)
        const able = inGroup.some(owns) ? inGroup.filter(owns) : inGroup
        return able.every(engine => {
          if (!engine.isUp || engine.takes !== 'all' || placed.includes(engine.uuid)) return true
          const here = servicesOn(engine.uuid, placement, input)
          const limit = input.groups.find(({ uuid }) => uuid === engine.group)!.maxServicesPerEngine
          const isUnfit =
            !hasLabels(engine, service) ||
            (service.apart?.isStrict === true && input.engines.some(other => placed.includes(other.uuid) && other.host === engine.host))
          return isUnfit || here.length >= limit || here.some(other => doClash(engine, service, other))
        })
      })
    }),
    bounded
  )
  t.pass('holds')
})

t.test('the same input in any order gives the same answer, and the answer stays as it is', async t => {
  fc.assert(
    fc.property(scene, input => {
      const placement = place(input)
      const turned = place({
        ...input,
        engines: input.engines.toReversed(),
        services: input.services.toReversed(),
        groups: input.groups.toReversed()
      })
      const again = place({ ...input, current: placement.assignments })
      return isDeepStrictEqual(placement, turned) && isDeepStrictEqual(placement.assignments, again.assignments)
    }),
    bounded
  )
  t.pass('holds')
})

t.test('an engine that goes down moves only what was on it', async t => {
  fc.assert(
    fc.property(scene, fc.nat(), (input, draw) => {
      if (input.engines.length === 0) return true
      const before = place(input)
      const quiet = { ...input, rebalance: new Set<string>() }
      const failed = input.engines[draw % input.engines.length]!
      const after = place({
        ...quiet,
        engines: input.engines.map(engine => (engine === failed ? { ...engine, isUp: false } : engine)),
        current: before.assignments
      })
      return input.services.every(({ uuid }) => {
        const was = before.assignments.get(uuid)!
        return was.includes(failed.uuid) || was.every(engine => after.assignments.get(uuid)!.includes(engine))
      })
    }),
    bounded
  )
  t.pass('holds')
})
