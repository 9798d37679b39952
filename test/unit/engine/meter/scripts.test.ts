import t from 'tap'
import type { ScriptSample } from '#model/message/message.ts'
import { openScriptTally } from '#engine/meter/scripts.ts'

const aSample = (runs: number, given: Partial<ScriptSample> = {}): ScriptSample => ({
  virtualServiceId: 'vs-1',
  name: 'set/HTTP_REQ',
  runs,
  failures: 0,
  lastError: '',
  lastErrorAtEpochMs: 0,
  counters: [],
  ...given
})

t.test('a script tally sums workers, and keeps what those that are gone have done', async t => {
  const tally = openScriptTally(2)
  t.same(tally.sample(), [])
  tally.told(0, [aSample(3, { failures: 1, lastError: 'old', lastErrorAtEpochMs: 1, counters: [{ name: 'a', count: 2 }] })])
  tally.told(1, [
    aSample(4, {
      failures: 1,
      lastError: 'new',
      lastErrorAtEpochMs: 2,
      counters: [
        { name: 'a', count: 1 },
        { name: 'b', count: 9 }
      ]
    })
  ])
  const both = {
    runs: 7,
    failures: 2,
    lastError: 'new',
    counters: [
      { name: 'a', count: 3 },
      { name: 'b', count: 9 }
    ]
  }
  t.match(tally.sample(), [both])
  tally.gone(1)
  t.match(tally.sample(), [both], 'a worker that died takes nothing with it')
  tally.told(1, [aSample(1)])
  t.match(tally.sample(), [{ runs: 8 }])
  tally.told(1, [aSample(2, { name: 'other' })])
  tally.told(0, [aSample(2, { name: 'other' })])
  t.match(tally.sample(), [{ name: 'other', runs: 4 }], 'what runs nowhere is forgotten')
})
