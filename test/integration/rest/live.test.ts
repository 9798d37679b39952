import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { LiveMessage } from '#model/resource/runtime.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aRest, aTenant } from '#test/support/rest.ts'
import type { RestClient, RestHouse } from '#test/support/rest.ts'
import { aPoolRuntime, aVirtualServiceRuntime } from '#test/support/rest-ports.ts'

interface Watcher {
  readonly socket: WebSocket
  /** The first message that `holds` accepts, of those that came and will come. */
  readonly next: (holds: (message: LiveMessage) => boolean) => Promise<LiveMessage>
  readonly closed: Promise<number>
}

async function listen(house: RestHouse): Promise<number> {
  return (await house.rest.start({ host: '127.0.0.1', port: 0 })).port
}

function watch(t: Test, port: number, client: RestClient, options: { readonly origin?: string; readonly query?: string } = {}): Watcher {
  const { origin = `https://127.0.0.1:${port}`, query = '' } = options
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/live${query}`, {
    headers: { cookie: client.cookie, ...(origin === '' ? {} : { origin }) }
  })
  t.teardown(() => socket.terminate())
  const messages: LiveMessage[] = []
  const waiting: { readonly holds: (message: LiveMessage) => boolean; readonly done: (message: LiveMessage) => void }[] = []
  socket.on('error', () => undefined)
  socket.on('message', data => {
    const message = JSON.parse(String(data as Buffer)) as LiveMessage
    messages.push(message)
    for (const waiter of waiting) if (waiter.holds(message)) waiter.done(message)
  })
  return {
    socket,
    closed: new Promise(done => socket.on('close', code => done(code))),
    next: holds => {
      const found = messages.find(holds)
      messages.length = 0
      return found === undefined ? new Promise(done => waiting.push({ holds, done })) : Promise.resolve(found)
    }
  }
}

const refusedStatus = (watcher: Watcher): Promise<number> =>
  new Promise(done => watcher.socket.on('unexpected-response', (_request, response) => done(response.statusCode ?? 0)))

t.test('the feed says how the things on screen are, at once and when they change', async t => {
  const house = await aRest(t)
  const port = await listen(house)
  const pool = String((await house.admin.call('POST', '/api/pool', { name: 'p' })).body['uuid'])
  house.fleet.pools.set(pool, aPoolRuntime())
  const watcher = watch(t, port, house.admin)
  await once(watcher.socket, 'open')

  watcher.socket.send(JSON.stringify({ type: 'subscribe', topics: ['pool'] }))
  const first = await watcher.next(message => message.type === 'runtime')
  t.match(first, { type: 'runtime', kind: 'pool', items: [{ uuid: pool, runtime: { num_servers: 1, servers: [] } }], at: Number })

  watcher.socket.send(JSON.stringify({ type: 'subscribe', topics: [`pool:${pool}`] }))
  t.match(
    await watcher.next(message => message.type === 'runtime' && message.kind === 'pool' && message.items[0]?.runtime.servers.length === 1),
    { kind: 'pool' }
  )

  house.fleet.pools.set(pool, { ...aPoolRuntime(), oper_status: { state: 'OPER_DOWN', reason: ['gone'], last_changed_time: 2 } })
  house.fleet.announce({ kind: 'pool', uuid: pool })
  t.match(await watcher.next(message => message.type === 'runtime' && message.items[0]?.runtime.oper_status.state === 'OPER_DOWN'), {
    kind: 'pool'
  })

  await house.admin.call('PATCH', `/api/pool/${pool}`, { replace: { description: 'x' } })
  house.rest.committed(house.store.revision())
  const revision = house.store.revision()
  t.match(await watcher.next(message => message.type === 'changed' && message.revision >= revision), { revision, kinds: ['pool'] })
})

t.test('the feed shows a tenant nothing of another', async t => {
  const house = await aRest(t)
  const port = await listen(house)
  const { client } = await aTenant(house, 'team-a')
  const theirs = String((await house.admin.call('POST', '/api/pool', { name: 'theirs' })).body['uuid'])
  const own = String((await client.call('POST', '/api/pool', { name: 'own' })).body['uuid'])
  for (const uuid of [theirs, own]) house.fleet.pools.set(uuid, aPoolRuntime())
  house.fleet.virtualServices.set('virtualservice-none', aVirtualServiceRuntime())
  const watcher = watch(t, port, client, { query: '?tenant=*' })
  await once(watcher.socket, 'open')
  watcher.socket.send(
    JSON.stringify({ type: 'subscribe', topics: ['pool', `pool:${theirs}`, 'virtualservice', 'virtualservice:virtualservice-none'] })
  )
  const message = await watcher.next(item => item.type === 'runtime' && item.kind === 'pool')
  t.equal(message.type === 'runtime' && message.items.map(item => item.uuid).join(), own)
  house.fleet.announce({ kind: 'pool', uuid: theirs })
  house.fleet.announce({ kind: 'pool', uuid: own })
  const changed = await watcher.next(item => item.type === 'runtime' && item.kind === 'pool')
  t.equal(changed.type === 'runtime' && changed.items.map(item => item.uuid).join(), own)
  const none = await watcher.next(item => item.type === 'runtime' && item.kind === 'virtualservice')
  t.same(none.type === 'runtime' && none.items, [], 'an empty round is told: silence means old figures')
  const wrong = watch(t, port, client, { query: '?tenant=admin' })
  t.equal(await refusedStatus(wrong), 403)
})

t.test('the feed lets in who is signed in, from here, and speaks the language', async t => {
  const house = await aRest(t)
  const port = await listen(house)
  t.equal(await refusedStatus(watch(t, port, house.anonymous)), 401)
  t.equal(await refusedStatus(watch(t, port, house.admin, { origin: 'https://evil.test' })), 403)
  t.equal(await refusedStatus(watch(t, port, house.admin, { origin: '' })), 403)
  for (const text of [
    '{',
    '[]',
    '{"type":"subscribe"}',
    '{"type":"subscribe","topics":["user"]}',
    '{"type":"subscribe","topics":["pool:../x"]}'
  ]) {
    const watcher = watch(t, port, house.admin)
    await once(watcher.socket, 'open')
    watcher.socket.send(text)
    t.equal(await watcher.closed, 1008, text)
  }
  const big = watch(t, port, house.admin)
  await once(big.socket, 'open')
  big.socket.send('x'.repeat(100_000))
  t.equal(await big.closed, 1009)
  const binary = watch(t, port, house.admin)
  await once(binary.socket, 'open')
  binary.socket.send(Buffer.from('{"type":"subscribe","topics":[]}'))
  t.equal(await binary.closed, 1008)
  t.same(house.errors, [])
})

t.test('the feed ends with the controller', async t => {
  const house = await aRest(t)
  const port = await listen(house)
  const watcher = watch(t, port, house.admin)
  await once(watcher.socket, 'open')
  await house.rest.stop()
  t.equal(await watcher.closed, 1001)
})

t.test('a failure behind the feed costs the watcher its connection and nobody the controller', async t => {
  const house = await aRest(t)
  const port = await listen(house)
  const pool = String((await house.admin.call('POST', '/api/pool', { name: 'p' })).body['uuid'])
  house.fleet.pools.get = () => {
    throw new TypeError('a bug')
  }
  const watcher = watch(t, port, house.admin)
  await once(watcher.socket, 'open')
  watcher.socket.send(JSON.stringify({ type: 'subscribe', topics: [`pool:${pool}`] }))
  t.equal(await watcher.closed, 1011)
  t.match(house.errors.join(''), /the live feed failed/)
  t.equal((await house.admin.call('GET', '/healthz')).status, 200)
})

t.test('a watcher that signs out is let go', async t => {
  const clock = manualClock()
  const house = await aRest(t, { clock })
  const port = await listen(house)
  const watcher = watch(t, port, house.admin)
  await once(watcher.socket, 'open')
  watcher.socket.send(JSON.stringify({ type: 'subscribe', topics: [] }))
  t.equal((await house.admin.call('POST', '/logout')).status, 200)
  const deadline = Date.now() + 10_000
  while (watcher.socket.readyState === WebSocket.OPEN && Date.now() < deadline) {
    clock.advance(1_000)
    await new Promise(next => setImmediate(next))
  }
  t.equal(await watcher.closed, 4401)
})

t.test('the controller stops though a watcher never answers', async t => {
  const clock = manualClock()
  const house = await aRest(t, { clock })
  const port = await listen(house)
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  const lines = [
    'GET /api/live HTTP/1.1',
    `Host: 127.0.0.1:${port}`,
    `Origin: https://127.0.0.1:${port}`,
    `Cookie: ${house.admin.cookie}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
  ]
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  const [head] = (await once(socket, 'data')) as [Buffer]
  t.match(String(head), /^HTTP\/1\.1 101 /)
  const ended = once(socket, 'close')
  socket.resume()
  let isStopped = false
  const stopped = house.rest.stop().then(() => (isStopped = true))
  const deadline = Date.now() + 20_000
  while (!isStopped && Date.now() < deadline) {
    await new Promise(next => setTimeout(next, 20))
    clock.advance(1_000)
  }
  await stopped
  await ended
  t.ok(isStopped)
})
