import t from 'tap'
import { parseAgentLine, parseWeight } from '#engine/monitor/weight.ts'

t.test('parseWeight reads a share', async t => {
  t.equal(parseWeight('75'), 75)
  t.equal(parseWeight(' 75 %'), 75)
  t.equal(parseWeight('33.9%'), 33)
  t.equal(parseWeight('250'), 100)
  t.equal(parseWeight('0'), 0)
  for (const text of ['', '-1', 'half', '75%%', '1e2', '9999999']) t.equal(parseWeight(text), undefined, text)
})

t.test('parseAgentLine acts on the words of an agent', async t => {
  t.same(parseAgentLine('up\n'), { verdict: 'up', detail: 'the agent says up' })
  t.match(parseAgentLine('ready 40%\r\nignored'), { verdict: 'up', detail: 'the agent says 40 %', weightPercent: 40 })
  t.match(parseAgentLine('UP,50%,maxconn:30'), { verdict: 'up', weightPercent: 50 })
  t.match(parseAgentLine('drain'), { verdict: 'up', weightPercent: 0 })
  t.match(parseAgentLine('down#disk full\n'), { verdict: 'down', detail: 'the agent says down: disk full' })
  t.match(parseAgentLine('maint\n'), { verdict: 'down', detail: 'maintenance' })
  t.match(parseAgentLine('75% fail'), { verdict: 'down' })
  t.match(parseAgentLine('\u001b[31mhello'), { verdict: 'down', detail: 'the agent answered "[31mhello"' })
  t.match(parseAgentLine(''), { verdict: 'down', detail: 'closed without an answer' })
})
