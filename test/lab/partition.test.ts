/** Paths between engines and controller that are cut, one way or both, lossy or flapping: who owns an address, and what clients notice. */
import t from 'tap'
import { labTest } from './enter.ts'
import { makeWorld, names, VIP, VIP6, type Name } from './layer2/world.ts'
import { mustRun, until } from './run.ts'
import { scenario, type Figure } from './scenario.ts'

const CONTROLLER = 'tcp dport 9444'
const FROM_CONTROLLER = 'tcp sport 9444'
const PEERS = 'udp dport 9445'
/** Longer than any silence that is taken for a death, by engines and by the controller. */
const LONG_MS = 5_000
/** What goes to and fro more often than that flaps. */
const MOVES = 2

async function scenarios(): Promise<void> {
  const { controller, client, report, owner, owners, untilWhole } = await makeWorld(t, { engines: 2 })
  client.tell({ start: [VIP, VIP6], port: 80 })

  const load = (name: Name, text: string): Promise<string> => mustRun(['ip', 'netns', 'exec', name, 'nft', text])
  /** Packets that a host drops, as rules of nftables. */
  const cut = async (
    name: Name,
    { out = [], into = [] }: { readonly out?: readonly string[]; readonly into?: readonly string[] }
  ): Promise<void> => {
    const chain = (hook: string, rules: readonly string[]): string =>
      `chain ${hook} { type filter hook ${hook} priority 0; ${rules.map(rule => `${rule} drop;`).join(' ')} }`
    await load(name, `table inet cut { ${chain('output', out)}; ${chain('input', into)}; }`)
  }
  const heal = (name: Name): Promise<string> => load(name, 'delete table inet cut')

  /** How often another engine than before is the only one that has the address, while something happens. */
  const movesWhile = async (happens: () => Promise<unknown>): Promise<number> => {
    let isOver = false
    let moves = 0
    let last = await owner()
    const looking = (async () => {
      while (!isOver) {
        const [only, ...more] = await owners()
        if (only === undefined || more.length > 0 || only === last) continue
        moves++
        last = only
      }
    })()
    await happens()
    isOver = true
    await looking
    return moves
  }
  const passing = async (ms: number): Promise<void> => {
    const since = performance.now()
    await until(`${ms} ms have passed`, 60_000, async () => performance.now() - since > ms)
  }
  const gap = async (below: number): Promise<Figure> => {
    const seen = await report()
    return { value: Math.max(...seen.map(one => one.longestMs)), unit: 'ms', below }
  }
  const begin = async (): Promise<Name> => {
    await untilWhole()
    await until('the client is answered', 20_000, async () => (await report()).every(one => one.answered > 0 && one.failed === 0))
    return owner()
  }

  await scenario(t, 'the owner and the controller do not reach each other', async t => {
    const first = await begin()
    const moves = await movesWhile(async () => {
      await cut(first, { out: [CONTROLLER], into: [FROM_CONTROLLER] })
      await passing(LONG_MS)
    })
    t.ok(moves <= MOVES, `${moves} moves: the controller may have it moved`)
    await heal(first)
    t.equal(await movesWhile(() => untilWhole()), 0, 'and nothing goes back')
    return gap(500)
  })

  await scenario(t, 'the controller hears nothing of the owner, which hears it', async t => {
    const first = await begin()
    const moves = await movesWhile(async () => {
      await cut(first, { out: [CONTROLLER] })
      await passing(LONG_MS)
    })
    t.ok(moves <= MOVES, `${moves} moves`)
    await heal(first)
    t.equal(await movesWhile(() => untilWhole()), 0, 'and nothing goes back')
    return gap(500)
  })

  await scenario(t, 'no engine hears the owner, the controller does', async t => {
    const first = await begin()
    const moves = await movesWhile(async () => {
      await cut(first, { out: [PEERS] })
      await passing(LONG_MS)
    })
    t.equal(moves, 0)
    await heal(first)
    return gap(500)
  })

  await scenario(t, 'the owner and one other engine do not hear each other', async t => {
    const first = await begin()
    const second = names.find(name => name !== first)!
    const last = names.indexOf(second) + 1
    const from = [`ip saddr 10.90.0.${last} ${PEERS}`, `ip6 saddr fd90::${last} ${PEERS}`]
    const to = [`ip daddr 10.90.0.${last} ${PEERS}`, `ip6 daddr fd90::${last} ${PEERS}`]
    const moves = await movesWhile(async () => {
      await cut(first, { out: to, into: from })
      await passing(LONG_MS)
    })
    t.equal(moves, 0)
    await heal(first)
    return gap(500)
  })

  await scenario(t, 'a tenth of all packets between the owner and the others is lost', async t => {
    const first = await begin()
    const lossy = [`${PEERS} numgen random mod 10 < 1`, `${CONTROLLER} numgen random mod 10 < 1`]
    const moves = await movesWhile(async () => {
      await cut(first, { out: lossy, into: [`${PEERS} numgen random mod 10 < 1`, `${FROM_CONTROLLER} numgen random mod 10 < 1`] })
      await passing(2 * LONG_MS)
    })
    t.equal(moves, 0)
    await heal(first)
    return gap(500)
  })

  await scenario(t, 'the controller stands still for a while (SIGSTOP)', async t => {
    await begin()
    const moves = await movesWhile(async () => {
      controller.signal('SIGSTOP')
      await passing(LONG_MS)
      controller.signal('SIGCONT')
      await untilWhole()
    })
    t.equal(moves, 0)
    return gap(500)
  })

  await scenario(t, 'the cable of the owner flaps twenty times', async t => {
    const first = await begin()
    const moves = await movesWhile(async () => {
      for (let i = 0; i < 20; i++) {
        await mustRun(['ip', 'link', 'set', 'dev', first, 'down'])
        await passing(700)
        await mustRun(['ip', 'link', 'set', 'dev', first, 'up'])
        await passing(300)
      }
    })
    t.ok(moves <= MOVES, `${moves} moves`)
    await untilWhole()
    return gap(1_500)
  })
}

await labTest(t, {
  story: 'paths that are cut between engines and controller',
  file: import.meta.filename,
  tools: ['ip', 'nft'],
  prepare: () => Promise.resolve(undefined),
  scenarios
})
