/** The corpus of requests at the wire: whole, a byte at a time, and cut in two at every byte. */
import { Agent } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, openTestPlane, until } from '#test/support/data-plane.ts'
import { openRecordingServer, type RecordingServer } from '#test/support/recording-server.ts'
import { plain, requestCases, type RequestCase } from './corpus/requests.ts'

/** Sent behind every case: it is answered where the case leaves the connection in order, and never reaches the server otherwise. */
const AFTER = 'GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const quiet = { xffHeader: null, hasForwardedProto: false, requestIdHeader: null, maxBodyBytes: 100_000 }

const isInOrder = (one: RequestCase): boolean =>
  one.answers.every(status => status < 400) &&
  one.answers.length === one.reaches.length &&
  !/^GET \/1 HTTP\/1\.(?:0\r\n\r\n|1[^]*Connection: close)/.test(one.bytes)

/** Sends pieces with a turn of the loop between, so that each is a read of its own. */
function send(port: number, pieces: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let text = ''
    const timer = setTimeout(() => reject(new Error(`no end after: ${text}`)), 20_000)
    const end = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text)
    }
    let at = 0
    const next = (): void => {
      if (socket.destroyed || at === pieces.length) return
      socket.write(pieces[at++]!, 'latin1', () => setImmediate(next))
    }
    socket.on('connect', next)
    socket.on('data', chunk => (text += chunk.toString('latin1')))
    socket.on('end', end).on('error', end).on('close', end)
  })
}

/** Statuses of what came, interim ones left out. */
const statuses = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(found => Number(found[1])).filter(status => status >= 200)

function due(one: RequestCase, server: RecordingServer): { answers: readonly number[]; reaches: readonly string[] } {
  const reaches = one.reaches.map(text => text.replace('$server', `127.0.0.1:${server.port}`))
  if (!isInOrder(one)) return { answers: one.answers, reaches }
  return { answers: [...one.answers, 200], reaches: [...reaches, plain('GET', '/after')] }
}

async function openScene(t: Parameters<typeof openTestPlane>[0]) {
  const server = await openRecordingServer(t)
  const plane = openTestPlane(t)
  await plane.load(aSnapshot({ services: [aService({ http: quiet })], pools: [aPool([server.port])] }))
  return { server, plane, port: plane.port() }
}

t.test('the corpus is a corpus', async t => {
  t.ok(requestCases.length >= 200, `${requestCases.length} cases`)
  t.equal(new Set(requestCases.map(one => one.what)).size, requestCases.length, 'each is its own')
})

t.test('each request is answered as is due, the server gets exactly what may pass, and a client beside it its own answers', async t => {
  const { server, plane, port } = await openScene(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  for (const [index, one] of requestCases.entries()) {
    server.requests.length = 0
    const { answers, reaches } = due(one, server)
    const text = await send(port, [one.bytes + AFTER])
    t.same(statuses(text), answers, `${one.what}: answers`)
    t.same(server.requests, reaches, `${one.what}: what reached the server`)
    if (!isInOrder(one)) t.match(text, /connection: close/, `${one.what}: said to be the last`)
    t.equal((await ask(port, { agent, path: `/canary/${index}` })).body, `<GET /canary/${index}>`, `${one.what}: the client beside it`)
  }
  t.same(server.broken, [], 'nothing that a strict reader would stumble over')
  t.same(plane.bugs, [])
})

t.test('a byte at a time changes nothing', async t => {
  const { server, plane, port } = await openScene(t)
  const small = requestCases.filter(one => one.bytes.length < 1_000)
  for (let from = 0; from < small.length; from += 16) {
    const batch = small.slice(from, from + 16)
    server.requests.length = 0
    const texts = await Promise.all(batch.map(one => send(port, (one.bytes + AFTER).split(''))))
    for (const [index, one] of batch.entries()) t.same(statuses(texts[index]!), due(one, server).answers, one.what)
    t.same(server.requests.toSorted(), batch.flatMap(one => due(one, server).reaches).toSorted(), batch.map(one => one.what).join())
  }
  t.same(server.broken, [])
  t.same(plane.bugs, [])
})

t.test('a cut in two at any byte changes nothing', async t => {
  const { server, plane, port } = await openScene(t)
  for (const one of requestCases) {
    if (one.bytes.length >= 1_000) continue
    const bytes = one.bytes + AFTER
    const cuts = Array.from({ length: one.bytes.length }, (_, at) => at + 1)
    server.requests.length = 0
    const wrong: number[] = []
    const { answers, reaches } = due(one, server)
    for (let from = 0; from < cuts.length; from += 64) {
      const some = cuts.slice(from, from + 64)
      const texts = await Promise.all(some.map(at => send(port, [bytes.slice(0, at), bytes.slice(at)])))
      wrong.push(...some.filter((_, i) => statuses(texts[i]!).join() !== answers.join()))
    }
    t.same(wrong, [], `${one.what}: cuts with other answers`)
    t.same(server.requests.toSorted(), cuts.flatMap(() => reaches).toSorted(), `${one.what}: what reached the server`)
  }
  t.same(server.broken, [])
  t.same(plane.bugs, [])
  await until(() => plane.memory.readTotals().virtualServices[0]?.totals.openConnections === 0, 'every connection is closed')
})
