import t from 'tap'
import type { HubMessage } from '#model/message/message.ts'
import { aQuestion as question, anExplanation as explanation } from '#test/support/message.ts'
import { Questions } from '#controller/fleet/questions.ts'
import type { Engine } from '#controller/fleet/roster.ts'
import { manualClock } from '#test/support/manual-clock.ts'

function anEngine(uuid: string, runs: readonly string[], isLive = true): { engine: Engine; sent: HubMessage[] } {
  const sent: HubMessage[] = []
  const session = { isLive, send: (message: HubMessage) => sent.push(message) }
  return { engine: { uuid, session, runningIds: new Set(runs) } as unknown as Engine, sent }
}

t.test('ask takes the first engine that is connected and runs the service, and believes no other', async t => {
  const questions = new Questions(manualClock())
  const [gone, other, asked] = [anEngine('gone', ['a'], false), anEngine('other', ['b']), anEngine('asked', ['a'])] as const
  const answer = questions.ask([gone.engine, other.engine, asked.engine], question)
  t.same([gone.sent.length, other.sent.length, asked.sent.length], [0, 0, 1])
  const [message] = asked.sent
  const id = message?.type === 'ExplainRequest' ? message.id : ''
  questions.answered('other', { type: 'RequestExplained', id, explanation: { ...explanation, reason: 'a lie' } })
  questions.answered('asked', { type: 'RequestExplained', id: 'unknown', explanation })
  questions.answered('asked', { type: 'RequestExplained', id, explanation })
  t.same(await answer, { engineUuid: 'asked', explanation })
  t.equal(await questions.ask([gone.engine, other.engine], question), undefined)
})

t.test('ask waits no longer than three seconds', async t => {
  const clock = manualClock()
  const questions = new Questions(clock)
  const { engine, sent } = anEngine('asked', ['a'])
  const answer = questions.ask([engine], question)
  clock.advance(3_000)
  t.equal(await answer, undefined)
  const [message] = sent
  questions.answered('asked', { type: 'RequestExplained', id: message?.type === 'ExplainRequest' ? message.id : '', explanation })
})
