import t from 'tap'
import { LeftPorts, portViolations } from '#engine/ports.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'

const snapshot = (...listeners: readonly (readonly [address: string, port: number])[]): Snapshot =>
  ({ virtualServices: [{ id: 'vs-1', listeners: listeners.map(([address, port]) => ({ address, port })) }] }) as unknown as Snapshot

t.test('portViolations asks only about what is new and tells what is taken', async t => {
  const asked: string[] = []
  const probe = ({ address, port }: { address: string; port: number }) => {
    asked.push(`${address}:${port}`)
    return Promise.resolve(port === 81 ? 'EADDRINUSE' : port === 82 ? 'EADDRNOTAVAIL' : undefined)
  }
  const running = snapshot(['0.0.0.0', 80], ['10.0.0.1', 90])
  const next = snapshot(
    ['0.0.0.0', 80],
    ['10.0.0.1', 80],
    ['::', 80],
    ['0.0.0.0', 90],
    ['10.0.0.2', 90],
    ['0.0.0.0', 81],
    ['10.9.9.9', 82],
    ['0.0.0.0', 0]
  )
  t.same(await portViolations(next, running, probe), [
    { pointer: '/virtual-service/vs-1/listeners/5', message: 'must be free on this host: 0.0.0.0 port 81 is in use by another program' }
  ])
  t.same(asked, [':::80', '10.0.0.2:90', '0.0.0.0:81', '10.9.9.9:82'])
  t.same(await portViolations(snapshot(), null, probe), [])
})

t.test('a port of datagrams is another one than that of TCP, and stays ours while it drains', async t => {
  const of = (...listeners: readonly object[]): Snapshot =>
    ({ engine: { drainTimeoutS: 10 }, virtualServices: [{ id: 'vs-1', listeners }] }) as unknown as Snapshot
  const udp = of({ address: '10.0.0.1', port: 53, protocol: 'udp' })
  const taken = () => Promise.resolve('EADDRINUSE')
  t.match(await portViolations(udp, of({ address: '10.0.0.1', port: 53 }), taken), [{ message: /UDP port 53/ }])
  t.same(await portViolations(udp, udp, taken), [])
  const left = new LeftPorts()
  left.swapped(udp, of(), 1_000)
  t.same(await portViolations(udp, of(), taken, left.places(11_999)), [])
  t.equal((await portViolations(udp, of(), taken, left.places(12_000))).length, 1)
  left.swapped(udp, udp, 20_000)
  t.same(left.places(20_001), [], 'what stays is not left')
})
