/** Engines that share the flows of an address: scaled out and in under load, and killed. */
import t from 'tap'
import { labTest } from './enter.ts'
import { makeWorld, VIP, VIP6, type Name } from './layer2/world.ts'
import { mustRun, until } from './run.ts'
import { scenario, type Figure } from './scenario.ts'

const KEPT = 5

async function scenarios(): Promise<void> {
  const service = { flow_dist: 'CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT' }
  const { client, report, must, start, signal, owner, untilWhole, placedOn, uuid } = await makeWorld(t, { engines: 1, service })
  const action = (what: string): Promise<unknown> => must('POST', `/api/virtualservice/${uuid}/${what}`, {})
  /** Flows that the owner remembers of an engine other than itself. */
  const passedOn = async (name: Name): Promise<number> => {
    const sets = JSON.parse(await mustRun(['ip', 'netns', 'exec', name, 'nft', '-j', 'list', 'ruleset'])) as {
      nftables: { set?: { name: string; elem?: unknown[] } }[]
    }
    return sets.nftables.reduce(
      (sum, { set }) => sum + (set !== undefined && /^ip6?_[2-9]/.test(set.name) ? (set.elem?.length ?? 0) : 0),
      0
    )
  }
  const total = async (): Promise<{ answered: number; failed: number; connected: number; longestMs: number }> => {
    const seen = await report()
    const sum = (what: 'answered' | 'failed' | 'connected'): number => seen.reduce((all, one) => all + one[what], 0)
    const longestMs = Math.max(...seen.map(one => one.longestMs))
    return { answered: sum('answered'), failed: sum('failed'), connected: sum('connected'), longestMs }
  }
  const answers = async (count: number): Promise<{ failed: number; connected: number; longestMs: number }> => {
    let [answered, failed, connected, longestMs] = [0, 0, 0, 0]
    await until(`${count} answers`, 60_000, async () => {
      const more = await total()
      answered += more.answered
      failed += more.failed
      connected += more.connected
      longestMs = Math.max(longestMs, more.longestMs)
      return answered >= count
    })
    return { failed, connected, longestMs }
  }
  /** Since when, after something happened, nothing failed for a second. A request fails when it is not answered within 0.2 s. */
  const healing = async (happens: () => Promise<unknown>): Promise<Figure> => {
    await total()
    const since = performance.now()
    await happens()
    let lastFailedAtMs = since
    await until('nothing fails for a second', 30_000, async () => {
      const now = performance.now()
      const { answered, failed } = await total()
      if (failed > 0 || answered === 0) lastFailedAtMs = performance.now()
      return now - lastFailedAtMs > 1_000
    })
    return { value: lastFailedAtMs - since, unit: 'ms', below: 1_500 }
  }
  const other = async (): Promise<Name> => {
    const now = await owner()
    const places = (await placedOn()).map(place => place['engine_name'] as Name)
    return places.find(name => name !== now)!
  }

  await scenario(t, 'one engine serves, and remembers its flows', async t => {
    await untilWhole(1)
    client.tell({ giveUpMs: 5_000, start: [VIP, VIP6], port: 80 })
    client.tell({ keep: KEPT, port: 80 })
    t.equal((await answers(500)).failed, 0)
    t.equal(await passedOn(await owner()), 0)
    return undefined
  })

  await scenario(t, 'scaled out from 1 to 2 under load: both serve', async t => {
    await total()
    await action('scaleout')
    await untilWhole(2)
    await until('the owner passes flows on', 20_000, async () => (await passedOn(await owner())) > 20)
    const { failed, connected, longestMs } = await answers(1_000)
    t.comment(`${connected} of ${2 * KEPT} kept connections were made anew; longest without an answer: ${longestMs.toFixed(0)} ms`)
    return { value: failed, unit: 'failed requests', below: 1 }
  })

  await scenario(t, 'kill -9 of an engine that serves without owning the address', async () => {
    const second = await other()
    client.tell({ giveUpMs: 200 })
    const figure = await healing(() => signal(second, 'SIGKILL'))
    start(second)
    await untilWhole(2)
    await until('it serves again', 20_000, async () => (await passedOn(await owner())) > 20)
    return figure
  })

  await scenario(t, 'an engine that serves without owning the address ends in order, and comes back', async () => {
    const second = await other()
    client.tell({ giveUpMs: 5_000 })
    await answers(200)
    await signal(second, 'SIGTERM')
    const { failed } = await answers(500)
    client.tell({ giveUpMs: 200 })
    start(second)
    await untilWhole(2)
    await until('it serves again', 20_000, async () => (await passedOn(await owner())) > 20)
    return { value: failed, unit: 'failed requests', below: 1 }
  })

  await scenario(t, 'kill -9 of the owner', async t => {
    const first = await owner()
    const figure = await healing(() => signal(first, 'SIGKILL'))
    start(first)
    await untilWhole(2)
    t.not(await owner(), first)
    await until('it serves again', 20_000, async () => (await passedOn(await owner())) > 20)
    return figure
  })

  await scenario(t, 'scaled in from 2 to 1 under load', async () => {
    client.tell({ giveUpMs: 5_000 })
    await answers(200)
    await action('scalein')
    await untilWhole(1)
    const { failed } = await answers(1_000)
    return { value: failed, unit: 'failed requests', below: 1 }
  })
}

await labTest(t, {
  story: 'engines that share the flows of an address',
  file: import.meta.filename,
  tools: ['ip', 'nft'],
  prepare: () => Promise.resolve(undefined),
  scenarios
})
