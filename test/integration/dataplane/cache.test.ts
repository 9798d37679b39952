/** What a cache must and must not do, case by case, on real sockets; in the spirit of the conformance suites for HTTP caches. */
import t, { type Test } from 'tap'
import type { CacheSpec } from '#model/snapshot/content.ts'
import { ask, until } from '#test/support/data-plane.ts'
import { openCachedOrigin, type CachedOrigin, type OriginAnswer } from '#test/support/cached-origin.ts'

type Status = 'HIT' | 'MISS' | 'STALE' | 'REVALIDATED' | 'BYPASS'

interface Turn {
  readonly method?: string
  readonly path?: string
  readonly headers?: Record<string, string | string[]>
  /** Time that goes by before it. */
  readonly after?: number
  /** What the server says when it is asked; left out: it must not be asked. */
  readonly origin?: OriginAnswer
  readonly cache: Status
  readonly status?: number
  readonly body?: string
  readonly has?: Readonly<Record<string, string | RegExp>>
  readonly lacks?: readonly string[]
  /** What the server must have been asked with; null: without it. */
  readonly asked?: Readonly<Record<string, string | null>>
}

interface Case {
  readonly name: string
  readonly cache?: Partial<CacheSpec>
  readonly turns: readonly Turn[]
}

const keep: OriginAnswer = { headers: { 'cache-control': 'max-age=60' } }
const says = (cacheControl: string, more: OriginAnswer = {}): OriginAnswer => ({
  ...more,
  headers: { 'cache-control': cacheControl, ...more.headers }
})
const twice = (name: string, origin: OriginAnswer, more: Partial<Turn> = {}, cache: Partial<CacheSpec> = {}): Case => ({
  name,
  cache,
  turns: [
    { cache: 'MISS', ...more, origin },
    { cache: 'HIT', ...more }
  ]
})
const never = (name: string, origin: OriginAnswer, more: Partial<Turn> = {}, cache: Partial<CacheSpec> = {}): Case => ({
  name,
  cache,
  turns: [
    { cache: 'MISS', ...more, origin },
    { cache: 'MISS', ...more, origin }
  ]
})
const tagged = (tag: string, cacheControl = 'max-age=10', more: OriginAnswer = {}): OriginAnswer =>
  says(cacheControl, { ...more, headers: { etag: tag, ...more.headers } })
const unchanged: OriginAnswer = { status: 304, headers: { 'cache-control': 'max-age=10', etag: '"1"' } }
const longAgo = 'Sun, 06 Nov 1994 08:49:37 GMT'

const cases: readonly Case[] = [
  // Freshness.
  twice('max-age keeps', keep),
  twice('s-maxage keeps', says('s-maxage=60')),
  twice('s-maxage is heard before max-age', says('max-age=0, s-maxage=60')),
  never('s-maxage of nothing is heard before max-age', says('max-age=60, s-maxage=0')),
  twice('Expires keeps', { headers: { expires: 'Fri, 31 Dec 2999 23:59:59 GMT' } }),
  never('Expires in the past does not', { headers: { expires: longAgo } }),
  never('Expires that is no date is past', { headers: { expires: '0' } }),
  never('two Expires are past', { headers: { expires: ['Fri, 31 Dec 2999 23:59:59 GMT', 'Fri, 31 Dec 2999 23:59:58 GMT'] } }),
  twice('max-age is heard before Expires', says('max-age=60', { headers: { expires: longAgo } })),
  never('max-age=0 is not kept without a validator', says('max-age=0')),
  never('max-age that is no number keeps nothing', says('max-age=abc')),
  never('max-age below zero keeps nothing', says('max-age=-1')),
  twice('max-age in quotes is a number', says('max-age="60"')),
  twice('directives are heard in any case', says('MAX-AGE=60')),
  twice('max-age beyond what fits is for long', says('max-age=99999999999999999999')),
  never('the smaller of two max-age holds', says('max-age=60, max-age=0')),
  twice('directives that nobody knows say nothing', says('max-age=60, x-new="a, no-store"')),
  {
    name: 'an answer is stale after its lifetime',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'HIT', after: 45 },
      { cache: 'MISS', after: 20, origin: keep }
    ]
  },
  {
    name: 'Age counts against the lifetime',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { age: '50' } }) },
      { cache: 'HIT', after: 5, has: { age: /^5\d$/ } },
      { cache: 'MISS', after: 10, origin: keep }
    ]
  },
  {
    name: 'an old Date counts against the lifetime',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { date: longAgo } }) },
      { cache: 'MISS', origin: keep }
    ]
  },
  {
    name: 'Age says how old it is',
    turns: [
      { cache: 'MISS', origin: keep, lacks: ['age'] },
      { cache: 'HIT', after: 30, has: { age: /^3\d$/ } }
    ]
  },
  // Without a lifetime.
  never('an answer that says nothing is not kept', {}),
  twice('public without a lifetime has the default one', says('public')),
  {
    name: 'the default lifetime ends',
    cache: { defaultExpireS: 20 },
    turns: [
      { cache: 'MISS', origin: says('public') },
      { cache: 'HIT', after: 10 },
      { cache: 'MISS', after: 15, origin: keep }
    ]
  },
  twice('aggressive keeps what says nothing', {}, {}, { isAggressive: true }),
  never('aggressive does not keep what is private', says('private'), {}, { isAggressive: true }),
  never('aggressive keeps no error', { status: 500 }, {}, { isAggressive: true }),
  never('aggressive keeps nothing for a request with cookies', {}, { headers: { cookie: 'a=b' } }, { isAggressive: true }),
  twice('heuristics go by Last-Modified', { headers: { 'last-modified': longAgo } }, {}, { isHeuristic: true }),
  never('without heuristics Last-Modified is no lifetime', { headers: { 'last-modified': longAgo } }),
  {
    name: 'a guess is never longer than a day',
    cache: { isHeuristic: true },
    turns: [
      { cache: 'MISS', origin: { headers: { 'last-modified': longAgo } } },
      { cache: 'HIT', after: 86_000 },
      { cache: 'MISS', after: 1_000, origin: {} }
    ]
  },
  // What may not be kept.
  never('no-store is not kept', says('no-store, max-age=60')),
  never('private is not kept', says('private, max-age=60')),
  never('private that names a field is not kept', says('private="x-user", max-age=60')),
  never('an answer that sets a cookie is not kept', says('max-age=60', { headers: { 'set-cookie': 'a=b' } })),
  never('Vary: * is not kept', says('max-age=60', { headers: { vary: '*' } })),
  never('Vary with * among others is not kept', says('max-age=60', { headers: { vary: 'accept, *' } })),
  never('no-store of the client is heard', keep, { headers: { 'cache-control': 'no-store' } }),
  twice('no-store of the client is not heard when told so', keep, { headers: { 'cache-control': 'no-store' } }, { ignoresRequests: true }),
  twice('must-understand is heard before no-store', says('no-store, must-understand, max-age=60')),
  never('must-understand keeps no status that is unknown', says('must-understand, max-age=60', { status: 299 })),
  never('an answer to credentials is not kept', keep, { headers: { authorization: 'Basic eDp5' } }),
  twice('an answer to credentials that is public is kept', says('public, max-age=60'), { headers: { authorization: 'Basic eDp5' } }),
  twice('an answer to credentials with s-maxage is kept', says('s-maxage=60'), { headers: { authorization: 'Basic eDp5' } }),
  twice('an answer to credentials with must-revalidate is kept', says('max-age=60, must-revalidate'), {
    headers: { authorization: 'Basic eDp5' }
  }),
  {
    name: 'what was kept without credentials is not for requests with them',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'MISS', headers: { authorization: 'Basic eDp5' }, origin: { body: 'own' }, body: 'own' }
    ]
  },
  // Statuses.
  ...[200, 203, 300, 301, 308, 404, 410].map(status => twice(`${status} is kept with a lifetime`, { ...keep, status }, { status })),
  twice('302 is kept when it says so', { ...keep, status: 302 }, { status: 302 }),
  never('302 that is only public has no lifetime to guess', { ...says('no-transform'), status: 302 }),
  twice('204 is kept', { ...keep, status: 204 }, { status: 204, body: '' }),
  twice('500 is kept when it says so', { ...keep, status: 500 }, { status: 500 }),
  never('206 is not kept', says('max-age=60', { status: 206, headers: { 'content-range': 'bytes 0-3/9' } }), {
    headers: { range: 'bytes=0-3' },
    status: 206
  }),
  // What is asked for.
  {
    name: 'a query makes another address',
    turns: [
      { cache: 'MISS', path: '/?a=1', origin: keep },
      { cache: 'MISS', path: '/?a=2', origin: keep },
      { cache: 'HIT', path: '/?a=1' }
    ]
  },
  {
    name: 'a query in another order, or with repeats, is another',
    turns: [
      { cache: 'MISS', path: '/?a=1&b=2', origin: keep },
      { cache: 'MISS', path: '/?b=2&a=1', origin: keep },
      { cache: 'MISS', path: '/?a=1&a=2&b=2', origin: keep }
    ]
  },
  {
    name: 'a query goes past the cache when told so',
    cache: { keepsQueries: false },
    turns: [
      { cache: 'BYPASS', path: '/?a', origin: keep },
      { cache: 'BYPASS', path: '/?a', origin: keep }
    ]
  },
  {
    name: 'a path that is excluded goes past the cache',
    cache: { excludedPaths: { operator: 'begins-with', values: ['/live'], isCaseSensitive: false } },
    turns: [
      { cache: 'BYPASS', path: '/live/1', origin: keep },
      { cache: 'BYPASS', path: '/live/1', origin: keep },
      { cache: 'MISS', path: '/dead', origin: keep }
    ]
  },
  {
    name: 'another host is another address',
    turns: [
      { cache: 'MISS', headers: { host: 'a.test' }, origin: keep },
      { cache: 'MISS', headers: { host: 'b.test' }, origin: keep },
      { cache: 'HIT', headers: { host: 'A.test' } }
    ]
  },
  {
    name: 'an escape that needs none is no other address',
    turns: [
      { cache: 'MISS', path: '/%61', origin: keep },
      { cache: 'HIT', path: '/a' }
    ]
  },
  {
    name: 'a double slash is another address to the server',
    turns: [
      { cache: 'MISS', path: '/a/b', origin: keep },
      { cache: 'MISS', path: '/a//b', origin: keep }
    ]
  },
  ...['x-forwarded-host', 'x-forwarded-scheme', 'x-host', 'forwarded', 'x-forwarded-prefix', 'x-forwarded-port'].map(name => ({
    name: `${name} poisons nothing`,
    turns: [
      { cache: 'MISS', headers: { [name]: 'evil.test' }, origin: { ...keep, body: 'poison' } },
      { cache: 'MISS', origin: keep, body: 'body' },
      { cache: 'HIT', body: 'body' },
      { cache: 'HIT', headers: { [name]: 'evil.test' }, body: 'poison' }
    ] satisfies Turn[]
  })),
  ...['x-http-method-override', 'x-http-method', 'x-method-override', 'x-original-url', 'x-rewrite-url'].map(name => ({
    name: `${name} goes past the cache`,
    turns: [
      { cache: 'BYPASS', headers: { [name]: '/evil' }, origin: { ...keep, body: 'poison' } },
      { cache: 'MISS', origin: keep, body: 'body' },
      { cache: 'BYPASS', headers: { [name]: '/evil' }, origin: { body: 'own' }, body: 'own' }
    ] satisfies Turn[]
  })),
  {
    name: 'no-cache of the client asks the server, and its answer is kept',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'MISS', headers: { 'cache-control': 'no-cache' }, origin: { ...keep, body: 'new' }, body: 'new' },
      { cache: 'HIT', body: 'new' }
    ]
  },
  {
    name: 'Pragma of the client is heard where Cache-Control says nothing',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'MISS', headers: { pragma: 'no-cache' }, origin: keep },
      { cache: 'HIT', headers: { pragma: 'no-cache', 'cache-control': 'x' } }
    ]
  },
  {
    name: 'max-age of the client is heard',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'HIT', after: 9, headers: { 'cache-control': 'max-age=20' } },
      { cache: 'MISS', after: 20, headers: { 'cache-control': 'max-age=20' }, origin: keep }
    ]
  },
  {
    name: 'min-fresh of the client is heard',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'HIT', headers: { 'cache-control': 'min-fresh=30' } },
      { cache: 'MISS', after: 40, headers: { 'cache-control': 'min-fresh=30' }, origin: keep }
    ]
  },
  {
    name: 'max-stale of the client is heard',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'STALE', after: 70, headers: { 'cache-control': 'max-stale=30' } },
      { cache: 'MISS', after: 30, headers: { 'cache-control': 'max-stale=30' }, origin: keep }
    ]
  },
  {
    name: 'max-stale without a number takes any',
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'STALE', after: 9_000, headers: { 'cache-control': 'max-stale' } }
    ]
  },
  {
    name: 'must-revalidate is heard before max-stale',
    turns: [
      { cache: 'MISS', origin: says('max-age=60, must-revalidate') },
      { cache: 'MISS', after: 70, headers: { 'cache-control': 'max-stale' }, origin: keep }
    ]
  },
  {
    name: 'only-if-cached with nothing kept is answered 504',
    turns: [
      { cache: 'MISS', headers: { 'cache-control': 'only-if-cached' }, status: 504, body: '504 Gateway Timeout\n' },
      { cache: 'MISS', origin: keep },
      { cache: 'HIT', headers: { 'cache-control': 'only-if-cached' } }
    ]
  },
  // Vary.
  {
    name: 'Vary keeps one answer for each value',
    turns: [
      {
        cache: 'MISS',
        headers: { 'accept-language': 'de' },
        origin: says('max-age=60', { headers: { vary: 'Accept-Language' }, body: 'de' })
      },
      {
        cache: 'MISS',
        headers: { 'accept-language': 'en' },
        origin: says('max-age=60', { headers: { vary: 'Accept-Language' }, body: 'en' })
      },
      { cache: 'HIT', headers: { 'accept-language': 'de' }, body: 'de' },
      { cache: 'HIT', headers: { 'accept-language': 'en' }, body: 'en' },
      { cache: 'MISS', origin: says('max-age=60', { headers: { vary: 'Accept-Language' }, body: 'none' }) },
      { cache: 'HIT', body: 'none' }
    ]
  },
  {
    name: 'Vary compares every field that it names',
    turns: [
      { cache: 'MISS', headers: { 'x-a': '1', 'x-b': '1' }, origin: says('max-age=60', { headers: { vary: 'X-A, X-B' } }) },
      { cache: 'MISS', headers: { 'x-a': '1', 'x-b': '2' }, origin: says('max-age=60', { headers: { vary: 'X-A, X-B' } }) },
      { cache: 'HIT', headers: { 'x-a': '1', 'x-b': '1' } }
    ]
  },
  {
    name: 'white space around the values of Vary makes no difference',
    turns: [
      { cache: 'MISS', headers: { 'x-a': '1, 2' }, origin: says('max-age=60', { headers: { vary: 'x-a' } }) },
      { cache: 'HIT', headers: { 'x-a': '1,2' } }
    ]
  },
  {
    name: 'codings in another order are the same',
    turns: [
      {
        cache: 'MISS',
        headers: { 'accept-encoding': 'gzip, br' },
        origin: says('max-age=60', { headers: { vary: 'Accept-Encoding', 'content-encoding': 'gzip' } })
      },
      { cache: 'HIT', headers: { 'accept-encoding': 'br,gzip' } },
      { cache: 'MISS', headers: { 'accept-encoding': 'identity' }, origin: keep }
    ]
  },
  // Validation by the server.
  {
    name: 'a stale answer is found valid by its tag',
    turns: [
      { cache: 'MISS', origin: tagged('"1"') },
      {
        cache: 'REVALIDATED',
        after: 20,
        origin: unchanged,
        asked: { 'if-none-match': '"1"' },
        status: 200,
        body: 'body',
        has: { age: /^\d$/ }
      },
      { cache: 'HIT', after: 5, body: 'body' }
    ]
  },
  {
    name: 'a stale answer is found valid by its date',
    turns: [
      { cache: 'MISS', origin: says('max-age=10', { headers: { 'last-modified': longAgo } }) },
      {
        cache: 'REVALIDATED',
        after: 20,
        origin: { status: 304, headers: { 'cache-control': 'max-age=10' } },
        asked: { 'if-modified-since': longAgo },
        status: 200,
        body: 'body'
      }
    ]
  },
  {
    name: 'a stale answer that changed is replaced',
    turns: [
      { cache: 'MISS', origin: tagged('"1"') },
      { cache: 'MISS', after: 20, origin: tagged('"2"', 'max-age=10', { body: 'new' }), asked: { 'if-none-match': '"1"' }, body: 'new' },
      { cache: 'HIT', body: 'new', has: { etag: '"2"' } }
    ]
  },
  {
    name: '304 updates the fields that are kept',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=10', { headers: { 'x-a': 'old', 'content-type': 'text/plain' } }) },
      {
        cache: 'REVALIDATED',
        after: 20,
        origin: { status: 304, headers: { 'cache-control': 'max-age=100', etag: '"1"', 'x-a': 'new', 'content-type': 'text/html' } },
        has: { 'x-a': 'new', 'content-type': 'text/plain' }
      },
      { cache: 'HIT', after: 50, has: { 'x-a': 'new' } }
    ]
  },
  {
    name: 'no-cache is kept and asked for each time',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'no-cache') },
      { cache: 'REVALIDATED', origin: { ...unchanged, headers: { 'cache-control': 'no-cache', etag: '"1"' } }, body: 'body' }
    ]
  },
  {
    name: 'max-age=0 with a tag is asked for each time',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=0') },
      { cache: 'REVALIDATED', origin: { ...unchanged, headers: { 'cache-control': 'max-age=0', etag: '"1"' } } }
    ]
  },
  {
    name: 'the condition of the client gives way to ours, and is answered by us',
    turns: [
      { cache: 'MISS', origin: tagged('"1"') },
      {
        cache: 'REVALIDATED',
        after: 20,
        headers: { 'if-none-match': '"1"' },
        origin: unchanged,
        asked: { 'if-none-match': '"1"' },
        status: 304,
        body: ''
      },
      {
        cache: 'REVALIDATED',
        after: 20,
        headers: { 'if-none-match': '"0"' },
        origin: unchanged,
        asked: { 'if-none-match': '"1"' },
        status: 200,
        body: 'body'
      }
    ]
  },
  {
    name: '304 to the condition of a client that is kept nowhere is passed on',
    turns: [
      { cache: 'MISS', headers: { 'if-none-match': '"1"' }, origin: unchanged, status: 304, body: '' },
      { cache: 'MISS', origin: tagged('"1"') }
    ]
  },
  // Validation by the client.
  {
    name: 'If-None-Match with the tag is answered 304',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=60') },
      {
        cache: 'HIT',
        headers: { 'if-none-match': '"1"' },
        status: 304,
        body: '',
        has: { etag: '"1"', 'cache-control': 'max-age=60' },
        lacks: ['content-length']
      }
    ]
  },
  {
    name: 'If-None-Match is compared weakly, and in lists',
    turns: [
      { cache: 'MISS', origin: tagged('W/"1"', 'max-age=60') },
      { cache: 'HIT', headers: { 'if-none-match': '"0", "1"' }, status: 304, body: '' }
    ]
  },
  {
    name: 'If-None-Match: * is answered 304',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=60') },
      { cache: 'HIT', headers: { 'if-none-match': '*' }, status: 304, body: '' }
    ]
  },
  {
    name: 'If-None-Match with another tag is answered whole',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=60') },
      { cache: 'HIT', headers: { 'if-none-match': '"2"' }, status: 200, body: 'body' }
    ]
  },
  {
    name: 'If-Modified-Since of the same time is answered 304',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { 'last-modified': longAgo } }) },
      { cache: 'HIT', headers: { 'if-modified-since': longAgo }, status: 304, body: '' },
      { cache: 'HIT', headers: { 'if-modified-since': 'Sun, 06 Nov 1994 08:49:36 GMT' }, status: 200 }
    ]
  },
  {
    name: 'If-Modified-Since in the old forms is read',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { 'last-modified': longAgo } }) },
      { cache: 'HIT', headers: { 'if-modified-since': 'Sunday, 06-Nov-94 08:49:37 GMT' }, status: 304, body: '' },
      { cache: 'HIT', headers: { 'if-modified-since': 'Sun Nov  6 08:49:37 1994' }, status: 304, body: '' }
    ]
  },
  {
    name: 'If-None-Match is heard before If-Modified-Since',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { etag: '"1"', 'last-modified': longAgo } }) },
      { cache: 'HIT', headers: { 'if-none-match': '"2"', 'if-modified-since': longAgo }, status: 200 }
    ]
  },
  {
    name: 'If-Match goes past the cache',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=60') },
      { cache: 'BYPASS', headers: { 'if-match': '"2"' }, origin: { status: 412 }, status: 412 }
    ]
  },
  {
    name: 'a condition is for no error',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=60', { status: 404 }), status: 404 },
      { cache: 'HIT', headers: { 'if-none-match': '"1"' }, status: 404 }
    ]
  },
  // HEAD.
  {
    name: 'HEAD is answered from what a GET brought',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { body: 'abcdef' }) },
      { cache: 'HIT', method: 'HEAD', body: '', has: { 'content-length': '6' } }
    ]
  },
  {
    name: 'HEAD brings nothing that is kept',
    turns: [
      { cache: 'MISS', method: 'HEAD', origin: keep, body: '' },
      { cache: 'MISS', origin: keep, body: 'body' }
    ]
  },
  // Parts.
  ...(
    [
      ['bytes=0-1', 206, '01', 'bytes 0-1/10'],
      ['bytes=8-', 206, '89', 'bytes 8-9/10'],
      ['bytes=-3', 206, '789', 'bytes 7-9/10'],
      ['bytes=5-99', 206, '56789', 'bytes 5-9/10'],
      ['bytes=-99', 206, '0123456789', 'bytes 0-9/10'],
      ['bytes=10-', 416, '', 'bytes */10'],
      ['bytes=-0', 416, '', 'bytes */10']
    ] as const
  ).map(([range, status, body, contentRange]): Case => ({
    name: `${range} is taken from what is whole`,
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { body: '0123456789' }) },
      { cache: 'HIT', headers: { range }, status, body, has: { 'content-range': contentRange, 'content-length': String(body.length) } }
    ]
  })),
  ...['bytes=3-1', 'bytes=a-b', 'bytes=', 'lines=0-1', 'bytes=0-1,3-4', 'bytes=--1', 'bytes=0-1 2'].map((range): Case => ({
    name: `${range} is answered whole`,
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { body: '0123456789' }) },
      { cache: 'HIT', headers: { range }, status: 200, body: '0123456789', lacks: ['content-range'] }
    ]
  })),
  {
    name: 'If-Range with the tag is answered in part, with another whole',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=60', { body: '0123456789' }) },
      { cache: 'HIT', headers: { range: 'bytes=0-1', 'if-range': '"1"' }, status: 206, body: '01' },
      { cache: 'HIT', headers: { range: 'bytes=0-1', 'if-range': '"2"' }, status: 200, body: '0123456789' },
      { cache: 'HIT', headers: { range: 'bytes=0-1', 'if-range': 'W/"1"' }, status: 200, body: '0123456789' }
    ]
  },
  {
    name: 'If-Range goes by the date',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { 'last-modified': longAgo }, body: '0123456789' }) },
      { cache: 'HIT', headers: { range: 'bytes=0-1', 'if-range': longAgo }, status: 206, body: '01' },
      { cache: 'HIT', headers: { range: 'bytes=0-1', 'if-range': 'Sun, 06 Nov 1994 08:49:38 GMT' }, status: 200 }
    ]
  },
  {
    name: 'a part of what is not kept is the server’s to answer',
    turns: [
      {
        cache: 'MISS',
        headers: { range: 'bytes=0-1' },
        origin: { status: 206, headers: { 'content-range': 'bytes 0-1/10', 'cache-control': 'max-age=60' }, body: '01' },
        status: 206,
        asked: { range: 'bytes=0-1' }
      },
      { cache: 'MISS', origin: says('max-age=60', { body: '0123456789' }), body: '0123456789' }
    ]
  },
  {
    name: 'a whole answer to a part is kept whole',
    turns: [
      { cache: 'MISS', headers: { range: 'bytes=0-1' }, origin: says('max-age=60', { body: '0123456789' }), status: 200 },
      { cache: 'HIT', body: '0123456789' }
    ]
  },
  {
    name: 'a part of what is stale is asked for whole',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=10', { body: '0123456789' }) },
      {
        cache: 'REVALIDATED',
        after: 20,
        headers: { range: 'bytes=2-3' },
        origin: unchanged,
        asked: { range: null, 'if-none-match': '"1"' },
        status: 206,
        body: '23'
      }
    ]
  },
  // What changes things.
  ...['POST', 'PUT', 'DELETE', 'PATCH'].map((method): Case => ({
    name: `${method} makes what is kept void`,
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'BYPASS', method, origin: {} },
      { cache: 'MISS', origin: { ...keep, body: 'new' }, body: 'new' }
    ]
  })),
  {
    name: 'POST that fails makes nothing void',
    turns: [{ cache: 'MISS', origin: keep }, { cache: 'BYPASS', method: 'POST', origin: { status: 500 }, status: 500 }, { cache: 'HIT' }]
  },
  {
    name: 'OPTIONS makes nothing void',
    turns: [{ cache: 'MISS', origin: keep }, { cache: 'BYPASS', method: 'OPTIONS', origin: {} }, { cache: 'HIT' }]
  },
  {
    name: 'Location of a POST makes that void',
    turns: [
      { cache: 'MISS', path: '/b', origin: keep },
      { cache: 'BYPASS', method: 'POST', path: '/a', origin: { headers: { location: '/b' } } },
      { cache: 'MISS', path: '/b', origin: keep }
    ]
  },
  {
    name: 'Content-Location of another host makes nothing void',
    turns: [
      { cache: 'MISS', path: '/b', origin: keep },
      { cache: 'BYPASS', method: 'POST', path: '/a', origin: { headers: { 'content-location': 'http://evil.test/b' } } },
      { cache: 'HIT', path: '/b' }
    ]
  },
  // When the server fails.
  {
    name: 'stale-if-error stands in for a failure',
    turns: [
      { cache: 'MISS', origin: says('max-age=10, stale-if-error=60') },
      { cache: 'STALE', after: 20, origin: { status: 503, body: 'down' }, status: 200, body: 'body' },
      { cache: 'MISS', after: 60, origin: { status: 503, body: 'down' }, status: 503, body: 'down' }
    ]
  },
  {
    name: 'stale-if-error of the client stands in',
    turns: [
      { cache: 'MISS', origin: says('max-age=10') },
      { cache: 'STALE', after: 20, headers: { 'cache-control': 'stale-if-error=60' }, origin: { status: 500, body: 'down' }, status: 200 }
    ]
  },
  {
    name: 'must-revalidate lets nothing stand in',
    turns: [
      { cache: 'MISS', origin: says('max-age=10, must-revalidate, stale-if-error=60') },
      { cache: 'MISS', after: 20, origin: { status: 503, body: 'down' }, status: 503 }
    ]
  },
  {
    name: '404 is no failure',
    turns: [
      { cache: 'MISS', origin: says('max-age=10, stale-if-error=60') },
      { cache: 'MISS', after: 20, origin: { status: 404 }, status: 404 }
    ]
  },
  {
    name: 'a connection that breaks off is a failure',
    turns: [
      { cache: 'MISS', origin: tagged('"1"', 'max-age=10, stale-if-error=60') },
      { cache: 'STALE', after: 20, origin: { breaksAfter: 0 }, status: 200, body: 'body' }
    ]
  },
  // Sizes and types.
  never('a body below the least size is not kept', says('max-age=60', { body: 'x'.repeat(9) }), {}, { minObjectBytes: 10 }),
  twice('a body of the least size is kept', says('max-age=60', { body: 'x'.repeat(10) }), {}, { minObjectBytes: 10 }),
  never('a body above the greatest size is not kept', says('max-age=60', { body: 'x'.repeat(11) }), {}, { maxObjectBytes: 10 }),
  never(
    'a body in chunks above the greatest size is not kept',
    says('max-age=60', { body: 'x'.repeat(11), isChunked: true }),
    {},
    { maxObjectBytes: 10 }
  ),
  twice('a body in chunks is kept', says('max-age=60', { body: 'x'.repeat(200_000), isChunked: true }), { body: 'x'.repeat(200_000) }),
  twice('a large body is kept', says('max-age=60', { body: 'abcdefghij'.repeat(300_000) }), { body: 'abcdefghij'.repeat(300_000) }),
  twice('an empty body is kept', says('max-age=60', { body: '' }), { body: '' }),
  twice(
    'a type that is listed is kept',
    says('max-age=60', { headers: { 'content-type': 'text/css; charset=utf-8' } }),
    {},
    { contentTypes: ['text/*'] }
  ),
  never(
    'a type that is not listed is not kept',
    says('max-age=60', { headers: { 'content-type': 'image/png' } }),
    {},
    { contentTypes: ['text/*'] }
  ),
  never(
    'a type that is blocked is not kept',
    says('max-age=60', { headers: { 'content-type': 'image/png' } }),
    {},
    { blockedContentTypes: ['image/png'] }
  ),
  // What is said about it.
  {
    name: 'X-Cache says where it came from',
    turns: [
      { cache: 'MISS', origin: keep, lacks: ['x-cache'] },
      { cache: 'HIT', has: { 'x-cache': 'HIT' } }
    ]
  },
  {
    name: 'X-Cache and Age are not said when told so',
    cache: { sendsXCache: false, sendsAge: false },
    turns: [
      { cache: 'MISS', origin: keep },
      { cache: 'HIT', lacks: ['x-cache', 'age'] }
    ]
  },
  {
    name: 'a Date that the server did not say is when it came',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { isDateless: true }) },
      { cache: 'HIT', after: 30, has: { date: /GMT$/ } }
    ]
  },
  {
    name: 'fields come back as they were, repeats too',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { link: ['</a>', '</b>'], 'x-a': 'b' } }) },
      { cache: 'HIT', has: { link: '</a>, </b>', 'x-a': 'b' } }
    ]
  },
  {
    name: 'fields that end at a hop are not kept',
    turns: [
      { cache: 'MISS', origin: says('max-age=60', { headers: { connection: 'x-hop', 'x-hop': '1', 'proxy-authenticate': 'Basic' } }) },
      { cache: 'HIT', lacks: ['x-hop', 'proxy-authenticate'] }
    ]
  }
]

async function run(t: Test, origin: CachedOrigin, { turns }: Case, host: string): Promise<void> {
  for (const [i, turn] of turns.entries()) {
    const what = `turn ${i + 1}`
    const {
      method = 'GET',
      path = '/',
      headers = {},
      cache,
      status = cache === 'REVALIDATED' ? 200 : (turn.origin?.status ?? 200),
      body,
      has = {},
      lacks = []
    } = turn
    origin.pass(turn.after ?? 0)
    origin.answers = turn.origin === undefined ? [] : [turn.origin]
    const before = origin.requests.length
    const logged = origin.records.length
    const answer = await ask(origin.port(), { method, path, headers: { host, ...headers } })
    await until(() => origin.records.length > logged, `a record of ${what}`)
    t.equal(answer.status, status, `${what}: status`)
    t.equal(origin.records.at(-1)!.cache, cache, `${what}: where it came from`)
    t.equal(origin.requests.length > before, turn.origin !== undefined, `${what}: whether the server was asked`)
    if (body !== undefined) t.ok(answer.body === body, `${what}: body ${answer.body.slice(0, 60)}`)
    for (const [name, value] of Object.entries(has)) t.match(answer.headers[name], value, `${what}: ${name}`)
    for (const name of lacks) t.notOk(name in answer.headers, `${what}: no ${name}`)
    for (const [name, value] of Object.entries(turn.asked ?? {}))
      t.equal(origin.requests.at(-1)!.headers[name] ?? null, value, `${what}: the server was asked with ${name}`)
  }
}

for (const kind of ['wire', 'stock'] as const) {
  t.test(`the ${kind} forwarder keeps answers as RFC 9111 says`, async t => {
    const origins = new Map<string, CachedOrigin>()
    for (const [i, one] of cases.entries()) {
      const key = JSON.stringify(one.cache ?? {})
      const origin = origins.get(key) ?? (await openCachedOrigin(t, { kind, cache: one.cache ?? {} }))
      origins.set(key, origin)
      await t.test(one.name, t => run(t, origin, one, `case-${i}.test`))
    }
    for (const { bugs } of origins.values()) t.same(bugs, [])
  })
}
