import t from 'tap'
import { decodeAgentMessage, decodeHubMessage, encode } from '#model/message/codec.ts'
import type { AgentMessage, HubMessage } from '#model/message/message.ts'
import { agentMessages, hubMessages } from '#test/support/message.ts'

t.test('every message comes back as it was sent', async t => {
  for (const message of hubMessages) t.same(decodeHubMessage(encode(message)), { is: 'message', message, unknownFields: 0 }, message.type)
  for (const message of agentMessages)
    t.same(decodeAgentMessage(encode(message)), { is: 'message', message, unknownFields: 0 }, message.type)
})

t.test('the samples above are of every type', async t => {
  const hub: readonly HubMessage['type'][] = [
    'Welcome',
    'ApplySnapshot',
    'Heartbeat',
    'CertificateRenewed',
    'StandDown',
    'ExplainRequest',
    'ShareLimits',
    'PurgeCache',
    'TraceRequests',
    'QuotasLeft',
    'BindClients',
    'PeersSeen',
    'UpgradeEngine'
  ]
  const agent: readonly AgentMessage['type'][] = [
    'Hello',
    'SnapshotApplied',
    'SnapshotRefused',
    'PartsWanted',
    'RenewCertificate',
    'Heartbeat',
    'SampleTaken',
    'ServersJudged',
    'RequestExplained',
    'LimitsUsed',
    'CachePurged',
    'RequestTraced',
    'QuotasUsed',
    'ClientsBound',
    'AddressesAnnounced',
    'AddressesOwned',
    'AskPeers',
    'UpgradeEnded'
  ]
  t.same(new Set(hubMessages.map(message => message.type)), new Set(hub))
  t.same(new Set(agentMessages.map(message => message.type)), new Set(agent))
})

t.test('a side does not take the messages that only the other may send', async t => {
  t.match(decodeAgentMessage(encode({ type: 'StandDown', reason: 'x' })), { is: 'unknown-type', type: 'StandDown' })
  t.match(decodeHubMessage(encode({ type: 'PartsWanted', hashes: [] })), { is: 'unknown-type', type: 'PartsWanted' })
})

t.test('unknown fields are dropped and counted, at any depth', async t => {
  const frame = '{"type":"SnapshotRefused","revision":3,"hash":"h","new":1,"violations":[{"pointer":"/a","message":"m","hint":"x"}]}'
  t.same(decodeAgentMessage(frame), {
    is: 'message',
    message: { type: 'SnapshotRefused', revision: 3, hash: 'h', violations: [{ pointer: '/a', message: 'm' }] },
    unknownFields: 2
  })
})

t.test('what is not a message says why', async t => {
  const cases: readonly (readonly [frame: string, reason: RegExp])[] = [
    ['', /not JSON/],
    ['{', /not JSON/],
    ['null', /not an object/],
    ['[]', /not an object/],
    ['"Hello"', /not an object/],
    ['{}', /not an object with a type/],
    ['{"type":7}', /\/type must be a string/],
    ['{"type":"Heartbeat"}', /^Heartbeat\/sequence must be an integer/],
    ['{"type":"Heartbeat","sequence":-1}', /sequence/],
    ['{"type":"Heartbeat","sequence":1.5}', /sequence/],
    ['{"type":"Heartbeat","sequence":"1"}', /sequence/],
    ['{"type":"PartsWanted","hashes":{}}', /hashes must be a list/],
    ['{"type":"PartsWanted","hashes":["a",7]}', /hashes\/1 must be a string/],
    [`{"type":"PartsWanted","hashes":["${'a'.repeat(129)}"]}`, /hashes\/0 must be a string of at most 128/],
    ['{"type":"ServersJudged","servers":[{"verdict":"maybe"}]}', /servers\/0\/poolId/]
  ]
  for (const [frame, reason] of cases) {
    const decoded = decodeAgentMessage(frame)
    t.match(decoded, { is: 'malformed', reason }, frame.slice(0, 60))
  }
})

t.test('names of Object.prototype are neither types nor fields', async t => {
  for (const type of ['constructor', 'toString', '__proto__', 'hasOwnProperty'])
    t.match(decodeAgentMessage(JSON.stringify({ type })), { is: 'unknown-type', type })
  const decoded = decodeAgentMessage('{"type":"Heartbeat","sequence":1,"__proto__":{"isAdmin":true}}')
  t.match(decoded, { is: 'message', unknownFields: 1 })
  t.notOk('isAdmin' in (decoded.is === 'message' ? decoded.message : {}))
})

t.test('a histogram is pairs', async t => {
  const sample = agentMessages.find(message => message.type === 'SampleTaken')!
  const broken = encode(sample).replace(/"latency":\[[^\]]*\]/, '"latency":[1,2,3]')
  t.match(decodeAgentMessage(broken), { is: 'malformed', reason: /latency must be pairs/ })
})

t.test('a part keeps fields that this build does not know, because its hash is over them', async t => {
  const apply = hubMessages.find(message => message.type === 'ApplySnapshot')!
  const frame = encode(apply).replace('"drainTimeoutS"', '"later":true,"drainTimeoutS"')
  const decoded = decodeHubMessage(frame)
  t.match(decoded, { is: 'message', message: { parts: [{ kind: 'engine', later: true }] }, unknownFields: 0 })
})
