/** Servers of HTTP/2 that do not behave, frame by frame: what clients of both protocols see of it, and what the server is told. */
import { once } from 'node:events'
import { connect as http2Connect, constants, type ServerHttp2Stream } from 'node:http2'
import t, { type Test } from 'tap'
import { openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import {
  block,
  data,
  errors,
  flags,
  frame,
  headers,
  openFrameServer,
  ping,
  rstStream,
  settings,
  settingsAck,
  types,
  windowUpdate,
  type Fields,
  type FrameClient
} from '#test/support/frames.ts'
import { askOn, collect, openHttp2Server } from '#test/support/http2.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aListener, aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { systemClock } from '#model/base/clock.ts'
import { makeWireForwarder } from '#engine/dataplane/http/wire/wire.ts'

const { protocol, internal, flowControl, streamClosed, frameSize, refused, cancel, compression, calm, none } = errors

/** What clients get: all of it, an answer of ours, or something that breaks off. */
type Outcome = 'served' | 'refused' | 'broken' | 'not served'

interface Case {
  readonly name: string
  /** Comes for the first request, which is stream 1. */
  readonly says: readonly Buffer[] | ((peer: FrameClient) => void)
  /** In place of settings. */
  readonly begins?: readonly Buffer[]
  readonly method?: 'HEAD' | 'POST'
  readonly sees: Outcome
  readonly fault?: string
  /** What the server is told: codes of RST_STREAM on stream 1, or of GOAWAY. */
  readonly reset?: number
  readonly goaway?: number
  /** A fact about what the server got. */
  readonly hears?: (peer: FrameClient) => boolean
}

const { endStream, endHeaders, padded, priority, ack } = flags
const bytes = (...values: number[]): Buffer => Buffer.from(values)
const big = (length: number): Buffer => Buffer.alloc(length, 'x')
const ok: Fields = [[':status', '200']]
const plain: Fields = [...ok, ['content-type', 'text/plain']]
const head = (fields: Fields = plain, flag: number = endHeaders): Buffer => headers(1, fields, flag)
const end = data(1, 'hello', endStream)
const half = block(plain)
const many = (count: number, one: (i: number) => Buffer): Buffer => Buffer.concat(Array.from({ length: count }, (_, i) => one(i)))
const numbers = (...values: readonly number[]): Buffer => Buffer.concat(values.map(value => bytes(0, 0, value >> 8, value & 255)))

const sound: readonly Case[] = [
  { name: 'a plain answer', says: [head(), end], sees: 'served' },
  {
    name: 'a head and a body with padding',
    says: [
      frame(types.headers, endHeaders | padded, 1, Buffer.concat([bytes(3), half, big(3)])),
      frame(types.data, endStream | padded, 1, Buffer.concat([bytes(2), Buffer.from('hello'), big(2)]))
    ],
    sees: 'served'
  },
  {
    name: 'a head with a priority',
    says: [frame(types.headers, endHeaders | priority, 1, Buffer.concat([numbers(0), bytes(7), half])), end],
    sees: 'served'
  },
  {
    name: 'a head in three frames',
    says: [
      frame(types.headers, 0, 1, half.subarray(0, 4)),
      frame(types.continuation, 0, 1, half.subarray(4, 9)),
      frame(types.continuation, endHeaders, 1, half.subarray(9)),
      end
    ],
    sees: 'served'
  },
  {
    name: '100 and 103 before it',
    says: [
      headers(1, [[':status', '100']], endHeaders),
      headers(
        1,
        [
          [':status', '103'],
          ['link', '</a>']
        ],
        endHeaders
      ),
      head(),
      end
    ],
    sees: 'served'
  },
  { name: 'frames that nobody knows', says: [frame(0x42, 255, 1, 'what'), head(), frame(0x43, 1, 0), end], sees: 'served' },
  {
    name: 'a ping in between is answered',
    says: [head(), ping('12345678'), end],
    sees: 'served',
    hears: peer => peer.frames.some(one => one.type === types.ping && one.flags === ack && one.payload.toString() === '12345678')
  },
  {
    name: 'settings in between are acknowledged',
    says: [head(), settings([4, 1_000_000]), end],
    sees: 'served',
    hears: peer => peer.frames.filter(one => one.type === types.settings && one.flags === ack).length === 2
  },
  { name: 'a setting that nobody knows', begins: [settings([0x99, 7], [1, 0])], says: [head(), end], sees: 'served' },
  {
    name: 'a few DATA frames of nothing',
    says: [head(), data(1, ''), data(1, 'hel'), data(1, ''), data(1, 'lo'), data(1, '', endStream)],
    sees: 'served'
  },
  { name: 'trailers', says: [head(), data(1, 'hello'), headers(1, [['x-end', 'yes']])], sees: 'served' },
  { name: 'a reset without an error behind the end', says: [head(), end, rstStream(1, none)], sees: 'served' },
  { name: 'a reset with one behind the end', says: [head(), end, rstStream(1, internal)], sees: 'served' },
  {
    name: 'the end of the connection behind that of the stream',
    says: peer => peer.socket.end(Buffer.concat([head(), end])),
    sees: 'served'
  },
  { name: 'GOAWAY that counts the stream in', says: [head(), frame(types.goaway, 0, 0, numbers(1, 0)), end], sees: 'served' },
  { name: 'an answer ahead of the body', method: 'POST', says: [head(), end], sees: 'served', reset: cancel },
  { name: 'an answer ahead of the body, and a reset', method: 'POST', says: [head(), end, rstStream(1, none)], sees: 'served' },
  { name: 'windows of the request that grow', says: [windowUpdate(0, 1_000), windowUpdate(1, 1_000), head(), end], sees: 'served' }
]

function refuseAll(peer: FrameClient): void {
  peer.send(rstStream(1, refused))
  onRequests(peer, stream => peer.send(rstStream(stream, refused)))
}

/** What began and did not come to its end: nobody may take it for the whole. */
const truncated: readonly Case[] = [
  {
    name: 'a reset without an error in the middle',
    says: [head(), data(1, 'hel'), rstStream(1, none)],
    sees: 'not served',
    fault: 'UPSTREAM_RESET'
  },
  { name: 'a reset in the middle', says: [head(), data(1, 'hel'), rstStream(1, cancel)], sees: 'not served', fault: 'UPSTREAM_RESET' },
  { name: 'an internal error behind the head', says: [head(), rstStream(1, internal)], sees: 'not served', fault: 'UPSTREAM_RESET' },
  {
    name: 'the end of the connection in the middle',
    says: peer => peer.socket.end(Buffer.concat([head(), data(1, 'hel')])),
    sees: 'broken',
    fault: 'UPSTREAM_RESET'
  },
  {
    name: 'a reset connection in the middle',
    says: peer => peer.socket.write(Buffer.concat([head(), data(1, 'hel')]), () => peer.socket.resetAndDestroy()),
    sees: 'not served'
  },
  {
    name: 'GOAWAY and the end in the middle',
    says: peer => peer.socket.end(Buffer.concat([head(), data(1, 'hel'), frame(types.goaway, 0, 0, numbers(1, 0))])),
    sees: 'broken',
    fault: 'UPSTREAM_RESET'
  },
  {
    name: 'half a DATA frame',
    says: peer => peer.socket.end(Buffer.concat([head(), end.subarray(0, 11)])),
    sees: 'broken',
    fault: 'UPSTREAM_RESET'
  },
  { name: 'less than its length', says: [head([...ok, ['content-length', '6']]), end], sees: 'broken', fault: 'UPSTREAM_RESET' },
  {
    name: 'more than its length',
    says: [head([...ok, ['content-length', '4']]), end],
    sees: 'not served',
    fault: 'UPSTREAM_BAD_RESPONSE',
    reset: protocol
  },
  {
    name: 'a length and no body',
    says: [head([...ok, ['content-length', '5']], endHeaders | endStream)],
    sees: 'refused',
    fault: 'UPSTREAM_BAD_RESPONSE',
    reset: protocol
  },
  {
    name: 'trailers with a pseudo-header field',
    says: [head(), data(1, 'hello'), headers(1, [[':status', '200']])],
    sees: 'not served',
    reset: protocol
  },
  {
    name: 'trailers with a line break',
    says: [head(), data(1, 'hello'), headers(1, [['x-end', 'a\r\nb']])],
    sees: 'not served',
    reset: protocol
  },
  { name: 'a second head', says: [head(), data(1, 'hel'), head(), end], sees: 'not served', reset: protocol },
  { name: 'DATA before the head', says: [data(1, 'hel'), head(), end], sees: 'refused', fault: 'UPSTREAM_BAD_RESPONSE', reset: protocol },
  { name: 'a body where HEAD asked for none', method: 'HEAD', says: [head(), end], sees: 'not served', reset: protocol },
  { name: 'a body behind 204', says: [head([[':status', '204']]), end], sees: 'not served', reset: protocol },
  { name: 'a reset without an error before the head', says: [rstStream(1, none)], sees: 'refused', fault: 'UPSTREAM_RESET_UNANSWERED' },
  { name: 'a refusal that goes on', says: refuseAll, sees: 'refused', fault: 'UPSTREAM_STREAM_REFUSED' },
  {
    name: 'the end of the connection before the head',
    says: peer => peer.socket.end(),
    sees: 'refused',
    fault: 'UPSTREAM_RESET_UNANSWERED'
  },
  { name: 'a complaint about our request', says: [rstStream(1, protocol)], sees: 'refused', fault: 'UPSTREAM_BAD_RESPONSE' }
]

const badHead = (name: string, fields: Fields): Case => ({
  name,
  says: [head(fields), end],
  sees: 'refused',
  fault: 'UPSTREAM_BAD_RESPONSE',
  reset: protocol
})

const crowd = block([...ok, ...Array.from({ length: 4_200 }, () => ['a', ''] as const)])

const malformed: readonly Case[] = [
  badHead('no status', [['content-type', 'text/plain']]),
  badHead('a status twice', [...ok, ...ok]),
  badHead('a status of two digits', [[':status', '20']]),
  badHead('a status of four digits', [[':status', '2000']]),
  badHead('a status beyond 599', [[':status', '600']]),
  badHead('a status with a sign', [[':status', '+20']]),
  badHead('101', [[':status', '101']]),
  badHead('a status behind a field', [['x-a', 'b'], ...ok]),
  badHead('a pseudo-header field of requests', [...ok, [':path', '/']]),
  badHead('a name in upper case', [...ok, ['X-A', 'b']]),
  badHead('a name of nothing', [...ok, ['', 'b']]),
  badHead('a name with a blank', [...ok, ['x a', 'b']]),
  badHead('a name with a colon', [...ok, ['x-a:b', 'c']]),
  badHead('a name with a line break', [...ok, ['x-a\r\nx-b', 'c']]),
  badHead('a value that would end the head', [...ok, ['x-a', 'b\r\n\r\nHTTP/1.1 200 OK']]),
  badHead('a value with a line feed', [...ok, ['x-a', 'b\nc: d']]),
  badHead('a value with a NUL', [...ok, ['x-a', 'b\0c']]),
  badHead('a value that begins with a blank', [...ok, ['x-a', ' b']]),
  badHead('Connection', [...ok, ['connection', 'close']]),
  badHead('Transfer-Encoding', [...ok, ['transfer-encoding', 'chunked']]),
  badHead('Keep-Alive', [...ok, ['keep-alive', 'timeout=5']]),
  badHead('Upgrade', [...ok, ['upgrade', 'websocket']]),
  badHead('two lengths', [...ok, ['content-length', '5'], ['content-length', '5']]),
  badHead('a list of lengths', [...ok, ['content-length', '5, 5']]),
  badHead('a length with a sign', [...ok, ['content-length', '+5']]),
  {
    name: 'an interim head that ends the stream',
    says: [headers(1, [[':status', '103']])],
    sees: 'refused',
    fault: 'UPSTREAM_BAD_RESPONSE',
    reset: protocol
  },
  {
    name: 'interim heads without end',
    says: [many(40, () => headers(1, [[':status', '103']], endHeaders))],
    sees: 'refused',
    fault: 'UPSTREAM_BAD_RESPONSE',
    reset: protocol
  },
  {
    name: 'more fields than anybody needs',
    says: [frame(types.headers, 0, 1, crowd.subarray(0, 16_000)), frame(types.continuation, endHeaders, 1, crowd.subarray(16_000)), end],
    sees: 'refused',
    fault: 'UPSTREAM_BAD_RESPONSE',
    reset: protocol
  }
]

/** They end the connection; GOAWAY says why. */
const ends = (name: string, goaway: number, ...says: readonly Buffer[]): Case => ({ name, says, sees: 'refused', goaway })

const connectionErrors: readonly Case[] = [
  { ...ends('no settings at first', protocol, head(), end), begins: [ping()] },
  { ...ends('HTTP/1.1', frameSize), begins: [Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')] },
  ends('PUSH_PROMISE', protocol, frame(types.pushPromise, endHeaders, 1, Buffer.concat([numbers(2), half]))),
  ends('a head on a stream of its own', protocol, headers(2, plain)),
  ends('a head on a stream that nobody opened', protocol, headers(99, plain)),
  ends('DATA on stream 0', protocol, data(0, 'x')),
  ends('DATA on a stream that nobody opened', protocol, data(99, 'x')),
  ends('a frame that is too large', frameSize, frame(types.data, 0, 1, big(16_385))),
  ends('settings of five bytes', frameSize, frame(types.settings, 0, 0, big(5))),
  ends('settings of a stream', protocol, frame(types.settings, 0, 1)),
  ends('an acknowledgement that says something', frameSize, frame(types.settings, ack, 0, big(6))),
  ends('a server that wants to be pushed to', protocol, settings([2, 1])),
  ends('a window beyond 2^31-1', flowControl, settings([4, 2 ** 31])),
  ends('frames of fewer than 2^14 bytes', protocol, settings([5, 100])),
  ends('a hundred settings at once', calm, settings(...Array.from({ length: 100 }, () => [3, 100] as const))),
  ends('a connection window that grows by nothing', protocol, windowUpdate(0, 0)),
  ends('a connection window that overflows', flowControl, windowUpdate(0, 2 ** 31 - 1)),
  ends('a window update of three bytes', frameSize, frame(types.windowUpdate, 0, 0, big(3))),
  ends('a reset of stream 0', protocol, rstStream(0, none)),
  ends('a reset of a stream that nobody opened', protocol, rstStream(99, none)),
  ends('a reset of three bytes', frameSize, frame(types.rstStream, 0, 1, big(3))),
  ends('a ping of seven bytes', frameSize, frame(types.ping, 0, 0, big(7))),
  ends('a ping on a stream', protocol, frame(types.ping, 0, 1, big(8))),
  ends('GOAWAY of four bytes', frameSize, frame(types.goaway, 0, 0, big(4))),
  ends('GOAWAY on a stream', protocol, frame(types.goaway, 0, 1, big(8))),
  ends('GOAWAY that takes more back in', protocol, frame(types.goaway, 0, 0, numbers(1, 0)), frame(types.goaway, 0, 0, numbers(3, 0))),
  ends('a continuation of nothing', protocol, frame(types.continuation, endHeaders, 1, half)),
  ends('a ping inside a block', protocol, frame(types.headers, 0, 1, half), ping()),
  ends('a block of another stream inside one', protocol, frame(types.headers, 0, 1, half), frame(types.continuation, endHeaders, 3, '')),
  ends('a block that is none', compression, frame(types.headers, endHeaders, 1, bytes(0x40))),
  ends('an index that the table does not have', compression, frame(types.headers, endHeaders, 1, bytes(0xff, 0x20))),
  ends('a table that is larger than we allow', compression, frame(types.headers, endHeaders, 1, bytes(0x3f, 0xe2, 0x1f))),
  ends('more padding than frame', protocol, frame(types.headers, endHeaders | padded, 1, bytes(200, 0x88))),
  ends('a priority of four bytes', frameSize, frame(types.priority, 0, 1, big(4)))
]

/** A field of 4,000 bytes, kept in the table; then as often as one byte says. */
const bomb = Buffer.concat([bytes(0x40, 1), Buffer.from('a'), bytes(0x7f, 0xa1, 0x1e), big(4_000), Buffer.alloc(5_000, 0xbe)])

const floods: readonly Case[] = [
  ends(
    'CONTINUATION without end',
    calm,
    frame(types.headers, 0, 1, half),
    many(100, () => frame(types.continuation, 0, 1))
  ),
  ends(
    'a head that does not end',
    calm,
    frame(types.headers, 0, 1, half),
    many(8, () => frame(types.continuation, 0, 1, big(16_000)))
  ),
  {
    name: 'a header bomb',
    says: [frame(types.headers, endHeaders, 1, Buffer.concat([bytes(0x88), bomb])), end],
    sees: 'refused',
    fault: 'UPSTREAM_BAD_RESPONSE',
    reset: protocol
  },
  ends(
    'pings',
    calm,
    many(2_500, () => ping())
  ),
  ends(
    'settings',
    calm,
    many(2_500, () => settings())
  ),
  ends(
    'acknowledgements of nothing',
    calm,
    many(2_500, () => settingsAck)
  ),
  ends(
    'frames that nobody knows',
    calm,
    many(2_500, () => frame(0x42, 0, 0))
  ),
  ends(
    'priorities',
    calm,
    many(2_500, i => frame(types.priority, 0, 1 + 2 * i, big(5)))
  ),
  ends(
    'window updates',
    calm,
    many(1_500, () => windowUpdate(0, 1))
  ),
  ends(
    'GOAWAY',
    calm,
    many(2_500, () => frame(types.goaway, 0, 0, numbers(1, 0)))
  ),
  {
    ...ends(
      'DATA of nothing',
      calm,
      head(),
      many(10_500, () => data(1, ''))
    ),
    sees: 'not served'
  },
  { name: 'a stream window that grows by nothing', says: [windowUpdate(1, 0)], sees: 'refused', reset: protocol },
  { name: 'a stream window that overflows', says: [windowUpdate(1, 2 ** 31 - 1)], sees: 'refused', reset: flowControl }
]

function matches(outcome: Outcome, seen: Outcome): boolean {
  return outcome === seen || (outcome === 'not served' && seen !== 'served')
}

async function openPlane(t: Parameters<typeof openTestPlane>[0], ports: readonly number[]) {
  const plane = openTestPlane(t, { forwarder: makeWireForwarder({ clock: systemClock }) })
  await plane.load(
    aSnapshot({ services: [aService({ listeners: [aListener({ isHttp2: true })] })], pools: [aPool(ports, { isHttp2: true })] })
  )
  return plane
}

function openClient(t: { teardown: (end: () => void) => void }, port: number) {
  const client = http2Connect(`http://127.0.0.1:${port}`)
  client.on('error', () => undefined)
  t.teardown(() => client.destroy())
  return client
}

async function seenByHttp2(t: Parameters<typeof openTestPlane>[0], port: number, method: string): Promise<Outcome> {
  const client = openClient(t, port)
  const stream = client.request({ ':path': '/', ':method': method }, { endStream: method !== 'POST' })
  if (method === 'POST') stream.write('begun')
  const { status, body, code } = await collect(stream)
  if (status === 502) return 'refused'
  return status >= 200 && code === 0 && (method === 'HEAD' || body === 'hello') ? 'served' : 'broken'
}

async function seenByHttp1(port: number, method: string): Promise<Outcome> {
  const body = method === 'POST' ? 'Content-Length: 100\r\n\r\nbegun' : '\r\n'
  const { text } = await sendRaw(port, `${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${body}`)
  if (/(?:^|\r\n\r\n)HTTP\/1.1 502/.test(text)) return 'refused'
  if (!/^HTTP\/1\.1 (?:10[03] |200 )/.test(text)) return 'broken'
  const whole = method === 'HEAD' ? /\r\n\r\n$/ : /\r\n5\r\nhello\r\n0\r\n(?:x-end: yes\r\n)?\r\n$|\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n$/
  return whole.test(text) ? 'served' : 'broken'
}

/** Calls back for each request's head, with its stream. */
function onRequests(peer: FrameClient, onRequest: (stream: number) => void): void {
  peer.onFrame = one => {
    if (one.type === types.headers) onRequest(one.stream)
  }
}

async function check(t: Test, isHttp2: boolean, given: Case): Promise<void> {
  const { says, begins, method = 'GET', sees, fault, reset, goaway, hears } = given
  const name = `${given.name}, HTTP/${isHttp2 ? 2 : 1.1}`
  const server = await openFrameServer(t, peer => {
    peer.send(...(begins ?? [settings()]))
    onRequests(peer, stream => {
      if (stream !== 1) return
      if (typeof says === 'function') says(peer)
      else peer.send(...says)
    })
  })
  const plane = await openPlane(t, [server.port])
  const seen = isHttp2 ? await seenByHttp2(t, plane.port(), method) : await seenByHttp1(plane.port(), method)
  t.ok(matches(sees, seen), `${name}: seen as ${seen}`)
  await until(() => plane.records.length === 1, `${name}: a record`)
  if (fault !== undefined) t.equal(plane.records[0]?.fault, fault, `${name}: fault`)
  const first = server.peers[0]!
  const ends = (): (number | undefined)[] => first.frames.filter(one => one.type === types.goaway).map(one => one.payload.readUInt32BE(4))
  if (reset !== undefined) {
    await first.until(() => first.reset(1) !== undefined)
    t.equal(first.reset(1), reset, `${name}: the stream's reset`)
  }
  if (goaway !== undefined) {
    await first.until(() => ends().includes(goaway))
    t.ok(ends().includes(goaway), `${name}: GOAWAY, ${ends().join()}`)
  }
  if (hears !== undefined) await until(() => hears(first), `${name}: what the server hears`)
  t.same(plane.bugs, [], `${name}: no bug`)
  server.close()
}

for (const [group, cases] of Object.entries({ sound, truncated, malformed, connectionErrors, floods })) {
  t.test(`${group}: ${cases.length} cases for clients of both protocols`, async t => {
    for (const one of cases) {
      await check(t, false, one)
      await check(t, true, one)
    }
  })
}

t.test('a body beyond the window of its stream ends that stream and no other', async t => {
  const server = await openFrameServer(t, peer => {
    peer.send(settings())
    onRequests(peer, stream => {
      if (stream > 1) return peer.send(headers(stream, ok, endHeaders), data(stream, 'fine', endStream))
      peer.send(
        head(),
        many(60, () => data(1, big(16_000)))
      )
    })
  })
  const plane = await openPlane(t, [server.port])
  const client = openClient(t, plane.port())
  const slow = client.request({ ':path': '/' })
  slow.on('error', () => undefined)
  const peer = (): FrameClient => server.peers[0]!
  await until(() => server.peers.length === 1, 'a connection')
  await peer().until(() => peer().reset(1) !== undefined)
  t.equal(peer().reset(1), flowControl)
  t.match(await askOn(client, {}), { status: 200, body: 'fine' })
  t.equal(server.peers.length, 1, 'the connection goes on')
  await until(() => plane.records.length === 2, 'records')
})

t.test('clients that leave do not hurt who shares the connection, whatever still comes for them', async t => {
  const open: number[] = []
  const server = await openFrameServer(t, peer => {
    peer.send(settings([3, 1_000]))
    onRequests(peer, stream => {
      open.push(stream)
      peer.send(headers(stream, ok, endHeaders))
    })
  })
  const plane = await openPlane(t, [server.port])
  const staying = openClient(t, plane.port()).request({ ':path': '/' })
  const answer = collect(staying)
  await until(() => open.length === 1, 'the first is there')
  const leaving = Array.from({ length: 3 }, () => openClient(t, plane.port()))
  for (const client of leaving) for (let i = 0; i < 60; i++) client.request({ ':path': '/' }).on('error', () => undefined)
  await until(() => open.length === 181, 'all are there')
  for (const client of leaving) client.destroy()
  const peer = server.peers[0]!
  await until(() => open.slice(1).every(id => peer.reset(id) === cancel), 'the server is told')
  // It had said all of this before it heard.
  for (const id of open.slice(1))
    peer.send(...Array.from({ length: 30 }, () => data(id, 'late')), headers(id, [['x-late', 'yes']]), rstStream(id, none))
  peer.send(data(open[0]!, 'whole', endStream))
  t.match(await answer, { status: 200, body: 'whole', code: constants.NGHTTP2_NO_ERROR })
  t.equal(peer.goaway(), undefined)
  t.equal(server.peers.length, 1)
  t.same(plane.bugs, [])
})

t.test('a stream of a server that was ended by it is over', async t => {
  const server = await openFrameServer(t, peer => {
    peer.send(settings())
    onRequests(peer, stream => peer.send(headers(stream, ok, endHeaders), data(stream, 'fine', endStream), data(stream, 'more', endStream)))
  })
  const plane = await openPlane(t, [server.port])
  const client = openClient(t, plane.port())
  for (let i = 0; i < 5; i++) t.match(await askOn(client, {}), { status: 200, body: 'fine' })
  const posted = await askOn(client, { ':method': 'POST' }, 'x')
  t.match(posted, { status: 200, body: 'fine' })
  t.notOk(server.peers[0]!.goaway() === streamClosed)
})

t.test('a server that goes away again and again loses no request, not even those that must not be repeated', async t => {
  let connections = 0
  const server = await openFrameServer(t, peer => {
    const mine = ++connections
    peer.send(settings())
    let served = 0
    onRequests(peer, stream => {
      // Behind the fourth nothing is done, and it says so.
      if (++served > 4) return
      peer.send(headers(stream, ok, endHeaders), data(stream, `by ${mine}`, endStream))
      if (served < 4) return
      peer.send(frame(types.goaway, 0, 0, numbers(stream, 0)))
      peer.socket.end()
    })
  })
  const plane = await openPlane(t, [server.port])
  const client = openClient(t, plane.port())
  // A request is tried six times; four of them are served in each round.
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => askOn(client, { ':method': 'POST' }, 'once')))
    t.same(new Set(answers.map(answer => answer.status)), new Set([200]))
  }
  t.ok(connections >= 15, `${connections} connections`)
  t.same(plane.bugs, [])
})

t.test('a server that is started again is found again, and what came in full before is passed on', async t => {
  const serve = (peer: FrameClient): void => {
    peer.send(settings())
    onRequests(peer, stream => peer.send(headers(stream, ok, endHeaders), data(stream, 'fine', endStream)))
  }
  const first = await openFrameServer(t, serve)
  const plane = await openPlane(t, [first.port])
  const client = openClient(t, plane.port())
  t.match(await askOn(client, {}), { status: 200, body: 'fine' })
  first.close()
  t.match(await askOn(client, {}), { status: 502 })
  await openFrameServer(t, serve, first.port)
  await until(() => plane.memory.readTotals().servers[0]?.totals.openConnections === 0, 'the old connection is over')
  t.match(await askOn(client, {}), { status: 200, body: 'fine' })

  const large = Buffer.alloc(200_000, 'x')
  const leaving = await openFrameServer(t, peer => {
    peer.send(settings(), windowUpdate(0, 1_000_000))
    onRequests(peer, stream => {
      const parts = Array.from({ length: 20 }, (_, i) =>
        data(stream, large.subarray(i * 10_000, (i + 1) * 10_000), i === 19 ? endStream : 0)
      )
      peer.socket.end(Buffer.concat([headers(stream, ok, endHeaders), ...parts]))
    })
  })
  const other = await openPlane(t, [leaving.port])
  const reader = openClient(t, other.port())
  const stream = reader.request({ ':path': '/' })
  await once(stream, 'response')
  await until(() => other.memory.readTotals().servers[0]?.totals.openConnections === 0, 'the server is gone')
  const answer = collect(stream)
  t.match(await answer, { code: 0 })
  t.equal((await answer).body.length, large.length)
})

t.test('a thousand calls at once, each of which speaks in turn with its server', async t => {
  const open: ServerHttp2Stream[] = []
  const server = await openHttp2Server(
    t,
    stream => {
      open.push(stream)
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.pipe(stream)
    },
    { settings: { maxConcurrentStreams: 2_000 } }
  )
  const plane = await openPlane(t, [server.port])
  const warm = await askOn(openClient(t, plane.port()), { ':method': 'POST' }, 'x')
  t.match(warm, { status: 200, body: 'x' })
  const clients = Array.from({ length: 10 }, () => openClient(t, plane.port()))
  const calls = clients.flatMap(client =>
    Array.from({ length: 100 }, () => {
      const call = client.request({ ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' }, { endStream: false })
      call.write('first ')
      return { call, answer: collect(call) }
    })
  )
  await until(() => open.length === 1_001, 'all are there', 60_000)
  t.equal(server.sessions.length, 1, 'one connection has them all')
  for (const [i, { call }] of calls.entries()) call.end(`last ${i}`)
  const answers = await Promise.all(calls.map(({ answer }) => answer))
  t.same(
    answers.map(({ body, trailers }) => `${body} ${String(trailers['grpc-status'])}`),
    calls.map((_, i) => `first last ${i} 0`)
  )
  await until(() => plane.records.length === 1_001, 'records')
  t.same(new Set(plane.records.map(record => record.fault)), new Set(['']))
  t.same(plane.bugs, [])
})

t.test('a server that is silent is asked whether it is there, not too often, and given up when it is not', async t => {
  const clock = manualClock()
  let answers = true
  const server = await openFrameServer(t, peer => {
    peer.send(settings())
    peer.onFrame = one => {
      if (one.type === types.headers) peer.send(headers(one.stream, ok, endHeaders))
      if (one.type === types.ping && one.flags === 0 && answers) peer.send(frame(types.ping, ack, 0, one.payload), ping())
    }
  })
  const plane = openTestPlane(t, { forwarder: makeWireForwarder({ clock }) })
  const pools = [aPool([server.port], { isHttp2: true, stallTimeoutMs: 0 })]
  await plane.load(aSnapshot({ services: [aService({ listeners: [aListener({ isHttp2: true })] })], pools }))
  const stream = openClient(t, plane.port()).request({ ':path': '/' })
  const answer = collect(stream)
  await once(stream, 'response')
  const peer = server.peers[0]!
  const pings = (): number => peer.frames.filter(one => one.type === types.ping && one.flags === 0).length
  clock.advance(31_000)
  t.equal(pings(), 0, 'it has just spoken')
  clock.advance(31_000)
  await until(() => pings() === 1, 'it is asked')
  await until(() => peer.frames.some(one => one.type === types.ping && one.flags === ack), 'what it answers is read')
  for (let i = 0; i < 9; i++) clock.advance(31_000)
  t.equal(pings(), 1, 'and not again for five minutes')
  answers = false
  for (let i = 0; i < 3; i++) clock.advance(31_000)
  await until(() => pings() === 2 || peer.isClosed, 'it is asked again')
  clock.advance(31_000)
  t.match(await answer, { status: 200, code: errors.internal })
  await until(() => peer.isClosed, 'the connection is given up')
  t.equal(plane.records[0]?.fault, 'UPSTREAM_RESET')
})
