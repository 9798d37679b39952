import t from 'tap'
import { formatUpgradeOrder, parseUpgradeOrder } from '#model/message/upgrade.ts'
import { anUpgradeOrder } from '#test/support/upgrade.ts'

t.test('an order is read as it was written', async t => {
  const order = anUpgradeOrder()
  t.same(parseUpgradeOrder(formatUpgradeOrder(order)), order)
})

t.test('what is no order is not written', async t => {
  for (const wrong of [
    { id: 'x' },
    { engineId: 'serviceengine-1\nbuild' },
    { build: 'ab' },
    { issuedEpochMs: 1.5 },
    { expiresEpochMs: NaN }
  ])
    t.throws(() => formatUpgradeOrder({ ...anUpgradeOrder(), ...wrong }), RangeError)
})

t.test('a line more, less, twice, elsewhere or of another kind makes it none', async t => {
  const text = formatUpgradeOrder(anUpgradeOrder())
  const lines = text.split('\n').slice(0, -1)
  const texts = [
    '',
    text.slice(0, -1),
    `${text}\n`,
    `${text}id x\n`,
    text.replace('order', 'Order'),
    text.replace('\nissued ', '\nissued  '),
    text.replaceAll('\n', '\r\n'),
    [...lines.slice(0, 2), lines[1]!, ...lines.slice(3), ''].join('\n'),
    [lines[0]!, lines[2]!, lines[1]!, ...lines.slice(3), ''].join('\n'),
    `${text}${' '.repeat(600)}`
  ]
  for (const wrong of texts) t.equal(parseUpgradeOrder(wrong), undefined, JSON.stringify(wrong.slice(0, 80)))
})
