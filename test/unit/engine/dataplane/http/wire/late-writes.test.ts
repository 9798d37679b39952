import t from 'tap'
import { Turn } from '#engine/dataplane/http/wire/turn.ts'

const rest = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('all of a turn write at its end, in order; who comes while they write is in the next', async t => {
  const turn = new Turn()
  const wrote: string[] = []
  const writer = (name: string, then?: () => void) => ({
    sendLate: () => {
      wrote.push(name)
      then?.()
    }
  })
  turn.writeLater(writer('a', () => turn.writeLater(writer('c'))))
  turn.writeLater(writer('b'))
  t.same(wrote, [], 'not at once')
  await rest()
  t.same(wrote, ['a', 'b'])
  await rest()
  t.same(wrote, ['a', 'b', 'c'])
  await rest()
  t.equal(wrote.length, 3)
})
