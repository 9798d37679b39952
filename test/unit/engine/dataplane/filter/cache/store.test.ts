import t from 'tap'
import type { Freshness } from '#engine/dataplane/filter/cache/decide.ts'
import { CacheStore, type Entry } from '#engine/dataplane/filter/cache/store.ts'

const fresh: Freshness = {
  dateMs: 0,
  initialAgeS: 0,
  arrivedAtMs: 0,
  lifetimeS: 60,
  alwaysValidates: false,
  isStrict: false,
  staleWhileRevalidateS: 0,
  staleIfErrorS: 0,
  isShared: false
}
const put = (store: CacheStore, name: string, size: number, more: { variant?: string; tags?: readonly string[] } = {}): boolean =>
  store.put({
    key: name,
    url: `http://a.test/${name}`,
    varyNames: more.variant === undefined ? [] : ['x'],
    variant: more.variant ?? '',
    status: 200,
    reason: 'OK',
    headers: [],
    body: Buffer.alloc(size),
    freshness: fresh,
    tags: more.tags ?? []
  })
const one = (store: CacheStore, name: string): Entry | undefined => store.under(name)[0]

t.test('the store never holds more than its bound, and counts to the byte', async t => {
  const store = new CacheStore(100_000)
  for (let i = 0; i < 500; i++) {
    put(store, `k${i}`, (i * 7919) % 9_000)
    t.ok(store.usedBytes <= 100_000)
  }
  store.purge({ by: 'all' })
  t.equal(store.usedBytes, 0)
  t.equal(store.objects, 0)
})

t.test('what is asked for again outlives a flood of what is not', async t => {
  const store = new CacheStore(100_000)
  for (let i = 0; i < 20; i++) put(store, `hot${i}`, 1_000)
  for (let i = 0; i < 20; i++) store.looked(one(store, `hot${i}`)!)
  for (let i = 0; i < 5_000; i++) put(store, `cold${i}`, 1_000)
  const left = Array.from({ length: 20 }, (_, i) => one(store, `hot${i}`)).filter(entry => entry !== undefined).length
  t.equal(left, 20)
})

t.test('what somebody reads counts until it is read', async t => {
  const store = new CacheStore(100_000)
  put(store, 'a', 40_000)
  const entry = one(store, 'a')!
  store.enter(entry)
  store.purge({ by: 'all' })
  t.equal(store.objects, 0)
  t.ok(store.usedBytes > 40_000)
  store.leave(entry)
  t.equal(store.usedBytes, 0)
})

t.test('room that is taken ahead is a part of the bound', async t => {
  const store = new CacheStore(100_000)
  t.notOk(store.reserve(60_000), 'more than half')
  t.ok(store.reserve(50_000))
  t.ok(put(store, 'a', 40_000))
  t.ok(put(store, 'b', 40_000))
  t.equal(one(store, 'a'), undefined)
  store.release(50_000)
  store.purge({ by: 'url', value: 'http://a.test/b' })
  t.equal(store.usedBytes, 0)
})

t.test('purges take out what they name', async t => {
  const store = new CacheStore(1_000_000)
  const fill = (): void => {
    put(store, 'a/1', 10, { tags: ['red'] })
    put(store, 'a/2', 10, { tags: ['red', 'blue'] })
    put(store, 'b', 10, { variant: 'x:1' })
    put(store, 'b', 10, { variant: 'x:2' })
  }
  fill()
  t.equal(store.objects, 4)
  fill()
  t.equal(store.objects, 4, 'each in the place of itself')
  t.equal(store.purge({ by: 'url', value: 'http://a.test/b' }), 2)
  t.equal(store.purge({ by: 'tag', value: 'BLUE' }), 1)
  t.equal(store.purge({ by: 'prefix', value: 'http://a.test/a/' }), 1)
  t.equal(store.objects, 0)
  fill()
  t.equal(store.purge({ by: 'all' }), 4)
})

t.test('what was asked for before a purge is void after it', async t => {
  const store = new CacheStore(1_000)
  const [a, b] = ['a', 'b'].map(name => ({ url: `http://a.test/${name}`, isVoid: false }))
  store.watch(a!)
  store.watch(b!)
  store.invalidate('http://a.test/a')
  t.same([a!.isVoid, b!.isVoid], [true, false])
  store.purge({ by: 'tag', value: 'x' })
  t.ok(b!.isVoid)
})

t.test('variants of one address are bounded', async t => {
  const store = new CacheStore(10_000_000)
  for (let i = 0; i < 100; i++) put(store, 'a', 10, { variant: `x:${i}` })
  t.equal(store.objects, 32)
  t.equal(store.under('a').at(-1)?.variant, 'x:99')
})
