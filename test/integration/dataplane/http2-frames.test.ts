/** Conformance of HTTP/2 case by case, after the list of h2spec; and requests that would be others in HTTP/1.1. */
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { openHttpServer, until } from '#test/support/data-plane.ts'
import {
  block,
  data,
  errors,
  flags,
  frame,
  headers,
  openFrames,
  ping,
  preface,
  pseudo,
  rstStream,
  settings,
  settingsAck,
  types,
  windowUpdate,
  type Fields,
  type FrameClient
} from '#test/support/frames.ts'
import { askOn, openHttp2Client, openHttp2Plane } from '#test/support/http2.ts'

const certificate = await aCertificate('shop', ['shop.test'])
const { protocol, flowControl, streamClosed, frameSize, refused, compression } = errors

/** What a client must see; the connection may end where only the stream has to. */
interface Expectation {
  /** Codes of GOAWAY; a connection that just ends does as well. */
  readonly connection?: readonly number[]
  /** Codes of RST_STREAM on stream 1. */
  readonly stream?: readonly number[]
  readonly status?: readonly number[]
  /** Something else that came. */
  readonly seen?: (client: FrameClient) => boolean
}

interface Case {
  readonly name: string
  readonly send: readonly Buffer[]
  readonly bare?: true
  readonly expect: Expectation
  /** Requests that reach the server, to their end. */
  readonly reaches?: number
}

const get = headers(1, pseudo())
const open = headers(1, pseudo({ ':method': 'POST' }), flags.endHeaders)
const served: Expectation = { status: [200] }
const dies = (...connection: number[]): Expectation => ({ connection })
/** Malformed: RFC 9113 §8.1.1; ours answers where it can. */
const malformed: Expectation = { stream: [protocol, errors.internal, errors.cancel], status: [400, 417, 501], connection: [protocol] }
const half = block(pseudo())
const bytes = (...values: number[]): Buffer => Buffer.from(values)
const big = (length: number): Buffer => Buffer.alloc(length)

const framing: readonly Case[] = [
  { name: '3.4 a request after the preface is served', send: [get], expect: served, reaches: 1 },
  { name: '3.4 a preface that is none', bare: true, send: [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')], expect: dies(protocol) },
  { name: '3.4 a preface without settings behind it', bare: true, send: [preface, get], expect: dies(protocol) },
  { name: '4.1 a frame of an unknown type is passed over', send: [frame(0x16, 0, 0, '12345678'), get], expect: served, reaches: 1 },
  { name: '4.1 flags that nobody knows are passed over', send: [ping('12345678', 0x16), get], expect: served, reaches: 1 },
  { name: '4.1 the reserved bit is passed over', send: [frame(types.ping, 0, 0x8000_0000, '12345678'), get], expect: served, reaches: 1 },
  { name: '4.2 a DATA frame of 2^14 bytes is taken', send: [open, data(1, big(16_384), flags.endStream)], expect: served, reaches: 1 },
  {
    name: '4.2 a DATA frame beyond that',
    send: [open, data(1, big(16_385), flags.endStream)],
    expect: { stream: [frameSize], connection: [frameSize] }
  },
  { name: '4.2 a HEADERS frame beyond that', send: [frame(types.headers, 5, 1, big(16_385))], expect: dies(frameSize) },
  { name: '4.2 SETTINGS beyond that', send: [frame(types.settings, 0, 0, big(16_386))], expect: dies(frameSize) },
  { name: '4.3 a block that is none', send: [frame(types.headers, 5, 1, bytes(0x40))], expect: dies(compression) },
  {
    name: '4.3 PRIORITY inside a block',
    send: [frame(types.headers, 1, 1, half), frame(types.priority, 0, 1, big(5))],
    expect: dies(protocol)
  },
  {
    name: '4.3 HEADERS of another stream inside a block',
    send: [frame(types.headers, 1, 1, half), headers(3, pseudo())],
    expect: dies(protocol)
  },
  { name: '4.3 PING inside a block', send: [frame(types.headers, 1, 1, half), ping()], expect: dies(protocol) },
  { name: '5.1 DATA on an idle stream', send: [data(1, 'x', 1)], expect: dies(protocol, streamClosed) },
  { name: '5.1 RST_STREAM on an idle stream', send: [rstStream(1, 8)], expect: dies(protocol) },
  { name: '5.1 WINDOW_UPDATE on an idle stream', send: [windowUpdate(1, 100)], expect: dies(protocol) },
  { name: '5.1 CONTINUATION on an idle stream', send: [frame(types.continuation, 4, 1, half)], expect: dies(protocol) },
  {
    name: '5.1 PRIORITY on an idle stream is passed over',
    send: [frame(types.priority, 0, 3, Buffer.from([0, 0, 0, 0, 1])), get],
    expect: served,
    reaches: 1
  },
  {
    name: '5.1 DATA after the end of the stream',
    send: [get, data(1, 'x', 1)],
    expect: { stream: [streamClosed], connection: [streamClosed] },
    reaches: -1
  },
  {
    name: '5.1 HEADERS after the end of the stream',
    send: [get, get],
    expect: { stream: [streamClosed], connection: [streamClosed] },
    reaches: -1
  },
  {
    name: '5.1 CONTINUATION after the end of the stream',
    send: [get, frame(types.continuation, 4, 1, half)],
    expect: dies(streamClosed, protocol),
    reaches: -1
  },
  {
    name: '5.1 DATA after RST_STREAM',
    send: [open, rstStream(1, 8), data(1, 'x', 1), ping()],
    expect: { stream: [streamClosed], connection: [streamClosed], seen: client => client.frames.some(one => one.type === types.ping) },
    reaches: 0
  },
  {
    name: '5.1 HEADERS after RST_STREAM',
    send: [open, rstStream(1, 8), get],
    expect: { stream: [streamClosed], connection: [streamClosed, protocol] },
    reaches: 0
  },
  { name: '5.1.1 an even stream', send: [headers(2, pseudo())], expect: dies(protocol) },
  {
    name: '5.1.1 a stream below the last',
    send: [headers(5, pseudo()), headers(3, pseudo())],
    expect: dies(protocol, streamClosed),
    reaches: -1
  },
  { name: '5.1.1 a request on stream 0', send: [headers(0, pseudo())], expect: dies(protocol) },
  {
    name: '5.5 an unknown frame inside a block',
    send: [frame(types.headers, 1, 1, half), frame(0x16, 0, 0, '1234')],
    expect: dies(protocol)
  },
  { name: '6.1 DATA on stream 0', send: [data(0, 'x')], expect: dies(protocol) },
  {
    name: '6.1 DATA with more padding than frame',
    send: [open, data(1, bytes(6, 0, 0), flags.padded | flags.endStream)],
    expect: dies(protocol),
    reaches: 0
  },
  {
    name: '6.1 padding is not part of a body',
    send: [
      headers(1, [...pseudo({ ':method': 'POST' }), ['content-length', '2']], 4),
      data(1, bytes(3, 0x68, 0x69, 0, 0, 0), flags.padded | flags.endStream)
    ],
    expect: { seen: client => client.body(1) === 'POST / 2' },
    reaches: 1
  },
  {
    name: '6.2 HEADERS with more padding than frame',
    send: [frame(types.headers, flags.padded | 5, 1, Buffer.concat([bytes(250), half]))],
    expect: dies(protocol)
  },
  {
    name: '6.2 padded HEADERS are taken',
    send: [frame(types.headers, flags.padded | 5, 1, Buffer.concat([bytes(4), half, big(4)]))],
    expect: served,
    reaches: 1
  },
  {
    name: '6.2 HEADERS with a priority are taken',
    send: [frame(types.headers, flags.priority | 5, 1, Buffer.concat([bytes(0, 0, 0, 3, 9), half]))],
    expect: served,
    reaches: 1
  },
  { name: '6.3 PRIORITY on stream 0', send: [frame(types.priority, 0, 0, big(5))], expect: dies(protocol) },
  {
    name: '6.3 PRIORITY of another length',
    send: [open, frame(types.priority, 0, 1, big(4))],
    expect: { stream: [frameSize], connection: [frameSize] },
    reaches: 0
  },
  { name: '6.4 RST_STREAM on stream 0', send: [rstStream(0, 8)], expect: dies(protocol) },
  { name: '6.4 RST_STREAM of another length', send: [open, frame(types.rstStream, 0, 1, big(3))], expect: dies(frameSize), reaches: 0 },
  { name: '6.5 an ACK with a payload', send: [frame(types.settings, flags.ack, 0, big(6))], expect: dies(frameSize) },
  { name: '6.5 SETTINGS on a stream', send: [frame(types.settings, 0, 1, big(6))], expect: dies(protocol) },
  { name: '6.5 SETTINGS of another length', send: [frame(types.settings, 0, 0, big(3))], expect: dies(frameSize) },
  { name: '6.5.2 ENABLE_PUSH of 2', send: [settings([2, 2])], expect: dies(protocol) },
  { name: '6.5.2 INITIAL_WINDOW_SIZE above 2^31-1', send: [settings([4, 2 ** 31])], expect: dies(flowControl) },
  { name: '6.5.2 MAX_FRAME_SIZE below 2^14', send: [settings([5, 16_383])], expect: dies(protocol) },
  { name: '6.5.2 MAX_FRAME_SIZE above 2^24-1', send: [settings([5, 2 ** 24])], expect: dies(protocol) },
  {
    name: '6.5.2 ENABLE_CONNECT_PROTOCOL of 2',
    send: [settings([8, 2])],
    expect: {
      connection: [protocol],
      seen: client => client.frames.filter(one => one.type === types.settings && one.flags === 1).length > 1
    }
  },
  { name: '6.5.2 an unknown setting is passed over', send: [settings([0xfa, 7]), get], expect: served, reaches: 1 },
  {
    name: '6.5.3 settings are acknowledged',
    send: [settings([3, 100])],
    expect: { seen: client => client.frames.filter(one => one.type === types.settings && one.flags === 1).length === 2 }
  },
  {
    name: '6.6 PUSH_PROMISE of a client',
    send: [frame(types.pushPromise, 4, 1, Buffer.concat([bytes(0, 0, 0, 2), half]))],
    expect: dies(protocol)
  },
  {
    name: '6.7 PING comes back as it is',
    send: [ping('whatever')],
    expect: {
      seen: client => client.frames.some(one => one.type === types.ping && one.flags === 1 && one.payload.toString() === 'whatever')
    }
  },
  {
    name: '6.7 an ACK is not answered',
    send: [ping('whatever', flags.ack), ping('question')],
    expect: { seen: client => client.frames.filter(one => one.type === types.ping).length === 1 }
  },
  { name: '6.7 PING on a stream', send: [frame(types.ping, 0, 1, big(8))], expect: dies(protocol) },
  { name: '6.7 PING of another length', send: [frame(types.ping, 0, 0, big(6))], expect: dies(frameSize) },
  { name: '6.8 GOAWAY on a stream', send: [frame(types.goaway, 0, 1, big(8))], expect: dies(protocol) },
  { name: '6.9 WINDOW_UPDATE of nothing', send: [windowUpdate(0, 0)], expect: dies(protocol) },
  {
    name: '6.9 WINDOW_UPDATE of nothing on a stream',
    send: [open, windowUpdate(1, 0)],
    expect: { stream: [protocol], connection: [protocol] },
    reaches: 0
  },
  { name: '6.9 WINDOW_UPDATE of another length', send: [frame(types.windowUpdate, 0, 0, big(3))], expect: dies(frameSize) },
  { name: '6.9.1 a window above 2^31-1', send: [windowUpdate(0, 2 ** 31 - 1), windowUpdate(0, 2 ** 31 - 1)], expect: dies(flowControl) },
  {
    name: '6.9.1 a stream window above 2^31-1',
    send: [open, windowUpdate(1, 2 ** 31 - 1), windowUpdate(1, 2 ** 31 - 1)],
    expect: { stream: [flowControl], connection: [flowControl] },
    reaches: 0
  },
  {
    name: '6.9.1 no more is sent than the window lets through',
    send: [settings([4, 1]), get],
    expect: { seen: client => client.status(1) === 200 && client.body(1).length === 1 },
    reaches: 1
  },
  {
    name: '6.9.2 a window that opens later',
    send: [settings([4, 0]), get, settings([4, 100])],
    expect: { seen: client => client.body(1) === 'GET / 0' },
    reaches: 1
  },
  {
    name: '6.9.2 a window that is negative for a while',
    send: [settings([4, 3]), get, settings([4, 2]), windowUpdate(1, 100)],
    expect: { seen: client => client.body(1) === 'GET / 0' },
    reaches: 1
  },
  {
    name: '6.10 a block in parts',
    send: [
      frame(types.headers, 1, 1, half.subarray(0, 20)),
      frame(types.continuation, 0, 1, half.subarray(20, 30)),
      frame(types.continuation, 4, 1, half.subarray(30))
    ],
    expect: served,
    reaches: 1
  },
  {
    name: '6.10 CONTINUATION on stream 0',
    send: [frame(types.headers, 1, 1, half), frame(types.continuation, 4, 0, '')],
    expect: dies(protocol)
  },
  {
    name: '6.10 CONTINUATION on another stream',
    send: [frame(types.headers, 1, 1, half), frame(types.continuation, 4, 3, '')],
    expect: dies(protocol)
  },
  { name: '6.10 CONTINUATION after the block', send: [open, frame(types.continuation, 4, 1, '')], expect: dies(protocol), reaches: 0 },
  {
    name: '6.10 CONTINUATION after DATA',
    send: [open, data(1, 'x'), frame(types.continuation, 4, 1, '')],
    expect: dies(protocol),
    reaches: 0
  },
  { name: '7541 2.3.3 an index beyond the tables', send: [frame(types.headers, 5, 1, bytes(0xff, 0x80, 0x01))], expect: dies(compression) },
  { name: '7541 6.1 index 0', send: [frame(types.headers, 5, 1, bytes(0x80))], expect: dies(compression) },
  {
    name: '7541 4.2 a table size behind a field',
    send: [frame(types.headers, 5, 1, Buffer.concat([half, bytes(0x20)]))],
    expect: dies(compression)
  },
  {
    name: '7541 6.3 a table size above the setting',
    send: [frame(types.headers, 5, 1, Buffer.concat([bytes(0x3f, 0xe1, 0xff, 0x03), half]))],
    expect: dies(compression)
  },
  {
    name: '7541 5.2 Huffman padding that is too long',
    send: [frame(types.headers, 5, 1, Buffer.concat([half, bytes(0x00, 0x82, 0x1c, 0xff, 0x81, 0xff)]))],
    expect: dies(compression)
  },
  {
    name: '7541 5.2 Huffman padding of zeros',
    send: [frame(types.headers, 5, 1, Buffer.concat([half, bytes(0x00, 0x81, 0x18, 0x01, 0x61)]))],
    expect: dies(compression)
  },
  {
    name: '7541 5.2 the end of a string inside one',
    send: [frame(types.headers, 5, 1, Buffer.concat([half, bytes(0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, 0x61)]))],
    expect: dies(compression)
  },
  {
    name: '7541 5.1 an integer without end',
    send: [frame(types.headers, 5, 1, bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))],
    expect: dies(compression)
  }
]

/** A request of one head that must not get through. */
const head = (name: string, fields: Fields, expect: Expectation = malformed): Case => ({ name, send: [headers(1, fields)], expect })
/** With a body. */
const body = (name: string, fields: Fields, ...parts: readonly string[]): Case => ({
  name,
  send: [
    headers(1, [...pseudo({ ':method': 'POST' }), ...fields], flags.endHeaders),
    ...parts.map((part, i) => data(1, part, i === parts.length - 1 ? 1 : 0))
  ],
  expect: malformed
})

const messages: readonly Case[] = [
  head('an upper-case name', [...pseudo(), ['X-Test', 'a']]),
  head('a pseudo-header field that is not known', [...pseudo(), [':test', 'a']]),
  head('a pseudo-header field of responses', [...pseudo(), [':status', '200']]),
  head('a pseudo-header field after the others', [...pseudo({ ':path': undefined }), ['x-a', 'b'], [':path', '/']]),
  head('no method', pseudo({ ':method': undefined })),
  head('no scheme', pseudo({ ':scheme': undefined })),
  head('no path', pseudo({ ':path': undefined })),
  head('an empty path', pseudo({ ':path': '' })),
  head('no authority and no host', pseudo({ ':authority': undefined })),
  head('an empty authority', pseudo({ ':authority': '' })),
  head('two methods', [[':method', 'GET'], ...pseudo()]),
  head('two schemes', [[':scheme', 'https'], ...pseudo()]),
  head('two paths', [[':path', '/'], ...pseudo()]),
  head('two authorities', [[':authority', 'shop.test'], ...pseudo()]),
  head('another host than the authority', [...pseudo(), ['host', 'other.test']]),
  head('two hosts', [...pseudo({ ':authority': undefined }), ['host', 'shop.test'], ['host', 'shop.test']]),
  head('an authority with a user', pseudo({ ':authority': 'me@shop.test' })),
  head('an authority with a path', pseudo({ ':authority': 'shop.test/a' })),
  head('an authority with white space', pseudo({ ':authority': 'shop.test x' })),
  head('a scheme that is not served', pseudo({ ':scheme': 'ftp' })),
  head('a path without a slash', pseudo({ ':path': 'admin' })),
  head('a path in absolute form', pseudo({ ':path': 'https://shop.test/' })),
  head('a path with white space', pseudo({ ':path': '/ HTTP/1.1' })),
  head('a path with a line break', pseudo({ ':path': '/ HTTP/1.1\r\nx: y\r\n\r\nGET /admin' })),
  head('a path with a fragment', pseudo({ ':path': '/a#b' })),
  head('a path that climbs out', pseudo({ ':path': '/../../etc' })),
  head('a path with a NUL', pseudo({ ':path': '/a\0b' })),
  head('an asterisk for GET', pseudo({ ':path': '*' })),
  head('a method with white space', pseudo({ ':method': 'GET /admin HTTP/1.1\r\nx:' })),
  head('an empty method', pseudo({ ':method': '' })),
  head('CONNECT', pseudo({ ':method': 'CONNECT', ':scheme': undefined, ':path': undefined })),
  head('CONNECT with a path', pseudo({ ':method': 'CONNECT' })),
  head('CONNECT of another protocol', [[':protocol', 'websocket'], ...pseudo({ ':method': 'CONNECT' })]),
  head('TRACE', pseudo({ ':method': 'TRACE' })),
  head('connection', [...pseudo(), ['connection', 'close']]),
  head('keep-alive', [...pseudo(), ['keep-alive', 'timeout=5']]),
  head('proxy-connection', [...pseudo(), ['proxy-connection', 'keep-alive']]),
  head('upgrade', [...pseudo(), ['upgrade', 'h2c']]),
  head('http2-settings', [...pseudo(), ['http2-settings', 'AAMAAABk']]),
  head('transfer-encoding', [...pseudo(), ['transfer-encoding', 'chunked']]),
  head('te other than trailers', [...pseudo(), ['te', 'trailers, deflate']]),
  head('an expectation that is not known', [...pseudo(), ['expect', 'everything']]),
  head('a line break in a value', [...pseudo(), ['x-a', 'b\r\nx-b: c']]),
  head('a line feed in a value', [...pseudo(), ['x-a', 'b\nx-b: c']]),
  head('a carriage return in a value', [...pseudo(), ['x-a', 'b\rx-b: c']]),
  head('a NUL in a value', [...pseudo(), ['x-a', 'b\0c']]),
  head('a control character in a value', [...pseudo(), ['x-a', 'b\x01c']]),
  head('white space around a value', [...pseudo(), ['x-a', ' b']], { ...malformed, status: [200, 400] }),
  head('a line break in a name', [...pseudo(), ['x-a: b\r\nx-b', 'c']]),
  head('white space in a name', [...pseudo(), ['x a', 'b']]),
  head('a colon in a name', [...pseudo(), ['x:a', 'b']]),
  head('an empty name', [...pseudo(), ['', 'b']]),
  head('a content-length without a body', [...pseudo({ ':method': 'POST' }), ['content-length', '5']]),
  body('a body longer than its content-length', [['content-length', '1']], 'hello'),
  body('a body longer than its content-length, in parts', [['content-length', '3']], 'he', 'llo'),
  body('a body shorter than its content-length', [['content-length', '9']], 'hello'),
  body('a body shorter than its content-length, in parts', [['content-length', '9']], 'he', 'llo'),
  body('a negative content-length', [['content-length', '-5']], 'hello'),
  body('a signed content-length', [['content-length', '+5']], 'hello'),
  body('a content-length that is a list', [['content-length', '5, 5']], 'hello'),
  body(
    'a content-length twice',
    [
      ['content-length', '5'],
      ['content-length', '5']
    ],
    'hello'
  ),
  body('a content-length in words', [['content-length', 'five']], 'hello'),
  body('an empty content-length', [['content-length', '']], 'hello'),
  body('a transfer-encoding beside a body', [['transfer-encoding', 'chunked']], '0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n'),
  { name: 'a second head without an end', send: [open, open], expect: malformed },
  { name: 'trailers with a pseudo-header field', send: [open, data(1, 'x'), headers(1, [[':path', '/b']])], expect: malformed },
  { name: 'trailers with an upper-case name', send: [open, data(1, 'x'), headers(1, [['X-End', 'y']])], expect: malformed },
  {
    name: 'trailers with a line break',
    send: [open, data(1, 'x'), headers(1, [['x-end', 'y\r\n\r\nGET /admin HTTP/1.1\r\n']])],
    expect: malformed
  },
  {
    name: 'a request that promises trailers and breaks off',
    send: [open, data(1, 'x'), rstStream(1, 8), ping()],
    expect: { seen: client => client.frames.some(one => one.type === types.ping) }
  }
]

async function isMet(client: FrameClient, { connection, stream, status, seen }: Expectation): Promise<boolean> {
  const holds = (): boolean => {
    if (seen?.(client) === true) return true
    if (status !== undefined && client.isEnded(1) && status.includes(client.status(1) ?? 0)) return true
    if (stream?.includes(client.reset(1) ?? -1) === true) return true
    return connection?.includes(client.goaway() ?? -1) === true
  }
  await client.until(holds, DEADLINE_MS).catch(() => undefined)
  return holds() || (connection !== undefined && client.isClosed)
}

const DEADLINE_MS = 10_000

/** A server that notes which requests came to their end. */
async function openTest(t: Parameters<typeof openHttpServer>[0]) {
  const ended: IncomingMessage[] = []
  const web = await openHttpServer(t, (request, response) => {
    let length = 0
    request.on('data', (chunk: Buffer) => (length += chunk.length))
    request.on('error', () => undefined)
    request.on('end', () => {
      ended.push(request)
      response.end(`${request.method} ${request.url} ${length}`)
    })
  })
  return { ended, under: await openHttp2Plane(t, { certificate, ports: [web.port] }) }
}

for (const [title, cases] of [
  ['frames', framing],
  ['messages', messages]
] as const) {
  t.test(`${title}: every case is answered as it should be, nothing of it gets through, and others are served`, async t => {
    const { ended, under } = await openTest(t)
    const canary = await openHttp2Client(t, under.port())
    for (const { name, send, bare, expect, reaches = 0 } of cases) {
      const before = ended.length
      const client = await openFrames(t, under.port(), { bare: bare ?? false })
      client.send(...send)
      const isRight = await isMet(client, expect)
      t.ok(
        isRight,
        `${name}${isRight ? '' : `: GOAWAY ${client.goaway()}, RST_STREAM ${client.reset(1)}, status ${client.status(1)}, ${client.body(1)}`}`
      )
      client.socket.destroy()
      const own = (): IncomingMessage[] => ended.slice(before).filter(request => request.url !== '/canary')
      if (reaches > 0) await until(() => own().length === reaches, `${name}: it reaches the server`)
      const answer = await askOn(canary, { ':path': '/canary' })
      if (answer.body !== 'GET /canary 0') t.fail(`${name}: the canary got ${answer.status} ${answer.body}`)
      const most = reaches < 0 ? 1 : expect.status?.includes(200) === true ? Math.max(1, reaches) : reaches
      if (own().length > most) t.fail(`${name}: ${own().length} requests reached the server`)
    }
    t.same(under.bugs, [])
  })
}

t.test('a stream beyond the bound is refused, or ends the connection', async t => {
  const { under } = await openTest(t)
  const client = await openFrames(t, under.port())
  for (let i = 0; i < 129; i++) client.send(headers(1 + 2 * i, pseudo({ ':method': 'POST' }), flags.endHeaders))
  await client.until(() => client.goaway() !== undefined || client.reset(257) !== undefined)
  t.ok(client.goaway() === protocol || client.reset(257) === refused)
})

t.test('settings are said, among them the bound on streams and on fields', async t => {
  const { under } = await openTest(t)
  const client = await openFrames(t, under.port(), { bare: true })
  client.send(preface, settings(), settingsAck)
  await client.until(() => client.frames.length > 0)
  const said = client.frames[0]!
  t.equal(said.type, types.settings)
  const values = new Map<number, number>()
  for (let i = 0; i < said.payload.length; i += 6) values.set(said.payload.readUInt16BE(i), said.payload.readUInt32BE(i + 2))
  t.equal(values.get(3), 128)
  t.equal(values.get(6), 12_288)
  t.equal(values.get(8) ?? 0, 0, 'no tunnels over streams')
})

t.test('names that servers take for ours do not get through', async t => {
  const { ended, under } = await openTest(t)
  const client = await openFrames(t, under.port())
  client.send(
    headers(1, [...pseudo(), ['x_forwarded_for', '6.6.6.6'], ['content_length', '7'], ['x-forwarded-for', '6.6.6.6'], ['x-own', 'stays']])
  )
  await client.until(() => client.isEnded(1))
  t.match(ended[0]?.headers, { 'x-forwarded-for': '127.0.0.1', 'x-own': 'stays' })
  t.notOk('x_forwarded_for' in (ended[0]?.headers ?? {}))
  t.notOk('content_length' in (ended[0]?.headers ?? {}))
})
