import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { LEASE_MS } from '#engine/vip/layer2/election.ts'
import { Holder, serveHolder, type HoldHost } from '#engine/vip/layer2/hold.ts'
import { interfaceOf } from '#engine/vip/layer2/network.ts'
import { readHoldOrder } from '#engine/vip/layer2/order.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const entry = (cidr: string, internal = false) => {
  const address = cidr.split('/')[0]!
  return {
    address,
    cidr,
    internal,
    netmask: '',
    mac: '',
    ...(cidr.includes(':') ? { family: 'IPv6' as const, scopeid: 0 } : { family: 'IPv4' as const })
  }
}
const interfaces = {
  lo: [entry('127.0.0.1/8', true)],
  eth0: [entry('10.0.0.1/24'), entry('fd00::1/64'), entry('fe80::1/64')],
  eth1: [entry('10.0.0.129/25'), entry('10.9.9.9/32')]
}

function aHost() {
  const lines: string[] = []
  const sent: string[] = []
  const loaded: string[] = []
  const settings = new Map([['net/ipv6/conf/eth0/accept_dad', '1']])
  const clock = manualClock()
  const host: HoldHost = {
    ip: async batch => {
      lines.push(...batch)
      return { code: batch[0]!.includes('eth9') ? 1 : 0, stderr: 'Cannot find device "eth9"\nmore' }
    },
    interfaces: () => interfaces,
    hardwareAddress: () => '02:00:00:00:00:01',
    setting: { get: path => settings.get(path) ?? '0', set: (path, value) => void settings.set(path, value) },
    nft: async what => loaded.push(what) > 0,
    send: async ({ from, to, port, bytes }) => void sent.push(`${from} ${to} ${port} ${Buffer.from(bytes).toString()}`.trim()),
    clock
  }
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await Promise.resolve()
  }
  return { host, lines, sent, loaded, settings, clock, settle, holder: new Holder(host, 'weir_e') }
}
const hold = (...addresses: string[]) => ({ is: 'hold', addresses, fallback: '' }) as const

const id = 'ab'.repeat(8)
const vip = {
  addresses: ['10.0.0.9', 'fd00::9'],
  flows: [{ protocol: 'tcp', ports: [[80, 81]], by: 'source' }],
  self: id,
  others: [{ id: 'cd'.repeat(8), number: 2, addresses: ['10.0.0.2', 'fd00::2'], isTaking: true }]
} as const

t.test('readHoldOrder takes what is sound and nothing else', async t => {
  t.same(readHoldOrder({ ...hold('10.0.0.9', 'fd00::9'), more: 1 }), { ...hold('10.0.0.9', 'fd00::9'), lastWords: [], shared: [] })
  const lastWords = [{ to: '10.0.0.2', port: 9445, bytes: 'Ynll' }]
  t.same(readHoldOrder({ ...hold(), lastWords }), { ...hold(), lastWords, shared: [] })
  t.same(readHoldOrder({ ...hold(), shared: [{ ...vip, more: 1 }] }), { ...hold(), lastWords: [], shared: [vip] })
  t.same(readHoldOrder({ is: 'prepare' }), { is: 'prepare' })
  t.same(readHoldOrder({ is: 'drop', held: [{ address: '10.0.0.9', interface: 'eth0', x: 1 }] }), {
    is: 'drop',
    held: [{ address: '10.0.0.9', interface: 'eth0' }]
  })
  for (const wrong of [
    null,
    'hold',
    { is: 'flush' },
    { is: 'hold', addresses: ['10.0.0.9 dev eth0'], fallback: '' },
    { is: 'hold', addresses: ['fe80::1%eth0'], fallback: '' },
    { is: 'hold', addresses: [], fallback: 'eth0\nlink del eth0' },
    { is: 'hold', addresses: Array.from({ length: 1_001 }, () => '10.0.0.1'), fallback: '' },
    { is: 'hold', addresses: [] },
    { ...hold(), shared: [{ ...vip, self: 'eth0; flush ruleset' }] },
    { ...hold(), shared: [{ ...vip, addresses: ['10.0.0.9 }'] }] },
    { ...hold(), shared: [{ ...vip, flows: [{ ...vip.flows[0], ports: [] }] }] },
    { ...hold(), shared: [{ ...vip, flows: [{ ...vip.flows[0], ports: [[81, 80]] }] }] },
    { ...hold(), shared: [{ ...vip, flows: [{ ...vip.flows[0], protocol: 'sctp' }] }] },
    { ...hold(), shared: [{ ...vip, others: [{ ...vip.others[0], number: 1 }] }] },
    { ...hold(), lastWords: [{ to: 'host', port: 9445, bytes: 'Ynll' }] },
    { ...hold(), lastWords: [{ to: '10.0.0.2', port: 0, bytes: 'Ynll' }] },
    { ...hold(), lastWords: [{ to: '10.0.0.2', port: 9445, bytes: 'A'.repeat(257) }] },
    { ...hold(), lastWords: Array.from({ length: 129 }, () => lastWords[0]) },
    { is: 'drop', held: [{ address: '10.0.0.9', interface: '../x y' }] },
    { is: 'drop', held: [null] }
  ])
    t.equal(readHoldOrder(wrong), undefined, JSON.stringify(wrong)?.slice(0, 80))
})

t.test('interfaceOf finds the narrowest network that holds an address', async t => {
  t.equal(interfaceOf('10.0.0.9', interfaces), 'eth0')
  t.equal(interfaceOf('10.0.0.200', interfaces), 'eth1')
  t.equal(interfaceOf('fd00::9', interfaces), 'eth0')
  t.equal(interfaceOf('10.9.9.9', interfaces), undefined, 'a single address is no network')
  t.equal(interfaceOf('fe80::9', interfaces), undefined)
  t.equal(interfaceOf('127.0.0.9', interfaces), undefined)
})

t.test('an address is put onto its interface and told to the network', async t => {
  const { holder, lines, sent, loaded, settings, clock, settle } = aHost()
  t.same(await holder.carryOut(hold('10.0.0.9', 'fd00::9')), {
    is: 'done',
    held: [
      { address: '10.0.0.9', interface: 'eth0' },
      { address: 'fd00::9', interface: 'eth0' }
    ],
    failed: [],
    shared: []
  })
  await settle()
  t.same(lines, [
    'address add 10.0.0.9/32 dev eth0',
    'address add fd00::9/128 dev eth0 nodad preferred_lft 0',
    'route replace 192.0.2.1/32 dev eth0 scope link',
    'route del 192.0.2.1/32 dev eth0 scope link',
    'route replace 2001:db8::2/128 dev eth0 scope link',
    'route del 2001:db8::2/128 dev eth0 scope link'
  ])
  t.same(sent, ['10.0.0.9 192.0.2.1 9', 'fd00::9 2001:db8::2 9'])
  t.match(loaded, [
    /^add table arp weir_e\ndelete table arp weir_e\ntable arp weir_e .*map \{ 10\.0\.0\.9 : 10\.0\.0\.9 \}/s,
    /^add table ip6 weir_e\ndelete table ip6 weir_e\ntable ip6 weir_e .*ip6 saddr fd00::9 .* ip6 daddr set ff02::1/s
  ])
  t.equal(settings.get('net/ipv6/conf/eth0/accept_dad'), '1', 'a setting of the host is left alone')
  for (let i = 0; i < 10; i++) {
    clock.advance(500)
    await holder.carryOut(hold('10.0.0.9', 'fd00::9'))
    await settle()
  }
  for (const address of ['10.0.0.9', 'fd00::9'])
    t.equal(sent.filter(one => one.startsWith(address)).length, 6, `${address} is told as often as the other`)
})

t.test('without nft the kernel tells of an IPv6 address, once', async t => {
  const { host, lines, sent, settings, clock, settle } = aHost()
  const holder = new Holder({ ...host, nft: async () => false }, 'weir_e')
  await holder.carryOut(hold('fd00::9'))
  t.same(lines, ['address add fd00::9/128 dev eth0 preferred_lft 0'])
  t.equal(settings.get('net/ipv6/conf/eth0/ndisc_notify'), '1')
  t.equal(settings.get('net/ipv6/conf/eth0/accept_dad'), '0')
  clock.advance(5_000)
  await settle()
  t.equal(settings.get('net/ipv6/conf/eth0/accept_dad'), '1', 'as it was before')
  t.same(sent, [])
})

t.test('an address that another owns is served without a word of it; owned it is told of as well', async t => {
  const { holder, lines, loaded, settle } = aHost()
  const answer = await holder.carryOut({ ...hold(), shared: [{ ...vip, others: [] }] })
  t.match(answer, { held: [], shared: ['10.0.0.9', 'fd00::9'] })
  t.same(lines, ['address add 10.0.0.9/32 dev lo scope host', 'address add fd00::9/128 dev lo nodad preferred_lft 0'])
  const arp = loaded.findIndex(text => text.includes('table arp weir_e {'))
  t.match(loaded[arp], /arp saddr ip set arp saddr ip map \{ 10\.0\.0\.9 : 10\.0\.0\.1 \}.*arp daddr ip \{ 10\.0\.0\.9 \} drop/s)
  t.match(loaded.at(-1), 'add chain netdev weir_e in_65746830')
  const before = loaded.length
  await holder.carryOut({ ...hold(), shared: [{ ...vip, others: [] }] })
  t.equal(loaded.length, before, 'nothing is done twice')

  t.match(await holder.carryOut({ ...hold('10.0.0.9', 'fd00::9'), shared: [vip] }), {
    held: [{ address: '10.0.0.9' }, { address: 'fd00::9' }],
    failed: [],
    shared: ['10.0.0.9', 'fd00::9']
  })
  await settle()
  t.match(loaded.at(-1), 'fwd ip to 10.0.0.2 device "eth0"')
  t.notMatch(
    loaded.findLast(text => text.includes('table arp')),
    'drop\n',
    'it answers for it'
  )

  lines.length = 0
  await holder.carryOut(hold())
  const removed = lines.filter(line => line.startsWith('address del'))
  t.same(
    removed,
    ['10.0.0.9/32 dev lo', 'fd00::9/128 dev lo', '10.0.0.9/32 dev eth0', 'fd00::9/128 dev eth0'].map(one => `address del ${one}`)
  )
  t.equal(loaded.at(-1), 'add table netdev weir_e\ndelete table netdev weir_e\n')
})

t.test('an engine that only stood still finds its flows where they were', async t => {
  const { holder, lines, loaded, clock, settle } = aHost()
  const order = { ...hold('10.0.0.9', 'fd00::9'), shared: [vip] }
  await holder.carryOut(order)
  await settle()
  const flows = () => loaded.filter(text => text.includes('netdev'))
  const before = flows().length
  clock.advance(LEASE_MS)
  await settle()
  t.equal(lines.filter(line => line.startsWith('address del')).length, 4, 'its addresses are away')
  t.match(await holder.carryOut(order), { held: [{}, {}], shared: ['10.0.0.9', 'fd00::9'] })
  t.equal(flows().length, before, 'the table of flows was left alone')
  await holder.close()
  t.equal(flows().at(-1), 'add table netdev weir_e\ndelete table netdev weir_e\n')
})

t.test('without nft nothing is served for another', async t => {
  const { host, lines } = aHost()
  const holder = new Holder({ ...host, nft: async () => false }, 'weir_e')
  t.match(await holder.carryOut({ ...hold(), shared: [vip] }), { held: [], shared: [] })
  t.same(lines, [])
})

t.test('what the word is not repeated for goes at the end of the lease', async t => {
  const { holder, lines, clock, settle } = aHost()
  await holder.carryOut(hold('10.0.0.9'))
  for (let i = 0; i < 5; i++) {
    clock.advance(LEASE_MS - 1)
    await holder.carryOut(hold('10.0.0.9'))
  }
  t.notOk(lines.some(line => line.startsWith('address del')))
  clock.advance(LEASE_MS)
  await settle()
  t.equal(lines.at(-1), 'address del 10.0.0.9/32 dev eth0')
  t.match(await holder.carryOut({ is: 'prepare' }), { held: [] })
})

t.test('a table that could not be exchanged is removed with the last address', async t => {
  const { host, loaded } = aHost()
  let works = true
  const holder = new Holder({ ...host, nft: async what => loaded.push(what) > 0 && works }, 'weir_e')
  await holder.carryOut(hold('10.0.0.9'))
  works = false
  await holder.carryOut(hold('10.0.0.9', '10.0.0.8'))
  works = true
  const before = loaded.length
  await holder.carryOut(hold())
  t.same(loaded.slice(before), ['add table arp weir_e\ndelete table arp weir_e\n'])
  await holder.carryOut(hold())
  t.equal(loaded.length, before + 1, 'and only once')
})

t.test('what cannot be held is told, the rest is held', async t => {
  const { holder, lines } = aHost()
  const answer = await holder.carryOut(hold('10.0.0.1', '172.16.0.1', '10.0.0.9'))
  t.match(answer, {
    held: [{ address: '10.0.0.9' }],
    failed: [
      { address: '10.0.0.1', reason: 'is an address of this host itself' },
      { address: '172.16.0.1', reason: 'is in no network of this host, and no interface is set for such' }
    ]
  })
  t.match(await holder.carryOut({ is: 'hold', addresses: ['172.16.0.1'], fallback: 'eth9' }), {
    held: [],
    failed: [{ address: '172.16.0.1', reason: 'cannot be added to eth9: Cannot find device "eth9"' }]
  })
  t.ok(lines.includes('address del 10.0.0.9/32 dev eth0'), 'and what is no longer asked for is taken away')
})

t.test('the process answers each line, and takes everything away when its input ends', async t => {
  const { holder, lines, sent, loaded, settings } = aHost()
  const [input, output] = [new PassThrough(), new PassThrough()]
  const served = serveHolder(holder, input, output)
  input.write(`{"sequence":1,"order":{"is":"prepare"}}\n{"sequence":2,"order":{"is":"exec"}}\nnot json\n`)
  input.write(
    `${JSON.stringify({ sequence: 4, order: { ...hold('10.0.0.9'), lastWords: [{ to: '10.0.0.2', port: 9445, bytes: 'Ynll' }] } })}\n`
  )
  input.end()
  await served
  output.end()
  const answers = (await text(output))
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { sequence: number; is: string })
  t.same(answers.map(({ sequence, is }) => `${sequence} ${is}`).toSorted(), ['0 failed', '1 done', '2 failed', '4 done'])
  t.equal(settings.get('net/ipv4/ip_nonlocal_bind'), '1')
  t.equal(lines.filter(line => line.startsWith('address')).at(-1), 'address del 10.0.0.9/32 dev eth0')
  const empty = (family: string): string => `add table ${family} weir_e\ndelete table ${family} weir_e\n`
  t.same(loaded.slice(0, 3), [empty('arp'), empty('ip6'), empty('netdev')], 'what a process before left')
  t.equal(loaded.length, 5)
  t.equal(loaded.at(-1), empty('arp'))
  t.equal(sent.at(-1), 'null 10.0.0.2 9445 bye', 'the last words')
})
