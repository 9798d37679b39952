/** What floods of HTTP/2 cost: the connection that sends them, and nobody else. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
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
  pseudo,
  rstStream,
  settings,
  types,
  windowUpdate,
  type FrameClient
} from '#test/support/frames.ts'
import { askOn, openHttp2Client, openHttp2Plane } from '#test/support/http2.ts'

const certificate = await aCertificate('shop', ['shop.test'])
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))
const odd = (index: number): number => 1 + 2 * index
const post = pseudo({ ':method': 'POST' })
const large = pseudo({ ':path': '/large' })
/** One field of 4,000 bytes into the table, then the same again and again out of it, a byte each. */
const bomb = Buffer.concat([
  block(pseudo()),
  Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]),
  Buffer.alloc(4_000, 'b'),
  Buffer.alloc(12_000, 0xbe)
])
const emptyData = (stream: number): Buffer => data(stream, '')
/** An integer of HPACK in the clear is needed for no name longer than a byte here. */
const many = block([...pseudo(), ...times(1_000, index => [`x${index}`, 'y'] as const)])

interface Flood {
  readonly name: string
  readonly send: (client: FrameClient) => void
  /** What ends it; without one the connection may stay, and nothing else suffers. */
  readonly ends?: (client: FrameClient) => boolean
  /** The most requests that reach the server. */
  readonly reaches: number
}

const calmed = (client: FrameClient): boolean => client.isClosed || client.goaway() === errors.calm
const told = (client: FrameClient): boolean => client.isClosed || client.goaway() !== undefined

const floods: readonly Flood[] = [
  {
    name: 'rapid reset',
    send: client => client.send(...times(10_000, i => Buffer.concat([headers(odd(i), pseudo()), rstStream(odd(i), 8)]))),
    ends: calmed,
    reaches: 400
  },
  {
    name: 'rapid reset of bodies',
    send: client => client.send(...times(10_000, i => Buffer.concat([headers(odd(i), post, flags.endHeaders), rstStream(odd(i), 8)]))),
    ends: calmed,
    reaches: 400
  },
  {
    name: 'resets made by windows of nothing',
    send: client => client.send(...times(10_000, i => Buffer.concat([headers(odd(i), post, flags.endHeaders), windowUpdate(odd(i), 0)]))),
    ends: calmed,
    reaches: 400
  },
  {
    name: 'resets made by windows that overflow',
    send: client => {
      const twice = (id: number): Buffer => Buffer.concat([windowUpdate(id, 2 ** 31 - 1), windowUpdate(id, 2 ** 31 - 1)])
      client.send(...times(10_000, i => Buffer.concat([headers(odd(i), post, flags.endHeaders), twice(odd(i))])))
    },
    ends: calmed,
    reaches: 400
  },
  {
    name: 'resets made by bodies after the end',
    send: client => client.send(...times(10_000, i => Buffer.concat([headers(odd(i), pseudo()), data(odd(i), 'x')]))),
    ends: calmed,
    reaches: 400
  },
  {
    name: 'resets made by heads after the end',
    send: client => client.send(...times(5_000, i => Buffer.concat([headers(odd(i), pseudo()), headers(odd(i), pseudo())]))),
    ends: told,
    reaches: 400
  },
  {
    name: 'resets made by trailers that are none',
    send: client =>
      client.send(...times(10_000, i => Buffer.concat([headers(odd(i), post, flags.endHeaders), headers(odd(i), [[':path', '/']])]))),
    ends: calmed,
    reaches: 400
  },
  {
    name: 'resets made by bodies longer than they said',
    send: client =>
      client.send(
        ...times(5_000, i => Buffer.concat([headers(odd(i), [...post, ['content-length', '1']], flags.endHeaders), data(odd(i), 'xyz')]))
      ),
    ends: told,
    reaches: 400
  },
  {
    name: 'streams without end',
    send: client => client.send(...times(5_000, i => headers(odd(i), post, flags.endHeaders))),
    ends: calmed,
    reaches: 128
  },
  {
    name: 'CONTINUATION without end',
    send: client =>
      client.send(
        frame(types.headers, 1, 1, block(pseudo())),
        ...times(5_000, i => frame(types.continuation, 0, 1, block([[`x${i}`, 'y']])))
      ),
    ends: calmed,
    reaches: 0
  },
  {
    name: 'CONTINUATION of nothing',
    send: client => client.send(frame(types.headers, 1, 1, block(pseudo())), ...times(50_000, () => frame(types.continuation, 0, 1))),
    ends: calmed,
    reaches: 0
  },
  {
    name: 'CONTINUATION in large frames',
    send: client =>
      client.send(frame(types.headers, 1, 1, block(pseudo())), ...times(100, () => frame(types.continuation, 0, 1, Buffer.alloc(16_000)))),
    ends: calmed,
    reaches: 0
  },
  {
    name: 'a block that unfolds to 48 MB',
    send: client =>
      client.send(frame(types.headers, 1, 1, bomb.subarray(0, 16_384)), frame(types.continuation, 4, 1, bomb.subarray(16_384))),
    ends: client => client.status(1) === 431,
    reaches: 0
  },
  {
    name: 'the same a hundred times over',
    send: client => {
      client.send(frame(types.headers, 1, 1, bomb.subarray(0, 16_384)), frame(types.continuation, 4, 1, bomb.subarray(16_384)))
      client.send(...times(100, i => frame(types.headers, 5, odd(i + 1), Buffer.concat([block(pseudo()), Buffer.alloc(12_000, 0xbe)]))))
    },
    ends: client => client.isEnded(odd(100)),
    reaches: 0
  },
  {
    name: 'a head over the limit',
    send: client => client.send(headers(1, [...pseudo(), ...times(120, i => [`x-${i}`, 'y'.repeat(120)] as const)])),
    ends: client => client.status(1) === 431,
    reaches: 0
  },
  {
    name: 'more fields than the limit',
    send: client => client.send(frame(types.headers, 5, 1, many)),
    ends: client => client.status(1) === 431,
    reaches: 0
  },
  { name: 'SETTINGS', send: client => client.send(...times(50_000, () => settings())), ends: told, reaches: 0 },
  {
    name: 'SETTINGS of many settings',
    send: client => client.send(...times(20, () => settings(...times(2_000, i => [4, 65_535 + i] as const)))),
    ends: calmed,
    reaches: 0
  },
  { name: 'PING', send: client => client.send(...times(50_000, () => ping())), ends: told, reaches: 0 },
  {
    name: 'PRIORITY',
    send: client => client.send(...times(50_000, i => frame(types.priority, 0, odd(i), Buffer.alloc(5)))),
    ends: told,
    reaches: 0
  },
  { name: 'frames of no known type', send: client => client.send(...times(50_000, () => frame(0x42, 0, 0, 'x'))), ends: told, reaches: 0 },
  { name: 'WINDOW_UPDATE', send: client => client.send(...times(50_000, () => windowUpdate(0, 1))), ends: calmed, reaches: 0 },
  {
    name: 'RST_STREAM of streams that are over',
    send: client => client.send(headers(1, post, flags.endHeaders), rstStream(1, 8), ...times(50_000, () => rstStream(1, 8))),
    ends: told,
    reaches: 1
  },
  {
    name: 'DATA of nothing',
    send: client => client.send(headers(1, post, flags.endHeaders), ...times(50_000, () => emptyData(1))),
    ends: calmed,
    reaches: 1
  },
  {
    name: 'DATA of padding',
    send: client =>
      client.send(headers(1, post, flags.endHeaders), ...times(5_000, () => data(1, Buffer.from([3, 0, 0, 0]), flags.padded))),
    ends: calmed,
    reaches: 1
  },
  {
    name: 'a body that nobody reads',
    send: client =>
      client.send(
        headers(1, pseudo({ ':method': 'POST', ':path': '/deaf' }), flags.endHeaders),
        ...times(200, () => data(1, Buffer.alloc(16_000)))
      ),
    reaches: 1
  },
  {
    name: 'a hundred large answers into windows of nothing',
    send: client => client.send(settings([4, 0]), ...times(100, i => headers(odd(i), large))),
    reaches: 100
  },
  {
    name: 'a large answer a byte at a time',
    send: client => client.send(settings([4, 1]), headers(1, large), ...times(900, () => windowUpdate(1, 1))),
    ends: client => client.body(1).length > 900,
    reaches: 1
  },
  {
    name: 'answers to somebody who does not read',
    send: client => {
      client.socket.pause()
      client.send(windowUpdate(0, 2 ** 30), settings([4, 2 ** 30]), ...times(100, i => headers(odd(i), large)), ...times(900, () => ping()))
    },
    reaches: 100
  }
]

t.test('no flood costs more than its own connection', async t => {
  let reached = 0
  const answer = Buffer.alloc(1_000_000, 'z')
  const web = await openHttpServer(t, (request, response) => {
    if (request.url === '/canary') return response.end('sings')
    reached++
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    if (request.url === '/deaf') return
    if (request.url === '/large') return response.end(answer)
    request.resume().on('end', () => response.end('ok'))
  })
  const { port, memory, bugs } = await openHttp2Plane(t, { certificate, ports: [web.port] })
  const canary = await openHttp2Client(t, port())
  t.match(await askOn(canary, { ':path': '/canary' }), { body: 'sings' })
  const used = (): number => {
    collectGarbage()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const atFirst = used()
  for (const { name, send, ends, reaches } of floods) {
    reached = 0
    const client = await openFrames(t, port())
    send(client)
    const sings = askOn(canary, { ':path': '/canary' })
    if (ends !== undefined) await client.until(() => ends(client))
    else await until(() => reached === reaches, `${name}: all reach the server`)
    t.ok(ends?.(client) !== false, `${name}: ${client.isClosed ? 'closed' : ''} ${client.goaway() ?? ''}`)
    t.match(await sings, { status: 200, body: 'sings' })
    client.socket.destroy()
    client.frames.length = 0
    t.ok(reached <= reaches, `${name}: ${reached} requests reached the server`)
  }
  await until(() => memory.readTotals().virtualServices[0]?.totals.openConnections === 1, 'only the canary is left')
  t.same(bugs, [])
  // Generous: what is looked for would be hundreds of megabytes.
  await until(() => used() - atFirst < 40_000_000, 'memory returns')
})
