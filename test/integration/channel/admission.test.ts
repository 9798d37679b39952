import { request } from 'node:https'
import { connect } from 'node:tls'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { aBareEngine, aHello, joinBare } from '#test/support/bare-engine.ts'
import { aCsr } from '#test/support/csr.ts'
import { aFleet } from '#test/support/fleet.ts'
import { aSample } from '#test/support/message.ts'
import { until } from '#test/support/wait.ts'

t.test('the engine port takes nobody without a certificate of ours that says engine', async t => {
  const fleet = await aFleet(t)
  const { csrPem, keyPem } = await aCsr()
  const strangers = await openAuthority({
    store: openMemoryStore(),
    seal: makeSeal(new Uint8Array(32).fill(9)),
    clock: systemClock,
    log: silentLog
  })
  t.teardown(strangers.stop)
  const foreign = await strangers.signEngine(csrPem, 'serviceengine-1')
  const server = fleet.authority.serverCertificate()
  await t.rejects(aBareEngine(t, fleet, { cert: foreign.certificatePem, key: keyPem }), 'signed by another authority')
  await t.rejects(aBareEngine(t, fleet, { cert: server.certificatePem, key: server.keyPem }), 'the certificate of a server')
  await t.rejects(aBareEngine(t, fleet, {} as { cert: string; key: string }), 'no certificate')
  const odd = await fleet.authority.signEngine(csrPem, 'x, URI:spiffe://weir/engine/y')
  await t.rejects(aBareEngine(t, fleet, { cert: odd.certificatePem, key: keyPem }), /status 401/)
})

t.test('the engine port says nothing but WebSocket at its path, and no old TLS', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const options = {
    host: '127.0.0.1',
    port: fleet.fleet.port,
    ca: fleet.authority.caPem,
    cert: keys.cert,
    key: keys.key,
    agent: false as const
  }
  const status = (path: string, headers: Readonly<Record<string, string>>): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const sent = request({ ...options, path, headers })
      sent.on('response', response => {
        response.resume()
        resolve(response.statusCode)
      })
      sent.on('upgrade', (_response, socket) => {
        socket.destroy()
        resolve(101)
      })
      sent.on('error', reject)
      sent.end()
    })
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=='
  }
  t.equal(await status('/', {}), 404)
  t.equal(await status('/engine', {}), 404)
  t.equal(await status('/other', upgrade), 404)
  t.equal(await status('/engine?x=1', upgrade), 404)
  t.equal(await status('/engine', upgrade), 101)
  const old = connect({ ...options, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
  t.teardown(() => old.destroy())
  await new Promise<void>(resolve => {
    old.on('error', () => resolve())
    old.on('secureConnect', () => t.fail('TLS 1.1 was spoken'))
  })
})

t.test('an engine speaks as what its certificate says, whatever it sends', async t => {
  const fleet = await aFleet(t)
  const [a, b] = [await joinBare(fleet, 'a'), await joinBare(fleet, 'b')]
  const engine = await aBareEngine(t, fleet, a, { ...aHello, hostname: 'b', engineId: b.uuid } as typeof aHello)
  t.equal((await engine.next('Welcome')).engineId, a.uuid)
  engine.say({ type: 'SampleTaken', sample: { ...aSample(), engineUuid: b.uuid } as ReturnType<typeof aSample> })
  const taken = await until('the sample', () => fleet.samples[0])
  t.equal(taken.engine, a.uuid)
  t.notOk('engineUuid' in taken.sample, 'a field that is not known does not get in')
  t.equal(fleet.fleet.engineRuntime(b.uuid)?.connected, false)
})

t.test('a session ends when it does not start with hello, repeats it, or says what is no message', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const early = await aBareEngine(t, fleet, keys, null)
  early.say({ type: 'PartsWanted', hashes: [] })
  t.equal(await early.closed, 1002)

  const twice = await aBareEngine(t, fleet, keys)
  twice.say(aHello)
  t.equal(await twice.closed, 1002)

  const old = await aBareEngine(t, fleet, keys, { ...aHello, protocol: 9 })
  t.equal(await old.closed, 1002)

  for (const garbage of ['{', '{"type":"Heartbeat"}', Buffer.from('{"type":"Heartbeat","sequence":1}')]) {
    const engine = await aBareEngine(t, fleet, keys)
    await engine.next('Welcome')
    engine.socket.send(garbage)
    t.equal(await engine.closed, 1007)
  }
  await until('it is told as down', () => fleet.fleet.engineRuntime(keys.uuid)?.oper_status.state === 'OPER_DOWN')

  const newer = await aBareEngine(t, fleet, keys, { ...aHello, protocol: 2 })
  await newer.next('Welcome')
  newer.socket.send('{"type":"Dance"}')
  newer.say({ type: 'SampleTaken', sample: aSample() })
  await until('the sample after the unknown message', () => fleet.samples.length === 1)
})

t.test('a frame longer than the bound ends the session and not the controller', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const engine = await aBareEngine(t, fleet, keys)
  await engine.next('Welcome')
  engine.socket.send(`{"type":"${'x'.repeat(17 * 1024 * 1024)}"}`, () => undefined)
  await engine.closed
  const again = await aBareEngine(t, fleet, keys)
  t.equal((await again.next('Welcome')).engineId, keys.uuid)
})

t.test('a second connection of an engine takes the place of the first', async t => {
  const fleet = await aFleet(t)
  const keys = await joinBare(fleet)
  const first = await aBareEngine(t, fleet, keys)
  await first.next('Welcome')
  const second = await aBareEngine(t, fleet, keys)
  await second.next('Welcome')
  t.equal(await first.closed, 4000)
  t.match(fleet.fleet.engineRuntime(keys.uuid), { connected: true, oper_status: { state: 'OPER_UP' } })
  second.say({ type: 'SampleTaken', sample: aSample() })
  await until('the second is heard', () => fleet.samples.length === 1)
})

t.test('an engine whose trust ended is told, cut off at once and never taken again', async t => {
  const fleet = await aFleet(t)
  const [revoked, deleted] = [await joinBare(fleet), await joinBare(fleet)]
  const one = await aBareEngine(t, fleet, revoked)
  const two = await aBareEngine(t, fleet, deleted)
  await one.next('Welcome')
  await two.next('Welcome')
  await fleet.fleet.revoke(revoked.uuid, 'lost by admin')
  t.equal((await one.next('StandDown')).reason, 'lost by admin')
  await one.closed
  t.match(fleet.fleet.engineRuntime(revoked.uuid), {
    connected: false,
    oper_status: { state: 'OPER_DOWN', reason: ['revoked: lost by admin'] }
  })
  await fleet.remove('serviceengine', deleted.uuid)
  await two.next('StandDown')
  await two.closed
  t.equal(fleet.fleet.engineRuntime(deleted.uuid), undefined)
  await t.rejects(aBareEngine(t, fleet, revoked), /status 403/)
  await t.rejects(aBareEngine(t, fleet, deleted), /status 403/)

  const restarted = await aFleet(t, { store: fleet.store })
  await t.rejects(aBareEngine(t, restarted, revoked), /status 403/, 'also after a restart')
})

t.test('an engine that is not in the store is not known, which is not the end of its trust', async t => {
  const fleet = await aFleet(t)
  const { csrPem, keyPem } = await aCsr()
  const unknown = await fleet.authority.signEngine(csrPem, 'serviceengine-unknown')
  await t.rejects(aBareEngine(t, fleet, { cert: unknown.certificatePem, key: keyPem }), /status 401/)
})
