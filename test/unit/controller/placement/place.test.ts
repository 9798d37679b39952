import t from 'tap'
import { enginesToPlace, groupsToPlace, serviceReader } from '#controller/placement/input.ts'
import { place } from '#controller/placement/place.ts'
import type { EngineToPlace, Placement, PlacementInput, ServiceToPlace } from '#controller/placement/place.ts'
import type { Listener } from '#model/resource/conflict.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { defaultDocuments, document, minimal } from '#test/support/resources.ts'

const engine = (name: string, more: Partial<EngineToPlace> = {}): EngineToPlace => ({
  uuid: name,
  name,
  group: 'g',
  addresses: [],
  isUp: true,
  takes: 'all',
  ...more
})
const tcp = (address: string, port: number): Listener => ({ address, protocol: 'TCP', port })
const service = (name: string, listeners: readonly Listener[], more: Partial<ServiceToPlace> = {}): ServiceToPlace => ({
  uuid: name,
  name,
  group: 'g',
  listeners,
  enginesWanted: 1,
  ...more
})

interface Scene {
  readonly engines?: readonly EngineToPlace[]
  readonly services: readonly ServiceToPlace[]
  readonly current?: Readonly<Record<string, readonly string[]>>
  readonly limit?: number
}
const run = ({ engines = [engine('e1'), engine('e2')], services, current = {}, limit = 10 }: Scene): Placement =>
  place({
    groups: [{ uuid: 'g', name: 'Default-Group', maxServicesPerEngine: limit }],
    engines,
    services,
    current: new Map(Object.entries(current))
  })
const whereIs = (scene: Scene): Record<string, readonly string[]> => Object.fromEntries(run(scene).assignments)
const whyNot = (scene: Scene): Record<string, readonly string[]> => Object.fromEntries(run(scene).unplaced)

const shop = service('shop', [tcp('192.0.2.1', 80)])
const blog = service('blog', [tcp('192.0.2.2', 81)])

t.test('services spread over the least loaded engines', async t => {
  t.same(whereIs({ services: [shop, blog] }), { blog: ['e1'], shop: ['e2'] })
  t.same(whereIs({ engines: [engine('e1', { loadRatio: 0.9 }), engine('e2', { loadRatio: 0.1 })], services: [shop] }), { shop: ['e2'] })
})

t.test('a service runs on as many engines as it wants, and every service is on one before any is on two', async t => {
  const engines = [engine('e1'), engine('e2'), engine('e3')]
  t.same(whereIs({ engines, services: [{ ...shop, enginesWanted: 2 }] }), { shop: ['e1', 'e2'] })
  const greedy = { ...service('a', [tcp('192.0.2.1', 80)]), enginesWanted: 3 }
  const scene = { engines: engines.slice(0, 2), services: [greedy, service('z', [tcp('192.0.2.2', 81)])], limit: 1 }
  t.same(whereIs(scene), { a: ['e1'], z: ['e2'] })
  t.same(whyNot(scene), { a: ['every engine in group Default-Group that is up carries its limit of 1 virtual services'] })
})

t.test('what is placed and still valid stays, even when another engine is emptier', async t => {
  t.same(whereIs({ services: [shop, blog], current: { shop: ['e1'], blog: ['e1'] } }), { blog: ['e1'], shop: ['e1'] })
  t.same(whereIs({ services: [shop], current: { shop: ['gone', 'e2'] } }), { shop: ['e2'] })
  t.same(whereIs({ services: [shop], current: { shop: ['e2', 'e1'] } }), { shop: ['e2'] }, 'what is too much is given up')
})

t.test('an engine that is down, disabled or full is left', async t => {
  const current = { shop: ['e1'] }
  t.same(whereIs({ engines: [engine('e1', { isUp: false }), engine('e2')], services: [shop], current }), { shop: ['e2'] })
  t.same(whereIs({ engines: [engine('e1', { takes: 'none' }), engine('e2')], services: [shop], current }), { shop: ['e2'] })
  t.same(whereIs({ engines: [engine('e1', { takes: 'keeps' }), engine('e2')], services: [shop, blog], current }), {
    blog: ['e2'],
    shop: ['e1']
  })
  t.same(whereIs({ engines: [engine('e1', { group: 'other' }), engine('e2')], services: [shop], current }), { shop: ['e2'] })
})

t.test('who is drained keeps what nobody else can take, until somebody can', async t => {
  const drained = engine('e1', { takes: 'none' })
  const scene = { services: [shop], current: { shop: ['e1'] } }
  t.same(whereIs({ ...scene, engines: [drained] }), { shop: ['e1'] })
  t.match(whyNot({ ...scene, engines: [drained] }), {
    shop: [/^engine e1 is drained and keeps it: group Default-Group has no more engines/]
  })
  t.same(whereIs({ ...scene, engines: [drained, engine('e2')] }), { shop: ['e2'] })
  t.same(whereIs({ services: [shop], engines: [drained] }), { shop: [] }, 'what is not there does not come')
  const two = { services: [{ ...shop, enginesWanted: 2 }], current: { shop: ['e1', 'e2'] } }
  t.same(whereIs({ ...two, engines: [drained, engine('e2')] }), { shop: ['e2'] }, 'one of two is enough to go on')
  const own = { services: [service('own', [tcp('10.0.0.1', 80), tcp('192.0.2.9', 81)])], current: { own: ['e1', 'e2'] } }
  const owner = { ...drained, addresses: ['10.0.0.1'] }
  t.same(whereIs({ ...own, engines: [owner, engine('e2')] }), { own: ['e1'] }, 'nobody else has its address')

  const forced = engine('e1', { takes: 'forced' })
  t.same(whereIs({ ...scene, engines: [forced] }), { shop: [] }, 'who is forced keeps nothing')
  t.match(whyNot({ ...scene, engines: [forced] }), { shop: [/no engine in group Default-Group that is up is enabled for placement/] })
  t.same(whereIs({ ...scene, engines: [forced, engine('e2')] }), { shop: ['e2'] })
})

t.test('engines that share a network share its ports', async t => {
  const together = [engine('e1', { network: 'n' }), engine('e2', { network: 'n' })]
  const twice = { ...shop, enginesWanted: 2 }
  t.same(whereIs({ engines: together, services: [twice] }), { shop: ['e1'] })
  t.same(whyNot({ engines: together, services: [twice] }), {
    shop: [
      'port 80 on all addresses is taken by virtual service shop itself, which runs on an engine of the same host: its ports are free once only'
    ]
  })
  t.same(whereIs({ engines: [...together, engine('e3', { network: 'm' })], services: [twice] }), { shop: ['e1', 'e3'] })
  const other = service('other', [tcp('192.0.2.9', 80)])
  t.same(whereIs({ engines: together, services: [shop, other] }), { other: ['e1'], shop: [] })
  t.same(whereIs({ engines: together, services: [shop, blog] }), { blog: ['e1'], shop: ['e2'] }, 'other ports are no trouble')
  const scene = { engines: [{ ...together[0]!, takes: 'none' as const }, together[1]!], services: [shop], current: { shop: ['e1'] } }
  t.same(whereIs(scene), { shop: ['e2'] }, 'it moves within the network')
  const spread = place({
    groups: [{ uuid: 'g', name: 'g', maxServicesPerEngine: 10 }],
    engines: together,
    services: [shop, blog],
    current: new Map([
      ['shop', ['e1']],
      ['blog', ['e1']]
    ]),
    rebalance: new Set(['g'])
  })
  t.same(new Set([...spread.assignments.values()].flat()), new Set(['e1', 'e2']), 'a group is spread within a network as well')
})

t.test('a service that an engine refused goes to another, and says what was refused when there is none', async t => {
  const refusing = engine('e1', { refuses: new Map([['shop', 'port 80 is in use']]) })
  const scene = { services: [shop, blog], current: { shop: ['e1'], blog: ['e1'] } }
  t.same(whereIs({ ...scene, engines: [refusing, engine('e2')] }), { blog: ['e1'], shop: ['e2'] })
  t.same(whereIs({ ...scene, engines: [refusing] }), { blog: ['e1'], shop: [] })
  t.same(whyNot({ ...scene, engines: [refusing] }), { shop: ['engine e1 refused it: port 80 is in use'] })
  const twin = service('twin', [tcp('192.0.2.1', 80)])
  t.same(whereIs({ engines: [refusing], services: [shop, twin] }), { shop: [], twin: ['e1'] }, 'it speaks for itself only')
})

t.test('an address of an engine goes to that engine', async t => {
  const engines = [engine('e1'), engine('e2', { addresses: ['10.0.0.2', '2001:db8:0::2'] })]
  const own = service('own', [tcp('10.0.0.2', 80)])
  t.same(whereIs({ engines, services: [own, service('own6', [tcp('2001:db8::2', 81)])] }), { own: ['e2'], own6: ['e2'] })
  t.same(whereIs({ engines, services: [own], current: { own: ['e1'] } }), { own: ['e2'] }, 'it moves there when the engine joins')
  t.same(whyNot({ engines: [engine('e1'), { ...engines[1]!, isUp: false }], services: [own] }), {
    own: ['10.0.0.2 is an address of engine e2, which is down']
  })
  t.same(whyNot({ engines: [engine('e1'), { ...engines[1]!, takes: 'keeps' }], services: [own] }), {
    own: ['10.0.0.2 is an address of engine e2, which is not enabled for placement']
  })
  t.same(whyNot({ engines, services: [{ ...own, enginesWanted: 2 }] }), {
    own: ['10.0.0.2 is an address of engine e2, and of no other engine in group Default-Group']
  })
})

t.test('a service with addresses of two engines runs on both', async t => {
  const engines = [engine('e1', { addresses: ['10.0.0.1'] }), engine('e2', { addresses: ['10.0.0.2'] }), engine('e3')]
  const both = service('both', [tcp('10.0.0.1', 80), tcp('10.0.0.2', 80)])
  t.same(whereIs({ engines, services: [both] }), { both: ['e1', 'e2'] })
  const down = { engines: [engines[0]!, { ...engines[1]!, isUp: false }], services: [both] }
  t.same(whereIs(down), { both: ['e1'] })
  t.same(whyNot(down), { both: ['10.0.0.2 is an address of engine e2, which is down'] })
})

t.test('two that need all addresses of a port do not share an engine', async t => {
  const other = service('other', [tcp('192.0.2.9', 80)])
  t.same(whereIs({ services: [shop, other] }), { other: ['e1'], shop: ['e2'] })
  t.same(whyNot({ engines: [engine('e1')], services: [shop, other] }), {
    shop: ['port 80 on all addresses is taken by virtual service other on engine e1']
  })
  t.same(whyNot({ services: [shop, other, service('third', [tcp('192.0.2.10', 80)])] }), {
    third: ['port 80 on all addresses is taken by virtual service other, shop on every engine']
  })
  t.same(whyNot({ services: [{ ...shop, enginesWanted: 2 }, other], current: { shop: ['e1', 'e2'] } }), {
    other: ['port 80 on all addresses is taken by virtual service shop on every engine']
  })
})

t.test('a single address and all addresses of one port exclude each other; families and protocols do not', async t => {
  const engines = [engine('e1', { addresses: ['10.0.0.1', '10.0.0.2'] })]
  const one = service('one', [tcp('10.0.0.1', 80)])
  t.same(whyNot({ engines, services: [one, service('two', [tcp('10.0.0.2', 80)])] }), {})
  t.same(whyNot({ engines, services: [one, shop] }), { shop: ['port 80 on all addresses is taken by virtual service one on engine e1'] })
  t.same(
    whyNot({
      engines,
      services: [
        { ...one, rank: 2 },
        { ...shop, rank: 1 }
      ]
    }),
    {
      one: ['port 80 on 10.0.0.1 is taken by virtual service shop on engine e1']
    }
  )
  t.same(
    whyNot({
      engines,
      services: [shop, service('six', [tcp('2001:db8::1', 80)]), service('udp', [{ address: '192.0.2.3', protocol: 'UDP', port: 80 }])]
    }),
    {}
  )
  t.same(
    whyNot({ engines, services: [service('l1', [tcp('127.0.0.1', 90)]), service('l2', [tcp('127.0.0.2', 90)])] }),
    {},
    'loopback addresses are bound one by one'
  )
})

t.test('one service with several addresses takes one socket for all of them', async t => {
  const wide = service('wide', [tcp('192.0.2.1', 80), tcp('192.0.2.2', 80), tcp('10.0.0.1', 80)])
  t.same(whereIs({ engines: [engine('e1', { addresses: ['10.0.0.1'] })], services: [wide] }), { wide: ['e1'] })
})

t.test('the one that was first keeps a contested port', async t => {
  const scene = {
    engines: [engine('e1')],
    services: [service('a', [tcp('192.0.2.1', 80)], { rank: 9 }), service('z', [tcp('192.0.2.2', 80)], { rank: 3 })]
  }
  t.same(whereIs(scene), { a: [], z: ['e1'] })
})

t.test('why nothing is placed is told in words', async t => {
  t.same(whyNot({ engines: [], services: [shop] }), { shop: ['no engine has joined group Default-Group'] })
  t.same(whyNot({ engines: [engine('e1', { isUp: false })], services: [shop] }), { shop: ['no engine in group Default-Group is up'] })
  t.same(whyNot({ engines: [engine('e1', { takes: 'keeps' })], services: [shop] }), {
    shop: ['no engine in group Default-Group that is up is enabled for placement']
  })
  t.same(whyNot({ services: [service('nowhere', [])] }), { nowhere: ['it has no enabled address'] })
  t.same(whyNot({ services: [{ ...shop, group: 'gone' }] }), { shop: ['its engine group is not there'] })
  t.same(whyNot({ engines: [engine('e1')], services: [{ ...shop, enginesWanted: 2 }] }), {
    shop: ['group Default-Group has no more engines']
  })
  const full = {
    engines: [engine('e1'), engine('e2')],
    limit: 1,
    services: [service('a', [tcp('192.0.2.3', 80)]), service('b', [tcp('192.0.2.4', 82)]), service('c', [tcp('192.0.2.5', 83)])]
  }
  t.same(whyNot(full), { c: ['every engine in group Default-Group that is up carries its limit of 1 virtual services'] })
})

t.test('the input comes from resources', async t => {
  const documents = [
    ...defaultDocuments,
    document('serviceenginegroup', { name: 'edge', min_scaleout_per_vs: 2, max_vs_per_se: 5 }),
    document('vsvip', minimal.vsvip as JsonObject),
    document('virtualservice', { ...(minimal.virtualservice as JsonObject) }),
    document(
      'virtualservice',
      { ...(minimal.virtualservice as JsonObject), name: 'wide', se_group_ref: 'serviceenginegroup-edge' },
      { revision: 4 }
    ),
    document('virtualservice', { ...(minimal.virtualservice as JsonObject), name: 'off', enabled: false }),
    document('serviceengine', { name: 'e1' }),
    document('serviceengine', { name: 'e2', se_group_ref: 'serviceenginegroup-edge', enable_state: 'SE_STATE_DISABLED' })
  ].map(one => ({ ...one, createdRevision: one.revision }))
  const resources = {
    get: (kind: string, uuid: string) => documents.find(one => one.kind === kind && one.uuid === uuid),
    list: (kind: string) => documents.filter(one => one.kind === kind),
    defaultGroup: 'serviceenginegroup-Default-Group'
  }
  const read = serviceReader(resources)
  const input: PlacementInput = {
    groups: groupsToPlace(resources),
    engines: enginesToPlace(resources, uuid => ({ isUp: uuid === 'serviceengine-e1', addresses: ['10.0.0.10'] })),
    services: resources.list('virtualservice').flatMap(service => read(service) ?? []),
    current: new Map()
  }
  t.same(
    input.groups.map(({ name, maxServicesPerEngine }) => [name, maxServicesPerEngine]),
    [
      ['Default-Group', 1000],
      ['edge', 5]
    ]
  )
  t.match(input.engines, [
    { name: 'e1', group: 'serviceenginegroup-Default-Group', isUp: true, takes: 'all', addresses: ['10.0.0.10'] },
    { name: 'e2', group: 'serviceenginegroup-edge', isUp: false, takes: 'none' }
  ])
  t.same(input.services, [
    {
      uuid: 'virtualservice-shop',
      name: 'shop',
      group: 'serviceenginegroup-Default-Group',
      listeners: [tcp('10.0.0.10', 80)],
      enginesWanted: 1,
      rank: 1,
      apart: { by: 'host', isStrict: false }
    },
    {
      uuid: 'virtualservice-wide',
      name: 'wide',
      group: 'serviceenginegroup-edge',
      listeners: [tcp('10.0.0.10', 80)],
      enginesWanted: 2,
      rank: 4,
      apart: { by: 'host', isStrict: false }
    }
  ])
  t.same(Object.fromEntries(place(input).assignments), { 'virtualservice-shop': ['serviceengine-e1'], 'virtualservice-wide': [] })
})

t.test('packed fills one engine before the next', async t => {
  const engines = [engine('e1'), engine('e2'), engine('e3')]
  const services = [1, 2, 3].map(i => service(`s${i}`, [tcp(`192.0.2.${i}`, 80 + i)]))
  const packed = place({
    groups: [{ uuid: 'g', name: 'g', maxServicesPerEngine: 2, order: 'packed' }],
    engines,
    services,
    current: new Map()
  })
  t.same(Object.fromEntries(packed.assignments), { s1: ['e1'], s2: ['e1'], s3: ['e2'] })
})

t.test('labels choose engines, and say so where there is none', async t => {
  const engines = [engine('e1', { labels: { rack: 'a' } }), engine('e2', { labels: { rack: 'b', disk: 'ssd' } })]
  const picky = { ...shop, selector: { disk: 'ssd' } }
  t.same(whereIs({ engines, services: [picky] }), { shop: ['e2'] })
  t.same(whereIs({ engines, services: [picky], current: { shop: ['e1'] } }), { shop: ['e2'] }, 'it moves when its labels do')
  t.same(whyNot({ engines, services: [{ ...picky, selector: { disk: 'tape' } }] }), {
    shop: ['no engine in group Default-Group that is up has label disk=tape']
  })
})

t.test('engines that fail together are kept apart: always when asked, else where that is possible', async t => {
  const engines = [
    engine('e1', { host: 'h1', zone: 'z1' }),
    engine('e2', { host: 'h1', zone: 'z1' }),
    engine('e3', { host: 'h2', zone: 'z1' })
  ]
  const wide = (apart: NonNullable<ServiceToPlace['apart']>, enginesWanted = 2) => ({ ...shop, enginesWanted, apart })
  t.same(whereIs({ engines, services: [wide({ by: 'host', isStrict: false })] }), { shop: ['e1', 'e3'] })
  t.same(whereIs({ engines: engines.slice(0, 2), services: [wide({ by: 'host', isStrict: false })] }), { shop: ['e1', 'e2'] })
  t.same(whyNot({ engines: engines.slice(0, 2), services: [wide({ by: 'host', isStrict: false })] }), {
    shop: ['its engines are on one host: no engine elsewhere in group Default-Group can take it']
  })
  t.same(whereIs({ engines, services: [wide({ by: 'host', isStrict: true }, 3)] }), { shop: ['e1', 'e3'] })
  t.same(whyNot({ engines, services: [wide({ by: 'host', isStrict: true }, 3)] }), {
    shop: ['no engine in group Default-Group is on another host']
  })
  t.same(whereIs({ engines, services: [wide({ by: 'zone', isStrict: true })], current: { shop: ['e1', 'e3'] } }), { shop: ['e1'] })
})

t.test('the primary stays first, and what a service should leave or go to counts where it can be', async t => {
  const engines = [engine('e1'), engine('e2'), engine('e3')]
  const pair = { ...shop, enginesWanted: 2 }
  t.same(whereIs({ engines, services: [pair], current: { shop: ['e3', 'e1'] } }), { shop: ['e3', 'e1'] })
  t.same(whereIs({ engines, services: [{ ...pair, avoid: 'e3' }], current: { shop: ['e3', 'e1'] } }), { shop: ['e1', 'e2'] })
  t.same(whereIs({ engines, services: [{ ...shop, avoid: 'e1', prefer: 'e3' }], current: { shop: ['e1'] } }), { shop: ['e3'] })
  t.same(whereIs({ engines: [engine('e1')], services: [{ ...shop, avoid: 'e1' }], current: { shop: ['e1'] } }), { shop: ['e1'] })
  t.same(whereIs({ engines, services: [{ ...shop, avoid: 'e1' }], current: { shop: ['e1', 'e2'] } }), { shop: ['e2'] }, 'scaled in')
})

t.test('a group is spread anew by as few moves as that takes', async t => {
  const engines = [engine('e1'), engine('e2')]
  const services = [1, 2, 3, 4].map(i => service(`s${i}`, [tcp(`192.0.2.${i}`, 80 + i)]))
  const current = new Map(services.map(({ uuid }) => [uuid, ['e1']]))
  const groups = [{ uuid: 'g', name: 'g', maxServicesPerEngine: 10 }]
  const still = place({ groups, engines, services, current })
  t.same(Object.fromEntries(still.assignments), Object.fromEntries(current), 'by itself nothing moves')
  const spread = place({ groups, engines, services, current, rebalance: new Set(['g']) })
  t.same(Object.fromEntries(spread.assignments), { s1: ['e2'], s2: ['e2'], s3: ['e1'], s4: ['e1'] })
  const packed = place({
    groups: [{ ...groups[0]!, order: 'packed' }],
    engines,
    services,
    current: spread.assignments,
    rebalance: new Set(['g'])
  })
  t.equal(new Set([...packed.assignments.values()].flat()).size, 1)
})

t.test('where addresses move, services that share one go together, and each address is bound by itself', async t => {
  const services = [
    service('a', [tcp('192.0.2.1', 80)], { rank: 1 }),
    service('b', [tcp('192.0.2.1', 443)], { rank: 2, enginesWanted: 2 }),
    service('c', [tcp('192.0.2.2', 80)], { rank: 3 }),
    service('d', [tcp('192.0.2.3', 80), tcp('192.0.2.2', 443)], { rank: 4 })
  ]
  const placed = (refuses?: EngineToPlace['refuses']): Placement =>
    place({
      groups: [{ uuid: 'g', name: 'g', maxServicesPerEngine: 10, movesAddresses: true }],
      // An address that is on an engine now pins nothing there.
      engines: [engine('e1', { addresses: ['192.0.2.1'], ...(refuses === undefined ? {} : { refuses }) }), engine('e2'), engine('e3')],
      services,
      current: new Map()
    })
  const { assignments, unplaced } = placed()
  t.equal(unplaced.size, 0)
  t.equal(assignments.get('a')!.length, 2)
  t.same(assignments.get('b'), assignments.get('a'))
  t.same(assignments.get('d'), assignments.get('c'))
  t.notOk(
    placed(new Map([['b', 'no']]))
      .assignments.get('a')!
      .includes('e1'),
    'what cannot have one of them has none'
  )
  const one = place({
    groups: [{ uuid: 'g', name: 'g', maxServicesPerEngine: 10, movesAddresses: true }],
    engines: [engine('e1')],
    services: [services[0]!, services[2]!],
    current: new Map()
  })
  t.same([...one.assignments.values()], [['e1'], ['e1']], 'one port of two addresses on one engine')
})
