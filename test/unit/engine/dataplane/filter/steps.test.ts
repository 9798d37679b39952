import { gunzipSync, brotliDecompressSync, zstdDecompressSync } from 'node:zlib'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import type { ResponseHead } from '#engine/dataplane/exchange/exchange.ts'
import { headerOf } from '#engine/dataplane/exchange/headers.ts'
import { makeFilter } from '#engine/dataplane/filter/catalog.ts'
import { anExchange } from '#test/support/exchange.ts'

const corsSpec = {
  origins: ['https://app.test', 'https://*.app.test:8443'],
  methods: ['GET', 'PUT'],
  headers: [],
  exposedHeaders: ['X-Total'],
  hasCredentials: true,
  maxAgeS: 60
}
const from = (origin: string, more: readonly string[] = [], method = 'GET') =>
  anExchange({ method, headers: ['Host', 'api.test', 'Origin', origin, ...more] })

t.test('cors answers the question of an origin that is named, and of no other', async t => {
  const filter = makeFilter('cors', corsSpec)
  const asks = ['Access-Control-Request-Method', 'PUT', 'Access-Control-Request-Headers', 'x-a']
  const verdict = await filter.onRequest?.(from('https://app.test', asks, 'OPTIONS'))
  t.match(verdict, { is: 'answer', status: 204 })
  const headers = verdict?.is === 'answer' ? verdict.headers : []
  t.equal(headerOf(headers, 'access-control-allow-methods'), 'GET, PUT')
  t.equal(headerOf(headers, 'access-control-allow-headers'), 'x-a')
  t.match(await filter.onRequest?.(from('https://a.b.app.test:8443', asks, 'OPTIONS')), { status: 204 })
  for (const origin of ['https://app.test.evil', 'http://app.test', 'https://evil/.app.test:8443', 'null', 'https://.app.test:8443'])
    t.match(await filter.onRequest?.(from(origin, asks, 'OPTIONS')), { status: 403 }, origin)
  t.match(await filter.onRequest?.(from('https://app.test', [], 'OPTIONS')), { is: 'pass' }, 'a plain OPTIONS is the server’s')
})

t.test('cors says in answers who may read them, instead of the server', async t => {
  const filter = makeFilter('cors', corsSpec)
  const exchange = from('https://app.test')
  exchange.response = { status: 200, reason: '', headers: ['access-control-allow-origin', '*', 'vary', 'Accept'] }
  filter.onResponse?.(exchange)
  t.same(exchange.response.headers, [
    'vary',
    'Accept, Origin',
    'access-control-allow-origin',
    'https://app.test',
    'access-control-allow-credentials',
    'true',
    'access-control-expose-headers',
    'X-Total'
  ])
  const stranger = from('https://evil.test')
  stranger.response = { status: 200, reason: '', headers: ['access-control-allow-origin', '*'] }
  filter.onResponse?.(stranger)
  t.same(stranger.response.headers, ['vary', 'Origin'])
})

t.test('fault delays and fails the share that it is told', async t => {
  const draws = [0.5, 0.005, 0.5, 0.5, 0.005, 0.005]
  const waits: number[] = []
  const filter = makeFilter('fault', {
    spec: { delay: { percent: 1, ms: 70 }, abort: { percent: 1, status: 503 } },
    matches: exchange => exchange.request.path !== '/never',
    random: () => draws.shift() ?? 1,
    after: (delayMs, call) => {
      waits.push(delayMs)
      call()
    }
  })
  t.match(await filter.onRequest?.(anExchange({ target: '/never' })), { is: 'pass' })
  t.match(await filter.onRequest?.(anExchange()), { status: 503 }, 'not delayed, failed')
  const late = anExchange()
  t.match(await filter.onRequest?.(late), { is: 'pass' }, 'neither')
  t.match(await filter.onRequest?.(anExchange()), { status: 503 }, 'both')
  t.same(waits, [70])
})

const packing = { contentTypes: ['text/*', 'application/json'], minBytes: 100, level: 1, hidesAcceptEncoding: true }
const head = (headers: readonly string[], status = 200): ResponseHead => ({ status, reason: '', headers: [...headers] })

t.test('compression packs by what the client likes, and says what changed', async t => {
  const unpack = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync } as const
  for (const [accepted, coding] of [
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip;q=1, br;q=0.5', 'gzip'],
    ['br, gzip;q=0.9, zstd;q=0', 'br'],
    ['*', 'zstd']
  ] as const) {
    const exchange = anExchange({ headers: ['Host', 'a', 'Accept-Encoding', accepted] })
    void makeFilter('compression', packing).onRequest?.(exchange)
    t.equal(headerOf(exchange.request.headers, 'accept-encoding'), undefined)
    const response = head(['content-type', 'text/html; charset=utf-8', 'content-length', '500', 'etag', '"a"', 'accept-ranges', 'bytes'])
    const coder = exchange.chooseCoder?.(response)
    t.same(
      response.headers,
      ['content-type', 'text/html; charset=utf-8', 'etag', 'W/"a"', 'vary', 'Accept-Encoding', 'content-encoding', coding].toSorted(
        (a, b) => response.headers.indexOf(a) - response.headers.indexOf(b)
      )
    )
    coder?.end('x'.repeat(500))
    t.equal(unpack[coding](await buffer(coder!)).toString(), 'x'.repeat(500), coding)
  }
})

t.test('compression leaves alone what it must', async t => {
  const exchange = anExchange({ headers: ['Host', 'a', 'Accept-Encoding', 'gzip'] })
  void makeFilter('compression', packing).onRequest?.(exchange)
  const html = ['content-type', 'text/html'] as const
  for (const [why, response] of [
    ['small', head([...html, 'content-length', '99'])],
    ['packed', head([...html, 'content-encoding', 'br'])],
    ['a part', head(html, 206)],
    ['nothing new', head(html, 304)],
    ['not to be changed', head([...html, 'cache-control', 'public, no-transform'])],
    ['a picture', head(['content-type', 'image/png'])],
    ['unnamed', head([])]
  ] as const) {
    const before = [...response.headers]
    t.equal(exchange.chooseCoder?.(response), null, why)
    t.same(response.headers, before, why)
  }
  const plain = anExchange({ headers: ['Host', 'a', 'Accept-Encoding', 'identity'] })
  void makeFilter('compression', packing).onRequest?.(plain)
  const response = head([...html, 'content-length', '500'])
  t.equal(plain.chooseCoder?.(response), null)
  t.same(response.headers, [...html, 'content-length', '500', 'vary', 'Accept-Encoding'])
  const asked = anExchange({ method: 'HEAD', headers: ['Host', 'a', 'Accept-Encoding', 'gzip'] })
  void makeFilter('compression', packing).onRequest?.(asked)
  t.equal(asked.chooseCoder, null)
})
