import fc from 'fast-check'
import t from 'tap'
import { formatUpgradeOrder, parseUpgradeOrder } from '#model/message/upgrade.ts'
import { checkOrder, parseOutcome } from '#engine/upgrade.ts'
import { anUpgradeOrder, aSigner } from '#test/support/upgrade.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

t.before(() => t.comment(`seed ${seed} (WEIR_FUZZ_SEED)`))

t.test('whatever is read as an order is written as it was', async t => {
  const good = formatUpgradeOrder(anUpgradeOrder())
  const piece = fc.oneof(fc.constantFrom(...good.split(/(?<=\n)|(?<= )/)), fc.string({ unit: 'binary', maxLength: 20 }))
  const text = fc.oneof(
    fc.array(piece, { maxLength: 14 }).map(pieces => pieces.join('')),
    fc
      .tuple(fc.nat(good.length), fc.nat(4), fc.string({ maxLength: 4 }))
      .map(([at, cut, put]) => good.slice(0, at) + put + good.slice(at + cut))
  )
  fc.assert(
    fc.property(text, tried => {
      const order = parseUpgradeOrder(tried)
      if (order !== undefined) t.equal(formatUpgradeOrder(order), tried)
      parseOutcome(tried)
    }),
    { seed, numRuns: 5_000 }
  )
  t.equal(formatUpgradeOrder(parseUpgradeOrder(good)!), good)
})

t.test('a line that anybody hands in is refused in words, and never thrown over', async t => {
  const signer = aSigner()
  const signed = JSON.stringify(signer.sign(anUpgradeOrder()))
  const host = { pin: signer.pin, engineId: anUpgradeOrder().engineId, nowEpochMs: 0 }
  const line = fc.oneof(
    fc.json(),
    fc.record({ order: fc.string(), signature: fc.base64String(), publicKey: fc.base64String() }).map(value => JSON.stringify(value)),
    fc
      .tuple(fc.nat(signed.length), fc.string({ maxLength: 3 }))
      .map(([at, put]) => signed.slice(0, at) + put + signed.slice(at + put.length))
  )
  fc.assert(
    fc.property(line, tried => {
      const checked = checkOrder(tried, host)
      if (checked.is === 'order') t.same(checked.order, anUpgradeOrder())
    }),
    { seed, numRuns: 1_000 }
  )
  t.pass('none was taken that was not signed')
})
