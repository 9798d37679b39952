/** Controller and engines of different releases: what one cannot read is not sent to it, and what it runs goes on. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { systemClock } from '#model/base/clock.ts'
import { SNAPSHOT_VERSION } from '#model/snapshot/snapshot.ts'
import { openAgent } from '#engine/agent/agent.ts'
import { hashOf } from '#engine/agent/snapshot-store.ts'
import { aFolder, anAgent, anEngine, joinFolder } from '#test/support/agent.ts'
import { aBareEngine, aHello, joinBare } from '#test/support/bare-engine.ts'
import { aFleet, aService } from '#test/support/fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('an engine that cannot read what is written is told nothing to run, says that it waits, and hears all else', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const first = await aBareEngine(t, fleet, keys)
  const { manifest } = await first.next('ApplySnapshot')
  const runs = { runningRevision: manifest.revision, runningHash: manifest.hash, heldParts: manifest.parts.map(part => part.hash) }
  // The controller is a newer one now.
  const old = await aBareEngine(t, fleet, keys, { ...aHello, ...runs, snapshotVersion: SNAPSHOT_VERSION - 1 })
  await old.next('Welcome')
  const runtime = () => fleet.fleet.engineRuntime(keys.uuid)!
  fleet.services.set('a', aService('a'))
  const revision = await fleet.commit()
  await until('planned', () => runtime().wanted_revision === revision)
  t.match(runtime(), {
    oper_status: {
      state: 'OPER_UP',
      reason: [/^it waits for its upgrade: it reads snapshots up to version 0, and this controller writes version 1/]
    },
    running_revision: manifest.revision
  })
  t.ok(fleet.usable().includes(keys.uuid), 'its services stay')
  fleet.placed.set('a', { engineUuids: [keys.uuid], enginesWanted: 1, reasons: [] })
  await fleet.fleet.purgeCache!('a', { by: 'all' }, 'test')
  await old.next('PurgeCache')
  t.notOk(old.received.some(message => message.type === 'ApplySnapshot'))

  const upgraded = await aBareEngine(t, fleet, keys, { ...aHello, ...runs, snapshotVersion: SNAPSHOT_VERSION })
  t.match((await upgraded.next('ApplySnapshot')).manifest, { revision })
  t.same(runtime().oper_status.reason, [])
})

t.test('an engine that is newer than its controller is told what that writes', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys, { ...aHello, snapshotVersion: SNAPSHOT_VERSION + 1 })
  t.match((await engine.next('ApplySnapshot')).manifest, { version: SNAPSHOT_VERSION })
})

t.test('an agent refuses what is newer than itself, and runs what is older', async t => {
  const fleet = await aFleet(t)
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  fleet.services.set('a', aService('a'))
  const engine = anEngine()
  const agent = await anAgent(t, folder, engine)
  await until('running', () => fleet.fleet.engineRuntime(uuid)?.running_revision === fleet.store.revision())
  await agent.stop()
  await fleet.fleet.stop()

  const current = join(folder, 'snapshot', 'current')
  const rewrite = (version: number): void => {
    const body = readFileSync(current, 'utf8')
      .slice(65)
      .replace(/"version":\d+/, `"version":${version}`)
    writeFileSync(current, `${hashOf(body)}\n${body}`)
  }
  const takesOver = async (): Promise<boolean | undefined> => {
    let isWhole: boolean | undefined
    const beforeConnect = async (whole: boolean): Promise<void> => void (isWhole = whole)
    const next = await openAgent({
      dataFolder: folder,
      engineSide: anEngine(),
      clock: systemClock,
      random: Math.random,
      log: silentLog,
      beforeConnect
    })
    await next.stop()
    return isWhole
  }
  rewrite(SNAPSHOT_VERSION - 1)
  t.equal(await takesOver(), true)
  rewrite(SNAPSHOT_VERSION + 1)
  t.equal(await takesOver(), false, 'an older engine does not take over from one that runs what it cannot read')
})
