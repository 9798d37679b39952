import t from 'tap'
import type { CachePurge } from '#model/message/message.ts'
import { aFolder, anAgent, anEngine, joinFolder } from '#test/support/agent.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('a purge goes to the engines of the service, now or when they are back, and their word comes back', async t => {
  const fleet = await aFleet(t)
  fleet.services.set('a', aService('a'))
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  const done: CachePurge[] = []
  const engine = {
    ...anEngine(),
    purge: (_service: string, purge: CachePurge) => {
      done.push(purge)
      return Promise.resolve(7)
    }
  }
  fleet.placed.set('a', { engineUuids: [uuid], enginesWanted: 1, reasons: [] })
  const agent = await anAgent(t, folder, engine)
  await until('running', () => (fleet.fleet.engineRuntime(uuid)?.running_revision ?? 0) > 0)
  t.match(await fleet.fleet.purgeCache?.('a', { by: 'tag', value: 'red' }, 'mona'), {
    objects: 7,
    by: 'mona',
    engines: [{ engine_uuid: uuid, state: 'PURGED', objects: 7 }]
  })
  t.same(done, [{ by: 'tag', value: 'red' }])
  await agent.stop()
  await until('away', () => fleet.fleet.engineRuntime(uuid)?.connected === false)
  t.match(await fleet.fleet.purgeCache?.('a', { by: 'all' }, 'mona'), { objects: 0, engines: [{ state: 'WAITING' }] })
  await anAgent(t, folder, engine)
  await until('told when it is back', () => done.length === 2)
  t.same(done[1], { by: 'all' })
})
