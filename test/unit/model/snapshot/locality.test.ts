import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { ownZoneShare, type Capacity } from '#model/snapshot/locality.ts'

const of = (able: number, all = 10): Capacity => ({ able, all })
const usual = { overprovisioning: 1.4 }

t.test('ownZoneShare keeps all traffic until the able share falls below 1 / 1.4, then what that share bears', async t => {
  t.equal(ownZoneShare(of(10), of(10), usual), 1)
  t.equal(ownZoneShare(of(8), of(10), usual), 1)
  t.ok(Math.abs(ownZoneShare(of(7), of(10), usual) - 0.98) < 1e-9)
  t.ok(Math.abs(ownZoneShare(of(5), of(10), usual) - 0.7) < 1e-9)
  t.ok(Math.abs(ownZoneShare(of(1), of(10), usual) - 0.14) < 1e-9)
  t.equal(ownZoneShare(of(5), of(10), { overprovisioning: 1 }), 0.5)
})

t.test('ownZoneShare sends nothing where nobody is able', async t => {
  t.equal(ownZoneShare(of(0), of(1), usual), 0)
  t.equal(ownZoneShare(of(1), of(0), usual), 1)
})

t.test('ownZoneShare divides by what both bear when both are short', async t => {
  t.equal(ownZoneShare(of(2), of(2), usual), 0.5)
  t.ok(Math.abs(ownZoneShare(of(1), of(3), usual) - 0.25) < 1e-9)
})

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.test(`ownZoneShare is a share that never falls when a server of the zone comes back (seed ${seed})`, async t => {
  const random = seededRandom(seed)
  const upTo = (most: number): number => Math.floor(random() * (most + 1))
  for (let n = 0; n < 2_000; n++) {
    const [all, allOthers] = [1 + upTo(40), 1 + upTo(40)]
    const [able, others] = [upTo(all - 1), upTo(allOthers)]
    const spec = { overprovisioning: 1 + random() * 9 }
    const share = ownZoneShare({ able, all }, { able: others, all: allOthers }, spec)
    const better = ownZoneShare({ able: able + 1, all }, { able: others, all: allOthers }, spec)
    if (!(share >= 0 && share <= 1 && better >= share)) t.fail(`${able} of ${all}, ${others} of ${allOthers}: ${share}, then ${better}`)
    const isEnough = able > 0 && (able / all) * spec.overprovisioning >= 1
    if (isEnough && share !== 1) t.fail(`a zone that is able enough shares: ${able} of ${all}, ${spec.overprovisioning}`)
  }
  t.pass('2,000 pools')
})
