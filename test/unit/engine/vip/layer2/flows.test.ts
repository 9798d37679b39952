import fc from 'fast-check'
import t from 'tap'
import { FlowTable, flowsText, PLACES, placesOf, type SharedAddress } from '#engine/vip/layer2/flows.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const [self, other, third] = ['aa', 'bb', 'cc'].map(two => two.repeat(8)) as [string, string, string]
const shared = (more: Partial<SharedAddress> = {}): SharedAddress => ({
  address: '192.0.2.9',
  device: 'eth0',
  self,
  flows: [
    {
      protocol: 'tcp',
      ports: [
        [80, 80],
        [8_000, 8_010]
      ],
      by: 'source-and-port'
    }
  ],
  others: [],
  ...more
})
const member = { id: other, number: 2, address: '192.0.2.2', isTaking: true }

t.test('placesOf: one that comes or goes changes its own places only, in whatever order they are named', async () => {
  const ids = fc.uniqueArray(
    fc.uint8Array({ minLength: 8, maxLength: 8 }).map(bytes => Buffer.from(bytes).toString('hex')),
    { minLength: 2, maxLength: 8 }
  )
  const named = (members: readonly string[]): string[] => placesOf(members).map(index => members[index]!)
  fc.assert(
    fc.property(ids, fc.nat(), (members, pick) => {
      const all = named(members)
      const gone = members[pick % members.length]!
      const rest = named(members.filter(id => id !== gone))
      const moved = all.flatMap((id, place) => (id !== gone && rest[place] !== id ? [place] : []))
      const reversed = named(members.toReversed())
      const counts = members.map(id => all.filter(one => one === id).length)
      return moved.length === 0 && all.every((id, place) => reversed[place] === id) && counts.every(count => count > 0 && count < PLACES)
    }),
    { seed, numRuns: 100 }
  )
})

t.test('flowsText: alone it takes everything, and remembers it', async t => {
  const { text, chains, sets } = flowsText('weir_e', [shared()], null)
  t.match(text, 'add set netdev weir_e ip_1 { type ipv4_addr . ipv4_addr . inet_service . inet_service; flags dynamic,timeout;')
  t.match(text, 'ip daddr 192.0.2.9 goto a_0')
  t.match(text, 'tcp dport { 80, 8000-8010 } goto v_0_0')
  t.notMatch(text, 'fwd')
  t.same(sets, ['ip_1'])
  t.ok(chains.includes('in_65746830'), 'one chain for its device')
})

t.test('flowsText: a member gets its share of new flows, and what is remembered of it; a leaving one the latter only', async t => {
  const both = flowsText('weir_e', [shared({ others: [member] })], null).text
  t.match(both, 'fwd ip to 192.0.2.2 device "eth0"')
  t.match(both, /jhash ip saddr \. th sport mod 256 seed 0x57656972 vmap \{ .*goto n_0_1.*goto n_0_2/)
  t.match(both, /n_0_2 delete @ip_1/)
  t.match(both, /v_0_0 ip saddr .* @ip_2 goto t_65746830_ip_2/)
  const leaving = flowsText('weir_e', [shared({ others: [{ ...member, isTaking: false }] })], null).text
  t.notMatch(leaving, 'jhash')
  t.match(leaving, /v_0_0 ip saddr .* @ip_2 goto t_65746830_ip_2/)
})

t.test('flowsText: by source, UDP and IPv6', async t => {
  const flows = [{ protocol: 'udp', ports: [[53, 53]], by: 'source' }] as const
  const { text } = flowsText('weir_e', [shared({ address: 'fd00::9', flows, others: [{ ...member, address: 'fd00::2' }] })], null)
  t.match(text, /jhash ip6 saddr mod 256/)
  t.match(text, 'fwd ip6 to fd00::2 device "eth0"')
  t.match(text, 'udp dport { 53 } goto')
  t.notMatch(text, '== syn')
})

t.test('flowsText: what is no longer needed is deleted, what is kept is not made anew', async t => {
  const before = flowsText('weir_e', [shared({ others: [member, { ...member, id: third, number: 3 }] })], null)
  const { text } = flowsText('weir_e', [shared({ others: [member] })], before)
  t.match(text, 'flush table netdev weir_e')
  t.match(text, 'delete set netdev weir_e ip_3')
  t.notMatch(text, 'delete set netdev weir_e ip_2')
  t.notMatch(text, 'delete table')
  t.notMatch(flowsText('weir_e', [shared({ flows: [] })], null).text, '192.0.2.9', 'nothing is asked of one that only keeps its flows')
})

t.test('FlowTable loads what changed, makes it anew where that fails, and leaves nothing where it cannot be', async t => {
  const loaded: string[] = []
  let works = (_text: string): boolean => true
  const table = new FlowTable(async text => loaded.push(text) > 0 && works(text), 'weir_e')
  await table.start()
  const drop = 'add table netdev weir_e\ndelete table netdev weir_e\n'
  t.same(loaded, [drop])
  t.ok(await table.apply([]))
  t.equal(loaded.length, 1, 'nothing to do')
  t.ok(await table.apply([shared()]))
  t.ok(await table.apply([shared()]))
  t.equal(loaded.length, 2)
  t.ok(await table.apply([shared({ others: [member] })]))
  t.notMatch(loaded.at(-1), 'delete table')
  works = text => text.includes('delete table')
  t.ok(await table.apply([shared()]), 'anew')
  works = () => false
  t.notOk(await table.apply([shared({ others: [member] })]))
  const tries = loaded.length
  t.notOk(await table.apply([shared({ others: [member] })]))
  t.equal(loaded.length, tries, 'not tried again as it is')
  t.equal(loaded.at(-1), drop)
  works = () => true
  t.ok(await table.apply([shared()]))
  t.ok(await table.apply([]))
  t.equal(loaded.at(-1), drop)
})
