import t from 'tap'
import { decisionWords } from '../../../ui/releases/words.ts'

t.test('a decision is said with the share that it was made at', async t => {
  t.equal(decisionWords({ kind: 'PASSED', share: 25 }), '25 % passed')
  t.equal(decisionWords({ kind: 'ROLLED_BACK', share: 50 }), '50 % rolled back')
  t.equal(decisionWords({ kind: 'EXTENDED', share: 1 }), '1 % measured for longer')
})
