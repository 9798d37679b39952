import t from 'tap'
import { ownAddresses } from '#engine/vip/addresses.ts'

const entry = (address: string, internal = false) => ({
  address,
  internal,
  netmask: '',
  mac: '',
  cidr: null,
  ...(address.includes(':') ? { family: 'IPv6' as const, scopeid: 0 } : { family: 'IPv4' as const })
})

t.test('ownAddresses puts loopback last and leaves link-local out', async t => {
  t.same(
    ownAddresses({
      lo: [entry('127.0.0.1', true), entry('::1', true)],
      eth0: [entry('10.0.0.5'), entry('fe80::1'), entry('fd00::5'), entry('169.254.1.1')],
      eth1: [entry('10.0.0.5')],
      none: undefined
    }),
    ['10.0.0.5', 'fd00::5', '127.0.0.1', '::1']
  )
  t.ok(ownAddresses().length > 0)
})
