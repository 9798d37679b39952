/** Engines with real tables, time that a test moves, and the controller between them. */
import t from 'tap'
import type { AgentMessage, ClientBinding, HubMessage } from '#model/message/message.ts'
import { BINDINGS_TOLD_MAX } from '#model/message/message.ts'
import type { PersistenceSpec } from '#model/snapshot/resilience.ts'
import type { Manifest, PoolPart } from '#model/snapshot/snapshot.ts'
import { SharedBindings } from '#controller/fleet/bindings.ts'
import { Engine } from '#controller/fleet/roster.ts'
import { hashText, heaviest, slotOf } from '#engine/dataplane/balance/consistent-hash.ts'
import { Bindings, makeHome } from '#engine/dataplane/upstream/bindings.ts'
import { Exceptions } from '#engine/dataplane/upstream/exceptions.ts'
import { JOURNAL_LENGTH } from '#engine/meter/layout.ts'
import { attachMemory, makeMemory } from '#engine/meter/shared.ts'
import { aHello } from '#test/support/bare-engine.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aPool } from '#test/support/snapshot.ts'

const row = { lastSeenEpochMs: 1, runningRevision: 0, serialNumber: null, certificateNotAfterEpochMs: null }
const byAddress: PersistenceSpec = { is: 'client-address', prefixLength: 0, timeoutS: 300, whenDown: 'pick-new' }
const servers = [1, 2, 3, 4]
const poolOf = (persistence: PersistenceSpec = byAddress, ports: readonly number[] = servers): PoolPart => ({
  ...aPool(ports),
  persistence
})

function aWorld() {
  const clock = manualClock()
  const told: ClientBinding[] = []
  const engines: Engine[] = []
  const controller = new SharedBindings({ clock, engines: () => engines })
  function anEngine(name: string, pool: PoolPart, abilities: readonly string[] = ['shared-bindings']) {
    const memory = makeMemory({ workers: 1, nowMs: clock.nowMs })
    const table = attachMemory(memory.buffer, 0, 1, memory.assign({ virtualServices: [], pools: [] })).bindings
    const exceptions = new Exceptions({ table, nowEpochMs: clock.nowEpochMs })
    const { type: _, ...facts } = aHello
    const engine = new Engine(name, { ...row, facts: { ...facts, abilities } }, 'OPER_UP', [], 0)
    const session = {
      isLive: true,
      send: (message: HubMessage | AgentMessage) => {
        if (message.type === 'BindClients') exceptions.take(message.bindings)
      }
    }
    engine.session = session as unknown as NonNullable<Engine['session']>
    let running = pool
    let revision = 0
    const run = (part: PoolPart): void => {
      running = part
      const manifest = { hash: `${name} ${++revision}`, parts: [{ kind: 'pool', id: part.id, hash: '' }] }
      controller.ordered(engine, manifest as unknown as Manifest)
      exceptions.run([part])
    }
    const bindings = (): Bindings => {
      const timeoutS = running.persistence !== undefined && 'timeoutS' in running.persistence ? (running.persistence.timeoutS ?? 0) : 0
      return new Bindings(table, { poolId: running.id, timeoutS, home: makeHome(running), nowEpochMs: clock.nowEpochMs })
    }
    const world = {
      engine,
      session,
      exceptions,
      run,
      bind: (client: string, serverId: string) => bindings().bind(client, hashText(serverId), slotOf(client)),
      find: (client: string) => {
        const hash = bindings().find(client)
        return hash === undefined ? undefined : running.servers.find(({ id }) => hashText(id) === hash)?.id
      },
      home: (client: string) => running.servers.find(({ id }) => hashText(id) === makeHome(running)(slotOf(client)))!.id,
      tell: () => {
        const made = exceptions.made()
        told.push(...made)
        controller.told(engine, made)
        return made.length
      }
    }
    engines.push(engine)
    run(pool)
    return world
  }
  return { clock, told, controller, anEngine }
}

t.test('a client where the hash puts it needs no word; one elsewhere is known to all engines, and to one that comes later', async t => {
  const { anEngine, told, clock, controller } = aWorld()
  const [one, two] = [anEngine('one', poolOf()), anEngine('two', poolOf())]
  one.bind('10.0.0.1', one.home('10.0.0.1'))
  t.equal(one.tell(), 0)
  const other = one.home('10.0.0.2') === '127.0.0.1:1' ? '127.0.0.1:2' : '127.0.0.1:1'
  clock.advance(5)
  one.bind('10.0.0.2', other)
  t.equal(one.tell(), 1)
  t.equal(one.tell(), 0, 'once')
  t.equal(two.find('10.0.0.2'), other)
  t.equal(two.tell(), 0, 'what was told is not told on')
  t.notMatch(JSON.stringify(told), /10\.0\.0\.2/, 'no address travels')
  clock.advance(2_000)
  const three = anEngine('three', poolOf())
  t.equal(three.find('10.0.0.2'), other)
  t.match(controller.runtime('pool-1', 10), {
    count: 1,
    servers: [{ server: other, count: 1 }],
    results: [{ server: other, bound_s: 2, timeout_s: 300 }]
  })
  clock.advance(301_000)
  t.equal(two.find('10.0.0.2'), undefined)
  t.equal(controller.runtime('pool-1', 10).count, 0)
})

t.test('use on one engine keeps a client on all of them, and the younger binding holds', async t => {
  const { anEngine, clock } = aWorld()
  const [one, two] = [anEngine('one', poolOf()), anEngine('two', poolOf())]
  const [other, another] = servers.map(port => `127.0.0.1:${port}`).filter(id => id !== one.home('c')) as [string, string]
  one.bind('c', other)
  one.tell()
  for (let n = 0; n < 10; n++) {
    clock.advance(200_000)
    t.equal(one.find('c'), other)
    one.tell()
  }
  t.equal(two.find('c'), other)
  two.tell()
  clock.advance(10)
  two.bind('c', another)
  two.tell()
  t.equal(one.find('c'), another)
  clock.advance(10)
  one.bind('c', one.home('c'))
  t.equal(one.tell(), 1, 'the others must unlearn it')
  t.equal(two.find('c'), one.home('c'))
  two.exceptions.take([{ poolId: 'pool-1', client: '0000000000000000', serverId: 'x', spread: 0, boundAgoMs: 0, idleS: 0, timeoutS: 1 }])
})

t.test('whom a change of the pool makes an exception is told then', async t => {
  const { anEngine } = aWorld()
  const [one, two] = [anEngine('one', poolOf(byAddress, [1, 2])), anEngine('two', poolOf(byAddress, [1, 2]))]
  const clients = Array.from({ length: 200 }, (_, n) => `10.1.0.${n}`)
  const before = new Map(clients.map(client => [client, one.home(client)]))
  for (const [client, home] of before) one.bind(client, home)
  t.equal(one.tell(), 0)
  for (const engine of [one, two]) engine.run(poolOf(byAddress, [1, 2, 3]))
  const moved = clients.filter(client => one.home(client) !== before.get(client))
  t.ok(moved.length > 30 && moved.length < 110, `${moved.length} belong to the new server`)
  t.equal(one.tell(), moved.length)
  for (const client of moved) t.equal(two.find(client), before.get(client))
  t.equal(two.tell(), 0)
})

t.test('where clients must not leave a server that is down, all of them are told', async t => {
  for (const [whenDown, count] of [
    ['pick-new', 0],
    ['abort', 1],
    ['continue', 1]
  ] as const) {
    const { anEngine } = aWorld()
    const pool = poolOf({ ...byAddress, whenDown })
    const [one, two] = [anEngine('one', pool), anEngine('two', pool)]
    const home = `127.0.0.1:${
      servers[
        heaviest(
          pool.servers,
          pool.servers.map(({ id }) => hashText(id)),
          slotOf('c')
        )
      ]
    }`
    one.bind('c', home)
    t.equal(one.tell(), count, whenDown)
    t.equal(two.find('c'), count === 1 ? home : undefined, whenDown)
  }
})

t.test('learnt sessions are told all, in messages of a bounded size, whatever was lost between', async t => {
  const { anEngine, clock } = aWorld()
  const pool = poolOf({ is: 'app-cookie', name: 'SID', timeoutS: 300, whenDown: 'pick-new' })
  const [one, two] = [anEngine('one', pool), anEngine('two', pool)]
  const count = JOURNAL_LENGTH + 5_000
  for (let n = 0; n < count; n++) one.bind(`session ${n}`, `127.0.0.1:${1 + (n % 4)}`)
  let sum = 0
  for (let made = one.tell(); made > 0; made = one.tell()) {
    t.ok(made <= BINDINGS_TOLD_MAX)
    sum += made
  }
  t.ok(sum > count * 0.98 && sum <= count, `${sum} of ${count}`)
  t.equal(two.find('session 77'), '127.0.0.1:2')
  // A controller that knows nothing.
  clock.advance(1_000)
  one.exceptions.connected()
  t.equal(one.tell(), BINDINGS_TOLD_MAX)
})

t.test('an engine that does not know of it is not told, and one that does not run the pool neither', async t => {
  const { anEngine } = aWorld()
  const pool = poolOf({ is: 'app-cookie', name: 'SID', timeoutS: 300, whenDown: 'pick-new' })
  const one = anEngine('one', pool)
  const old = anEngine('old', pool, [])
  const elsewhere = anEngine('elsewhere', { ...pool, id: 'pool-2' })
  for (const { session } of [old, elsewhere]) session.send = message => t.fail(`told ${message.type}`)
  one.bind('s', '127.0.0.1:1')
  t.equal(one.tell(), 1)
})
