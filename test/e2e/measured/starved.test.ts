/** An engine that is short of what the system gives it: of descriptors, and of memory for bodies. It goes on, and says so. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { openCanary } from '#test/support/canary.ts'
import { ask, openTcpServer } from '#test/support/data-plane.ts'
import { startEngineProcess } from '#test/support/engine-process.ts'
import { freePorts } from '#test/support/ports.ts'
import { openSlowServer } from '#test/support/slow-server.ts'
import { aListener, aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

const MB = 1_048_576
const FILES = 256
const ASKING = 150
const UPLOADS = 50

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

/** Seconds of processor time so far. */
function cpuS(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

interface One {
  readonly socket: Socket
  seen: string
  isOver: boolean
}

function openOne(port: number, first: string): One {
  const socket = connect({ port, host: '127.0.0.1' }, () => first !== '' && socket.write(first))
  const one: One = { socket, seen: '', isOver: false }
  const over = (): void => void (one.isOver = true)
  socket.on('data', chunk => (one.seen += chunk.toString('latin1')))
  socket.on('error', over).on('end', over).on('close', over)
  return one
}

const closeAll = (all: readonly One[]): void => {
  for (const { socket } of all) socket.destroy()
}

t.test('an engine out of descriptors serves whom it has, does not spin, blames no server, and says so', async t => {
  const [servers, [port]] = [await openSlowServer(t), await freePorts(1)]
  const engine = await startEngineProcess(
    t,
    aSnapshot({
      services: [aService({ listeners: [aListener({ port: port! })], http: { acceptTimeoutMs: 6_000 } })],
      pools: [aPool([servers.port], { maxConnectionsPerServer: null })]
    })
  )
  const canary = await openCanary(t, { port: port!, connections: 4, restMs: 10 })
  await canary.ask()
  execFileSync('prlimit', ['--pid', String(engine.pid), `--nofile=${FILES}:${FILES}`])
  // Each is to have a connection to the server as well: there are not enough for all of them. First all are there, so that they do not run out before.
  const held = openFiles(engine.pid)
  const asking = Array.from({ length: ASKING }, () => openOne(port!, ''))
  await until('all are there', () => openFiles(engine.pid) >= held + ASKING)
  for (const { socket } of asking) socket.write('GET /never HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('some cannot be sent on', () => asking.some(({ seen }) => seen.startsWith('HTTP/1.1 503 ')))
  const before = cpuS(engine.pid)
  const fromMs = performance.now()
  const silent = Array.from({ length: 400 }, () => openOne(port!, ''))
  await until('it is said', () => engine.said().includes('nearly all descriptors are in use'))
  const saw = await canary.ask()
  t.same(saw.failures, [], 'whoever is there is served')
  t.ok(saw.requests > 0, `${saw.requests} requests`)
  await until('the silent are let go, or were not taken', () => silent.every(one => one.isOver))
  const share = (cpuS(engine.pid) - before) / ((performance.now() - fromMs) / 1_000)
  t.comment(`${(share * 100).toFixed(0)} % of a core meanwhile`)
  t.ok(share < 0.8, 'no spinning')
  closeAll([...silent, ...asking])
  const answer = await until('a new client is served', async () => {
    const { status, body } = await ask(port!)
    return status === 200 && body
  })
  t.equal(answer, 'ok')
  t.same((await canary.ask()).failures, [])
})

t.test('many large bodies to a server that takes nothing are held in little memory', async t => {
  const deaf = await openTcpServer(t, socket => socket.pause())
  const [servers, [port, otherPort]] = [await openSlowServer(t), await freePorts(2)]
  const engine = await startEngineProcess(
    t,
    aSnapshot({
      services: [
        aService({ listeners: [aListener({ port: port! })], http: { maxBodyBytes: null } }),
        aService({ id: 'others', listeners: [aListener({ port: otherPort! })], target: { is: 'pool', poolId: 'pool-2' } })
      ],
      pools: [aPool([deaf.port], { maxConnectionsPerServer: null }), aPool([servers.port], { id: 'pool-2' })]
    })
  )
  const canary = await openCanary(t, { port: otherPort!, connections: 4, restMs: 5 })
  await canary.ask()
  const before = engine.residentBytes()
  const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MB, 'x'), Buffer.from('\r\n')])
  const all = Array.from({ length: UPLOADS }, () => openOne(port!, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'))
  let sent = 0
  for (const { socket } of all) {
    const more = (): void => {
      if (socket.destroyed) return
      sent += chunk.length
      // Its callback comes when the kernel has taken it: a gigabyte each, if it were let.
      socket.write(chunk, error => error ?? more())
    }
    more()
  }
  let most = 0
  let lastSent = -1
  let stillMs = performance.now()
  await until('nothing more is taken', () => {
    most = Math.max(most, engine.residentBytes() - before)
    if (sent !== lastSent) {
      lastSent = sent
      stillMs = performance.now()
    }
    return performance.now() - stillMs > 1_500
  })
  t.comment(`${Math.round(sent / MB)} MB were taken of ${UPLOADS} bodies, of which the engine held ${(most / MB).toFixed(1)} MB at most`)
  t.ok(most < UPLOADS * MB, 'less than 1 MB each')
  t.same((await canary.ask()).failures, [], 'others are served')
  closeAll(all)
  t.equal(engine.said(), '')
})
