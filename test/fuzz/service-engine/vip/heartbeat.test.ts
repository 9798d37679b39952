/** Whatever arrives at the port of heartbeats, reading it ends with one that has our tag or with nothing. */
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { Correspondent, decodeHeartbeat, encodeHeartbeat, MAX_CLAIMS, MAX_PEERS, type Heartbeat } from '#engine/vip/layer2/heartbeat.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`WEIR_SEED=${seed}`)
const key = Buffer.alloc(32, 7)

const id = fc.uint8Array({ minLength: 8, maxLength: 8 }).map(bytes => Buffer.from(bytes).toString('hex'))
const count = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const beat: fc.Arbitrary<Heartbeat> = fc.record({
  says: fc.constantFrom('alive' as const, 'ready' as const),
  sender: id,
  life: id,
  sequence: count,
  echo: fc.record({ life: id, sequence: count }),
  isLeaving: fc.boolean(),
  peers: fc.array(fc.record({ id, silentMs: fc.nat(0xffff) }), { maxLength: MAX_PEERS }),
  claims: fc.array(fc.record({ id, owner: id, term: fc.integer({ min: 0, max: 2 ** 32 - 1 }), ageMs: fc.nat(0xffff) }), {
    maxLength: MAX_CLAIMS
  })
})

t.test('strangers are not read', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), bytes => decodeHeartbeat(bytes, key) === undefined),
    { seed, numRuns: 2_000 }
  )
  t.pass()
})

t.test('with our tag, whatever is in it: a bounded heartbeat or nothing', async t => {
  const head = Buffer.from('WHB1')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_500 }), rest => {
      const body = Buffer.concat([head, rest])
      const tag = createHmac('sha256', key).update(body).digest().subarray(0, 16)
      const read = decodeHeartbeat(Buffer.concat([body, tag]), key)
      return read === undefined || (read.peers.length <= MAX_PEERS && read.claims.length <= MAX_CLAIMS)
    }),
    { seed, numRuns: 2_000 }
  )
  t.pass()
})

t.test('what was written is read, and judged once', async t => {
  fc.assert(
    fc.property(beat, one => {
      const read = decodeHeartbeat(encodeHeartbeat(one, key), key)
      t.same(read, one)
      const peer = new Correspondent(one.echo.life)
      peer.sent(one.echo.sequence, 0)
      return peer.judge(one, 1) === 'new-life' && peer.judge(one, 2) === 'old'
    }),
    { seed, numRuns: 300 }
  )
  t.pass()
})
