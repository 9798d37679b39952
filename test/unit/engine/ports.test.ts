import t from 'tap'
import { portViolations } from '#engine/ports.ts'
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
