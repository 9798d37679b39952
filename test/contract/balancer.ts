/** What every balancer must keep, whatever its algorithm. */
import type { Test } from 'tap'
import type { Balancer, Candidate, Question } from '#engine/dataplane/balance/balancer.ts'

export interface TestCandidate extends Candidate {
  load: number
}

export function aCandidate(id: string, weight = 1, responseUs = 1000): TestCandidate {
  const candidate: TestCandidate = { id, weight, load: 0, inFlight: () => candidate.load, responseUs: () => responseUs, busyUs: () => 0 }
  return candidate
}

export const candidates = (count: number): TestCandidate[] => Array.from({ length: count }, (_, i) => aCandidate(`10.0.0.${i}:80`))

/** A different client for each number. */
export function aQuestion(n: number): Question {
  return { clientIp: `192.0.${(n >> 8) & 255}.${n & 255}`, clientPort: 1024 + (n % 60_000), uri: `/item/${n}`, header: () => `user-${n}` }
}

export function balancerContract(t: Test, name: string, make: () => Balancer): void {
  t.test(`${name} keeps the balancer contract`, async t => {
    t.test('answers undefined exactly when no candidate has a weight', async t => {
      t.equal(make().pick([], aQuestion(1)), undefined)
      t.equal(make().pick([aCandidate('a', 0), aCandidate('b', 0)], aQuestion(1)), undefined)
      t.equal(make().pick([aCandidate('a', 0), aCandidate('b', 1)], aQuestion(1))?.id, 'b')
    })

    t.test('reaches every idle candidate, and none without weight', async t => {
      const balancer = make()
      const list = [...candidates(5), aCandidate('resting', 0)]
      const reached = new Set<string>()
      for (let n = 0; n < 500; n++) reached.add(balancer.pick(list, aQuestion(n * 7919))!.id)
      t.same(
        [...reached].toSorted(),
        list.slice(0, 5).map(candidate => candidate.id)
      )
    })

    t.test('does not change what it is given and follows a change of candidates', async t => {
      const balancer = make()
      const list = candidates(4)
      const before = [...list]
      for (let n = 0; n < 50; n++) balancer.pick(list, aQuestion(n))
      t.same(list, before)
      const fewer = list.slice(1)
      for (let n = 0; n < 200; n++) t.ok(fewer.includes(balancer.pick(fewer, aQuestion(n))!))
    })

    t.test('gives weight its share within a tenth of it', async t => {
      const balancer = make()
      const list = [aCandidate('heavy', 3), aCandidate('light', 1)]
      let heavy = 0
      const inFlight: TestCandidate[] = []
      for (let n = 0; n < 20_000; n++) {
        const picked = balancer.pick(list, aQuestion(n * 104_729))!
        if (picked.id === 'heavy') heavy++
        // A steady number of exchanges is in flight, as under load.
        picked.load++
        inFlight.push(picked)
        if (inFlight.length > 40) inFlight.shift()!.load--
      }
      t.ok(Math.abs(heavy / 20_000 - 0.75) < 0.075, `${heavy / 200} %`)
    })
  })
}
