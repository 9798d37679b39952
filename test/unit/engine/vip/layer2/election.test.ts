import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { Election, LEASE_MS, SILENT_MS, type Candidates, type Change } from '#engine/vip/layer2/election.ts'

const STEP_MS = 50

/** Some engines on one network that can be cut into pieces; each is as its process sees the world. */
class World {
  nowMs = 0
  readonly names: readonly string[]
  readonly elections = new Map<string, Election>()
  /** Who is on which piece of the network. */
  readonly piece = new Map<string, number>()
  readonly stopped = new Set<string>()
  readonly dead = new Set<string>()
  readonly directAt = new Map<string, number>()
  readonly directClaims = new Map<string, ReadonlyMap<string, number>>()
  /** Pairs that cannot hear each other although they are on one piece. */
  readonly cut = new Set<string>()
  readonly changes: (Change & { readonly engine: string; readonly atMs: number })[] = []
  readonly lastTickMs = new Map<string, number>()
  candidates: readonly Candidates[]
  hasChatter = true

  constructor(names: readonly string[], candidates: readonly Candidates[]) {
    this.names = names
    this.candidates = candidates
    for (const name of names) this.start(name)
  }

  start(name: string): void {
    const election = new Election(name, this.nowMs)
    this.elections.set(name, election)
    this.dead.delete(name)
    this.stopped.delete(name)
    if (!this.piece.has(name)) this.piece.set(name, 0)
    this.lastTickMs.set(name, this.nowMs)
    this.order(name)
  }

  order(name: string): void {
    this.elections.get(name)!.configure(this.candidates, new Set(this.names.filter(other => other !== name)))
  }

  hears(a: string, b: string): boolean {
    return this.piece.get(a) === this.piece.get(b) && !this.cut.has(`${a}${b}`) && !this.dead.has(a) && !this.dead.has(b)
  }

  /** The small process takes addresses away from one that is stopped. */
  owners(id: string): string[] {
    return this.names.filter(
      name => !this.dead.has(name) && this.elections.get(name)!.owned().has(id) && this.nowMs - this.lastTickMs.get(name)! <= LEASE_MS
    )
  }

  step(): void {
    this.nowMs += STEP_MS
    const running = this.names.filter(name => !this.dead.has(name) && !this.stopped.has(name))
    for (const name of running) {
      const election = this.elections.get(name)!
      if (this.hasChatter && this.names.some(other => other !== name && this.piece.get(other) === this.piece.get(name)))
        election.contact(this.nowMs)
      for (const change of election.tick(this.nowMs)) this.changes.push({ ...change, engine: name, atMs: this.nowMs })
      this.lastTickMs.set(name, this.nowMs)
    }
    for (const from of running) {
      const owned = new Map(this.elections.get(from)!.owned())
      for (const to of running) {
        if (from === to || !this.hears(from, to)) continue
        const election = this.elections.get(to)!
        election.contact(this.nowMs)
        election.alive(from, this.nowMs)
        for (const [id, term] of owned) election.claimed(id, { owner: from, term }, this.nowMs)
        this.directAt.set(`${to}${from}`, this.nowMs)
        this.directClaims.set(`${to}${from}`, owned)
        // What the sender hears itself is passed on.
        for (const third of this.names) {
          const atMs = this.directAt.get(`${from}${third}`)
          if (third === from || third === to || atMs === undefined || this.nowMs - atMs > SILENT_MS) continue
          election.alive(third, atMs)
          for (const [id, term] of this.directClaims.get(`${from}${third}`)!) election.claimed(id, { owner: third, term }, atMs)
        }
      }
    }
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end;) this.step()
  }

  /** Time until only `owner` owns it. */
  until(owner: string, id = 'v'): number {
    const from = this.nowMs
    while (this.owners(id).join() !== owner && this.nowMs - from < 60_000) this.step()
    return this.nowMs - from
  }
}

const v = (engines = 'ab', term = 1): Candidates => ({ id: 'v', engines: engines.split(''), term })
const settled = (names = 'abc', candidates = [v()]): World => {
  const world = new World(names.split(''), candidates)
  world.run(2_000)
  return world
}

t.test('the first in order owns it once it has listened', async t => {
  const world = settled()
  t.same(world.owners('v'), ['a'])
  t.match(world.changes, [{ is: 'own', why: 'first', engine: 'a' }])
  t.ok(world.changes[0]!.atMs >= SILENT_MS)
})

t.test('the next takes over from one that died, and keeps it when that returns with its old order', async t => {
  const world = settled()
  world.dead.add('a')
  t.ok(world.until('b') <= SILENT_MS + 2 * STEP_MS)
  world.start('a')
  world.run(5_000)
  t.same(world.owners('v'), ['b'])
  t.equal(world.changes.filter(({ is }) => is === 'own').length, 2)
})

t.test('two alone are enough, in both orders of dying', async t => {
  const world = settled('ab')
  world.dead.add('b')
  world.run(5_000)
  t.same(world.owners('v'), ['a'], 'the owner goes on when its peer dies')
  world.start('b')
  world.run(2_000)
  world.dead.add('a')
  t.ok(world.until('b') <= SILENT_MS + 2 * STEP_MS)
})

t.test('an owner that was stopped finds out before it answers', async t => {
  const world = settled()
  world.stopped.add('a')
  t.ok(world.until('b') <= SILENT_MS + 2 * STEP_MS)
  world.stopped.delete('a')
  world.step()
  t.match(world.changes.at(-1), { engine: 'a', is: 'release', why: 'stopped' })
  world.run(5_000)
  t.same(world.owners('v'), ['b'])
})

t.test('one that hears nobody gives up; it does not get it back', async t => {
  const world = settled()
  world.piece.set('a', 1)
  world.run(SILENT_MS + 3 * STEP_MS)
  t.same(world.owners('v'), ['b'])
  t.match(
    world.changes.find(({ engine, is }) => engine === 'a' && is === 'release'),
    { why: 'alone' }
  )
  world.piece.set('a', 0)
  world.run(3_000)
  t.same(world.owners('v'), ['b'])
})

t.test('two that do not hear each other, but a third hears both: nothing moves', async t => {
  const world = settled()
  world.cut.add('ab').add('ba')
  world.run(5_000)
  t.same(world.owners('v'), ['a'])
  world.start('b')
  world.run(5_000)
  t.same(world.owners('v'), ['a'], 'nor when the second starts anew')
})

t.test('one way only: no two owners', async t => {
  const world = settled('ab')
  world.cut.add('ab')
  world.run(3_000)
  t.equal(world.owners('v').length, 1)
  world.cut.clear()
  world.run(3_000)
  t.equal(world.owners('v').length, 1)
})

t.test('the controller orders a change of owner', async t => {
  const world = settled()
  world.candidates = [v('ba', 2)]
  world.order('a')
  world.run(500)
  t.same(world.owners('v'), ['a'], 'it keeps it until the other has it')
  world.order('b')
  t.ok(world.until('b') <= 4 * STEP_MS)
  world.candidates = []
  world.order('b')
  world.step()
  t.same(world.owners('v'), [])
})

t.test('one that ends in order is followed at once', async t => {
  const world = settled()
  world.elections.get('a')!.stop()
  world.dead.add('a')
  for (const name of ['b', 'c']) world.elections.get(name)!.left('a')
  t.ok(world.until('b') <= 2 * STEP_MS)
})

t.test('a third is there when two are dead', async t => {
  const world = settled('abc', [v('abc')])
  world.dead.add('a').add('b')
  t.ok(world.until('c') <= SILENT_MS + 2 * STEP_MS)
})

t.test('a link that flaps moves an address a few times and no more', async t => {
  const world = settled('abc', [v('ab')])
  const before = world.changes.filter(({ is }) => is === 'own').length
  for (let i = 0; i < 20; i++) {
    world.piece.set('a', 1)
    world.run(1_500)
    world.piece.set('a', 0)
    world.run(1_500)
  }
  world.run(2_000)
  t.equal(world.owners('v').length, 1)
  t.ok(world.changes.filter(({ is }) => is === 'own').length - before <= 2)
})

t.test('seeded: partitions, stops, deaths and restarts; never two owners on one piece for longer than it takes to hear of it', async t => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed)
    const names = ['a', 'b', 'c', 'd'].slice(0, 2 + Math.floor(random() * 3))
    const ids = ['v', 'w']
    const world = new World(
      names,
      ids.map(id => ({ id, engines: names.toSorted(() => random() - 0.5), term: 1 }))
    )
    const pick = (): string => names[Math.floor(random() * names.length)]!
    const bothSince = new Map<string, number>()
    let longest = 0
    const watch = (ms: number): void => {
      for (const end = world.nowMs + ms; world.nowMs < end;) {
        world.step()
        for (const id of ids)
          for (const piece of [0, 1]) {
            const owners = world.owners(id).filter(name => world.piece.get(name) === piece)
            const key = `${id} ${piece}`
            if (owners.length < 2) bothSince.delete(key)
            else longest = Math.max(longest, world.nowMs - (bothSince.get(key) ?? bothSince.set(key, world.nowMs).get(key)!))
          }
      }
    }
    for (let event = 0; event < 60; event++) {
      const name = pick()
      const kind = random()
      if (kind < 0.3) world.piece.set(name, random() < 0.5 ? 0 : 1)
      else if (kind < 0.45) world.stopped.add(name)
      else if (kind < 0.6) world.stopped.delete(name)
      else if (kind < 0.75) world.dead.add(name)
      else if (kind < 0.95) world.start(name)
      else {
        // An order that reaches some only.
        world.candidates = world.candidates.map(one => ({ ...one, engines: one.engines.toReversed(), term: one.term + 1 }))
        for (const other of names) if (random() < 0.7) world.order(other)
      }
      watch(random() * 2_000)
    }
    t.ok(longest <= SILENT_MS, `seed ${seed}: two owned it for ${longest} ms`)
    for (const name of names) {
      world.piece.set(name, 0)
      if (world.dead.has(name)) world.start(name)
      world.stopped.delete(name)
    }
    world.run(3_000)
    for (const id of ids) t.equal(world.owners(id).length, 1, `seed ${seed}: one owner of ${id} in the end`)
  }
})
