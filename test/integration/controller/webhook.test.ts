/** Webhooks on real sockets: signed, tried again, given up, never led astray. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import t from 'tap'
import { makeLog } from '#model/base/log.ts'
import { systemClock, type Clock } from '#model/base/clock.ts'
import { openWebhooks, refusalOfAddress, signatureOf } from '#controller/webhook/webhook.ts'
import { aChange } from '#test/support/change.ts'
import { until } from '#test/support/wait.ts'

interface Taken {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Delays as they would be, a hundred times faster. */
const hurried: Clock = { ...systemClock, after: (delayMs, call) => systemClock.after(delayMs / 100, call) }

async function aReceiver(t: Test, statusOf: (count: number) => number, location?: string) {
  const taken: Taken[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      taken.push({ path: request.url ?? '', headers: request.headers, body })
      const status = statusOf(taken.length)
      if (status === 0) return
      response.writeHead(status, location === undefined ? {} : { location }).end('what is said here is not read')
    })
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { taken, port: (server.address() as AddressInfo).port }
}

async function aHouse(t: Test, url: string, token?: string) {
  const { create, store } = await aChange(t)
  const { uuid } = await create('webhook', {
    name: 'ops',
    callback_url: url,
    ...(token === undefined ? {} : { verification_token: token })
  })
  const lines: string[] = []
  const openSecret = (sealed: string): string => Buffer.from(sealed.split(':')[3]!, 'hex').toString()
  const open = (more: object = {}) => {
    const log = makeLog(line => lines.push(line))
    const webhooks = openWebhooks({ store, openSecret, clock: hurried, log, isLoopbackAllowed: true, timeoutMs: 2_000, ...more })
    t.teardown(webhooks.stop)
    return webhooks
  }
  return { uuid, store, lines, open, waiting: () => store.table('webhook').entries().length }
}

t.test('a message is posted and signed over its time and body', async t => {
  const { taken, port } = await aReceiver(t, () => 204)
  const { uuid, open, store, waiting } = await aHouse(t, `http://127.0.0.1:${port}/hook?a=b`, 'a secret')
  t.notMatch(JSON.stringify(store.get('webhook', uuid)?.body), 'a secret', 'sealed at rest')
  open().tell(uuid, { event: 'release.passed' })
  await until('posted', () => taken.length === 1)
  const { path, headers, body } = taken[0]!
  t.equal(path, '/hook?a=b')
  t.same(JSON.parse(body), { event: 'release.passed' })
  t.equal(headers['x-weir-signature'], signatureOf('a secret', Number(headers['x-weir-timestamp']), body))
  await until('nothing waits', () => waiting() === 0)
})

t.test('failures are tried again with the same delivery, also after a restart, and given up in the end', async t => {
  const { taken, port } = await aReceiver(t, count => (count <= 2 ? 500 : 200))
  const house = await aHouse(t, `http://127.0.0.1:${port}/`)
  const first = house.open({ clock: { ...hurried, after: () => () => undefined } })
  first.tell(house.uuid, { event: 'release.started' })
  first.stop()
  t.equal(taken.length, 0)
  house.open()
  await until('taken at last', () => taken.length === 3 && house.waiting() === 0)
  t.equal(new Set(taken.map(({ headers }) => headers['x-weir-delivery'])).size, 1)
  t.equal(taken[0]!.headers['x-weir-signature'], undefined, 'no secret, no signature')

  const deaf = await aReceiver(t, () => 503)
  const other = await aHouse(t, `http://127.0.0.1:${deaf.port}/`)
  other.open().tell(other.uuid, { event: 'release.started' })
  await until('given up', () => other.waiting() === 0)
  t.equal(deaf.taken.length, 6)
  t.match(other.lines.join(), /given up/)
})

t.test('a redirect is not followed, and who does not answer is not waited for', async t => {
  const inner = await aReceiver(t, () => 200)
  const outer = await aReceiver(t, () => 307, `http://127.0.0.1:${inner.port}/`)
  const house = await aHouse(t, `http://127.0.0.1:${outer.port}/`)
  house.open().tell(house.uuid, {})
  await until('given up', () => house.waiting() === 0)
  t.equal(inner.taken.length, 0)
  const silent = await aReceiver(t, () => 0)
  const other = await aHouse(t, `http://127.0.0.1:${silent.port}/`)
  other.open({ timeoutMs: 50 }).tell(other.uuid, {})
  await until('given up', () => other.waiting() === 0)
  t.match(other.lines.join(), /given up/)
})

t.test('addresses of the link, of the host and of many are not called, whatever name leads to them', async t => {
  for (const address of [
    '169.254.169.254',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    'fe80::1',
    'ff02::1',
    '::',
    '::ffff:169.254.169.254'
  ])
    t.type(refusalOfAddress(address, true), 'string', address)
  for (const address of ['127.0.0.1', '::1', '127.1.2.3', '::ffff:127.0.0.1']) {
    t.type(refusalOfAddress(address, false), 'string', address)
    t.equal(refusalOfAddress(address, true), undefined, address)
  }
  for (const address of ['10.0.0.1', '192.0.2.1', '2001:db8::1']) t.equal(refusalOfAddress(address, false), undefined, address)
  const { taken, port } = await aReceiver(t, () => 200)
  for (const host of ['localhost', '127.0.0.1', '[::ffff:127.0.0.1]']) {
    const house = await aHouse(t, `http://${host}:${port}/`)
    house.open({ isLoopbackAllowed: false }).tell(house.uuid, {})
    await until('given up', () => house.waiting() === 0)
    t.match(house.lines.join(), /own host/, host)
  }
  t.equal(taken.length, 0)
})

t.test('what waits is bounded, and goes with its webhook', async t => {
  const house = await aHouse(t, 'http://127.0.0.1:9/')
  const webhooks = house.open({ clock: { ...hurried, after: () => () => undefined } })
  for (let i = 0; i < 1_005; i++) webhooks.tell(house.uuid, { i })
  t.equal(house.waiting(), 1_000)
  webhooks.stop()
  await house.store.commit({
    author: 't',
    reason: '',
    atEpochMs: 1,
    puts: [],
    deletes: [{ kind: 'webhook', uuid: house.uuid }],
    changes: []
  })
  house.open()
  await until('forgotten', () => house.waiting() === 0)
})
