import fc from 'fast-check'
import t from 'tap'
import type { EngineMakingState } from '#model/resource/autoscale.ts'
import { CREATED_AT_ONCE, decide, type GroupNow, type IntentNow } from '#controller/driver/decide.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const intent = (name: string, state: EngineMakingState, more: Partial<IntentNow> = {}): IntentNow => ({
  name,
  state,
  isLost: false,
  services: 0,
  madeAtEpochMs: 0,
  ...more
})
const group = (more: Partial<GroupNow> = {}): GroupNow => ({ wanted: 2, most: 10, room: 100, others: 0, intents: [], ...more })
const nothing = { create: 0, keep: [], drain: [], giveUp: [] }

t.test('decide makes what is missing, counting what others made and what is on its way', async t => {
  t.same(decide(group()), { ...nothing, create: 2 })
  t.same(decide(group({ others: 1 })), { ...nothing, create: 1 })
  t.same(decide(group({ intents: [intent('a', 'JOINING'), intent('b', 'WANTED')] })), nothing)
  t.same(decide(group({ wanted: 8, most: 5, others: 1, intents: [intent('a', 'DESTROYING')] })), { ...nothing, create: 3 })
  t.same(decide(group({ wanted: 8, room: 2 })), { ...nothing, create: 2 })
  t.same(decide(group({ wanted: 50, most: 50 })), { ...nothing, create: CREATED_AT_ONCE })
})

t.test('decide takes away what costs least, and never what others made', async t => {
  const intents = [
    intent('old', 'JOINED', { services: 3, madeAtEpochMs: 1 }),
    intent('idle', 'JOINED', { madeAtEpochMs: 2 }),
    intent('new', 'JOINED', { services: 3, madeAtEpochMs: 3 })
  ]
  t.same(decide(group({ intents })), { ...nothing, drain: ['idle'] })
  t.same(decide(group({ wanted: 1, intents })), { ...nothing, drain: ['idle', 'new'] })
  t.same(decide(group({ intents: [...intents, intent('coming', 'JOINING')] })), { ...nothing, drain: ['idle'], giveUp: ['coming'] })
  t.same(decide(group({ wanted: 1, others: 4 })), nothing)
})

t.test('decide keeps what drains when it is wanted after all', async t => {
  const intents = [intent('a', 'JOINED'), intent('b', 'DRAINING'), intent('c', 'DRAINING', { services: 2 })]
  t.same(decide(group({ intents })), { ...nothing, keep: ['c'] })
  t.same(decide(group({ wanted: 4, intents })), { ...nothing, keep: ['c', 'b'], create: 1 })
})

t.test('decide replaces the lost at once, and gives them up only when others are up', async t => {
  const lost = intent('a', 'JOINED', { isLost: true })
  t.same(decide(group({ wanted: 1, intents: [lost] })), { ...nothing, create: 1 })
  t.same(decide(group({ wanted: 1, intents: [lost, intent('b', 'JOINING')] })), nothing)
  t.same(decide(group({ wanted: 1, intents: [lost, intent('b', 'JOINED')] })), { ...nothing, giveUp: ['a'] })
})

const states = ['WANTED', 'JOINING', 'JOINED', 'DRAINING', 'DESTROYING'] as const
const anIntent = fc.record({
  state: fc.constantFrom(...states),
  isLost: fc.boolean(),
  services: fc.nat(5),
  madeAtEpochMs: fc.nat(100)
})
const aGroup = fc.record({
  wanted: fc.nat(20),
  most: fc.nat(20),
  room: fc.nat(20),
  others: fc.nat(5),
  intents: fc.array(anIntent, { maxLength: 20 }).map(all => all.map((one, i) => ({ ...one, name: `e${i}` })))
})

t.test('decide comes to rest, never goes above what may be, and orders nothing that contradicts itself', async () => {
  fc.assert(
    fc.property(aGroup, start => {
      let now: GroupNow = start
      for (let round = 0; round < 10; round++) {
        const orders = decide(now)
        const { create, keep, drain, giveUp } = orders
        const named = [...keep, ...drain, ...giveUp]
        if (new Set(named).size !== named.length) return false
        if (create > 0 && (drain.length > 0 || now.intents.some(one => one.state === 'WANTED' && giveUp.includes(one.name)))) return false
        const stateOf = new Map(now.intents.map(one => [one.name, one.state]))
        if (drain.some(name => stateOf.get(name) !== 'JOINED') || keep.some(name => stateOf.get(name) !== 'DRAINING')) return false
        const notLost = now.intents.filter(one => !(one.state === 'JOINED' && one.isLost)).length
        if (create > 0 && (create > now.room || now.others + notLost + create > now.most)) return false
        if (create + named.length === 0) {
          const there = now.others + now.intents.filter(one => one.state !== 'DESTROYING' && one.state !== 'DRAINING' && !one.isLost).length
          const isFull = now.others + notLost >= now.most || now.room === 0
          return (
            round > 0 ||
            there === now.wanted ||
            (there < now.wanted && isFull) ||
            now.others > now.wanted ||
            now.intents.some(one => one.isLost)
          )
        }
        now = {
          ...now,
          room: now.room - create,
          intents: [
            ...now.intents.map((one): IntentNow => {
              if (keep.includes(one.name)) return { ...one, state: 'JOINED' }
              if (drain.includes(one.name)) return { ...one, state: 'DRAINING' }
              return giveUp.includes(one.name) ? { ...one, state: 'DESTROYING' } : one
            }),
            ...Array.from({ length: create }, (_, i) => intent(`n${round}-${i}`, 'WANTED'))
          ]
        }
      }
      return false
    }),
    { seed, numRuns: 2_000 }
  )
})
