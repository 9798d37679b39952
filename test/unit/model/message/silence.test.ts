import t from 'tap'
import { HEARTBEAT_INTERVAL_MS, HEARTBEAT_TIMEOUT_MS } from '#model/message/message.ts'
import { makeSilence, SILENCE_TICK_MS } from '#model/message/silence.ts'

t.test('makeSilence calls a peer gone after the timeout in ticks, and forgets with every word', async t => {
  const silence = makeSilence(1_000)
  t.same([silence.tick(), silence.tick(), silence.tick()], [false, false, false])
  silence.heard()
  t.same([silence.tick(), silence.tick(), silence.tick(), silence.tick()], [false, false, false, true])
})

t.test('some heartbeats may be lost before a peer counts as gone', async t => {
  t.ok(HEARTBEAT_TIMEOUT_MS >= 3 * HEARTBEAT_INTERVAL_MS)
  t.ok(SILENCE_TICK_MS <= HEARTBEAT_INTERVAL_MS)
  t.ok(HEARTBEAT_TIMEOUT_MS + SILENCE_TICK_MS < 3_000, 'down is told within 3 s')
})
