import fc from 'fast-check'
import t from 'tap'
import { decodeAgentMessage, decodeHubMessage, encode } from '#model/message/codec.ts'
import { agentMessages, hubMessages } from '#test/support/message.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const bounds = { seed, interruptAfterTimeLimit: 1_000, markInterruptAsFailure: false, numRuns: 1_500 }
const verdicts = ['message', 'unknown-type', 'malformed']

t.before(() => t.comment(`seed ${seed} (WEIR_FUZZ_SEED)`))

t.test('no text makes a decoder throw', async t => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), text => {
      return verdicts.includes(decodeAgentMessage(text).is) && verdicts.includes(decodeHubMessage(text).is)
    }),
    bounds
  )
  t.pass('bounded')
})

t.test('a message with one value replaced is taken with known fields only, or refused with a reason', async t => {
  const all = [...hubMessages, ...agentMessages]
  const property = fc.property(fc.nat(), fc.nat(), fc.jsonValue(), (which, where, replacement) => {
    const message = structuredClone(all[which % all.length]!) as unknown as Record<string, unknown>
    const places: (() => void)[] = []
    const visit = (holder: Record<string, unknown>): void => {
      for (const key of Object.keys(holder)) {
        places.push(() => void (holder[key] = replacement))
        const member = holder[key]
        if (member !== null && typeof member === 'object') visit(member as Record<string, unknown>)
      }
    }
    visit(message)
    places[where % places.length]!()
    const text = JSON.stringify(message)
    for (const decoded of [decodeAgentMessage(text), decodeHubMessage(text)]) {
      if (decoded.is === 'malformed' && decoded.reason === '') return false
      // What was taken is a fixed point: encoding and decoding it again changes nothing.
      if (decoded.is !== 'message') continue
      const again = [decodeAgentMessage(encode(decoded.message)), decodeHubMessage(encode(decoded.message))]
      if (!again.some(other => other.is === 'message' && other.unknownFields === 0)) return false
    }
    return true
  })
  fc.assert(property, bounds)
  t.pass('bounded')
})

t.test('a cut frame is never taken', async t => {
  const property = fc.property(fc.nat(), fc.nat(), (which, at) => {
    const all = [...hubMessages, ...agentMessages]
    const text = encode(all[which % all.length]!)
    const cut = text.slice(0, at % text.length)
    return decodeAgentMessage(cut).is === 'malformed' && decodeHubMessage(cut).is === 'malformed'
  })
  fc.assert(property, { ...bounds, numRuns: 500 })
  t.pass('bounded')
})
