/** Addresses that move between engines: three engine hosts on one network, a service on two of them, a client at steady load. */
import t from 'tap'
import { labTest } from './enter.ts'
import { makeWorld, plugIn, names, VIP, VIP6, type Name, type Seen } from './layer2/world.ts'
import { mustRun, run, until } from './run.ts'
import { scenario, type Figure } from './scenario.ts'

async function scenarios(): Promise<void> {
  const world = await makeWorld(t, { engines: 2 })
  const { controller, client, report, must, start, signal, children, has, tables, owners, owner, placedOn, untilWhole, uuid } = world
  /** How long a client was without an answer while something happened, at the worst of both addresses. */
  const healing = async (t: Tap, happens: (owner: Name) => Promise<void>, below = 1_500): Promise<Figure> => {
    await untilWhole()
    const before = await owner()
    await report()
    await happens(before)
    await until('another engine owns the address', 20_000, async () => (await owners()).some(name => name !== before))
    let answered: Omit<Seen, 'connected'>[] = []
    await until('the client is answered again', 20_000, async () => {
      const seen = await report()
      answered =
        answered.length === 0
          ? seen
          : seen.map((one, i) => ({
              answered: one.answered + answered[i]!.answered,
              failed: one.failed + answered[i]!.failed,
              longestMs: Math.max(one.longestMs, answered[i]!.longestMs)
            }))
      return seen.every(one => one.answered > 0 && one.failed === 0)
    })
    t.equal(answered.length, 2, 'both addresses are asked')
    t.comment(`without an answer: ${answered.map(one => `${one.longestMs.toFixed(0)} ms, ${one.failed} failed`).join('; ')}`)
    return { value: Math.max(...answered.map(one => one.longestMs)), unit: 'ms', below }
  }

  await scenario(t, 'one of two engines has the address, both families, and the controller knows it', async t => {
    await untilWhole()
    const only = await owner()
    t.ok(await has(only, VIP6))
    client.tell({ start: [VIP, VIP6], port: 80 })
    await until('the client is answered', 20_000, async () => (await report()).every(one => one.answered > 0 && one.failed === 0))
    return undefined
  })

  await scenario(t, 'kill -9 of the owner', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => signal((gone = before), 'SIGKILL'), 500)
    start(gone!)
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    return figure
  })

  await scenario(t, 'the cable of the owner is cut', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => {
      gone = before
      await mustRun(['ip', 'link', 'set', 'dev', before, 'down'])
    })
    await until('the one that is cut off gives it up', 10_000, async () => !(await has(gone!)))
    await mustRun(['ip', 'link', 'set', 'dev', gone!, 'up'])
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    return figure
  })

  await scenario(t, 'SIGSTOP of the owner; it has no address any more when it goes on', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => signal((gone = before), 'SIGSTOP'))
    t.notOk(await has(gone!), 'taken away while it stands still')
    await signal(gone!, 'SIGCONT')
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    return figure
  })

  await scenario(t, 'the host of the owner loses its power', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => {
      gone = before
      await mustRun(['ip', 'link', 'del', before])
      await signal(before, 'SIGKILL')
    })
    await plugIn(gone!, names.indexOf(gone!) + 1)
    start(gone!)
    await untilWhole()
    return figure
  })

  await scenario(t, 'kill -9 of the owner and of the controller at once; when it is back, both agree', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => {
      gone = before
      await Promise.all([controller.kill(), signal(before, 'SIGKILL')])
    })
    const now = await owner()
    start(gone!)
    await controller.start()
    await untilWhole()
    t.equal(await owner(), now, 'nothing moves when the controller is back')
    return figure
  })

  await scenario(t, 'the controller goes away for a while: nothing moves, nobody notices', async t => {
    await untilWhole()
    const before = await owner()
    await report()
    await controller.kill()
    const since = performance.now()
    // Longer than any silence that is taken for a death.
    await until('a few seconds have passed', 20_000, async () => performance.now() - since > 4_000)
    t.same(await owners(), [before])
    await controller.start()
    await untilWhole()
    const seen = await report()
    t.equal(await owner(), before)
    return { value: Math.max(...seen.map(one => one.longestMs)), unit: 'ms', below: 500 }
  })

  await scenario(t, 'the operator switches over', async t => {
    await untilWhole()
    const before = await owner()
    await must('POST', `/api/virtualservice/${uuid}/switchover`, {})
    await until('the other has it', 20_000, async () => {
      const now = await owners()
      return now.length === 1 && now[0] !== before
    })
    await untilWhole()
    t.not(await owner(), before)
    return undefined
  })

  await scenario(
    t,
    'an owner that is killed together with the process that holds the address takes away what is left at its start',
    async t => {
      await untilWhole()
      const before = await owner()
      const pid = children.get(before)!.pid!
      const [holder = ''] = (await run(['pgrep', '-P', `${pid}`, '-f', 'kernel-main.ts addresses'])).stdout.trim().split('\n')
      await run(['kill', '-STOP', holder])
      await signal(before, 'SIGKILL')
      await run(['kill', '-9', holder])
      t.ok(await has(before), 'nobody took it away')
      t.match(await tables(before), /table arp weir_.*table ip6 weir_/s)
      start(before)
      await until('it is taken away', 20_000, async () => !(await has(before)))
      await until('so are the tables that told of it', 20_000, async () => !(await tables(before)).includes('weir_'))
      await untilWhole()
      return undefined
    }
  )

  await scenario(t, 'an owner that ends in order hands over', async t => {
    let gone: Name | undefined
    const figure = await healing(t, before => signal((gone = before), 'SIGTERM'))
    start(gone!)
    return figure
  })

  await scenario(t, 'an active/standby group: kill -9 of the active engine; it comes back as the standby', async t => {
    const { results } = await must('GET', '/api/serviceenginegroup?name=Default-Group')
    const [now] = results as Record<string, unknown>[]
    await must('PUT', `/api/serviceenginegroup/${String(now!['uuid'])}`, { ...now, ha_mode: 'HA_MODE_LEGACY_ACTIVE_STANDBY' })
    let gone: Name | undefined
    const figure = await healing(t, async before => signal((gone = before), 'SIGKILL'))
    start(gone!)
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    t.equal((await placedOn()).find(place => place['standby'] === true)?.['engine_name'], gone)
    return figure
  })
}
type Tap = Parameters<Parameters<typeof scenario>[2]>[0]

await labTest(t, {
  story: 'addresses that move between engines',
  file: import.meta.filename,
  tools: ['ip', 'nft'],
  prepare: () => Promise.resolve(undefined),
  scenarios
})
