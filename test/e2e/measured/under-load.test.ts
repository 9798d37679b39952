/**
 * A whole engine at work: a body without end to a slow reader is held in little memory, and configuration changes without a
 * request that fails. `WEIR_BODY_S=60` watches the body for a minute; figures are printed.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import t from 'tap'
import { openCanary } from '#test/support/canary.ts'
import { startEngineProcess } from '#test/support/engine-process.ts'
import { freePorts } from '#test/support/ports.ts'
import { openSlowServer } from '#test/support/slow-server.ts'
import { aListener, aPool, aRule, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

const BODY_S = Number(process.env['WEIR_BODY_S'] ?? 15)
const CHANGES = 1_000

const [servers, others] = [await openSlowServer(t), await openSlowServer(t)]
const [port] = await freePorts(1)
if (port === undefined) throw new Error('no port')
const snapshot = (revision: number) =>
  aSnapshot({
    revision,
    services: [
      aService({
        listeners: [aListener({ port })],
        requestRules: revision % 2 === 0 ? [] : [aRule({ headerActions: [{ is: 'add', name: 'x-revision', value: String(revision) }] })],
        http: { maxHeaderCount: 100 + (revision % 3) }
      })
    ],
    pools: [
      aPool(
        [servers.port, others.port].map((to, i) => aServer(to, { weight: 1 + ((revision + i) % 3) })),
        {
          algorithm: { is: revision % 5 === 0 ? 'least-connections' : 'round-robin' }
        }
      )
    ]
  })
const sentBytes = (): number => servers.bulkBytes() + others.bulkBytes()

/** Bytes that the kernel holds between server, engine and client. */
function queuedBytes(): number {
  const ends = [servers.port, others.port, port ?? 0].map(number => `:${number.toString(16).toUpperCase().padStart(4, '0')}`)
  let bytes = 0
  for (const line of readFileSync('/proc/net/tcp', 'latin1').split('\n')) {
    const [, local = '', remote = '', , queues = ''] = line.trim().split(/\s+/)
    if (!ends.some(end => local.endsWith(end) || remote.endsWith(end))) continue
    const [sent = '0', received = '0'] = queues.split(':')
    // Of a listener it is the connections that wait.
    if (!remote.endsWith(':0000')) bytes += Number.parseInt(sent, 16) + Number.parseInt(received, 16)
  }
  return bytes
}

const engine = await startEngineProcess(t, snapshot(1))

t.test('a body of 10 GB to a reader of 64 kB a second is held in less than 1 MB', async t => {
  await t.test('after some traffic, so that what an engine needs anyway is there', async warm => {
    const canary = await openCanary(warm, { port, connections: 8, restMs: 0 })
    let requests = 0
    await until('a warm engine', async () => (requests += (await canary.ask()).requests) > 20_000, 60_000)
  })
  const before = engine.residentBytes()
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let read = 0
  let isClosed = false
  socket.on('error', () => undefined).on('close', () => (isClosed = true))
  socket.pause()
  socket.write('GET /bytes/10000000000 HTTP/1.1\r\nHost: a\r\n\r\n')
  const startMs = performance.now()
  const held: number[] = []
  let most = 0
  let sampledS = 0
  await until(
    `${BODY_S} seconds of reading`,
    () => {
      // 64 kB for each second that has gone, and no more.
      const due = ((performance.now() - startMs) / 1_000) * 65_536 - read
      for (let left = Math.floor(due); left > 0;) {
        const chunk = socket.read(Math.min(left, socket.readableLength || left)) as Buffer | null
        if (chunk === null) break
        read += chunk.length
        left -= chunk.length
      }
      most = Math.max(most, engine.residentBytes() - before)
      const second = Math.floor((performance.now() - startMs) / 1_000)
      if (second > sampledS) held.push(sentBytes() - queuedBytes() - read - socket.readableLength)
      sampledS = second
      return isClosed || performance.now() - startMs > BODY_S * 1_000
    },
    (BODY_S + 60) * 1_000
  )
  const sorted = held.toSorted((a, b) => a - b)
  const usual = sorted[Math.floor(sorted.length / 2)] ?? NaN
  t.comment(
    `${read} bytes read in ${BODY_S} s, of ${sentBytes()} that the server sent; the engine holds ${usual} bytes, ${sorted.at(-1)} at most; its process grew by ${most}, all that it does included`
  )
  t.notOk(isClosed, 'the slow reader is not taken for one that stands still')
  t.ok(read > BODY_S * 30_000, 'it got its bytes')
  t.ok(usual < 1_048_576, 'less than 1 MB is held')
  t.ok(most < 128_000_000, 'memory of the whole process')
})

t.test(`${CHANGES} changes under load: no request fails, no WebSocket is cut`, async t => {
  // About 10,000 requests a second, which leaves the engine room: at its limit every wait is the queue's.
  const canary = await openCanary(t, { port, connections: 64, restMs: 5 })
  const sockets = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = connect(port, '127.0.0.1')
      t.teardown(() => socket.destroy())
      const one = { socket, seen: '', isClosed: false }
      socket.on('data', chunk => (one.seen += chunk.toString('latin1'))).on('error', () => undefined)
      socket.on('close', () => (one.isClosed = true))
      await once(socket, 'connect')
      socket.write(
        'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
      )
      await until('a tunnel', () => one.seen.includes('\r\n\r\n'))
      return one
    })
  )
  await canary.ask()
  const quietMs = performance.now()
  await until('two seconds without a change', () => performance.now() - quietMs > 2_000)
  const quiet = await canary.ask()
  const applies: number[] = []
  const startMs = performance.now()
  for (let revision = 2; revision <= CHANGES + 1; revision++) {
    applies.push(await engine.apply(snapshot(revision)))
    if (revision % 100 === 0) for (const { socket } of sockets) socket.write(`still here ${revision} `)
  }
  const seconds = (performance.now() - startMs) / 1_000
  const saw = await canary.ask()
  const sorted = applies.toSorted((a, b) => a - b)
  const at = (ratio: number): string => (sorted[Math.floor(sorted.length * ratio)] ?? 0).toFixed(1)
  t.comment(
    `${CHANGES} changes in ${seconds.toFixed(1)} s, applied in p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, p99.9 ${at(0.999)} ms; ${Math.round(saw.requests / seconds)} requests a second`
  )
  t.comment(
    `waiting: p99 ${saw.p99Ms.toFixed(1)} ms, p99.9 ${saw.p999Ms.toFixed(1)} ms, longest ${saw.maxMs.toFixed(1)} ms; without changes p99 ${quiet.p99Ms.toFixed(1)} ms, p99.9 ${quiet.p999Ms.toFixed(1)} ms: a stall of ${Math.max(0, saw.p99Ms - quiet.p99Ms).toFixed(1)} and ${Math.max(0, saw.p999Ms - quiet.p999Ms).toFixed(1)} ms`
  )
  t.same(saw.failures, [], 'no request failed')
  t.ok(saw.requests > 1_000, `${saw.requests} requests`)
  await until('every echo', () => sockets.every(({ seen }) => seen.endsWith(`still here ${CHANGES} `)))
  t.equal(sockets.filter(({ isClosed }) => isClosed).length, 0, 'no tunnel was cut')
  t.equal(engine.said(), '')
})
