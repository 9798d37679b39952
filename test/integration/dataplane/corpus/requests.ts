/** Requests as bytes, with what is due to the client and what may reach the server: written against RFC 9110 and RFC 9112. */

export interface RequestCase {
  readonly what: string
  readonly bytes: string
  /** Statuses that the client gets for these bytes, in order, interim ones left out. */
  readonly answers: readonly number[]
  /** Whole requests that reach the server, their bodies without framing. */
  readonly reaches: readonly string[]
}

/** What the plane sends on for a plain request. */
export const plain = (method: string, target: string, fields = '', body = '', host = 'a'): string =>
  `${method} ${target} HTTP/1.1\r\nhost: ${host}\r\n${fields}\r\n${body}`

const refused = (what: string, bytes: string, status = 400): RequestCase => ({ what, bytes, answers: [status], reaches: [] })
const passes = (what: string, bytes: string, ...reaches: string[]): RequestCase => ({
  what,
  bytes,
  answers: reaches.map(() => 200),
  reaches
})

const fields = (lines: string, body = ''): string => `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n${body}`
const chunked = (body: string): string => fields('Transfer-Encoding: chunked', body)
const target = (text: string, host = 'a'): string => `GET ${text} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
const line = (text: string): string => `${text}\r\nHost: a\r\n\r\n`
const shown = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text)

/** A request within a request. */
const EVIL = 'GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n0\r\n\r\n'
const CHUNKED = 'transfer-encoding: chunked\r\n'

const lengths: readonly RequestCase[] = [
  ...['', ' ', '+5', '-5', '5 5', '5,5', '5, 5', '5;', '0x5', '5.0', '5e0', '\xb25', '1_0', '"5"', '5\t5', 'five', '5-', '%35'].map(value =>
    refused(`a length of ${shown(value)}`, fields(`Content-Length: ${value}`, 'hello'))
  ),
  ...['9999999999999999', '18446744073709551621', '1'.repeat(400)].map(value =>
    refused(`a length of ${shown(value)}`, fields(`Content-Length: ${value}`, 'hello'))
  ),
  refused('two lengths', fields('Content-Length: 5\r\nContent-Length: 6', 'hello!')),
  refused('two equal lengths', fields('Content-Length: 5\r\nContent-Length: 5', 'hello')),
  refused('two lengths, one of them empty', fields('Content-Length: 5\r\nContent-Length:', 'hello')),
  refused('a length and a list of it', fields('content-length: 5\r\nCONTENT-LENGTH: 5,5', 'hello')),
  passes('a length', fields('Content-Length: 5', 'hello'), plain('POST', '/', 'content-length: 5\r\n', 'hello')),
  passes('a length with zeros', fields('Content-Length: 005', 'hello'), plain('POST', '/', 'content-length: 5\r\n', 'hello')),
  passes('a length in blanks', fields('Content-Length: \t 5 \t', 'hello'), plain('POST', '/', 'content-length: 5\r\n', 'hello')),
  passes('a length of nothing', fields('Content-Length: 0'), plain('POST', '/', 'content-length: 0\r\n')),
  passes(
    'a GET with a body',
    'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    plain('GET', '/', 'content-length: 5\r\n', 'hello')
  ),
  passes(
    'a body that looks like a request',
    fields(`Content-Length: ${EVIL.length}`, EVIL),
    plain('POST', '/', `content-length: ${EVIL.length}\r\n`, EVIL)
  )
]

const codings: readonly RequestCase[] = [
  ...[
    'gzip',
    'identity',
    'xchunked',
    'chunkedx',
    'chunked, chunked',
    'chunked, gzip',
    'gzip, chunked',
    'chunked, identity',
    'identity, chunked',
    'chunked;q=1',
    '"chunked"',
    "'chunked'",
    '',
    ',chunked',
    'chunked,',
    'chunk ed',
    'chunked chunked',
    'chunKEd\x7f',
    '\xa0chunked',
    'chunked\x85'
  ].map(value => refused(`a coding of ${shown(value)}`, fields(`Transfer-Encoding: ${value}`, '0\r\n\r\n'))),
  refused('coding and length', fields('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n')),
  refused('length and coding', fields('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
  refused('a length of nothing and a coding', fields('Content-Length: 0\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
  refused('coding and length far apart', fields(`Transfer-Encoding: chunked\r\n${'X: y\r\n'.repeat(30)}Content-Length: 5`, '0\r\n\r\n')),
  refused('a coding twice', fields('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
  refused('a coding twice, once empty', fields('Transfer-Encoding: chunked\r\nTransfer-Encoding:', '0\r\n\r\n')),
  refused('a coding twice, once unknown', fields('Transfer-Encoding: cow\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
  refused('a coding folded', fields('Transfer-Encoding:\r\n chunked', '0\r\n\r\n')),
  refused('a coding in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  refused(
    'a coding and a length in HTTP/1.0',
    'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n'
  ),
  passes('a coding in capitals', fields('TRANSFER-ENCODING: CHUNKED', '0\r\n\r\n'), plain('POST', '/', CHUNKED)),
  passes('a coding after a tab', fields('Transfer-Encoding:\tchunked', '5\r\nhello\r\n0\r\n\r\n'), plain('POST', '/', CHUNKED, 'hello')),
  passes(
    'a coding that Connection names',
    fields('Connection: transfer-encoding\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    plain('POST', '/', CHUNKED)
  ),
  passes('a look-alike of a coding', target('/').replace('\r\n\r\n', '\r\nTransfer_Encoding: chunked\r\n\r\n'), plain('GET', '/')),
  passes('a look-alike of a length', target('/').replace('\r\n\r\n', '\r\nContent_Length: 5\r\n\r\n'), plain('GET', '/'))
]

const chunks: readonly RequestCase[] = [
  ...['', ' 5', '0x5', '+5', '-5', '5_0', 'g', '5 ', '5\t', '5 ;x', '5,', '\x005', '5\x00', '5\x0b', 'five', '5h', '05_', "5'"].map(size =>
    refused(`a chunk size of ${shown(size)}`, chunked(`${size}\r\nhello\r\n0\r\n\r\n`))
  ),
  ...['fffffffffffff', '7fffffffffffffff', 'ffffffffffffffff', '10000000000000005', '0000000000000005'].map(size =>
    refused(`a chunk size of ${size}`, chunked(`${size}\r\nhello\r\n0\r\n\r\n`))
  ),
  refused('a chunk size that ends in a line feed', chunked('5\nhello\r\n0\r\n\r\n')),
  refused('a chunk size that ends in a carriage return', chunked('5\rhello\r\n0\r\n\r\n')),
  refused('a chunk size that ends twice', chunked('5\r\r\nhello\r\n0\r\n\r\n')),
  refused('an extension that ends in a line feed', chunked('5;x\nhello\r\n0\r\n\r\n')),
  refused('an extension with a carriage return', chunked('5;x\ry\r\nhello\r\n0\r\n\r\n')),
  refused('an extension with a NUL', chunked('5;x\0\r\nhello\r\n0\r\n\r\n')),
  refused('an extension without end', chunked(`5;${'x'.repeat(5_000)}\r\nhello\r\n0\r\n\r\n`)),
  refused('extensions without end', chunked(`1;${'x'.repeat(99)}\r\na\r\n`.repeat(60) + '0\r\n\r\n')),
  refused('a chunk that is longer than it says', chunked('3\r\nhello\r\n0\r\n\r\n')),
  refused('a chunk that is shorter than it says', chunked('6\r\nhello\r\n0\r\n\r\n')),
  refused('a chunk that ends in a line feed', chunked('5\r\nhello\n0\r\n\r\n')),
  refused('a chunk that ends in nothing', chunked('5\r\nhello0\r\n\r\n')),
  refused('a chunk that ends in a carriage return', chunked('5\r\nhello\r0\r\n\r\n')),
  refused('a last chunk that ends in a line feed', chunked('5\r\nhello\r\n0\n\r\n')),
  refused('a last chunk without its empty line', chunked('5\r\nhello\r\n0\r\n')),
  refused('an empty line that is a line feed', chunked('0\r\n\n')),
  refused('an empty line that is a carriage return', chunked('0\r\n\rX')),
  refused('a trailer with a space before the colon', chunked('0\r\nX : y\r\n\r\n')),
  refused('a trailer that is folded', chunked('0\r\nX: y\r\n z\r\n\r\n')),
  refused('a trailer with a line feed', chunked('0\r\nX: y\nZ: w\r\n\r\n')),
  refused('a trailer without a colon', chunked('0\r\nX\r\n\r\n')),
  refused('a trailer with a NUL', chunked('0\r\nX: \0\r\n\r\n')),
  refused('trailers without end', chunked(`0\r\n${'X: y\r\n'.repeat(100)}\r\n`)),
  refused('a trailer that is too long', chunked(`0\r\nX: ${'y'.repeat(9_000)}\r\n\r\n`)),
  passes('chunks', chunked('5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'), plain('POST', '/', CHUNKED, 'hello world')),
  passes(
    'chunk sizes in all letters',
    chunked(`A\r\n${'x'.repeat(10)}\r\nb\r\n${'y'.repeat(11)}\r\n0\r\n\r\n`),
    plain('POST', '/', CHUNKED, 'x'.repeat(10) + 'y'.repeat(11))
  ),
  passes('a chunk size with zeros', chunked('0005\r\nhello\r\n000\r\n\r\n'), plain('POST', '/', CHUNKED, 'hello')),
  passes('extensions, which go no further', chunked('5;a=b;c="d;e"\r\nhello\r\n0;f\r\n\r\n'), plain('POST', '/', CHUNKED, 'hello')),
  passes(
    'a chunk that looks like a request',
    chunked(`${EVIL.length.toString(16)}\r\n${EVIL}\r\n0\r\n\r\n`),
    plain('POST', '/', CHUNKED, EVIL)
  ),
  passes(
    'trailers',
    chunked('5\r\nhello\r\n0\r\nX-Sum: 1\r\nServer-Timing: a\r\n\r\n'),
    plain('POST', '/', CHUNKED, 'hello', 'a') + 'x-sum: 1\r\nserver-timing: a\r\n'
  ),
  passes(
    'trailers that say what is not theirs to say',
    chunked(
      '5\r\nhello\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: evil\r\nAuthorization: x\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6\r\nCookie: a\r\nConnection: close\r\nX-Ok: 1\r\n\r\n'
    ),
    `${plain('POST', '/', CHUNKED, 'hello')}x-ok: 1\r\n`
  )
]

const fieldLines: readonly RequestCase[] = [
  ...[
    'Content-Length : 5',
    'Content-Length\t: 5',
    ' Content-Length: 5',
    '\tX: y',
    'X: y\r\n z',
    'X: y\r\n\tz',
    'X: y\r\n \r\nZ: w',
    ': y',
    ' : y',
    'X',
    'X y',
    'X\0: y',
    'X\x7f: y',
    'X\x80: y',
    '\xefX: y',
    'X(: y',
    'X@Y: z',
    'X/Y: z',
    '"X": y',
    '[X]: y',
    'X: y\0z',
    'X: y\x01',
    'X: y\x08z',
    'X: y\x0bz',
    'X: y\x0cz',
    'X: \x1b[2J',
    'X: y\x7f',
    'X: y\rZ: w',
    'X: y\r\rZ: w',
    'X: y\nZ: w',
    'X: y\n\nGET /evil HTTP/1.1',
    'X: y\r\r',
    'X\r: y',
    'X\n: y'
  ].map(text => refused(`the field ${shown(text)}`, fields(text, 'hello'))),
  passes(
    'a value of all that may be',
    fields('X:\t a"(),/:;<=>?@[\\]{}\x80\xff~ b \t'),
    plain('POST', '/', 'x: a"(),/:;<=>?@[\\]{}\x80\xff~ b\r\n')
  ),
  passes('a value of nothing', fields('X:'), plain('POST', '/', 'x: \r\n')),
  passes('a name of all that may be', fields("!#$%&'*+-.^_`|~09azAZ: y"), plain('POST', '/', "!#$%&'*+-.^_`|~09azaz: y\r\n")),
  passes('fields that repeat, in order', fields('X: 1\r\nY: 2\r\nX: 3'), plain('POST', '/', 'x: 1\r\ny: 2\r\nx: 3\r\n')),
  passes(
    'names of objects',
    fields('__proto__: 1\r\nconstructor: 2\r\ntoString: 3'),
    plain('POST', '/', '__proto__: 1\r\nconstructor: 2\r\ntostring: 3\r\n')
  ),
  passes(
    'fields for this hop only',
    fields(
      'Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: trailers\r\nTrailer: X\r\nX: y'
    ),
    plain('POST', '/', 'x: y\r\n')
  ),
  passes(
    'fields that Connection may not name',
    fields(
      'Connection: host, content-length, authorization, cookie, x-forwarded-for\r\nAuthorization: b\r\nCookie: c\r\nContent-Length: 2',
      'hi'
    ),
    plain('POST', '/', 'authorization: b\r\ncookie: c\r\ncontent-length: 2\r\n', 'hi')
  ),
  passes(
    'an upgrade to h2c',
    fields('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ'),
    plain('POST', '/')
  ),
  passes('an upgrade to what nobody knows', fields('Connection: Upgrade\r\nUpgrade: foo/1'), plain('POST', '/')),
  refused(
    'a handshake of another version',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'
  ),
  refused(
    'a handshake without a key',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n'
  ),
  refused(
    'a handshake by POST',
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'
  ),
  refused('too many fields', fields('X: y\r\n'.repeat(300).slice(0, -2)), 431),
  refused('a field over the limit', fields(`X: ${'y'.repeat(20_000)}`), 431),
  refused('fields over the limit', fields(`X: ${'y'.repeat(400)}\r\n`.repeat(40).slice(0, -2)), 431),
  refused('a request line over the limit', target(`/${'y'.repeat(20_000)}`), 414),
  refused('a request line that does not end', `GET /${'y'.repeat(20_000)}`, 414),
  refused('a method that does not end', 'G'.repeat(20_000), 414),
  refused('an expectation that is not known', fields('Expect: wonders'), 417),
  refused('an expectation twice', fields('Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1', 'x'), 417),
  passes(
    'an expectation',
    fields('Expect: 100-Continue\r\nContent-Length: 5', 'hello'),
    plain('POST', '/', 'content-length: 5\r\n', 'hello')
  ),
  passes('an expectation without a body', fields('Expect: 100-continue'), plain('POST', '/'))
]

const lines: readonly RequestCase[] = [
  ...[
    'GET / HTTP/1.1 ',
    'GET  / HTTP/1.1',
    ' GET / HTTP/1.1',
    '\tGET / HTTP/1.1',
    'GET /  HTTP/1.1',
    'GET\t/ HTTP/1.1',
    'GET /\tHTTP/1.1',
    'GET / http/1.1',
    'GET / HTTP/1,1',
    'GET / HTTP/11',
    'GET / HTTP/1.10',
    'GET / HTTP/1.1.1',
    'GET / HTTP/01.1',
    'GET / HTTP/1. 1',
    'GET / HTTP/+1.1',
    'GET / HTTP 1.1',
    'GET / HTTPS/1.1',
    'GET / ICY/1.1',
    'GET /',
    'GET / ',
    'GET',
    '/ HTTP/1.1',
    'GET HTTP/1.1',
    'GET /a b HTTP/1.1',
    'GET /a\0b HTTP/1.1',
    'GET /a\x7f HTTP/1.1',
    'GET /\xe9 HTTP/1.1',
    'GET /a\rb HTTP/1.1',
    'GET / HTTP/1.1\rX: y',
    'G@T / HTTP/1.1',
    'GE(T / HTTP/1.1',
    '\0GET / HTTP/1.1',
    'GET\0 / HTTP/1.1',
    '\xefGET / HTTP/1.1',
    '\x16\x03\x01\x02\x00\x01\x00'
  ].map(text => refused(`the line ${shown(text)}`, line(text))),
  ...['HTTP/1.2', 'HTTP/1.9', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/3.0', 'HTTP/9.9'].map(version =>
    refused(version, line(`GET / ${version}`), 505)
  ),
  refused('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505),
  refused('lines that end in line feeds', 'GET / HTTP/1.1\nHost: a\n\n'),
  refused('a first line that ends in a line feed', 'GET / HTTP/1.1\nHost: a\r\n\r\n'),
  refused('a last line that ends in a line feed', 'GET / HTTP/1.1\r\nHost: a\r\n\n'),
  refused('a last line that is a carriage return', 'GET / HTTP/1.1\r\nHost: a\r\n\rX'),
  refused('a line feed before', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  refused('a carriage return before', '\rGET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  refused('two empty lines before', '\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  passes('one empty line before', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', plain('GET', '/')),
  refused('CONNECT', 'CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n', 501),
  refused('CONNECT to a path', 'CONNECT /b HTTP/1.1\r\nHost: a\r\n\r\n', 501),
  refused('TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 501),
  passes('a method that nobody knows', 'BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n', plain('BREW', '/pot')),
  passes('a method in small letters', 'get / HTTP/1.1\r\nHost: a\r\n\r\n', plain('get', '/')),
  refused('SSH', 'SSH-2.0-OpenSSH_9.9\r\n\r\n')
]

const targets: readonly RequestCase[] = [
  ...[
    'a',
    'a/b',
    '*',
    '?a',
    'a:80',
    'http:/a',
    'http:',
    'http://b/',
    'http://a:81/',
    'http://a@b/',
    'http://b@a/',
    'ftp://a/',
    'javascript:1',
    '/a#b',
    '/%',
    '/%z',
    '/%0',
    '/%0g',
    '/%00',
    '/a/%2e%2e%2f%2e%2e/b',
    '/a%2f..%2f..%2fb',
    '/a%5cb',
    '/a\\b',
    '/..',
    '/../a',
    '/a/../../b',
    '/%2e%2e/a',
    '/.%2e/a',
    '/a/..;/b',
    '/..;a/b',
    '/.;/a'
  ].map(text => refused(`the target ${text}`, target(text))),
  passes('dots that stay inside', target('/a/./b/../c'), plain('GET', '/a/c')),
  passes('escapes that need not be', target('/%61%2Db%7e?%61'), plain('GET', '/a-b~?%61')),
  passes('slashes that repeat', target('//a///b'), plain('GET', '//a///b')),
  passes('parameters', target('/a;x=1/b?c=d&e'), plain('GET', '/a;x=1/b?c=d&e')),
  passes('the absolute form', target('http://a/b?c'), plain('GET', '/b?c')),
  passes('the absolute form in capitals', target('HTTP://A/b'), plain('GET', '/b')),
  passes('the absolute form without a path', target('http://a'), plain('GET', '/')),
  passes('the absolute form with a query only', target('http://a?b'), plain('GET', '/?b')),
  passes('the asterisk', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', plain('OPTIONS', '*'))
]

const hosts: readonly RequestCase[] = [
  refused('no host', 'GET / HTTP/1.1\r\nX: y\r\n\r\n'),
  refused('two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'),
  refused('one host twice', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n'),
  refused('a host and a target without one', 'GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n'),
  ...[
    'a b',
    'a/b',
    'a,b',
    'a@b',
    'b@a',
    'a?b',
    'a#b',
    'a\\b',
    'a:x',
    'a:99999',
    'a:80:80',
    'a:-1',
    '[::1',
    '::1',
    '[a]',
    'a..b',
    '.a',
    'a%20b',
    '\xe4',
    'a\tb',
    'http://a',
    '"a"',
    "a'b",
    'a;b',
    'a"'
  ].map(host => refused(`the host ${shown(host)}`, target('/', host))),
  passes('a host with a port', target('/', 'A.test:8080'), plain('GET', '/', '', '', 'A.test:8080')),
  passes('an IPv6 host', target('/', '[::1]:80'), plain('GET', '/', '', '', '[::1]:80')),
  passes('a host with a dot at its end', target('/', 'a.'), plain('GET', '/', '', '', 'a.')),
  passes('two requests, two hosts', target('/1', 'a') + target('/2', 'b'), plain('GET', '/1'), plain('GET', '/2', '', '', 'b')),
  passes('HTTP/1.0 that stays', 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n', plain('GET', '/'))
]

const pipelines: readonly RequestCase[] = [
  passes('three requests', target('/1') + target('/2') + target('/3'), plain('GET', '/1'), plain('GET', '/2'), plain('GET', '/3')),
  passes(
    'a body between',
    target('/1') + fields('Content-Length: 3', 'abc') + target('/3'),
    plain('GET', '/1'),
    plain('POST', '/', 'content-length: 3\r\n', 'abc'),
    plain('GET', '/3')
  ),
  passes('chunks between', chunked('3\r\nabc\r\n0\r\n\r\n') + target('/2'), plain('POST', '/', CHUNKED, 'abc'), plain('GET', '/2')),
  passes(
    'an empty line between',
    `${fields('Content-Length: 3', 'abc')}\r\n${target('/2')}`,
    plain('POST', '/', 'content-length: 3\r\n', 'abc'),
    plain('GET', '/2')
  ),
  {
    what: 'a good one and a bad one',
    bytes: `${target('/1')}GET / HTTP/1.1\r\nX : y\r\n\r\n`,
    answers: [200, 400],
    reaches: [plain('GET', '/1')]
  },
  { what: 'a good one and garbage', bytes: `${target('/1')}\x00\x01\x02\r\n\r\n`, answers: [200, 400], reaches: [plain('GET', '/1')] },
  {
    what: 'a body that is longer than it says',
    bytes: `${fields('Content-Length: 3', 'abcdef')}\r\n\r\n`,
    answers: [200, 400],
    reaches: [plain('POST', '/', 'content-length: 3\r\n', 'abc')]
  },
  {
    what: 'a last chunk that comes twice',
    bytes: `${chunked('3\r\nabc\r\n0\r\n\r\n')}0\r\n\r\n`,
    answers: [200, 400],
    reaches: [plain('POST', '/', CHUNKED, 'abc')]
  },
  {
    what: 'a request after the last one',
    bytes: `GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${target('/2')}`,
    answers: [200],
    reaches: [plain('GET', '/1')]
  },
  {
    what: 'HTTP/1.0 and another',
    bytes: `GET /1 HTTP/1.0\r\n\r\n${target('/2')}`,
    answers: [200],
    reaches: [plain('GET', '/1', '', '', '$server')]
  },
  { what: 'a body over the limit', bytes: fields('Content-Length: 100001', 'x'), answers: [413], reaches: [] },
  { what: 'chunks over the limit', bytes: chunked(`186a1\r\n${'x'.repeat(100_001)}\r\n0\r\n\r\n`), answers: [413], reaches: [] }
]

export const requestCases: readonly RequestCase[] = [
  ...lengths,
  ...codings,
  ...chunks,
  ...fieldLines,
  ...lines,
  ...targets,
  ...hosts,
  ...pipelines
]
