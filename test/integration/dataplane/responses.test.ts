/** The corpus of responses at the wire: whole, a byte at a time, and cut in two at every byte. */
import type { Socket } from 'node:net'
import t from 'tap'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, openTcpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import { responseCases, type ResponseCase } from './corpus/responses.ts'

type Cut = (bytes: string) => readonly string[]

const whole: Cut = bytes => (bytes === '' ? [] : [bytes])
const bytewise: Cut = bytes => bytes.split('')
const cutAt =
  (at: number): Cut =>
  bytes =>
    [bytes.slice(0, at), bytes.slice(at)].filter(piece => piece !== '')

/** A server that answers `/after` in order, and everything else by the case that it is told. */
async function openLiar(t: Parameters<typeof openTestPlane>[0]) {
  const state = { one: responseCases[0]!, cut: whole, connections: 0, isSent: true }
  const lie = (socket: Socket): void => {
    state.isSent = false
    const pieces = state.cut(state.one.bytes)
    let at = 0
    const next = (): void => {
      if (socket.destroyed) return void (state.isSent = true)
      if (at < pieces.length) return void socket.write(pieces[at++]!, 'latin1', () => setImmediate(next))
      if (state.one.ends) socket.end()
      state.isSent = true
    }
    next()
  }
  const server = await openTcpServer(t, socket => {
    state.connections++
    socket.setNoDelay(true)
    socket.on('data', chunk => {
      if (chunk.toString('latin1').startsWith('GET /after ')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter')
      else lie(socket)
    })
  })
  const plane = openTestPlane(t)
  await plane.load(aSnapshot({ services: [aService()], pools: [aPool([server.port])] }))
  return { state, plane, port: plane.port() }
}

interface Got {
  readonly status: number
  readonly body: string
  readonly isWhole: boolean
}

/** What a client understands of the bytes that it got. */
function understood(text: string, isReset: boolean, method: string): Got {
  let rest = text
  for (;;) {
    const found = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest)
    if (found === null) return { status: 0, body: rest, isWhole: false }
    const status = Number(found[1])
    rest = rest.slice(found[0].length)
    if (status < 200) continue
    if (method === 'HEAD' || status === 204 || status === 304) return { status, body: rest, isWhole: !isReset }
    const length = /content-length: (\d+)/.exec(found[2]!)?.[1]
    if (length !== undefined) return { status, body: rest, isWhole: rest.length === Number(length) }
    if (!found[2]!.includes('transfer-encoding: chunked')) return { status, body: rest, isWhole: !isReset }
    let body = ''
    for (let size = /^([0-9a-f]+)\r\n/.exec(rest); size !== null; size = /^([0-9a-f]+)\r\n/.exec(rest)) {
      rest = rest.slice(size[0].length)
      const count = Number.parseInt(size[1]!, 16)
      if (count === 0) return { status, body, isWhole: /^(?:[!-9;-~]+: [^\r\n]*\r\n)*\r\n$/.test(rest) }
      body += rest.slice(0, count)
      rest = rest.slice(count + 2)
    }
    return { status, body, isWhole: false }
  }
}

async function tell(port: number, one: ResponseCase): Promise<Got> {
  const { text, isReset } = await sendRaw(port, `${one.method} /case HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  return understood(text, isReset, one.method)
}

/** What breaks before any of it was sent on may be a 502 as well; the end that it comes to is never taken for a good one. */
function isDue({ status, body, isWhole }: ResponseCase, got: Got): boolean {
  if (!isWhole && got.status === 502) return got.isWhole
  return got.status === status && got.body === body && got.isWhole === isWhole
}

t.test('each response reaches the client as is due, and what is left of it is nobody else\u2019s', async t => {
  const { state, plane, port } = await openLiar(t)
  t.equal(new Set(responseCases.map(one => one.what)).size, responseCases.length, 'each is its own')
  for (const one of responseCases) {
    state.one = one
    t.equal((await ask(port, { path: '/after' })).body, 'after')
    const before = state.connections
    const got = await tell(port, one)
    t.ok(isDue(one, got), `${one.what}: ${JSON.stringify(got)}`)
    await until(() => state.isSent, 'all is sent')
    t.equal((await ask(port, { path: '/after' })).body, 'after', `${one.what}: the next one has its own answer`)
    t.equal(state.connections === before, one.isKept, `${one.what}: kept`)
  }
  t.same(plane.bugs, [])
})

t.test('a byte at a time changes nothing', async t => {
  const { state, plane, port } = await openLiar(t)
  state.cut = bytewise
  for (const one of responseCases.filter(({ bytes }) => bytes.length < 1_000)) {
    state.one = one
    const got = await tell(port, one)
    t.ok(isDue(one, got), `${one.what}: ${JSON.stringify(got)}`)
    await until(() => state.isSent, 'all is sent')
    t.equal((await ask(port, { path: '/after' })).body, 'after', one.what)
  }
  t.same(plane.bugs, [])
})

t.test('a cut in two at any byte changes nothing', async t => {
  const { state, plane, port } = await openLiar(t)
  for (const one of responseCases) {
    if (one.bytes.length >= 1_000) continue
    state.one = one
    const wrong: number[] = []
    for (let at = 1; at < one.bytes.length; at++) {
      state.cut = cutAt(at)
      const got = await tell(port, one)
      if (!isDue(one, got)) wrong.push(at)
      await until(() => state.isSent, 'all is sent')
    }
    t.same(wrong, [], one.what)
  }
  t.same(plane.bugs, [])
})
