/** Engines that somebody else makes: the contract over a real receiver, which runs what it is told under the name that it is told. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { makeLog } from '#model/base/log.ts'
import { DriverFailed } from '#controller/driver/port.ts'
import { openWebhookDriver } from '#controller/driver/webhook/webhook.ts'
import { openWebhooks, signatureOf } from '#controller/webhook/webhook.ts'
import { driverContract } from '#test/contract/driver.ts'
import { aChange } from '#test/support/change.ts'

interface Told {
  readonly event: string
  readonly id: string
  readonly engine: { readonly name: string; readonly group: string }
  readonly controller?: string
  readonly token?: string
  readonly pin?: string
}

/** Who makes engines: here only their names are kept. */
async function aMaker(t: Test, options: { readonly isLoopbackAllowed?: boolean; readonly statusOf?: () => number } = {}) {
  const running = new Set<string>()
  const told: { readonly message: Told; readonly delivery: string }[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const { 'x-weir-signature': signature, 'x-weir-timestamp': time, 'x-weir-delivery': delivery } = request.headers
      const isSigned = signature === signatureOf('a secret', Number(time), body)
      const message = JSON.parse(body) as Told
      told.push({ message, delivery: String(delivery) })
      const status = isSigned ? (options.statusOf?.() ?? 202) : 403
      if (status < 300 && message.event === 'engine.create') running.add(message.engine.name)
      if (status < 300 && message.event === 'engine.destroy') running.delete(message.engine.name)
      response.writeHead(status).end()
    })
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { create, store, remove } = await aHouse(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}/engines`)
  const lines: string[] = []
  const webhooks = openWebhooks({
    store,
    openSecret: sealed => Buffer.from(sealed.split(':')[3]!, 'hex').toString(),
    clock: systemClock,
    log: makeLog(line => lines.push(line)),
    isLoopbackAllowed: options.isLoopbackAllowed ?? true
  })
  t.teardown(webhooks.stop)
  const open = () => openWebhookDriver({ webhook: create, webhooks, pin: 'sha256//cGlu' })
  return { open, running, told, remove, store, lines, server }
}

async function aHouse(t: Test, url: string) {
  const { create, apply, store } = await aChange(t)
  const { uuid } = await create('webhook', { name: 'maker', callback_url: url, verification_token: 'a secret' })
  return { create: uuid, store, remove: () => apply([{ op: 'delete', kind: 'webhook', uuid }]) }
}

void driverContract(t, 'webhook', {
  token: () => 'weir1.a.b',
  controllerUrl: 'https://controller:9443',
  open: async t => {
    const { open, running } = await aMaker(t)
    return { open, count: name => (running.has(name) ? 1 : 0), kill: name => void running.delete(name) }
  }
})

const order = {
  name: 'edge-1',
  group: 'Edge',
  controllerUrl: 'https://controller:9443',
  token: 'weir1.a.b',
  signal: AbortSignal.timeout(60_000)
}

t.test('who makes engines is told all that a join takes, the same each time, and the secret is written down nowhere', async t => {
  const { open, told, store, lines } = await aMaker(t)
  await open().ensure(order)
  await open().ensure(order)
  t.same(told[0], told[1])
  t.same(told[0], {
    delivery: 'engine.create-edge-1',
    message: {
      event: 'engine.create',
      id: 'engine.create-edge-1',
      engine: { name: 'edge-1', group: 'Edge' },
      controller: 'https://controller:9443',
      pin: 'sha256//cGlu',
      token: 'weir1.a.b'
    }
  })
  await open().destroy(order)
  t.same(told[2]?.message, { event: 'engine.destroy', id: 'engine.destroy-edge-1', engine: { name: 'edge-1', group: 'Edge' } })
  t.same(store.table('webhook').entries(), [])
  t.notMatch(lines.join(), 'weir1.a.b')
})

t.test('what is not taken is a failure in words: a refusal, nobody there, no https, no webhook', async t => {
  const refusing = await aMaker(t, { statusOf: () => 507 })
  await t.rejects(refusing.open().ensure(order), new DriverFailed('webhook maker: answered 507'))
  await t.rejects(refusing.open().destroy(order), new DriverFailed('webhook maker: answered 507'))
  refusing.server.closeAllConnections()
  refusing.server.close()
  await t.rejects(refusing.open().ensure(order), /ECONNREFUSED/)
  const plain = await aMaker(t, { isLoopbackAllowed: false })
  await t.rejects(plain.open().ensure(order), /must have an https address/)
  t.equal(plain.told.length, 0)
  await refusing.remove()
  await t.rejects(refusing.open().ensure(order), /is not there any more/)
  const stopping = AbortSignal.abort(new Error('the controller stops'))
  await t.rejects((await aMaker(t)).open().ensure({ ...order, signal: stopping }), /stops|abort/)
})
