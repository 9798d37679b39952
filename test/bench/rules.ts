/**
 * What matching costs with 10,000 rules, patterns of the worst kind among them, and a group of 100,000 addresses; and how long at a
 * stretch building them holds up a worker: `node rules.ts [--json]`.
 */
import { parseArgs } from 'node:util'
import { seededRandom } from '#model/base/random.ts'
import { networkRulesInSteps } from '#engine/dataplane/exchange/network-rules.ts'
import { inTurns, type Steps } from '#engine/dataplane/exchange/build-steps.ts'
import { Automata } from '#engine/dataplane/route/automata.ts'
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

const rules = await build(rulesInSteps({ requestRules, responseRules: [] }, new Automata()))
const network = await build(networkRulesInSteps(networkRules))

const random = seededRandom(1)
/** A path that the patterns have much to do with, and another one each time. */
const evilPath = (length: number): string => `/${Array.from({ length }, () => 'aaaaxB'[Math.floor(random() * 6)]).join('')}!`
const evilHosts = Array.from({ length: 25 }, (_, i) => `evil${i * 400 + 399}.test`)
const oneOf = (host: string, target: string) => ({ hosts: [host], targets: [target], rounds: ROUNDS })
const manyOf = (length: number, rounds: number) => ({
  hosts: evilHosts,
  targets: Array.from({ length: rounds }, () => evilPath(length)),
  rounds
})

const requests = [
  { name: 'no rule matches', ...oneOf('shop.test', '/products/17') },
  { name: 'the last of the hosts', ...oneOf('h9995.test', '/') },
  { name: 'a path', ...oneOf('shop.test', '/p9996') },
  { name: 'an evil pattern that looks anywhere', ...oneOf('shop.test', `/${'a'.repeat(60)}/file9994.php`) },
  { name: 'an evil pattern, an evil path', ...oneOf('evil1199.test', `/${'a'.repeat(60)}!`) },
  { name: '25 evil patterns, new paths of 60', ...manyOf(60, ROUNDS) },
  { name: '25 evil patterns, new paths of 2,000', ...manyOf(2_000, ROUNDS / 20) }
]
const figures = requests.map(({ name, hosts, targets, rounds }) => {
  const tookUs = new Float64Array(rounds)
  for (let i = 0; i < rounds; i++) {
    const headers = ['Host', hosts[i % hosts.length]!]
    const exchange = anExchange({ target: targets[i % targets.length]!, headers }, { clientIp: '21.3.7.200' })
    const beganMs = performance.now()
    network.built(exchange.downstream.clientIp, 80)
    rules.built.decide(exchange)
    tookUs[i] = (performance.now() - beganMs) * US_PER_MS
  }
  tookUs.sort()
  return { name, p50Us: tookUs[Math.floor(rounds / 2)]!, p99Us: tookUs[Math.floor(rounds * 0.99)]! }
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
