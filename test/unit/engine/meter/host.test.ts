import t from 'tap'
import { cpuRatio, openHost, parseNetDev } from '#engine/meter/host.ts'

t.test('parseNetDev adds up interfaces, but not loopback', async t => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9999    29 0 0 0 0 0 0 9999 29 0 0 0 0 0 0
  eth0: 100 1 0 0 0 0 0 0 30 1 0 0 0 0 0 0
eth1:200 1 0 0 0 0 0 0 40 1 0 0 0 0 0 0
 bad: x y
`
  t.same(parseNetDev(text), { receivedBytes: 300, sentBytes: 70 })
  t.same(parseNetDev(''), { receivedBytes: 0, sentBytes: 0 })
})

t.test('cpuRatio stays within 0 and 1', async t => {
  t.equal(cpuRatio({ busy: 10, total: 100 }, { busy: 60, total: 200 }), 0.5)
  t.equal(cpuRatio({ busy: 10, total: 100 }, { busy: 10, total: 100 }), 0)
  t.equal(cpuRatio({ busy: 10, total: 100 }, { busy: 5, total: 110 }), 0)
})

t.test('openHost reads this host', async t => {
  const read = openHost(() => performance.now())
  const host = await read()
  t.ok(host.memoryTotalBytes > host.memoryUsedBytes)
  t.ok(host.memoryUsedBytes > 0)
  t.ok(host.processRssBytes > 1_000_000)
  for (const figure of Object.values(host)) t.ok(Number.isFinite(figure))
  t.ok(host.cpuRatio >= 0 && host.cpuRatio <= 1)
})
