import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { buildOf, checkOrder, makeUpgrader, orderLine, parseOutcome } from '#engine/upgrade.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { until } from '#test/support/wait.ts'
import { anUpgradeOrder, aSigner } from '#test/support/upgrade.ts'

const order = anUpgradeOrder()
const host = { engineId: order.engineId, nowEpochMs: order.issuedEpochMs + 1_000 }

t.test('an order of the controller that the host was installed from is believed', async t => {
  const authority = await openAuthority({
    store: openMemoryStore(),
    seal: makeSeal(new Uint8Array(32)),
    clock: manualClock(),
    log: silentLog
  })
  t.teardown(authority.stop)
  const line = orderLine(authority.signOrder(order))
  t.same(checkOrder(line, { ...host, pin: authority.serverKeyPin }), { is: 'order', order })
})

t.test('any other is refused, and says why', async t => {
  const [signer, stranger] = [aSigner(), aSigner()]
  const signed = signer.sign(order)
  const reasonOf = (line: string, more: object = {}): string => {
    const checked = checkOrder(line, { ...host, pin: signer.pin, ...more })
    return checked.is === 'refused' ? checked.reason : 'taken'
  }
  t.equal(reasonOf(orderLine(signed)), 'taken')
  t.equal(reasonOf(orderLine(stranger.sign(order))), 'it is not signed by the key of the controller that this host was installed from')
  t.equal(reasonOf(orderLine({ ...stranger.sign(order), publicKey: signed.publicKey })), 'its signature is wrong')
  t.equal(reasonOf(orderLine({ ...signed, order: signed.order.replace('build ab', 'build cd') })), 'its signature is wrong')
  t.equal(reasonOf(orderLine({ ...signed, signature: '' })), 'its signature is wrong')
  t.equal(reasonOf(orderLine(signer.signText('anything else that this key signs'))), 'it is no order')
  t.equal(reasonOf(orderLine(signed), { engineId: 'serviceengine-x' }), 'it is for another engine')
  t.equal(reasonOf(orderLine(signed), { nowEpochMs: order.expiresEpochMs + 1 }), 'it has expired: is the clock of this host right?')
  t.equal(reasonOf(orderLine(signed), { pin: '' }), 'it is not signed by the key of the controller that this host was installed from')
  for (const line of ['', 'x', 'null', '{}', '[]', '{"order":1}', `${orderLine(signed)}${' '.repeat(5_000)}`])
    t.equal(reasonOf(line), 'it is no order')
})

t.test('what became of an order is one line', async t => {
  const id = order.id
  t.same(parseOutcome(`${id} 1800000000000 done weir-engine 1 to 2; up\n`), { id, outcome: 'done', reason: 'weir-engine 1 to 2; up' })
  t.same(parseOutcome(`${id} 1800000000000 failed weir: not up`), { id, outcome: 'failed', reason: 'weir: not up' })
  for (const wrong of ['', `${id} done x`, `${id} 1 maybe x`, `x 1 done x`, `${id} 1 done x\ny`]) t.equal(parseOutcome(wrong), undefined)
})

t.test('which build a program is lies beside it', async t => {
  const folder = t.testdir({ whole: { digest: `${'ab'.repeat(32)}\n` }, other: { digest: 'no digest' } })
  t.equal(buildOf(`${folder}/whole/weir-engine`), 'ab'.repeat(32))
  t.equal(buildOf(`${folder}/other/weir-engine`), undefined)
  t.equal(buildOf(`${folder}/none/weir-engine`), undefined)
})

t.test('an order is handed in, and what becomes of it is what the host says or writes down', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-order-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [socketPath, programFile] = [join(folder, 'orders.sock'), join(folder, 'weir-engine')]
  t.equal(makeUpgrader({ socketPath, programFile, log: silentLog }), undefined, 'no socket, no orders')
  t.equal(makeUpgrader({ socketPath: null, programFile, log: silentLog }), undefined)
  const took: string[] = []
  let host: (socket: Socket) => void = socket => socket.end()
  const server = createServer(socket => {
    socket.on('error', () => undefined)
    host(socket)
  })
  await new Promise<void>(done => server.listen(socketPath, done))
  const upgrader = makeUpgrader({ socketPath, programFile, log: silentLog })!
  t.equal(upgrader.outcome(), undefined)
  const signed = { id: order.id, ...aSigner().sign(order) }

  host = socket => {
    socket.once('data', (chunk: Buffer) => {
      took.push(chunk.toString())
      socket.end('the host refuses the order: it has expired\n')
    })
  }
  upgrader.ask(signed)
  await until('refused', () => upgrader.outcome())
  t.same(upgrader.outcome(), { id: order.id, outcome: 'failed', reason: 'the host refuses the order: it has expired' })
  t.same(took, [orderLine(signed)])

  // Busy with another, or with this one: nothing is known yet.
  const closed = Promise.withResolvers<void>()
  host = socket => {
    socket.on('close', () => closed.resolve())
    socket.destroy()
  }
  upgrader.ask(signed)
  await closed.promise
  await new Promise(soon => setImmediate(soon))
  t.equal(upgrader.outcome(), undefined)
  writeFileSync(join(folder, 'order'), `${order.id} ${order.issuedEpochMs} done 1 to 2; up\n`)
  t.same(upgrader.outcome(), { id: order.id, outcome: 'done', reason: '1 to 2; up' })

  rmSync(join(folder, 'order'))
  await new Promise<void>(done => server.close(() => done()))
  upgrader.ask(signed)
  await until('nobody there', () => upgrader.outcome())
  t.match(upgrader.outcome(), { outcome: 'failed', reason: /^the host does not take the order: / })
})
