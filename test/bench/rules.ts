/**
 * What matching costs with 10,000 rules, patterns of the worst kind among them, and a group of 100,000 addresses; and how long at a
 * stretch building them holds up a worker: `node rules.ts [--json]`.
 */
import { parseArgs } from 'node:util'
import { networkRulesInSteps } from '#engine/dataplane/exchange/network-rules.ts'
import { inTurns, type Steps } from '#engine/dataplane/exchange/build-steps.ts'
import { rulesInSteps } from '#engine/dataplane/route/rules.ts'
import { anExchange } from '#test/support/exchange.ts'
import { aLargeRuleBook } from '#test/support/large-rules.ts'
import { machineLine, readMachine } from './machine.ts'
import { align } from './report.ts'

const ROUNDS = 20_000
const US_PER_MS = 1_000

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const { requestRules, networkRules } = aLargeRuleBook()

/** As a generation is built: whoever waits is let run every 2 ms. */
async function build<T>(steps: Steps<T>): Promise<{ readonly built: T; readonly tookMs: number; readonly longestMs: number }> {
  let longestMs = 0
  let sinceMs = performance.now()
  const beganMs = sinceMs
  const look = (): void => {
    longestMs = Math.max(longestMs, performance.now() - sinceMs)
  }
  const built = await inTurns(steps, () => {
    if (performance.now() - sinceMs < 2) return undefined
    look()
    return new Promise(resolve =>
      setImmediate(() => {
        sinceMs = performance.now()
        resolve()
      })
    )
  })
  look()
  return { built, tookMs: performance.now() - beganMs, longestMs }
}

const rules = await build(rulesInSteps({ requestRules, responseRules: [] }))
const network = await build(networkRulesInSteps(networkRules))

const requests = [
  { name: 'no rule matches', host: 'shop.test', target: '/products/17' },
  { name: 'the last of the hosts', host: 'h9996.test', target: '/' },
  { name: 'a path', host: 'shop.test', target: '/p9997' },
  { name: 'an evil pattern, an evil path', host: 'evil1199.test', target: `/${'a'.repeat(60)}!` }
]
const figures = requests.map(({ name, host, target }) => {
  const tookUs = new Float64Array(ROUNDS)
  const exchange = anExchange({ target, headers: ['Host', host] }, { clientIp: '21.3.7.200' })
  for (let i = 0; i < ROUNDS; i++) {
    const beganMs = performance.now()
    network.built(exchange.downstream.clientIp, 80)
    rules.built.decide(exchange)
    tookUs[i] = (performance.now() - beganMs) * US_PER_MS
  }
  tookUs.sort()
  return { name, p50Us: tookUs[ROUNDS / 2]!, p99Us: tookUs[Math.floor(ROUNDS * 0.99)]! }
})

const building = [
  { name: 'rules', ...rules },
  { name: 'addresses', ...network }
].map(({ name, tookMs, longestMs }) => ({ name, tookMs, longestMs }))
if (values.json) console.log(JSON.stringify({ machine: readMachine(), matching: figures, building }))
else {
  console.log(machineLine(readMachine()))
  console.log(
    align([
      ['matching', 'p50 us', 'p99 us'],
      ...figures.map(({ name, p50Us, p99Us }) => [name, p50Us.toFixed(1), p99Us.toFixed(1)]),
      ['building', 'ms', 'longest ms'],
      ...building.map(({ name, tookMs, longestMs }) => [name, tookMs.toFixed(0), longestMs.toFixed(1)])
    ])
  )
}
