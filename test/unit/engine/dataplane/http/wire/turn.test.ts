import t from 'tap'
import { Turn, type Turned } from '#engine/dataplane/http/wire/turn.ts'

const KB = 1_024

class Connection implements Turned {
  burstBytes = 0
  isResting = false
  goneOn = 0

  goOn(): void {
    this.goneOn++
  }
}

function aTurn(): { readonly turn: Turn; readonly due: (() => void)[]; readonly next: () => void } {
  const due: (() => void)[] = []
  return { turn: new Turn(next => due.push(next)), due, next: () => due.shift()?.() }
}

/** How much one is read until it has to rest. */
function readUntilRest(turn: Turn, connection: Turned, size: number): number {
  for (let bytes = size; bytes < 100_000 * KB; bytes += size) if (!turn.mayGoOn(connection, size)) return bytes
  return Infinity
}

t.test('Turn leaves alone what is small, and the first full read', async t => {
  const { turn, due } = aTurn()
  const connection = new Connection()
  for (let i = 0; i < 100; i++) t.ok(turn.mayGoOn(connection, 16 * KB - 1))
  t.ok(turn.mayGoOn(connection, 64 * KB))
  t.ok(turn.mayGoOn(connection, 200), 'a response of 64 kB and its head')
  t.ok(turn.mayGoOn(connection, 64 * KB))
  t.equal(due.length, 0, 'and nothing is due for it')
})

t.test('Turn lets a connection rest once it was read 256 kB in one go, and go on in the next turn', async t => {
  const { turn, due, next } = aTurn()
  const connection = new Connection()
  t.equal(readUntilRest(turn, connection, 64 * KB), 256 * KB)
  t.ok(connection.isResting)
  t.notOk(turn.mayGoOn(connection, 64 * KB), 'what comes all the same changes nothing')
  t.equal(due.length, 1)
  next()
  t.match(connection, { isResting: false, goneOn: 1 })
  t.equal(readUntilRest(turn, connection, 16 * KB), 256 * KB, 'in records of TLS as well')
})

t.test('Turn gives each less once all together were read much', async t => {
  const { turn, next } = aTurn()
  const first = Array.from({ length: 22 }, () => readUntilRest(turn, new Connection(), 64 * KB))
  t.equal(first[0], 256 * KB)
  t.equal(first.at(-1), 128 * KB)
  const many = Array.from({ length: 100 }, () => new Connection())
  for (const connection of many) t.equal(readUntilRest(turn, connection, 64 * KB), 128 * KB)
  next()
  t.ok(many.every(connection => connection.goneOn === 1))
  t.equal(readUntilRest(turn, many[0]!, 64 * KB), 256 * KB, 'and the next turn begins anew')
})
