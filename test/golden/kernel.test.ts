/** What the kernel is told: each case against the ruleset it stands for, read like code. WEIR_GOLDEN=write writes them anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Forwarded } from '#engine/vip/kernel/order.ts'
import { buildRuleset, nothingStands } from '#engine/vip/kernel/ruleset.ts'

const isWriting = process.env['WEIR_GOLDEN'] === 'write'
const service = (given: Partial<Forwarded>): Forwarded => ({
  id: 'web',
  protocol: 'tcp',
  doors: [{ address: '10.0.0.10', ports: [80] }],
  balance: 'in-turn',
  servers: [
    { key: 'pool/a', ip: '10.0.2.1', port: 8080, weight: 2 },
    { key: 'pool/b', ip: '10.0.2.2', port: 8080, weight: 1 }
  ],
  preservesClient: false,
  idleTimeoutS: 300,
  ...given
})
const one = (ip: string, port: number | null, weight = 1) => ({ key: `pool/${ip}`, ip, port, weight })

const cases: Readonly<Record<string, readonly Forwarded[]>> = {
  turns: [service({})],
  nothing: [],
  everything: [
    service({}),
    service({ id: 'quiet', doors: [{ address: '10.0.0.11', ports: [81] }], servers: [one('10.0.2.1', 80, 0)], idleTimeoutS: 0 }),
    service({
      id: 'dns',
      protocol: 'udp',
      doors: [{ address: '0.0.0.0', ports: [53, 54] }],
      balance: 'random',
      servers: [one('10.0.2.3', null)],
      preservesClient: true,
      idleTimeoutS: 10
    }),
    service({ id: 'here', doors: [{ address: '127.0.0.1', ports: [8000] }], servers: [one('127.0.0.1', 9000)] }),
    service({ id: 'six', doors: [{ address: '::', ports: [443] }], servers: [one('2001:db8::1', 443)] })
  ]
}

for (const [name, services] of Object.entries(cases))
  t.test(`kernel ${name}`, async t => {
    const { text } = buildRuleset('weir_golden', services)
    const path = join(import.meta.dirname, 'kernel', `${name}.nft`)
    if (isWriting) writeFileSync(path, text)
    t.equal(text, readFileSync(path, 'utf8'))
  })

t.test('kernel: what a ruleset does not have is removed, what stays keeps its number', async t => {
  const first = buildRuleset('weir_golden', cases['everything']!)
  const second = buildRuleset('weir_golden', [service({}), service({ id: 'new' })], first)
  for (const [pair, number] of second.numbers) if (first.numbers.has(pair)) t.equal(number, first.numbers.get(pair))
  const fresh = [...second.numbers].filter(([pair]) => !first.numbers.has(pair))
  t.same(
    fresh.map(([, number]) => number),
    [first.lastNumber + 1, first.lastNumber + 2],
    'a number is never used twice'
  )
  for (const chain of first.chains)
    t.equal(second.text.includes(`delete chain inet weir_golden ${chain}\n`), !second.chains.includes(chain))
  const third = buildRuleset('weir_golden', [], second)
  t.equal(third.text.match(/delete counter/g)?.length, second.counters.length)
  t.same(third.counters, nothingStands.counters)
  t.notMatch(third.text, /delete ct timeout/, 'which would reset the connections that have it')
})

t.test('kernel: the hash moves only what must move', async t => {
  const places = (count: number): string[] => {
    const servers = Array.from({ length: count }, (_, i) => one(`10.0.2.${i + 1}`, 80))
    const { text } = buildRuleset('weir_golden', [service({ balance: 'source', servers })])
    const map = /jhash ip saddr mod 1024 seed 0x[0-9a-f]+ vmap \{ (.*) \}/.exec(text)?.[1] ?? ''
    return map.split(', ').map(element => element.split('goto ')[1] ?? '')
  }
  const [four, five] = [places(4), places(5)]
  t.equal(four.length, 1024)
  const moved = four.filter((server, i) => server !== five[i])
  t.ok(moved.length > 120 && moved.length < 300, `${moved.length} of 1024 moved to the fifth`)
  t.equal(new Set(five.filter((server, i) => server !== four[i])).size, 1)
})
