/** Responses as bytes, with what the client may get of them: written against RFC 9110 and RFC 9112. */

export interface ResponseCase {
  readonly what: string
  /** What the server sends. */
  readonly bytes: string
  /** The server ends the connection behind it. */
  readonly ends: boolean
  readonly method: 'GET' | 'HEAD'
  /** What the client gets; 502 when none of it may pass. */
  readonly status: number
  readonly body: string
  /** The client can tell that all of it came. */
  readonly isWhole: boolean
  /** The connection to the server may serve others. */
  readonly isKept: boolean
}

type Given = Partial<Omit<ResponseCase, 'what' | 'bytes'>>

const passes = (what: string, bytes: string, given: Given = {}): ResponseCase => ({
  what,
  bytes,
  ends: false,
  method: 'GET',
  status: 200,
  body: 'hello',
  isWhole: true,
  isKept: true,
  ...given
})
const refused = (what: string, bytes: string, given: Given = {}): ResponseCase =>
  passes(what, bytes, { status: 502, body: '502 Bad Gateway\n', isKept: false, ...given })
/** Some of it reaches the client, and the client sees that it is not all. */
const broken = (what: string, bytes: string, body: string, given: Given = {}): ResponseCase =>
  passes(what, bytes, { body, isWhole: false, isKept: false, ...given })

const OK = 'HTTP/1.1 200 OK\r\n'
const FIVE = 'Content-Length: 5\r\n\r\nhello'
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n'
const shown = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text)

const statusLines: readonly ResponseCase[] = [
  ...[
    'hello there',
    'HTTP/1.1',
    'HTTP/1.1 ',
    'HTTP/1.1 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 2x0 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 000 OK',
    'HTTP/1.1 600 OK',
    'HTTP/1.1 999 OK',
    'HTTP/1.1 +20 OK',
    'HTTP/1.1 -20 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1 200OK',
    ' HTTP/1.1 200 OK',
    '\r\nHTTP/1.1 200 OK',
    'HTTP/1.2 200 OK',
    'HTTP/2.0 200 OK',
    'HTTP/2 200 OK',
    'HTTP/0.9 200 OK',
    'HTTP/11 200 OK',
    'HTTP/1,1 200 OK',
    'http/1.1 200 OK',
    'ICY 200 OK',
    'HTTPS/1.1 200 OK',
    'HTTP/1.1 200 O\0K',
    'HTTP/1.1 200 O\x7fK',
    'HTTP/1.1 200 O\rK',
    'GET / HTTP/1.1',
    '\x15\x03\x01\x00\x02\x02\x46',
    '\0\0\0\x04\x04\0\0\0\0\0',
    '220 ready'
  ].map(line => refused(`the line ${shown(line)}`, `${line}\r\n${FIVE}`)),
  refused('a line that ends in a line feed', `HTTP/1.1 200 OK\n${FIVE}`),
  refused('a line without end', `HTTP/1.1 200 ${'x'.repeat(70_000)}`),
  refused('lines that end in line feeds', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello'),
  passes('a line without a reason', `HTTP/1.1 200 \r\n${FIVE}`),
  passes('a line without a reason and its space', `HTTP/1.1 200\r\n${FIVE}`),
  passes('a reason of all that may be', `HTTP/1.1 200 \tO K!\xe9~\r\n${FIVE}`),
  passes('a status that nobody knows', `HTTP/1.1 299 Odd\r\n${FIVE}`, { status: 299 }),
  passes('a failure', `HTTP/1.1 599 Odd\r\n${FIVE}`, { status: 599 })
]

const fieldLines: readonly ResponseCase[] = [
  ...[
    'Content-Length : 5',
    'Content-Length\t: 5',
    ' X: y',
    '\tX: y',
    'X: y\r\n z',
    ': y',
    'X',
    'X\0: y',
    'X\x80: y',
    'X(: y',
    'X: y\0z',
    'X: y\x01',
    'X: y\x7f',
    'X: y\x0b',
    'X: y\rZ: w',
    'X: y\nZ: w',
    'X: y\n\nHTTP/1.1 200 OK',
    'X\r: y',
    '<html>'
  ].map(text => refused(`the field ${shown(text)}`, `${OK}${text}\r\n${FIVE}`)),
  refused('fields over the limit', `${OK}${`X: ${'y'.repeat(1_000)}\r\n`.repeat(70)}${FIVE}`),
  refused('an empty line that is a line feed', `${OK}Content-Length: 5\r\n\nhello`),
  passes(
    'fields for this hop only',
    `${OK}Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nTrailer: x\r\nUpgrade: h2c\r\n${FIVE}`
  ),
  passes('a value of nothing', `${OK}X:\r\n${FIVE}`),
  passes('many fields', `${OK}${'X: y\r\n'.repeat(600)}${FIVE}`)
]

const lengths: readonly ResponseCase[] = [
  ...['', '+5', '-5', '5,5', '5, 5', '0x5', '5.0', '5 5', 'five', '5;', '1_0', '\xb25', '9999999999999999', '18446744073709551621'].map(
    value => refused(`a length of ${shown(value)}`, `${OK}Content-Length: ${value}\r\n\r\nhello`)
  ),
  refused('two lengths', `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`),
  refused('two equal lengths', `${OK}Content-Length: 5\r\n${FIVE}`),
  refused('length and coding', `${OK}Content-Length: 5\r\n${CHUNKED}5\r\nhello\r\n0\r\n\r\n`),
  refused('coding and length', `${OK}Transfer-Encoding: chunked\r\n${FIVE}`),
  ...['gzip', 'identity', 'gzip, chunked', 'chunked, gzip', 'chunked, chunked', 'xchunked', 'chunked;q=1', '', 'chunked,', '"chunked"'].map(
    value => refused(`a coding of ${shown(value)}`, `${OK}Transfer-Encoding: ${value}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`)
  ),
  refused('a coding twice', `${OK}Transfer-Encoding: chunked\r\n${CHUNKED}5\r\nhello\r\n0\r\n\r\n`),
  refused('a coding in HTTP/1.0', `HTTP/1.0 200 OK\r\n${CHUNKED}5\r\nhello\r\n0\r\n\r\n`),
  passes('a length', OK + FIVE),
  passes('a length of nothing', `${OK}Content-Length: 0\r\n\r\n`, { body: '' }),
  passes('a length with zeros', `${OK}Content-Length: 0005\r\n\r\nhello`),
  passes('a length, and an end', OK + FIVE, { ends: true, isKept: false }),
  passes('a length, and the last of the connection', `${OK}Connection: close\r\n${FIVE}`, { isKept: false }),
  passes('a length, in HTTP/1.0', `HTTP/1.0 200 OK\r\n${FIVE}`, { isKept: false }),
  passes('no length', `${OK}\r\nhello`, { ends: true, isKept: false }),
  passes('no length, in HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhello', { ends: true, isKept: false }),
  passes('no length and no body', `${OK}\r\n`, { ends: true, isKept: false, body: '' }),
  broken('a body that is shorter than it says', `${OK}Content-Length: 50\r\n\r\nhello`, 'hello', { ends: true }),
  broken('a body that does not begin', `${OK}Content-Length: 50\r\n\r\n`, '', { ends: true }),
  passes('a body that is longer than it says', `${OK}${FIVE} there`, { isKept: false }),
  passes('two answers', `${OK}${FIVE}${OK}Content-Length: 4\r\n\r\nevil`, { isKept: false }),
  passes('an answer and garbage', `${OK}${FIVE}\r\n`, { isKept: false }),
  passes('a body after HEAD', OK + FIVE, { method: 'HEAD', body: '', isKept: false }),
  passes('no body after HEAD', `${OK}Content-Length: 5\r\n\r\n`, { method: 'HEAD', body: '' }),
  passes('no chunks after HEAD', OK + CHUNKED, { method: 'HEAD', body: '' }),
  passes('chunks after HEAD', `${OK}${CHUNKED}5\r\nhello\r\n0\r\n\r\n`, { method: 'HEAD', body: '', isKept: false }),
  passes('204', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 204, body: '' }),
  passes('204 with a length of nothing', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', { status: 204, body: '' }),
  passes('204 with a body', `HTTP/1.1 204 No Content\r\n${FIVE}`, { status: 204, body: '', isKept: false }),
  passes('204 with a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', { status: 204, body: '', isKept: false }),
  passes('204 with chunks', `HTTP/1.1 204 No Content\r\n${CHUNKED}0\r\n\r\n`, { status: 204, body: '', isKept: false }),
  passes('304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', { status: 304, body: '' }),
  passes('304 with a body', `HTTP/1.1 304 Not Modified\r\n${FIVE}`, { status: 304, body: '', isKept: false })
]

const chunks: readonly ResponseCase[] = [
  passes('chunks', `${OK}${CHUNKED}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`),
  passes('extensions', `${OK}${CHUNKED}5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n`),
  passes('trailers', `${OK}${CHUNKED}5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: a\r\n\r\n`),
  passes('a last chunk and another answer', `${OK}${CHUNKED}5\r\nhello\r\n0\r\n\r\n${OK}${FIVE}`, { isKept: false }),
  passes('a last chunk and an end', `${OK}${CHUNKED}5\r\nhello\r\n0\r\n\r\n`, { ends: true, isKept: false }),
  ...['', ' 3', '0x3', '+3', '-3', 'g', '3 ', '3 ;x', '3,', '3\x00', 'fffffffffffff', '10000000000000003', '3_'].map(size =>
    broken(`a chunk size of ${shown(size)}`, `${OK}${CHUNKED}5\r\nhello\r\n${size}\r\nend\r\n0\r\n\r\n`, 'hello')
  ),
  broken('a chunk size that ends in a line feed', `${OK}${CHUNKED}5\r\nhello\r\n3\nend\r\n0\r\n\r\n`, 'hello'),
  broken('a chunk that is longer than it says', `${OK}${CHUNKED}5\r\nhello there\r\n0\r\n\r\n`, 'hello'),
  broken('a chunk that ends in a line feed', `${OK}${CHUNKED}5\r\nhello\n0\r\n\r\n`, 'hello'),
  broken('a last chunk without its empty line', `${OK}${CHUNKED}5\r\nhello\r\n0\r\n`, 'hello', { ends: true }),
  broken('a last chunk and garbage', `${OK}${CHUNKED}5\r\nhello\r\n0\r\nX\r\n\r\n`, 'hello'),
  broken('a trailer that is folded', `${OK}${CHUNKED}5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n`, 'hello'),
  broken('no last chunk', `${OK}${CHUNKED}5\r\nhello\r\n`, 'hello', { ends: true }),
  broken('half a chunk', `${OK}${CHUNKED}a\r\nhello`, 'hello', { ends: true }),
  broken('no chunk', OK + CHUNKED, '', { ends: true })
]

const interims: readonly ResponseCase[] = [
  passes('100 that nobody asked for', `HTTP/1.1 100 Continue\r\n\r\n${OK}${FIVE}`),
  passes('hints', `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}${FIVE}`),
  passes('some of them', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(20)}${OK}${FIVE}`),
  passes('one that nobody knows', `HTTP/1.1 199 Odd\r\n\r\n${OK}${FIVE}`),
  passes('one that says a length', `HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n${OK}${FIVE}`),
  refused('one that has a body', `HTTP/1.1 103 Early Hints\r\n${FIVE}${OK}${FIVE}`),
  refused('interim ones without end', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)),
  refused('an interim one and an end', 'HTTP/1.1 103 Early Hints\r\n\r\n', { ends: true }),
  refused('an interim one and garbage', 'HTTP/1.1 103 Early Hints\r\n\r\nhello\r\n\r\n'),
  refused('a change of protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
  refused(
    'a change of protocol and an answer',
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n${OK}${FIVE}`
  )
]

const ends: readonly ResponseCase[] = [
  refused('nothing', '', { ends: true }),
  refused('half a line', 'HTTP/1.1 20', { ends: true }),
  refused('half a head', `${OK}Content-Le`, { ends: true }),
  refused('a head without its empty line', `${OK}Content-Length: 5\r\n`, { ends: true })
]

export const responseCases: readonly ResponseCase[] = [...statusLines, ...fieldLines, ...lengths, ...chunks, ...interims, ...ends]
