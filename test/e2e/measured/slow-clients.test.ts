/**
 * Thousands of clients that are slow on purpose, in front of a whole engine: each goes in its time, holds nothing of the servers
 * that it has not paid for, and nobody else notices. Waiting times are printed; what is asserted of them is far above.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { openCanary } from '#test/support/canary.ts'
import { startEngineProcess } from '#test/support/engine-process.ts'
import { freePorts } from '#test/support/ports.ts'
import { openSlowServer } from '#test/support/slow-server.ts'
import { aListener, aPool, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

const LIMIT_MS = 3_000
/** Of readers: all of them have to be there before the first one goes. */
const READER_MS = 6_000
/** What a loaded machine may add: to the waiting of others, and to the last of thousands of ends. */
const LOADED_MS = 2_000
/** A client that is slow to see that it is connected counts too little. */
const EARLY = 0.4
const SPARE_FILES = 2_000
const openFiles = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()) || 1_000_000
const countOf = (wanted: number, filesEach: number): number => Math.min(wanted, Math.floor((openFiles - SPARE_FILES) / filesEach))

const certificate = await aCertificate('shop', ['shop.test'])
const [servers, otherServers] = [await openSlowServer(t), await openSlowServer(t)]
const [port, tlsPort, streamPort, otherPort] = await freePorts(4)
if (port === undefined || tlsPort === undefined || streamPort === undefined || otherPort === undefined) throw new Error('no ports')

const http = {
  headerTimeoutMs: LIMIT_MS,
  bodyTimeoutMs: LIMIT_MS,
  keepAliveTimeoutMs: LIMIT_MS,
  acceptTimeoutMs: LIMIT_MS,
  pace: { minBytesPerS: 240, graceMs: READER_MS }
}
const target = (poolId: string) => ({ is: 'pool', poolId }) as const
const engine = await startEngineProcess(
  t,
  aSnapshot({
    services: [
      aService({ id: 'slow', listeners: [aListener({ port })], http, target: target('pool-1') }),
      aService({
        id: 'tls',
        listeners: [aListener({ port: tlsPort, isTls: true })],
        tls: aTls([certificate.id]),
        http,
        target: target('pool-1')
      }),
      aService({ id: 'streams', listeners: [aListener({ port: streamPort, isHttp2: true })], http, target: target('pool-1') }),
      aService({ id: 'others', listeners: [aListener({ port: otherPort })], target: target('pool-2') })
    ],
    pools: [aPool([servers.port], { maxConnectionsPerServer: null }), aPool([otherServers.port], { id: 'pool-2' })],
    certificates: [certificate]
  })
)
const canary = await openCanary(t, { port: otherPort, connections: 8, restMs: 10 })

/** The preface, a window of 1,024 bytes, and a request for much more. */
const streamRequest = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\x04\0', 'latin1'),
  Buffer.from('\0\0\x14\x01\x05\0\0\0\x01\x82\x86\x01\x01a\x04\x0d/bytes/200000', 'latin1')
])
/** On loopback the kernel takes about 4 MB of each bulk answer, and has only so many pages for all. */
const kernelBytes = Number(readFileSync('/proc/sys/net/ipv4/tcp_mem', 'utf8').trim().split(/\s+/)[0]) * 4_096
const bulkReaders = Math.min(300, countOf(300, 2), Math.floor(kernelBytes / 4_000_000))

interface SlowOne {
  readonly socket: Socket
  startMs: number
  endMs: number
  seen: string
}

/** Opens many connections, some at a time; `begin` says when its time runs. */
async function openMany(count: number, at: number, begin: (one: SlowOne) => void, isReading = true): Promise<SlowOne[]> {
  const all: SlowOne[] = []
  const open = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port: at, host: '127.0.0.1', noDelay: true })
      const one: SlowOne = { socket, startMs: 0, endMs: 0, seen: '' }
      if (isReading) socket.on('data', chunk => (one.seen += one.seen.length < 200 ? chunk.toString('latin1') : ''))
      const ended = (): void => void (one.endMs ||= performance.now())
      socket
        .once('connect', () => {
          all.push(one)
          one.startMs = performance.now()
          begin(one)
          resolve()
        })
        .on('error', error => (socket.connecting || all.includes(one) ? ended() : reject(error)))
        .on('end', ended)
        .on('close', ended)
    })
  for (let made = 0; made < count; made += 100) await Promise.all(Array.from({ length: Math.min(100, count - made) }, open))
  return all
}

const closeAll = (all: readonly SlowOne[]): void => {
  for (const { socket } of all) socket.destroy()
}

const shown = (values: readonly number[]): string => {
  const sorted = values.toSorted((a, b) => a - b)
  return `${Math.round(sorted[0] ?? 0)} to ${Math.round(sorted.at(-1) ?? 0)} ms`
}

t.test('8,000 connections are held by one worker', async t => {
  const count = countOf(8_000, 1)
  if (count < 8_000) t.comment(`${count} only: ${openFiles} open files are all that there may be`)
  const ask = (one: SlowOne): void => void one.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const warm = await openMany(500, otherPort, ask)
  await until('the first are answered', () => warm.every(one => one.seen.endsWith('ok')))
  const before = engine.residentBytes()
  const all = await openMany(count, otherPort, ask)
  await until('all are answered', () => all.every(one => one.seen.endsWith('ok')), 60_000)
  const each = (engine.residentBytes() - before) / all.length
  t.comment(`${all.length} idle connections: ${Math.round(each)} bytes of the engine's memory each`)
  t.ok(each < 24_000, 'what is held for each')
  for (const one of all) one.seen = ''
  all.forEach(ask)
  await until('all are answered again', () => all.every(one => one.seen.endsWith('ok') || one.endMs > 0), 60_000)
  t.equal(all.filter(one => one.endMs > 0).length, 0, 'none was closed')
  closeAll([...warm, ...all])
})

t.test('slow clients of every kind go in their time, and others do not notice', async t => {
  const few = countOf(2_000, 1)
  const fewWithServer = countOf(2_000, 2)
  if (few < 2_000) t.comment(`of each kind ${few} only: ${openFiles} open files are all that there may be`)
  const quiet = await canary.ask()
  t.comment(`others before: p50 ${quiet.p50Ms.toFixed(1)} ms, p99 ${quiet.p99Ms.toFixed(1)} ms`)

  const judge = async (kind: string, all: readonly SlowOne[], limitMs = LIMIT_MS): Promise<void> => {
    await until(`the end of all with ${kind}`, () => all.every(one => one.endMs > 0), 60_000)
    const saw = await canary.ask()
    const waits = all.map(one => one.endMs - one.startMs)
    const late = waits.filter(ms => ms > limitMs + 1_000).length
    t.comment(
      `${kind}: ${all.length} gone within ${shown(waits)} of ${limitMs} (${late} later than 1 s after); others: ${saw.requests} requests, p99 ${saw.p99Ms.toFixed(1)} ms, longest ${saw.maxMs.toFixed(1)} ms`
    )
    t.ok(
      waits.every(ms => ms >= limitMs * EARLY),
      `${kind}: nobody goes before its time`
    )
    t.ok(
      waits.every(ms => ms < limitMs + 1_000 + LOADED_MS),
      `${kind}: everybody goes in time`
    )
    t.same(saw.failures, [], `${kind}: others are served`)
    t.ok(saw.requests > 100 && saw.p99Ms < LOADED_MS, `${kind}: and not late`)
    closeAll(all)
  }

  const before = servers.requests()
  const openBefore = servers.openConnections()
  const silent = await openMany(few, port, () => undefined)
  await judge('nothing said', silent)

  const headers = await openMany(few, port, one => one.socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-'))
  // A byte now and then is no progress.
  const drip = setInterval(() => {
    for (const { socket, endMs } of headers) if (endMs === 0) socket.write('y')
  }, 1_000)
  await judge('slow header', headers)
  clearInterval(drip)
  t.ok(
    headers.every(one => one.seen.startsWith('HTTP/1.1 408 ')),
    'each is told'
  )
  t.equal(servers.requests(), before, 'no request reached a server')
  t.equal(servers.openConnections(), openBefore, 'no connection to a server was held')

  const bodies = await openMany(fewWithServer, port, one =>
    one.socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegin')
  )
  await judge('slow body', bodies)
  t.ok(
    bodies.every(one => one.seen.startsWith('HTTP/1.1 408 ')),
    'each is told'
  )

  const tls = await openMany(few, tlsPort, one => one.socket.write('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'latin1'))
  await judge('a stalled TLS handshake', tls)

  const idle = await openMany(few, port, one => one.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
  await until('their answers', () => idle.every(one => one.seen.endsWith('ok')))
  await judge('an idle connection', idle)

  const streams = await openMany(countOf(2_000, 2) - bulkReaders, streamPort, one => {
    // Its time runs once its window is full; the end comes as RST_STREAM.
    let isFull = false
    one.socket.on('data', chunk => {
      const text = chunk.toString('latin1')
      if (!isFull && text.includes('xxxx')) {
        isFull = true
        one.startMs = performance.now()
      }
      if (text.includes('\x00\x00\x04\x03')) one.endMs ||= performance.now()
    })
    one.socket.write(streamRequest)
  })
  await judge('a slow reader of a stream', streams, READER_MS)

  // These fill the kernel's buffers before it can be seen that they do not read.
  const readers = await openMany(
    bulkReaders,
    port,
    one => {
      one.socket.pause()
      one.socket.write(`GET /bytes/${16 * 1_048_576} HTTP/1.1\r\nHost: a\r\n\r\n`)
    },
    false
  )
  await until(
    'their answers have begun',
    () => servers.requests() - before >= bodies.length + idle.length + streams.length + readers.length
  )
  const filling = await canary.ask()
  // Whoever does not read learns of the end only when it reads: the connections to the servers tell.
  await until('all slow readers are given up', () => servers.openConnections() <= 64, 60_000)
  const standing = await canary.ask()
  const { shortestMs, longestMs } = servers.bulkTimes()
  t.comment(
    `a slow reader: ${readers.length} gone within ${shortestMs} to ${longestMs} ms of ${READER_MS}, of which the first are spent on filling buffers; others: p99 ${filling.p99Ms.toFixed(1)} ms while they fill, then p99 ${standing.p99Ms.toFixed(1)} ms, longest ${standing.maxMs.toFixed(1)} ms`
  )
  t.ok(shortestMs >= READER_MS * EARLY, 'no reader goes before its time')
  t.ok(longestMs < READER_MS + 1_000 + 3 * LOADED_MS, 'every reader goes in time')
  t.same([...filling.failures, ...standing.failures], [], 'others are served')
  t.ok(standing.p99Ms < LOADED_MS, 'and not late')
  closeAll(readers)
  t.equal(engine.said(), '')
})

t.test('one pool whose server never answers queues nobody else', async t => {
  const stuck = await openMany(countOf(2_000, 2), port, one => one.socket.write('GET /never HTTP/1.1\r\nHost: a\r\n\r\n'))
  const before = servers.openConnections()
  await until('they are with the server', () => servers.openConnections() >= Math.min(before, stuck.length))
  await canary.ask()
  const sinceMs = performance.now()
  await until('two seconds of traffic', () => performance.now() - sinceMs > 2_000)
  const saw = await canary.ask()
  t.comment(`${stuck.length} requests wait: others: ${saw.requests} requests, p99 ${saw.p99Ms.toFixed(1)} ms`)
  t.same(saw.failures, [])
  t.ok(saw.requests > 100 && saw.p99Ms < LOADED_MS)
  closeAll(stuck)
  await until('nothing is left of them', () => servers.openConnections() <= 64)
})

t.test('a client that goes through its handshake and says nothing is let go as well', async t => {
  const socket = connectTls({ port: tlsPort, host: '127.0.0.1', rejectUnauthorized: false })
  const startMs = performance.now()
  let isClosed = false
  socket.on('error', () => undefined).on('close', () => (isClosed = true))
  socket.resume()
  await until('its end', () => isClosed)
  t.ok(performance.now() - startMs >= LIMIT_MS * EARLY)
})
