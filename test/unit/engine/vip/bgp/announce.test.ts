import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { Announcer, readAnnounceOrder } from '#engine/vip/bgp/announce.ts'
import { LEASE_MS } from '#engine/vip/layer2/election.ts'
import { serveHolder } from '#engine/vip/layer2/hold.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const VIP = '192.0.2.10'
const VIP6 = 'fd92::10'

/** A host on which `ip` is carried out in memory. */
function aHost(own: readonly string[] = []) {
  const addresses = new Set(own)
  const routes = new Set<string>()
  const lines: string[] = []
  const clock = manualClock()
  const ip = async (batch: readonly string[]): Promise<{ readonly code: number; readonly stderr: string }> => {
    let code = 0
    for (const line of batch) {
      lines.push(line)
      const [object, verb, ...words] = line.split(' ')
      const at = (words[0] === 'blackhole' ? words[1]! : words[0]!).split('/')[0]!
      const where = object === 'address' ? addresses : routes
      if (verb === 'del') where.delete(at)
      else if (at === '192.0.2.99') code = 1
      else where.add(at)
    }
    return { code, stderr: code === 0 ? '' : 'Error: no room.\nmore' }
  }
  const interfaces = () => ({
    lo: [...addresses].map(address => ({
      address,
      cidr: null,
      internal: true,
      netmask: '',
      mac: '',
      ...(address.includes(':') ? { family: 'IPv6' as const, scopeid: 0 } : { family: 'IPv4' as const })
    }))
  })
  const announcer = new Announcer({ ip, interfaces, clock })
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await Promise.resolve()
  }
  return { announcer, addresses, routes, lines, clock, settle }
}
const announce = (addresses: readonly string[], announced = addresses) => ({ is: 'announce', addresses, announced }) as const

t.test('readAnnounceOrder takes what is sound and nothing else', async t => {
  t.same(readAnnounceOrder({ ...announce([VIP, VIP6], [VIP]), more: 1 }), announce([VIP, VIP6], [VIP]))
  t.same(readAnnounceOrder({ is: 'leave', addresses: 'x' }), { is: 'leave' })
  t.same(readAnnounceOrder({ is: 'drop', addresses: [VIP] }), { is: 'drop', addresses: [VIP] })
  for (const wrong of [
    null,
    'announce',
    { is: 'flush' },
    { is: 'announce', addresses: [VIP] },
    { is: 'announce', addresses: [VIP], announced: [VIP6] },
    { is: 'announce', addresses: [`${VIP} dev eth0`], announced: [] },
    { is: 'announce', addresses: ['fe80::1%eth0'], announced: [] },
    { is: 'announce', addresses: [`${VIP}/24`], announced: [] },
    { is: 'adopt', addresses: Array.from({ length: 1_001 }, () => VIP), announced: [] },
    { is: 'drop', addresses: [1] }
  ])
    t.equal(readAnnounceOrder(wrong), undefined, JSON.stringify(wrong)?.slice(0, 80))
})

t.test('an address comes before its route, and goes after it', async t => {
  const { announcer, lines } = aHost()
  t.same(await announcer.carryOut(announce([VIP, VIP6])), { is: 'done', addresses: [VIP, VIP6], announced: [VIP, VIP6], failed: [] })
  await announcer.carryOut(announce([VIP, VIP6]))
  t.same(
    lines,
    [
      `address add ${VIP}/32 dev lo`,
      `address add ${VIP6}/128 dev lo preferred_lft 0`,
      `route replace blackhole ${VIP}/32 table 9445`,
      `route replace blackhole ${VIP6}/128 table 9445`
    ],
    'once'
  )
  lines.length = 0
  await announcer.carryOut(announce([]))
  t.same(lines, [
    `route del blackhole ${VIP}/32 table 9445`,
    `route del blackhole ${VIP6}/128 table 9445`,
    `address del ${VIP}/32 dev lo`,
    `address del ${VIP6}/128 dev lo`
  ])
})

t.test('what is withdrawn keeps its address, so that what is open there may end', async t => {
  const { announcer, addresses, routes } = aHost()
  await announcer.carryOut(announce([VIP, VIP6]))
  t.match(await announcer.carryOut(announce([VIP, VIP6], [VIP6])), { addresses: [VIP, VIP6], announced: [VIP6] })
  t.same([[...addresses], [...routes]], [[VIP, VIP6], [VIP6]])
})

t.test('an engine that says nothing for a lease is withdrawn; when it goes on it is announced again', async t => {
  const { announcer, addresses, routes, clock, settle } = aHost()
  await announcer.carryOut(announce([VIP]))
  for (let i = 0; i < 20; i++) {
    clock.advance(LEASE_MS - 100)
    await announcer.carryOut(announce([VIP]))
  }
  t.same([...routes], [VIP])
  clock.advance(LEASE_MS)
  await settle()
  t.same([[...addresses], [...routes]], [[VIP], []])
  await announcer.carryOut(announce([VIP]))
  t.same([...routes], [VIP])
})

t.test('what somebody else took away is put back', async t => {
  const { announcer, addresses, routes, clock } = aHost()
  await announcer.carryOut(announce([VIP, VIP6]))
  addresses.delete(VIP)
  routes.delete(VIP6)
  await announcer.carryOut(announce([VIP, VIP6]))
  t.same(addresses, new Set([VIP6, VIP]), 'an address at once')
  for (let i = 0; i < 10; i++) {
    clock.advance(500)
    await announcer.carryOut(announce([VIP, VIP6]))
  }
  t.same(routes, new Set([VIP, VIP6]), 'a route within five seconds')
})

t.test('what cannot be is told, the rest is announced', async t => {
  const { announcer, addresses, routes } = aHost(['192.0.2.1'])
  t.match(await announcer.carryOut(announce(['192.0.2.1', '192.0.2.99', VIP])), {
    addresses: [VIP],
    announced: [VIP],
    failed: [
      { address: '192.0.2.1', reason: 'is an address of this host itself' },
      { address: '192.0.2.99', reason: 'cannot be put onto this host: Error: no room.' }
    ]
  })
  await announcer.close()
  t.same([[...addresses], [...routes]], [['192.0.2.1'], []], 'and what is of the host itself is left alone')
})

t.test('what is of every host, of none or of many is not announced', async t => {
  const { announcer, lines } = aHost()
  const all = ['127.0.0.1', '0.0.0.0', '224.0.0.5', '255.255.255.255', '169.254.1.1', '::', '::1', 'ff02::1', 'fe80::1', '::ffff:127.0.0.1']
  const answer = await announcer.carryOut(announce(all))
  t.same(
    answer.is === 'done' && answer.failed,
    all.map(address => ({ address, reason: 'is no address that can be announced' }))
  )
  t.same(lines, [])
})

t.test('what a process leaves is taken over by the next, and taken away when that ends', async t => {
  const host = aHost()
  await host.announcer.carryOut(announce([VIP, VIP6], [VIP]))
  await host.announcer.carryOut({ is: 'leave' })
  host.clock.advance(LEASE_MS * 2)
  await host.announcer.close()
  t.same([[...host.addresses], [...host.routes]], [[VIP, VIP6], [VIP]])
  const next = new Announcer({
    ip: async lines => {
      for (const line of lines) host.lines.push(`next: ${line}`)
      return { code: 0, stderr: '' }
    },
    interfaces: () => ({ lo: [VIP, VIP6].map(address => ({ address }) as never) }),
    clock: host.clock
  })
  t.match(await next.carryOut({ is: 'adopt', addresses: [VIP, VIP6, '192.0.2.11'], announced: [VIP] }), {
    addresses: [VIP, VIP6],
    announced: [VIP]
  })
  host.lines.length = 0
  await next.close()
  t.same(host.lines, [
    `next: route del blackhole ${VIP}/32 table 9445`,
    `next: address del ${VIP}/32 dev lo`,
    `next: address del ${VIP6}/128 dev lo`
  ])
})

t.test('what was left is dropped, also a route without its address', async t => {
  const { announcer, lines } = aHost([VIP])
  t.match(await announcer.carryOut({ is: 'drop', addresses: [VIP, VIP6] }), { is: 'done', addresses: [], announced: [] })
  t.same(lines, [`route del blackhole ${VIP}/32 table 9445`, `route del blackhole ${VIP6}/128 table 9445`, `address del ${VIP}/32 dev lo`])
})

t.test('the process answers each line, and takes everything away when its input ends', async t => {
  const { announcer, addresses, routes, lines } = aHost()
  const [input, output] = [new PassThrough(), new PassThrough()]
  const served = serveHolder(announcer, input, output)
  input.write(`{"sequence":1,"order":{"is":"exec"}}\nnot json\n${JSON.stringify({ sequence: 3, order: announce([VIP]) })}\n`)
  input.end()
  await served
  output.end()
  const answers = (await text(output))
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { sequence: number; is: string })
  t.same(answers.map(({ sequence, is }) => `${sequence} ${is}`).toSorted(), ['0 failed', '1 failed', '3 done'])
  t.ok(lines.includes(`route replace blackhole ${VIP}/32 table 9445`))
  t.same([[...addresses], [...routes]], [[], []])
})
