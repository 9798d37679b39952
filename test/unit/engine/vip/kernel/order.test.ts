import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { makeExecutor, type Ran } from '#engine/vip/kernel/executor.ts'
import { readOrder, type Forwarded } from '#engine/vip/kernel/order.ts'
import { peerUidOf, serveKernel, splitFirstLine } from '#engine/vip/kernel/process.ts'
import { buildRuleset } from '#engine/vip/kernel/ruleset.ts'
import { Tally } from '#engine/vip/kernel/tally.ts'

const service: Forwarded = {
  id: 'vs-1',
  protocol: 'tcp',
  doors: [{ address: '10.0.0.1', ports: [80] }],
  balance: 'in-turn',
  servers: [{ key: 'p/a', ip: '10.0.2.1', port: 80, weight: 1 }],
  preservesClient: false,
  idleTimeoutS: 300
}
const apply = (given: object = {}) => ({ is: 'apply', services: [{ ...service, ...given }], cuts: [] })

t.test('readOrder takes what is sound and nothing else', async t => {
  t.same(readOrder(apply()), apply())
  t.same(readOrder({ is: 'read', more: 1 }), { is: 'read' })
  for (const wrong of [
    null,
    'apply',
    { is: 'exec', command: 'rm' },
    { is: 'apply', services: 'x', cuts: [] },
    apply({ id: '' }),
    apply({ protocol: 'icmp' }),
    apply({ doors: [] }),
    apply({ doors: [{ address: '10.0.0.1; flush ruleset', ports: [80] }] }),
    apply({ doors: [{ address: '10.0.0.1', ports: ['80; flush'] }] }),
    apply({ servers: [] }),
    apply({ servers: [{ ...service.servers[0], ip: 'web.test' }] }),
    apply({ servers: [{ ...service.servers[0], ip: 'fe80::1%eth0' }] }),
    apply({ servers: [{ ...service.servers[0], ip: '::1' }] }),
    apply({ servers: [{ ...service.servers[0], port: 65_536 }] }),
    apply({ servers: [{ ...service.servers[0], weight: 0.5 }] }),
    apply({ idleTimeoutS: -1 }),
    { ...apply(), cuts: [{ protocol: 'tcp', ip: '--all', port: 1 }] }
  ])
    t.equal(readOrder(wrong), undefined, JSON.stringify(wrong))
})

t.test('peerUidOf takes the user out of the name that systemd gives', async t => {
  t.equal(peerUidOf('0-1234-997'), 997)
  t.equal(peerUidOf('7-1234_5678-0'), 0)
  for (const wrong of ['', '3-unknown', '997', '3-997', '0-1234-', 'a-1-2', '0-1234-99999999999']) t.equal(peerUidOf(wrong), null, wrong)
})

t.test('splitFirstLine keeps what follows, wherever the chunks end', async t => {
  for (const chunks of [['weir_a\n{}\n'], ['we', 'ir_a\n', '{}\n'], ['weir_a', '\n{', '}\n']]) {
    const split = await splitFirstLine(chunksOf(chunks), 128)
    t.equal(split?.line, 'weir_a')
    const rest: string[] = []
    for await (const chunk of split!.rest) rest.push(String(chunk))
    t.equal(rest.join(''), '{}\n')
  }
  t.equal(await splitFirstLine(chunksOf(['weir_a']), 128), null, 'ends before')
  t.equal(await splitFirstLine(chunksOf([`${'x'.repeat(200)}`, 'y\n']), 128), null, 'too long')
  t.equal(await splitFirstLine(chunksOf([`${'x'.repeat(200)}\n`]), 128), null, 'too long at once')
})

async function* chunksOf(chunks: readonly string[]): AsyncGenerator<unknown> {
  yield* chunks
}

t.test('the executor loads, counts, cuts and clears; without timeouts where the kernel has none', async t => {
  const ran: string[] = []
  const loaded = buildRuleset('weir_test', [service]).text
  const ok: Ran = { code: 0, stdout: '', stderr: '' }
  const executor = makeExecutor('weir_test', (program, args, input) => {
    ran.push(`${program} ${args.join(' ')}`)
    if (input.includes('ct timeout')) return Promise.resolve({ code: 1, stdout: '', stderr: 'Error: no such thing\nmore' })
    if (args[0] !== '-j') return Promise.resolve(ok)
    const name = /counter name "n_([0-9a-f]+)"/.exec(loaded)?.[1]
    const counter = (letter: string, packets: number, bytes: number) => ({ counter: { name: `${letter}_${name}`, packets, bytes } })
    return Promise.resolve({
      ...ok,
      stdout: JSON.stringify({ nftables: [{}, counter('n', 2, 120), counter('i', 9, 900), counter('o', 8, 800)] })
    })
  })
  const first = await executor.carryOut({ is: 'apply', services: [service], cuts: [{ protocol: 'udp', ip: '10.0.2.2', port: 53 }] })
  t.same(first, { is: 'done', counts: [], hasTimeouts: false })
  t.match(ran.at(-1), /^conntrack -D -f ipv4 -p udp --dst-nat --reply-src 10\.0\.2\.2 --reply-port-src 53$/)
  const counts = [{ service: 'vs-1', server: 'p/a', connections: 2, bytesIn: 900, bytesOut: 800 }]
  t.same(await executor.carryOut({ is: 'read' }), { is: 'done', counts, hasTimeouts: false })
  t.same(await executor.carryOut({ is: 'clear' }), { is: 'done', counts, hasTimeouts: false })
  t.same(await executor.carryOut({ is: 'read' }), { is: 'done', counts: [], hasTimeouts: false })
})

t.test('the process touches no table but one of ours, answers what it does not understand, and clears at the end', async t => {
  const texts: string[] = []
  const run = (_program: string, _args: readonly string[], input: string): Promise<Ran> => {
    texts.push(input)
    return Promise.resolve({ code: 0, stdout: '', stderr: '' })
  }
  const parts = { output: new PassThrough(), run }
  await t.rejects(serveKernel({ ...parts, table: 'filter', input: new PassThrough() }), /not a table/)
  const input = new PassThrough()
  const served = serveKernel({ ...parts, table: 'weir_x', input })
  input.write('nonsense\n{"sequence":7,"order":{"is":"exec"}}\n{"sequence":8,"or')
  input.end('der":{"is":"read"}}\n')
  await served
  parts.output.end()
  const answers = (await text(parts.output)).trim().split('\n')
  t.match(
    answers.map(line => JSON.parse(line) as object),
    [
      { is: 'failed', reason: 'not an order' },
      { sequence: 7, is: 'failed' },
      { sequence: 8, is: 'done' }
    ]
  )
  t.same(texts, Array(2).fill('add table inet weir_x\ndelete table inet weir_x\n'), 'before and after')
})

t.test('totals go on over tables', async t => {
  const tally = new Tally()
  const totals = { connections: 1, openConnections: 0, requests: 1, bytesIn: 10, bytesOut: 10 }
  const sample = (id: string) => ({ id, totals, latency: [] }) as never
  const added = () => {
    const { virtualServices, pools, servers, uses } = tally.addTo({
      virtualServices: [sample('vs-1'), sample('vs-2')],
      pools: [sample('p')],
      servers: [{ ...(sample('a') as object), poolId: 'p' } as never],
      uses: [{ ...(sample('vs-1') as object), poolId: 'p' } as never]
    })
    return [...virtualServices, ...pools, ...servers, ...uses].map(one => one.totals.connections)
  }
  const count = (connections: number, service = 'vs-1') => ({ service, server: 'p/a', connections, bytesIn: 0, bytesOut: 0 })
  t.same(added(), [1, 1, 1, 1, 1])
  tally.read([count(3)])
  tally.read([count(5), count(1, 'vs-2')])
  t.same(added(), [6, 2, 7, 7, 6])
  tally.read([count(2)])
  t.same(added(), [8, 2, 9, 9, 8], 'a table that was made anew')
  tally.removed()
  tally.read([count(2)])
  t.same(added(), [10, 2, 11, 11, 10])
})
