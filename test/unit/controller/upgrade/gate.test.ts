import t from 'tap'
import { gate } from '#controller/upgrade/gate.ts'

const limits = { maxErrorIncrease: 0.01, maxHealthDrop: 10 }
const side = (requests: number, errors: number, score = 100, refuses: readonly string[] = []) => ({
  requests,
  errors,
  scores: { vs: { name: 'shop', score } },
  refuses
})

t.test('an engine that is as it was passes, once the time is over', async t => {
  t.equal(gate(side(1_000, 3), side(1_000, 4), limits, false).verdict, 'wait')
  t.same(gate(side(1_000, 3), side(1_000, 4), limits, true), { verdict: 'pass', reasons: ['4 errors of 1000 requests'] })
  t.equal(gate(side(0, 0), side(0, 0), limits, true).verdict, 'pass', 'without traffic being up is all that is known')
})

t.test('errors that are nearly certain fail at once, a few more at the end, and chance does not', async t => {
  t.match(gate(side(1_000, 0), side(100, 50), limits, false), {
    verdict: 'fail',
    reasons: ['errors: 50 % of 100 requests, 0 % of 1000 before']
  })
  t.equal(gate(side(1_000, 0), side(400, 12), limits, false).verdict, 'wait')
  t.equal(gate(side(1_000, 0), side(400, 12), limits, true).verdict, 'fail')
  t.equal(gate(side(1_000, 0), side(100, 2), limits, true).verdict, 'pass', 'two of a hundred may be chance')
  t.equal(gate(side(1_000, 0), side(19, 19), limits, true).verdict, 'pass', 'too few to say anything')
  t.equal(gate(side(1_000, 300), side(1_000, 310), limits, true).verdict, 'pass', 'it was as bad before')
})

t.test('an engine that had no traffic before is compared with none that failed', async t => {
  t.match(gate(side(0, 0), side(100, 40), limits, true), { verdict: 'fail', reasons: [/0 % of 0 before$/] })
})

t.test('a service that is less well is worse, which it may recover from; one that it no longer carries is not judged', async t => {
  t.same(gate(side(0, 0), side(0, 0, 89), limits, true), { verdict: 'worse', reasons: ['health of shop: 89, 100 before'] })
  t.equal(gate(side(0, 0), side(0, 0, 90), limits, true).verdict, 'pass')
  t.equal(gate(side(0, 0), { requests: 0, errors: 0, scores: {}, refuses: [] }, limits, true).verdict, 'pass')
})

t.test('an engine that refuses what it ran fails at once; what it refused before is not of the build', async t => {
  t.same(gate(side(0, 0), side(0, 0, 100, ['port 80 is in use']), limits, false), {
    verdict: 'fail',
    reasons: ['it refuses what it should run: port 80 is in use']
  })
  t.equal(gate(side(0, 0, 100, ['port 80 is in use']), side(0, 0, 100, ['port 80 is in use']), limits, true).verdict, 'pass')
})
