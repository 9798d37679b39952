import { join } from 'node:path'
import t from 'tap'
import { MAX_ADDRESSES, parseHosts, systemLookUp, watchNames, type LookUp, type Resolved } from '#engine/monitor/resolve.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

function bench() {
  const clock = manualClock()
  const answers: (Resolved | Error)[] = []
  const asked: string[] = []
  const changes: [string, readonly string[]][] = []
  const lookUp: LookUp = name => {
    asked.push(name)
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
  }
  const names = watchNames({ lookUp, clock, random: () => 1, changed: (name, addresses) => changes.push([name, addresses]) })
  t.teardown(names.stop)
  return { clock, answers, asked, changes, names }
}

t.test('watchNames resolves at once and again when the time to live ends', async t => {
  const { clock, answers, asked, changes, names } = bench()
  answers.push({ addresses: ['10.0.0.2', '10.0.0.1', '10.0.0.2'], ttlS: 30 }, { addresses: ['10.0.0.3', 'nonsense'], ttlS: 30 })
  names.watch(new Set(['web.test']))
  await settle()
  t.same(changes, [['web.test', ['10.0.0.1', '10.0.0.2']]])
  clock.advance(29_999)
  t.equal(asked.length, 1)
  clock.advance(1)
  await settle()
  t.same(names.addressesOf('web.test'), ['10.0.0.3'])
  clock.advance(30_000)
  await settle()
  t.equal(changes.length, 2, 'what stayed the same is not told')
})

t.test('watchNames keeps what was good last and backs off while lookups fail', async t => {
  const { clock, answers, asked, names } = bench()
  answers.push({ addresses: ['10.0.0.1'], ttlS: 0 }, new Error('SERVFAIL'), { addresses: [], ttlS: 60 }, new Error('gone'))
  names.watch(new Set(['web.test']))
  await settle()
  for (let second = 0; second < 1_000; second++) {
    clock.advance(1_000)
    await settle()
  }
  t.same(names.addressesOf('web.test'), ['10.0.0.1'])
  t.ok(asked.length > 10 && asked.length < 30, `${asked.length} lookups in 1,000 s`)
})

t.test('watchNames bounds an answer and keeps the addresses that are in use', async t => {
  const { clock, answers, names } = bench()
  const many = Array.from({ length: 500 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
  answers.push({ addresses: ['10.0.1.200'], ttlS: 1 }, { addresses: many, ttlS: 1 })
  names.watch(new Set(['web.test']))
  await settle()
  clock.advance(1_000)
  await settle()
  t.equal(names.addressesOf('web.test').length, MAX_ADDRESSES)
  t.ok(names.addressesOf('web.test').includes('10.0.1.200'))
})

t.test('watchNames forgets a name that is no longer wanted', async t => {
  const { clock, answers, asked, changes, names } = bench()
  answers.push({ addresses: ['10.0.0.1'], ttlS: 1 })
  names.watch(new Set(['web.test']))
  names.watch(new Set())
  await settle()
  clock.advance(10_000)
  await settle()
  t.equal(asked.length, 1)
  t.same(changes, [])
  t.equal(clock.waiting(), 0)
})

t.test('parseHosts finds a name among aliases and comments', async t => {
  const text = '127.0.0.1 localhost\n::1\tlocalhost ip6-localhost\n10.0.0.9 a.test B.test # c.test\nnonsense b.test\n'
  t.same(parseHosts(text, 'localhost'), ['127.0.0.1', '::1'])
  t.same(parseHosts(text, 'b.TEST'), ['10.0.0.9'])
  t.same(parseHosts(text, 'c.test'), [])
})

t.test('systemLookUp prefers the hosts file', async t => {
  const hosts = join(t.testdir({ hosts: '127.0.0.9 web.test\n' }), 'hosts')
  t.same((await systemLookUp(hosts)('web.test')).addresses, ['127.0.0.9'])
})
