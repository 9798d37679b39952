import { connect } from 'node:net'
import t from 'tap'
import { throughDescriptor } from '#engine/control.ts'
import { findPredecessor, offerHandover } from '#engine/handover.ts'
import { until } from '#test/support/wait.ts'

const holding = {
  places: [
    { address: '0.0.0.0', port: 80 },
    { address: '::', port: 53, protocol: 'udp' as const }
  ],
  verdicts: [{ poolId: 'p', serverId: 's', verdict: 'down' as const }]
}

t.test('a successor is told what is held, and the other lets go when it serves', async t => {
  const folder = t.testdir()
  const done: string[] = []
  const offer = await offerHandover(folder, {
    holding: () => holding,
    release: async () => void done.push('released'),
    left: () => void done.push('left')
  })
  t.teardown(offer.close)
  const predecessor = await findPredecessor(folder)
  t.same(predecessor?.holding, holding)
  t.same(done, [], 'nothing yet')
  await predecessor!.serving()
  await until('it has left', () => done.length === 2)
  t.same(done, ['released', 'left'])
  t.equal(await findPredecessor(folder), undefined, 'once')
})

t.test('a successor that ends, or says something else, changes nothing', async t => {
  const folder = t.testdir()
  const done: string[] = []
  const offer = await offerHandover(folder, {
    holding: () => holding,
    release: async () => void done.push('released'),
    left: () => void done.push('left')
  })
  t.teardown(offer.close)
  const held = throughDescriptor(folder, 'handover.sock')
  t.teardown(held.close)
  for (const said of ['', 'serving', 'x'.repeat(100), 'SERVING\n', 'serving\nmore'])
    await new Promise<void>(resolve => {
      const socket = connect(held.path)
      socket.on('error', () => undefined)
      socket.on('close', () => resolve())
      socket.once('data', () => (said === '' ? socket.destroy() : socket.end(said)))
    })
  t.same(done, [])
  const next = await findPredecessor(folder)
  t.same(next?.holding, holding, 'the next one may')
  next?.leave()
})

t.test('where nobody offers there is no predecessor', async t => {
  t.equal(await findPredecessor(t.testdir()), undefined)
})

t.test('the socket of one that was killed is no obstacle', async t => {
  const folder = t.testdir({ 'handover.sock': 'left over' })
  const offer = await offerHandover(folder, { holding: () => holding, release: async () => undefined, left: () => undefined })
  t.teardown(offer.close)
  const found = await findPredecessor(folder)
  t.same(found?.holding, holding)
  found?.leave()
})
