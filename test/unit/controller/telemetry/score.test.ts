import fc from 'fast-check'
import t from 'tap'
import { calm, scoreOf } from '#controller/telemetry/score.ts'

const well = { isDown: false, serversUp: 4, serversEnabled: 4, enginesUp: 2, enginesWanted: 2 }

t.test('scoreOf takes nothing off what is well, and everything off what is down', async t => {
  t.same(scoreOf(well, calm), { score: 100, reasons: [] })
  t.same(scoreOf({ ...well, isDown: true }, calm), { score: 0, reasons: [{ reason: 'down', points: 100 }] })
  t.same(scoreOf({ isDown: false, serversUp: 0, serversEnabled: 0, enginesUp: 0, enginesWanted: 0 }, calm), { score: 100, reasons: [] })
})

t.test('scoreOf names every deduction, worst first', async t => {
  const { score, reasons } = scoreOf(
    { ...well, serversUp: 3, enginesUp: 1 },
    { ...calm, requestsPerS: 100, errorRatio: 0.25, latencyP95Ms: 400, usualP95Ms: 50 }
  )
  t.same(reasons, [
    { reason: '25 % of the answers are errors (5xx)', points: 50 },
    { reason: '95 % latency is 8.0 times its usual 50.0 ms', points: 30 },
    { reason: '1 of 2 engines are missing', points: 15 },
    { reason: '1 of 4 servers are not up', points: 5 }
  ])
  t.equal(score, 0)
})

t.test('scoreOf does not judge by a handful of requests or by milliseconds', async t => {
  t.equal(scoreOf(well, { ...calm, requestsPerS: 0.01, errorRatio: 1 }).score, 100)
  t.equal(scoreOf(well, { ...calm, requestsPerS: 100, latencyP95Ms: 8, usualP95Ms: 1 }).score, 100)
})

t.test('scoreOf lowers an engine that has no room left', async t => {
  t.same(scoreOf(well, { ...calm, cpuRatio: 0.9, memoryRatio: 0.5 }), {
    score: 85,
    reasons: [{ reason: 'processor is 90 % used', points: 15 }]
  })
})

t.test('scoreOf gives points that add up, whatever it is told', async t => {
  const ratio = fc.double({ min: 0, max: 1, noNaN: true })
  const count = fc.nat(50)
  const facts = fc.record({ isDown: fc.boolean(), serversUp: count, serversEnabled: count, enginesUp: count, enginesWanted: count })
  const mood = fc.record({
    requestsPerS: fc.double({ min: 0, max: 1e6, noNaN: true }),
    errorRatio: ratio,
    latencyP95Ms: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true })),
    usualP95Ms: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true })),
    cpuRatio: fc.option(ratio),
    memoryRatio: fc.option(ratio)
  })
  fc.assert(
    fc.property(facts, mood, (f, m) => {
      const { score, reasons } = scoreOf(f, m)
      const taken = reasons.reduce((sum, reason) => sum + reason.points, 0)
      return Number.isInteger(score) && score >= 0 && score + taken === 100 && reasons.every(reason => reason.points >= 1)
    }),
    { numRuns: 500 }
  )
  t.pass('held for every case')
})
