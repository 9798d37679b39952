import t from 'tap'
import {
  Correspondent,
  decodeHeartbeat,
  encodeHeartbeat,
  MAX_CLAIMS,
  MAX_PEERS,
  shortId,
  type Heartbeat
} from '#engine/vip/layer2/heartbeat.ts'

const key = Buffer.alloc(32, 1)
const [a, b, v] = [shortId('a'), shortId('b'), shortId('v')]
const life = 'aa'.repeat(8)
const beat = (given: Partial<Heartbeat> = {}): Heartbeat => ({
  says: 'alive',
  sender: a,
  life,
  sequence: 1,
  echo: { life: '00'.repeat(8), sequence: 0 },
  isLeaving: false,
  peers: [],
  claims: [],
  ...given
})

t.test('a heartbeat comes out as it went in', async t => {
  const peers = Array.from({ length: MAX_PEERS }, (_, i) => ({ id: shortId(`${i}`), silentMs: i }))
  const claims = Array.from({ length: MAX_CLAIMS }, (_, i) => ({ id: shortId(`${i}`), owner: b, term: i * 1_000, ageMs: i }))
  for (const one of [
    beat(),
    beat({ isLeaving: true, sequence: 2 ** 40, echo: { life: 'bb'.repeat(8), sequence: 7 } }),
    beat({ peers, claims })
  ]) {
    const bytes = encodeHeartbeat(one, key)
    t.ok(bytes.length < 1_400, `${bytes.length} bytes fit into a frame`)
    t.same(decodeHeartbeat(bytes, key), one)
  }
  t.match(decodeHeartbeat(encodeHeartbeat(beat({ claims: [{ id: v, owner: a, term: 1, ageMs: 1e9 }] }), key), key), {
    claims: [{ ageMs: 0xffff }]
  })
})

t.test('anything else is not one', async t => {
  const bytes = encodeHeartbeat(beat({ peers: [{ id: b, silentMs: 3 }] }), key)
  t.equal(decodeHeartbeat(bytes, Buffer.alloc(32, 2)), undefined, 'another key')
  for (let length = 0; length < bytes.length; length++) t.equal(decodeHeartbeat(bytes.subarray(0, length), key), undefined)
  for (let at = 0; at < bytes.length; at++) {
    const wrong = Buffer.from(bytes)
    wrong[at]! ^= 1
    t.equal(decodeHeartbeat(wrong, key), undefined, `byte ${at}`)
  }
})

t.test('what was recorded is not believed', async t => {
  const ours = 'cc'.repeat(8)
  const peer = new Correspondent(ours)
  t.equal(peer.judge(beat(), 0), 'unproven', 'it has not heard us')
  t.same(peer.echo, { life, sequence: 1 }, 'but we tell it that we heard it')
  peer.sent(5, 0)
  const proven = beat({ sequence: 2, echo: { life: ours, sequence: 5 } })
  t.equal(peer.judge({ ...proven, echo: { life: ours, sequence: 6 } }, 10), 'unproven', 'never sent')
  t.equal(peer.judge({ ...proven, echo: { life: 'dd'.repeat(8), sequence: 5 } }, 10), 'unproven', 'to another life of ours')
  t.equal(peer.judge(proven, 10), 'new-life')
  t.equal(peer.judge(proven, 10), 'old', 'once')
  t.equal(peer.judge(beat({ sequence: 3 }), 20), 'fresh', 'from then on its sequence is enough: it may not hear us')
  t.equal(peer.judge(beat({ sequence: 2 }), 20), 'old')
  const next = beat({ life: 'ee'.repeat(8), echo: { life: ours, sequence: 5 } })
  t.equal(peer.judge(next, 5_000), 'unproven', 'an echo of long ago')
  peer.sent(9, 5_000)
  t.equal(peer.judge({ ...next, echo: { life: ours, sequence: 9 } }, 5_100), 'new-life')
  t.equal(peer.judge(beat({ sequence: 90, echo: { life: ours, sequence: 5 } }), 5_200), 'unproven', 'its life before')
})
