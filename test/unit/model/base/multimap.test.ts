import t from 'tap'
import { Multimap } from '#model/base/multimap.ts'

t.test('values are kept by key, each once, until they are deleted', async t => {
  const map = new Multimap<string, number>()
  t.same([...map.of('a')], [])
  map.add('a', 1)
  map.add('a', 2)
  map.add('a', 1)
  map.add('b', 3)
  t.same([...map.of('a')], [1, 2])
  map.delete('a', 9)
  map.delete('none', 1)
  map.delete('a', 1)
  t.same([...map.of('a')], [2])
  map.delete('a', 2)
  t.same([...map.of('a')], [])
  t.same([...map.of('b')], [3])
})
