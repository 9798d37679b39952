/** HTTP/2 from strangers: whatever comes, in whatever cut, is answered or refused, and nothing is thrown. */
import { Duplex, duplexPair } from 'node:stream'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { AcceptedConnection, type AcceptedUser } from '#engine/dataplane/http/http2/accepted.ts'
import type { Stream } from '#engine/dataplane/http/http2/stream-state.ts'
import { Fault } from '#engine/base/fault.ts'
import { readAnswerHead } from '#engine/dataplane/http/http2/fields.ts'
import { OpenedConnection, type OpenedUser } from '#engine/dataplane/http/http2/opened.ts'
import { encodeBlock, HpackDecoder } from '#engine/dataplane/http/http2/hpack.ts'
import { Buffers } from '#engine/dataplane/http/wire/parts.ts'
import { data, frame, headers, ping, preface, pseudo, rstStream, settings, windowUpdate } from '#test/support/frames.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

const scratch = Buffer.alloc(131_072)
const parts = { buffers: new Buffers(), scratch }
const bounds = { initialWindowBytes: 65_536, maxStreams: 8, maxControlFrames: 1_000, maxEmptyDataFrames: 100, maxHeaderBytes: 4_096 }

interface Seen {
  readonly heads: string[]
  readonly bodies: string[]
  isClosed: boolean
}

/** A connection whose streams are answered at once. */
function openConnection(): { client: Duplex; server: AcceptedConnection; seen: Seen } {
  const [client, end] = duplexPair()
  const seen: Seen = { heads: [], bodies: [], isClosed: false }
  client.on('error', () => undefined).resume()
  end.on('error', () => undefined)
  const user: AcceptedUser = {
    onStream: (stream: Stream, fields) => {
      seen.heads.push(fields === null ? 'too large' : fields.join('|'))
      let body = ''
      stream.user = {
        onData: (bytes, from, to) => {
          body += bytes.toString('latin1', from, to)
          return true
        },
        onEnd: () => void seen.bodies.push(body),
        onReset: () => undefined,
        onDrain: () => undefined,
        onFlushed: () => undefined
      }
      stream.respond([':status', '200'], false)
      stream.write(Buffer.from('ok'), 0, 2, [])
    },
    onStreamClosed: () => undefined,
    onDraining: () => undefined,
    onClosing: () => (seen.isClosed = true),
    onClosed: () => (seen.isClosed = true),
    onBlocked: () => undefined
  }
  return { client, server: new AcceptedConnection(end as unknown as Socket, bounds, parts, user), seen }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('a block of any bytes is fields or none, and never thrown over', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), blocks => {
      const decoder = new HpackDecoder(1_000, scratch)
      for (const block of blocks) {
        const bytes = Buffer.from(block)
        const result = decoder.decode(bytes, 0, bytes.length)
        let size = 0
        for (const text of decoder.fields) size += text.length
        if (size > 1_000) throw new Error('more was kept than may be')
        if (result === 'broken') break
      }
    }),
    { seed, numRuns: 2_000, interruptAfterTimeLimit: 3_000 }
  )
})

t.test('what is encoded is decoded again', async () => {
  const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map(code => String.fromCharCode(code)), maxLength: 300 })
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), texts => {
      const fields = texts.length % 2 === 0 ? texts : texts.slice(1)
      const block = encodeBlock(fields, true)
      const decoder = new HpackDecoder(100_000, scratch)
      if (decoder.decode(block, 0, block.length) !== 'fields') throw new Error('not decoded')
      if (JSON.stringify(decoder.fields) !== JSON.stringify(fields)) throw new Error('not the same')
    }),
    { seed, numRuns: 500, interruptAfterTimeLimit: 3_000 }
  )
})

const anyFrame = fc.oneof(
  fc
    .tuple(
      fc.integer({ min: 0, max: 11 }),
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 9 }),
      fc.uint8Array({ maxLength: 40 })
    )
    .map(([type, flag, stream, payload]) => frame(type, flag, stream, Buffer.from(payload))),
  fc.integer({ min: 1, max: 15 }).map(id => headers(id, pseudo())),
  fc.integer({ min: 1, max: 15 }).map(id => headers(id, pseudo({ ':method': 'POST' }), 4)),
  fc
    .tuple(fc.integer({ min: 1, max: 15 }), fc.string({ maxLength: 50 }), fc.integer({ min: 0, max: 1 }))
    .map(([id, body, end]) => data(id, body, end)),
  fc.integer({ min: 1, max: 15 }).map(id => rstStream(id, 8)),
  fc.tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 2 ** 31 - 1 })).map(([id, size]) => windowUpdate(id, size)),
  fc.integer({ min: 0, max: 2 ** 31 - 1 }).map(size => settings([4, size])),
  fc.constant(ping())
)

const anyAnswer = fc.oneof(
  anyFrame,
  fc
    .tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom('200', '103', '204', '20', '101'), fc.constantFrom(4, 5))
    .map(([id, status, flag]) => headers(id, [[':status', status]], flag)),
  fc
    .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 11 }))
    .map(([last, code]) => frame(7, 0, 0, Buffer.from([0, 0, 0, last, 0, 0, 0, code])))
)

t.test('frames of any kind in any order and any cut are answered or end the connection', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyFrame, { maxLength: 40 }), fc.integer({ min: 1, max: 100 }), async (frames, cut) => {
      const { client, server, seen } = openConnection()
      const bytes = Buffer.concat([preface, settings(), ...frames])
      for (let at = 0; at < bytes.length; at += cut) client.write(bytes.subarray(at, at + cut))
      await turn()
      await turn()
      if (server.openStreams > bounds.maxStreams) throw new Error('more streams than may be')
      if (seen.isClosed && server.openStreams > 0) throw new Error('streams that outlive their connection')
      client.destroy()
      server.destroy()
    }),
    { seed, numRuns: 400, interruptAfterTimeLimit: 3_000 }
  )
})

t.test('a request is the same, cut at every byte', async t => {
  const bytes = Buffer.concat([
    preface,
    settings([4, 1_000]),
    headers(1, pseudo({ ':method': 'POST' }), 4),
    data(1, 'first '),
    frame(0, 9, 1, Buffer.concat([Buffer.from([3]), Buffer.from('last'), Buffer.alloc(3)])),
    ping(),
    headers(3, pseudo())
  ])
  for (let at = 1; at < bytes.length; at++) {
    const { client, server, seen } = openConnection()
    client.write(bytes.subarray(0, at))
    await turn()
    client.write(bytes.subarray(at))
    for (let i = 0; i < 20 && (seen.heads.length < 2 || seen.bodies.length < 1); i++) await turn()
    if (seen.heads.length !== 2 || seen.bodies[0] !== 'first last' || seen.isClosed) t.fail(`cut at ${at}: ${JSON.stringify(seen)}`)
    client.destroy()
    server.destroy()
  }
  t.pass('every cut')
})

/** A connection to a server of whom nothing is known, with some requests under way. */
function openRequests(count: number): { server: Duplex; ours: OpenedConnection; ends: string[] } {
  const [server, end] = duplexPair()
  server.on('error', () => undefined).resume()
  end.on('error', () => undefined)
  const user: OpenedUser = {
    onStreamClosed: () => undefined,
    onDraining: () => undefined,
    onClosing: () => undefined,
    onClosed: () => undefined,
    onBlocked: () => undefined,
    onPong: () => undefined
  }
  const ours = new OpenedConnection(end as unknown as Socket, bounds, parts, user)
  end.on('data', (chunk: Buffer) => ours.receive(chunk, chunk.length))
  const ends: string[] = []
  for (let i = 0; i < count; i++) {
    let seen = ''
    ours.ask([':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'], i % 2 === 0, {
      onHead: fields => {
        const head = readAnswerHead(fields ?? [])
        seen += head instanceof Fault ? 'bad ' : `${head.status} `
        return head instanceof Fault || head.status >= 200
      },
      onData: (bytes, from, to) => {
        seen += bytes.toString('latin1', from, to)
        return true
      },
      onEnd: () => void ends.push(`${i}: ${seen}`),
      onReset: code => void ends.push(`${i}: reset ${code}`),
      onDrain: () => undefined,
      onFlushed: () => undefined
    })
  }
  return { server, ours, ends }
}

t.test('a server may say anything in any cut: each request ends once, and nothing is thrown', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyAnswer, { maxLength: 40 }), fc.integer({ min: 1, max: 100 }), async (frames, cut) => {
      const { server, ours, ends } = openRequests(6)
      const bytes = Buffer.concat([settings(), ...frames])
      for (let at = 0; at < bytes.length; at += cut) server.write(bytes.subarray(at, at + cut))
      await turn()
      await turn()
      server.destroy()
      ours.destroy()
      for (let i = 0; i < 20 && ours.openStreams > 0; i++) await turn()
      const who = ends.map(one => one.slice(0, 2))
      if (new Set(who).size !== who.length) throw new Error(`told twice: ${ends.join()}`)
      if (who.length !== 6) throw new Error(`not told: ${ends.join()}`)
    }),
    { seed, numRuns: 400, interruptAfterTimeLimit: 3_000 }
  )
})

t.test('an answer is the same, cut at every byte', async t => {
  const bytes = Buffer.concat([
    settings([3, 50]),
    headers(1, [[':status', '103']], 4),
    headers(
      1,
      [
        [':status', '200'],
        ['x-a', 'b']
      ],
      4
    ),
    data(1, 'first '),
    frame(0, 9, 1, Buffer.concat([Buffer.from([3]), Buffer.from('last'), Buffer.alloc(3)])),
    ping(),
    headers(5, [[':status', '204']])
  ])
  for (let at = 1; at < bytes.length; at++) {
    const { server, ours, ends } = openRequests(3)
    server.write(bytes.subarray(0, at))
    await turn()
    server.write(bytes.subarray(at))
    for (let i = 0; i < 20 && ends.length < 2; i++) await turn()
    if (ends.join() !== '0: 103 200 first last,2: 204 ') t.fail(`cut at ${at}: ${ends.join()}`)
    server.destroy()
    ours.destroy()
  }
  t.pass('every cut')
})
