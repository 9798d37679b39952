import { BlockList } from 'node:net'
import t from 'tap'
import { addressesInSteps, compileAddresses } from '#engine/dataplane/exchange/address-set.ts'

t.test('compileAddresses knows addresses, networks and ranges of both families', async t => {
  const has = compileAddresses(['192.0.2.7', '10.0.0.0/8', '198.51.100.10-198.51.100.20', '2001:db8::/32', '::1', 'fd00::5-fd00::a'])
  for (const inside of [
    '192.0.2.7',
    '10.0.0.0',
    '10.255.255.255',
    '198.51.100.10',
    '198.51.100.20',
    '2001:db8::',
    '2001:db8:ffff::1',
    '::1'
  ])
    t.equal(has(inside), true, inside)
  for (const outside of ['192.0.2.6', '9.255.255.255', '11.0.0.0', '198.51.100.21', '2001:db9::', '::2', 'fd00::4', 'fd00::b', '', 'x'])
    t.equal(has(outside), false, outside)
  t.equal(has('fd00::a'), true)
  t.equal(compileAddresses(['0.0.0.0/0'])('255.255.255.255'), true)
  t.equal(compileAddresses(['::/0'])('ffff::'), true)
  t.equal(compileAddresses([])('192.0.2.7'), false)
})

t.test('compileAddresses refuses what it cannot read', async t => {
  for (const bad of [
    '',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.0/33',
    '10.0.0.0/x',
    '10.0.0.9-10.0.0.1',
    '10.0.0.1-::1',
    '::1-10.0.0.1',
    '::/129',
    '010.0.0.1'
  ])
    t.throws(() => compileAddresses([bad]), RangeError, bad)
})

t.test('compileAddresses agrees with the list that Node has', async t => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.comment(`seed ${seed}`)
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const ipv4 = (): string => `10.0.${random(4)}.${random(256)}`
  const ipv6 = (): string => `2001:db8::${random(3)}:${random(256).toString(16)}`
  for (let round = 0; round < 40; round++) {
    const list = new BlockList()
    const ranges: string[] = []
    for (let i = 0; i < 12; i++) {
      const family = random(2) === 0 ? 'ipv4' : 'ipv6'
      const address = family === 'ipv4' ? ipv4() : ipv6()
      const prefix = (family === 'ipv4' ? 24 : 112) + random(9)
      if (random(2) === 0) {
        list.addAddress(address, family)
        ranges.push(address)
      } else {
        list.addSubnet(address, prefix, family)
        ranges.push(`${address}/${prefix}`)
      }
    }
    const has = compileAddresses(ranges)
    for (let i = 0; i < 200; i++) {
      const four = ipv4()
      const six = ipv6()
      if (has(four) !== list.check(four, 'ipv4')) t.fail(`${four} in ${ranges.join()}`)
      if (has(six) !== list.check(six, 'ipv6')) t.fail(`${six} in ${ranges.join()}`)
    }
  }
  t.pass('all alike')
})

t.test('addressesInSteps does no more than a thousand ranges at a stretch', async t => {
  for (const range of [
    (i: number) => `${10 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/25`,
    (i: number) => `2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::/65`
  ]) {
    const steps = addressesInSteps(Array.from({ length: 100_000 }, (_, i) => range(i)))
    let count = 0
    for (let step = steps.next(); ; step = steps.next(), count++) {
      if (step.done !== true) continue
      t.equal(step.value(range(99_999).split('/')[0]!), true)
      break
    }
    t.ok(count >= 200, `${count} steps`)
  }
})
