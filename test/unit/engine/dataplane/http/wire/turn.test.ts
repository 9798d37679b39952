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

t.test('Turn leaves alone what is small, and full reads of a few', async t => {
  const { turn, due, next } = aTurn()
  const connection = new Connection()
  for (let i = 0; i < 100; i++) t.ok(turn.mayGoOn(connection, 16 * KB - 1))
  t.equal(due.length, 0, 'nothing is due for what is small')
  for (let i = 0; i < 4; i++) {
    t.ok(turn.mayGoOn(connection, 64 * KB))
    t.ok(turn.mayGoOn(connection, 200), 'a response of 64 kB and its head')
  }
  t.equal(due.length, 1)
  next()
  t.equal(due.length, 0, 'and no more when nobody rests')
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

t.test('Turn gives each its first read only once all together were read much, and lets some go on at a time', async t => {
  const { turn, due, next } = aTurn()
  const first = Array.from({ length: 25 }, () => readUntilRest(turn, new Connection(), 64 * KB))
  t.equal(first[0], 256 * KB)
  t.equal(first.at(-1), 64 * KB)
  next()
  t.equal(due.length, 0, 'all of them go on')
  const many = Array.from({ length: 300 }, () => new Connection())
  for (const connection of many) readUntilRest(turn, connection, 64 * KB)
  let turns = 0
  for (let before = 0; due.length > 0; before = many.filter(({ goneOn }) => goneOn === 1).length, turns++) {
    next()
    t.ok(many.filter(({ goneOn }) => goneOn === 1).length - before <= 64)
  }
  t.equal(turns, 5)
  t.ok(
    many.every(({ goneOn, isResting }) => goneOn === 1 && !isResting),
    'each once'
  )
  t.equal(readUntilRest(turn, many[0]!, 64 * KB), 256 * KB, 'and the next turn begins anew')
})
