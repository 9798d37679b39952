/** The byte-level readers against requests and bodies at random; `node:http`'s strict parser is the second opinion. */
import { createServer, METHODS, type IncomingMessage } from 'node:http'
import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { Fault } from '#engine/base/fault.ts'
import { hasToken, headersOf } from '#engine/dataplane/exchange/headers.ts'
import { readHead } from '#engine/dataplane/http/head.ts'
import { BodyReader } from '#engine/dataplane/http/wire/body-reader.ts'
import { INCOMPLETE, RequestReader, ResponseReader } from '#engine/dataplane/http/wire/head-reader.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const BUDGET_MS = 2_000

t.before(() => t.comment(`seed ${seed} (WEIR_FUZZ_SEED)`))

const settings = { seed, numRuns: 100_000, interruptAfterTimeLimit: BUDGET_MS, markInterruptAsFailure: false }
const short = { ...settings, interruptAfterTimeLimit: BUDGET_MS / 4 }
const limits = { maxHeaderBytes: 8_192, maxHeaderCount: 64 }

interface Message {
  readonly method: string
  readonly target: string
  readonly headers: readonly string[]
  readonly body: string
}

interface Seen {
  readonly messages: Message[]
  /** It ends in what is refused. */
  readonly isRefused: boolean
}

/** What the readers of ours make of the bytes. */
function ours(bytes: Buffer): Seen {
  const messages: Message[] = []
  const reader = new RequestReader(limits)
  const body = new BodyReader()
  let at = 0
  while (at < bytes.length) {
    const end = reader.read(bytes, at, bytes.length)
    if (end instanceof Fault) return { messages, isRefused: true }
    if (end === INCOMPLETE) break
    const { method, target, headers } = reader
    const head = readHead(reader, limits)
    if (head instanceof Fault) return { messages, isRefused: true }
    body.begin(head.framing, head.contentLength)
    at = end
    let content = ''
    if (!body.isDone) {
      at = body.read(bytes, at, bytes.length)
      content = bytes.toString('latin1', body.dataAt, body.dataEnd)
    }
    if (body.isBroken) return { messages, isRefused: true }
    if (!body.isDone) break
    messages.push({ method, target, headers, body: content })
    // The last of its connection.
    if (reader.version === '1.0' || hasToken(headersOf(headers, 'connection').join(), 'close')) break
  }
  return { messages, isRefused: false }
}

/** What `node:http` makes of them. */
function theirs(bytes: Buffer): Promise<Seen> {
  return new Promise(resolve => {
    const messages: Message[] = []
    let isRefused = false
    let open = 0
    let hasEnded = false
    const server = createServer({ insecureHTTPParser: false, requireHostHeader: true, keepAliveTimeout: 0 })
    const [client, connection] = duplexPair()
    const look = (): void => {
      if (hasEnded && open === 0) {
        client.destroy()
        connection.destroy()
        resolve({ messages, isRefused })
      }
    }
    const take = (request: IncomingMessage, answer: (() => void) | undefined): void => {
      open++
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
      const done = (): void => {
        open--
        look()
      }
      request.on('error', () => undefined)
      request.on('end', () => {
        if (request.complete) {
          const headers = request.rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text))
          messages.push({ method: request.method ?? '', target: request.url ?? '', headers, body })
        }
        answer?.()
        done()
      })
      request.on('close', () => {
        if (!request.readableEnded) done()
      })
    }
    server.on('request', (request, response) => take(request, () => response.end()))
    server.on('checkContinue', (request, response) => take(request, () => response.end()))
    server.on('checkExpectation', (request, response) => take(request, () => response.end()))
    server.on('upgrade', (request: IncomingMessage) => take(request, undefined))
    server.on('connect', (request: IncomingMessage) => take(request, undefined))
    server.on('clientError', () => {
      isRefused = true
      hasEnded = true
      look()
    })
    server.emit('connection', connection)
    client.resume()
    client.end(bytes)
    setImmediate(() =>
      setImmediate(() => {
        hasEnded = true
        setImmediate(() => {
          open = 0
          look()
        })
      })
    )
  })
}

const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD')
const target = fc.constantFrom('/', '/a', '/a/b?c=d', '//x', '/%61', '/a;b', '*', 'http://a/', 'http://b/x', '/a b', '/..', '')
const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1')
const eol = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\r\n')
const colon = fc.constantFrom(': ', ':', ':\t', ': ', ': ', ' : ', '')
const name = fc.constantFrom(
  'Host',
  'Content-Length',
  'Transfer-Encoding',
  'Connection',
  'X',
  'Expect',
  'TE',
  'content-length',
  'X Y',
  '',
  '\t'
)
const value = fc.constantFrom(
  'a',
  'b',
  '0',
  '5',
  '05',
  '+5',
  '5,5',
  'chunked',
  'Chunked',
  'gzip, chunked',
  'close',
  'x y',
  '',
  '\0',
  '\x7f',
  '\xff'
)
const field = fc.tuple(name, colon, value, eol).map(parts => parts.join(''))
const size = fc.constantFrom('5', '05', '5;x', '5 ', ' 5', '0x5', '-1', '', 'fffffffff', 'g', '5;a="b"')
const body = fc.oneof(
  fc.constant(''),
  fc.constant('hello'),
  fc.tuple(size, eol, eol, eol).map(([of, a, b, c]) => `${of}${a}hello${b}0${c}${c}`),
  fc.constant('5\r\nhello\r\n0\r\n\r\n'),
  fc.constant('5\r\nhello\r\n0\r\nX: y\r\n\r\n')
)
const request = fc
  .tuple(method, target, version, eol, fc.array(field, { maxLength: 4 }), fc.boolean(), eol, body)
  .map(
    ([m, u, v, end, list, hasHost, blank, content]) =>
      `${m} ${u} ${v}${end}${hasHost ? 'Host: a\r\n' : ''}${list.join('')}${blank}${content}`
  )
/** Mostly well formed, and now and then spoilt by a byte. */
const stream = fc
  .tuple(fc.array(request, { minLength: 1, maxLength: 3 }), fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 3 }))
  .map(([list, at, byte, kind]) => {
    const bytes = Buffer.from(list.join(''), 'latin1')
    if (kind === 0) bytes[at % bytes.length] = byte
    return kind === 1
      ? Buffer.concat([bytes.subarray(0, at % bytes.length), Buffer.from([byte]), bytes.subarray(at % bytes.length)])
      : bytes
  })

t.test('what is taken for a request is the same request to a strict parser', async t => {
  let taken = 0
  const property = fc.asyncProperty(stream, async bytes => {
    const mine = ours(Buffer.from(bytes))
    if (mine.messages.length === 0) return
    taken++
    const other = await theirs(bytes)
    // What the other refuses it may have stopped at early; what it takes has to be the same.
    for (const [i, message] of mine.messages.entries()) {
      // A method that it does not know it refuses; we pass it on.
      if (!METHODS.includes(message.method)) return
      const same = other.messages[i]
      if (same === undefined) {
        if (other.isRefused && i >= other.messages.length) throw new Error(`refused there: ${JSON.stringify(message)}`)
        return
      }
      if (JSON.stringify(same) !== JSON.stringify(message)) throw new Error(`seen differently: ${JSON.stringify([message, same])}`)
    }
  })
  await fc.assert(property, settings)
  t.ok(taken > 20, `${taken} streams with a request in them`)
})

/** Reads a body in pieces; the data joined, and how it ended. */
function inPieces(bytes: Buffer, cuts: readonly number[]): { data: string; end: string; rest: number; trailers: readonly string[] } {
  const reader = new BodyReader()
  reader.begin('chunked', -1)
  const places = [0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  let data = ''
  let used = 0
  for (let i = 1; i < places.length && !reader.isDone && !reader.isBroken; i++) {
    const piece = Buffer.from(bytes.subarray(places[i - 1], places[i]))
    used += reader.read(piece, 0, piece.length)
    data += piece.toString('latin1', reader.dataAt, reader.dataEnd)
  }
  const end = reader.isBroken ? 'broken' : reader.isDone ? 'done' : 'open'
  return { data, end, rest: end === 'done' ? bytes.length - used : 0, trailers: reader.trailers }
}

const chunk = fc
  .tuple(fc.constantFrom('', ';x', ';a=b', ' ', '\t'), fc.string({ maxLength: 20 }), eol, eol)
  .map(([extension, text, a, b]) => `${Buffer.byteLength(text).toString(16)}${extension}${a}${text}${b}`)
const chunkedBody = fc
  .tuple(
    fc.array(chunk, { maxLength: 5 }),
    fc.constantFrom('0\r\n\r\n', '0\r\nA: b\r\n\r\n', '0\r\nA : b\r\n\r\n', '0\n\n', ''),
    fc.constantFrom('', 'GET /')
  )
  .map(([list, last, rest]) => Buffer.from(list.join('') + last + rest))

t.test('a chunked body is the same however it is cut', async t => {
  const property = fc.property(chunkedBody, fc.array(fc.nat(), { maxLength: 12 }), (bytes, cuts) => {
    const one = inPieces(bytes, [])
    const many = inPieces(bytes, cuts)
    const each = inPieces(
      bytes,
      Array.from({ length: bytes.length }, (_, i) => i)
    )
    // What breaks may have given more or less of what was sound before it.
    if (one.end === 'broken') return many.end === 'broken' && each.end === 'broken'
    return JSON.stringify(one) === JSON.stringify(many) && JSON.stringify(one) === JSON.stringify(each)
  })
  fc.assert(property, short)
  t.pass()
})

t.test('bytes at random break no reader, and none reads beyond them', async t => {
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (random, hasBeginning) => {
    const bytes = Buffer.concat([Buffer.from(hasBeginning ? 'HTTP/1.1 200 OK\r\nX: ' : ''), random])
    for (const reader of [new RequestReader(limits), new ResponseReader(limits)]) {
      const end = reader.read(bytes, 0, bytes.length)
      if (typeof end === 'number' && (end > bytes.length || (end < 0 && end !== INCOMPLETE))) return false
    }
    return true
  })
  fc.assert(property, short)
  t.pass()
})
