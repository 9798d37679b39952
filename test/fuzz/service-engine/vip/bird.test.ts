/** Whatever answers at the place of BIRD's socket, reading it ends with a bounded state that the controller takes, or with waiting for more. */
import fc from 'fast-check'
import t from 'tap'
import { decodeAgentMessage, encode } from '#model/message/codec.ts'
import { readProtocols } from '#engine/vip/bgp/bird.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`WEIR_SEED=${seed}`)

const piece = fc.oneof(
  fc.constantFrom(
    '0000 \n',
    '0001 BIRD 2.0.12 ready.\n',
    '1002-',
    '2002-Name\n',
    ' ',
    '\n',
    'router_v4 BGP --- up 09:31:01.018 Established',
    '9001 x\n'
  ),
  fc.string({ unit: 'binary', maxLength: 400 })
)

t.test('readProtocols answers with what a message may carry, or with nothing', async t => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
      const state = readProtocols(pieces.join(''))
      if (state === undefined) return true
      const message = encode({ type: 'AddressesAnnounced', vips: [], bird: state })
      return decodeAgentMessage(message).is === 'message' && message.length < 40_000
    }),
    { seed, numRuns: 5_000 }
  )
  t.pass()
})
