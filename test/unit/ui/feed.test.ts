import t from 'tap'
import type { Clock } from '#model/base/clock.ts'
import { noFigures } from '#model/resource/runtime.ts'
import type { LiveFigures, VirtualServiceRuntime } from '#model/resource/runtime.ts'
import { LiveFeed, HISTORY_LENGTH } from '../../../ui/feed/live.ts'
import type { SocketEvents } from '../../../ui/feed/live.ts'
import { parseProblem, problemOf } from '../../../ui/feed/problem.ts'
import { parseReference } from '../../../ui/feed/reference.ts'
import { parseRevision } from '../../../ui/feed/revision-parse.ts'
import { chartData, lastValues } from '../../../ui/feed/series.ts'
import { parseSession } from '../../../ui/feed/session.ts'

const figures = (atS: number, requests: number): LiveFigures => ({ ...noFigures, requests_per_s: requests, at: atS * 1000 })

/** A clock that stands until it is moved, and sockets that do what the test says. */
function aFeed(): {
  readonly feed: LiveFeed
  readonly sockets: { readonly events: SocketEvents; readonly sent: string[]; isClosed: boolean }[]
  readonly changed: (readonly string[] | null)[]
  readonly pass: (ms: number) => void
} {
  let nowMs = 1_000
  const timers = new Set<{ dueMs: number; everyMs: number | undefined; call: () => void }>()
  const clock: Clock = {
    nowMs: () => nowMs,
    nowEpochMs: () => nowMs,
    after: (delayMs, call) => {
      const timer = { dueMs: nowMs + delayMs, everyMs: undefined, call }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    every: (everyMs, call) => {
      const timer = { dueMs: nowMs + everyMs, everyMs, call }
      timers.add(timer)
      return () => void timers.delete(timer)
    }
  }
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      nowMs += 100
      for (const timer of timers) {
        if (timer.dueMs > nowMs) continue
        if (timer.everyMs === undefined) timers.delete(timer)
        else timer.dueMs += timer.everyMs
        timer.call()
      }
    }
  }
  const sockets: { readonly events: SocketEvents; readonly sent: string[]; isClosed: boolean }[] = []
  const changed: (readonly string[] | null)[] = []
  const feed = new LiveFeed({
    open: events => {
      const socket = { events, sent: [] as string[], isClosed: false }
      sockets.push(socket)
      return { send: text => void socket.sent.push(text), close: () => void (socket.isClosed = true) }
    },
    clock,
    random: () => 0.5,
    onChanged: kinds => void changed.push(kinds)
  })
  return { feed, sockets, changed, pass }
}

const runtimeMessage = (uuid: string, atS: number): string =>
  JSON.stringify({
    type: 'runtime',
    kind: 'virtualservice',
    at: atS * 1000,
    items: [{ uuid, runtime: { live: figures(atS, atS) } as VirtualServiceRuntime }]
  })

t.test('LiveFeed tells the whole set of topics, once for views that come together', async t => {
  const { feed, sockets } = aFeed()
  feed.start()
  t.teardown(() => feed.stop())
  sockets[0]!.events.onOpen()
  sockets[0]!.sent.length = 0
  const leave = feed.watch(['virtualservice'])
  feed.watch(['virtualservice', 'pool:p'])
  await Promise.resolve()
  t.same(
    sockets[0]!.sent.map(text => JSON.parse(text)),
    [{ type: 'subscribe', topics: ['virtualservice', 'pool:p'] }]
  )
  leave()
  await Promise.resolve()
  t.same(JSON.parse(sockets[0]!.sent.at(-1)!), { type: 'subscribe', topics: ['virtualservice', 'pool:p'] }, 'still on screen elsewhere')
})

t.test('LiveFeed wakes only who listens to what changed', async t => {
  const { feed, sockets } = aFeed()
  feed.start()
  t.teardown(() => feed.stop())
  feed.watch(['virtualservice'])
  sockets[0]!.events.onOpen()
  const woken: string[] = []
  for (const key of ['a', 'b', 'virtualservice', 'pool']) feed.listen(key, () => woken.push(key))
  sockets[0]!.events.onText(runtimeMessage('a', 5))
  t.same(woken, ['a', 'virtualservice'])
  t.equal(feed.runtime('a')?.live.requests_per_s, 5)
})

t.test('LiveFeed goes stale after three silent seconds and reads everything again after it', async t => {
  const { feed, sockets, changed, pass } = aFeed()
  feed.start()
  t.teardown(() => feed.stop())
  feed.watch(['virtualservice'])
  await Promise.resolve()
  sockets[0]!.events.onOpen()
  sockets[0]!.events.onText(runtimeMessage('a', 1))
  t.equal(feed.state().is, 'live')
  pass(2_500)
  t.equal(feed.state().is, 'live')
  pass(1_600)
  t.match(feed.state(), { is: 'stale', lastAtMs: 1_000 })
  sockets[0]!.events.onText(runtimeMessage('a', 6))
  t.equal(feed.state().is, 'live')
  t.same(changed, [null])
})

t.test('LiveFeed connects again after a close, and not while paused', async t => {
  const { feed, sockets, pass } = aFeed()
  feed.start()
  t.teardown(() => feed.stop())
  sockets[0]!.events.onOpen()
  sockets[0]!.events.onClose()
  pass(600)
  t.equal(sockets.length, 2)
  feed.pause()
  t.ok(sockets[1]!.isClosed)
  sockets[1]!.events.onClose()
  pass(60_000)
  t.equal(sockets.length, 2)
  t.equal(feed.state().is, 'paused')
  feed.resume()
  t.equal(sockets.length, 3)
})

t.test('LiveFeed remembers two minutes, one point a second', async t => {
  const { feed, sockets } = aFeed()
  feed.start()
  t.teardown(() => feed.stop())
  for (let atS = 1; atS <= HISTORY_LENGTH + 5; atS++) {
    sockets[0]!.events.onText(runtimeMessage('a', atS))
    sockets[0]!.events.onText(runtimeMessage('a', atS))
  }
  t.equal(feed.history('a').length, HISTORY_LENGTH)
  t.equal(feed.history('a').at(-1)?.at, (HISTORY_LENGTH + 5) * 1000)
  t.same(feed.history('nobody'), [])
})

t.test('parseProblem reads problem+json, and anything else that a proxy says', async t => {
  const problem = parseProblem(
    422,
    JSON.stringify({ title: 'Invalid', detail: 'no', instance: 'urn:uuid:1', violations: [{ pointer: '/a', message: 'm' }, 7] })
  )
  t.match(problem, { status: 422, title: 'Invalid', message: 'no', instance: 'urn:uuid:1' })
  t.same(problem.violations, [{ pointer: '/a', message: 'm' }])
  t.match(parseProblem(502, '<html>'), { status: 502, message: 'status 502' })
  t.match(parseProblem(400, '{"error":"avi says"}'), { message: 'avi says' })
  t.match(problemOf(new Error('x')), { status: 0, message: 'x' })
})

t.test('parseReference reads every spelling that the API returns', async t => {
  t.same(parseReference('https://c:9443/api/pool/pool-1a-2#we%62'), { uuid: 'pool-1a-2', name: 'web' })
  t.same(parseReference('/api/pool/pool-1a-2/'), { uuid: 'pool-1a-2', name: undefined })
  t.same(parseReference('pool-1a-2'), { uuid: 'pool-1a-2', name: undefined })
  t.equal(parseReference('/api/pool/?name=web'), undefined)
  t.equal(parseReference(undefined), undefined)
})

t.test('parseSession tells signed out from signed in', async t => {
  t.equal(parseSession({ signed_in: false, version: {} }), null)
  t.same(
    parseSession({
      signed_in: true,
      user: { username: 'admin', is_superuser: true },
      tenants: [{ name: 'a', uuid: 't' }],
      default_tenant: 'a',
      version: { weir_version: '1' }
    }),
    {
      userName: 'admin',
      isSuperuser: true,
      tenants: [{ name: 'a', uuid: 't' }],
      defaultTenant: 'a',
      version: '1'
    }
  )
})

t.test('parseRevision keeps an absent side of a difference absent', async t => {
  const revision = parseRevision({
    revision: 3,
    author: 'a',
    reason: '',
    at: '2026-11-24T00:00:00Z',
    changes: [{ action: 'create', kind: 'pool', uuid: 'u', name: 'n', diff: [{ pointer: '', after: 1 }] }]
  })
  t.same(revision?.changes[0]?.diff, [{ pointer: '', after: 1 }])
  t.equal(revision?.atEpochMs, Date.UTC(2026, 10, 24))
  t.equal(parseRevision('x'), undefined)
})

t.test('chartData lays stored and live points on one grid and leaves gaps', async t => {
  const line = { metricId: 'a.b', live: (live: LiveFigures) => live.requests_per_s }
  const answer = {
    series: [
      {
        header: { name: 'a.b', entity_uuid: '', units: '', statistics: { min: 0, max: 0, mean: 0, num_samples: 0 } },
        data: [
          { timestamp: new Date(100_000).toISOString(), value: 7 },
          { timestamp: new Date(101_000).toISOString(), value: 8 }
        ]
      }
    ],
    metric_id: 'a.b',
    start: '',
    stop: '',
    step: 1,
    limit: 10
  }
  const data = chartData({ startS: 100, stopS: 104, stepS: 1, isMoving: true }, [line], answer, [figures(101, 99), figures(103, 3)])
  t.same(data, [
    [100, 101, 102, 103, 104],
    [7, 8, null, 3, null]
  ])
  t.same(lastValues(data), [3])
  t.same(
    chartData({ startS: 0, stopS: 120, stepS: 60, isMoving: true }, [line], undefined, [figures(61, 5)])[1],
    [null, null, null],
    'one second is no minute'
  )
})
