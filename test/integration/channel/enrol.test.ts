import { createServer } from 'node:https'
import { createServer as createPlain } from 'node:net'
import type { AddressInfo } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import type { AuthorityPort } from '#controller/pki/port.ts'
import { EnrolRefused } from '#controller/fleet/port.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { enrol } from '#engine/agent/enrol.ts'
import { loadIdentity } from '#engine/agent/identity.ts'
import { aFolder, anAgent, anEngine } from '#test/support/agent.ts'
import { aCsr } from '#test/support/csr.ts'
import { aFleet } from '#test/support/fleet.ts'
import type { TestFleet } from '#test/support/fleet.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { until } from '#test/support/wait.ts'

/** The one route of the REST API that a joining host needs. */
async function restOf(t: Test, fleet: TestFleet): Promise<string> {
  const { keyPem, certificatePem } = fleet.authority.serverCertificate()
  const server = createServer({ key: keyPem, cert: certificatePem }, (request, response) => {
    void (async () => {
      let text = ''
      for await (const chunk of request) text += String(chunk)
      const { token, csr, hostname } = JSON.parse(text) as Record<string, string>
      try {
        const answer = await fleet.fleet.enrol({ token: token!, csrPem: csr!, hostname: hostname!, remoteAddress: '127.0.0.1' })
        response.end(JSON.stringify(answer))
      } catch (error) {
        response.writeHead(error instanceof EnrolRefused ? error.status : 500)
        response.end(JSON.stringify({ detail: error instanceof Error ? error.message : 'unknown' }))
      }
    })()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  t.teardown(() => server.closeAllConnections())
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const strangersAuthority = async (t: Test): Promise<AuthorityPort> => {
  const authority = await openAuthority({
    store: openMemoryStore(),
    seal: makeSeal(new Uint8Array(32).fill(1)),
    clock: systemClock,
    log: silentLog
  })
  t.teardown(authority.stop)
  return authority
}

t.test('a host joins with a token, keeps its key to itself and connects; a second run changes nothing', async t => {
  const fleet = await aFleet(t)
  const controllerUrl = await restOf(t, fleet)
  const dataFolder = join(aFolder(t), 'deep', 'data')
  const token = await fleet.token({ labels: { zone: 'a' } })
  const joined = await enrol({ controllerUrl, token: `  ${token}\n`, dataFolder, hostname: 'web-1' })
  t.match(joined, { is: 'joined', groupName: 'Default-Group', identity: { engineName: 'web-1', controllerHost: '127.0.0.1' } })
  const { engineId } = joined.identity
  t.match(fleet.store.get('serviceengine', engineId)?.body, {
    name: 'web-1',
    labels: { zone: 'a' },
    hostname: 'web-1',
    controller_created: true
  })
  t.equal(statSync(join(dataFolder, 'identity.json')).mode & 0o777, 0o600)
  t.equal(fleet.store.list('jointoken')[0]?.body['uses_left'], 0)

  const again = await enrol({ controllerUrl: 'https://nowhere.invalid', token, dataFolder, hostname: 'web-1' })
  t.match(again, { is: 'already-joined', identity: { engineId } })
  await anAgent(t, dataFolder, anEngine())
  await until('connected', () => fleet.fleet.engineRuntime(engineId)?.connected)
  t.equal(fleet.store.list('serviceengine').length, 1)
})

t.test('a token cannot be used more often than it says, by hosts that join at once, nor after a restart', async t => {
  const fleet = await aFleet(t)
  const token = await fleet.token({ uses: 3 })
  const requests = await Promise.all(
    Array.from({ length: 12 }, async () => ({ token, csrPem: (await aCsr()).csrPem, hostname: 'web', remoteAddress: '127.0.0.1' }))
  )
  const results = await Promise.allSettled(requests.map(request => fleet.fleet.enrol(request)))
  const refused = results.filter(result => result.status === 'rejected')
  t.equal(refused.length, 9)
  for (const { reason } of refused) t.match(reason, { name: 'EnrolRefused', status: 401, message: /used up/ })
  t.same(
    fleet.store.list('serviceengine').map(engine => engine.name),
    ['web', 'web-2', 'web-3'],
    'each under a name of its own'
  )
  const restarted = await aFleet(t, { store: fleet.store })
  await t.rejects(restarted.fleet.enrol(requests[0]!), { status: 401, message: /used up/ })
})

t.test('a token that is unknown, expired, revoked or of another controller is refused, and says which', async t => {
  const clock = manualClock(Date.now())
  const fleet = await aFleet(t, { clock })
  const { csrPem } = await aCsr()
  const enrolWith = (token: string) => fleet.fleet.enrol({ token, csrPem, hostname: 'web', remoteAddress: '127.0.0.1' })
  const good = await fleet.token()
  const other = (await strangersAuthority(t)).caFingerprint
  await t.rejects(enrolWith('x'), { status: 401, message: /unknown/ })
  await t.rejects(enrolWith(good.slice(0, -4) + 'AAAA'), { status: 401, message: /unknown/ })
  await t.rejects(enrolWith(good.replace(/\.[^.]+\./, `.${other}.`)), { status: 401, message: /another controller/ })
  await t.rejects(enrolWith(await fleet.token({ revoked: true })), { status: 401, message: /revoked/ })
  await t.rejects(enrolWith(await fleet.token({ expires_at: 'soon' })), { status: 401, message: /expired/ })
  clock.advance(3_600_000)
  await t.rejects(enrolWith(good), { status: 401, message: /expired/ })
  t.equal(fleet.store.list('serviceengine').length, 0)
  t.notOk(
    fleet.warnings.some(line => line.includes(good.split('.')[2]!)),
    'no secret in the log'
  )
})

t.test('a bad request does not use up the token', async t => {
  const fleet = await aFleet(t)
  const token = await fleet.token()
  await t.rejects(fleet.fleet.enrol({ token, csrPem: 'x', hostname: 'web', remoteAddress: '' }), { name: 'EnrolRefused', status: 400 })
  const { csrPem } = await aCsr()
  const enrolment = await fleet.fleet.enrol({ token, csrPem, hostname: '../../we b', remoteAddress: '' })
  t.match(enrolment.engineName, /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/)
})

t.test('a controller with another authority than the token names hears nothing', async t => {
  const fleet = await aFleet(t)
  const { keyPem, certificatePem } = (await strangersAuthority(t)).serverCertificate()
  let heard = 0
  let connections = 0
  const impostor = createTls({ key: keyPem, cert: certificatePem }, socket => {
    socket.on('data', chunk => (heard += chunk.length))
    socket.on('error', () => undefined)
  })
  impostor.on('connection', () => connections++)
  await new Promise<void>(resolve => impostor.listen(0, '127.0.0.1', resolve))
  t.teardown(() => impostor.close())
  const dataFolder = aFolder(t)
  const controllerUrl = `https://127.0.0.1:${(impostor.address() as AddressInfo).port}`
  await t.rejects(enrol({ controllerUrl, token: await fleet.token(), dataFolder, hostname: 'web' }), {
    name: 'JoinFailed',
    message: /is not the controller that made this token.*nothing was sent/
  })
  t.equal(connections, 1)
  t.equal(heard, 0)
  t.equal(await loadIdentity(dataFolder), undefined)
})

t.test('showing the right root beside a leaf of its own does not help an impostor', async t => {
  const fleet = await aFleet(t)
  const { keyPem, certificatePem } = (await strangersAuthority(t)).serverCertificate()
  const leafOnly = certificatePem.split(/(?<=-----END CERTIFICATE-----\n)/)[0]!
  let heard = 0
  const impostor = createTls({ key: keyPem, cert: leafOnly + fleet.authority.caPem }, socket => {
    socket.on('data', chunk => (heard += chunk.length))
    socket.on('error', () => undefined)
  })
  await new Promise<void>(resolve => impostor.listen(0, '127.0.0.1', resolve))
  t.teardown(() => impostor.close())
  const controllerUrl = `https://127.0.0.1:${(impostor.address() as AddressInfo).port}`
  await t.rejects(enrol({ controllerUrl, token: await fleet.token(), dataFolder: aFolder(t), hostname: 'web' }), { name: 'JoinFailed' })
  t.equal(heard, 0)
})

t.test('an engine’s certificate cannot pass for the controller', async t => {
  const fleet = await aFleet(t)
  const { csrPem, keyPem } = await aCsr()
  const { certificatePem } = await fleet.authority.signEngine(csrPem, 'serviceengine-evil')
  let heard = 0
  const impostor = createTls({ key: keyPem, cert: certificatePem + fleet.authority.caPem }, socket => {
    socket.on('data', chunk => (heard += chunk.length))
    socket.on('error', () => undefined)
  })
  await new Promise<void>(resolve => impostor.listen(0, '127.0.0.1', resolve))
  t.teardown(() => impostor.close())
  const controllerUrl = `https://127.0.0.1:${(impostor.address() as AddressInfo).port}`
  await t.rejects(enrol({ controllerUrl, token: await fleet.token(), dataFolder: aFolder(t), hostname: 'web' }), { name: 'JoinFailed' })
  t.equal(heard, 0)
})

t.test('what goes wrong says what to do', async t => {
  const fleet = await aFleet(t)
  const token = await fleet.token()
  const dataFolder = aFolder(t)
  const options = { token, dataFolder, hostname: 'web', timeoutMs: 3_000 }
  const closed = createPlain()
  await new Promise<void>(resolve => closed.listen(0, '127.0.0.1', resolve))
  const { port } = closed.address() as AddressInfo
  await new Promise(resolve => closed.close(resolve))
  await t.rejects(enrol({ ...options, controllerUrl: `https://127.0.0.1:${port}` }), {
    message: `cannot reach controller at 127.0.0.1:${port} (connection refused): is port ${port} open from this host?`
  })
  await t.rejects(enrol({ ...options, controllerUrl: 'http://127.0.0.1:1' }), { message: /by https only/ })
  await t.rejects(enrol({ ...options, controllerUrl: '::::' }), { message: /is not an address of a controller/ })
  await t.rejects(enrol({ ...options, token: 'weir1.x', controllerUrl: 'https://127.0.0.1:1' }), { message: /not a join token/ })
  const controllerUrl = await restOf(t, fleet)
  await enrol({ ...options, dataFolder: join(dataFolder, 'first'), controllerUrl })
  await t.rejects(enrol({ ...options, controllerUrl }), { message: 'the controller refused: the join token is used up: make a new one' })
  t.equal(await loadIdentity(dataFolder), undefined)

  // A port that accepts and says nothing.
  const mute = createPlain(() => undefined)
  await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve))
  t.teardown(() => mute.close())
  const mutePort = (mute.address() as AddressInfo).port
  await t.rejects(enrol({ ...options, timeoutMs: 200, controllerUrl: `https://127.0.0.1:${mutePort}` }), { message: /no answer/ })
})

t.test('an identity that is damaged, does not fit or is open to others is not used', async t => {
  const fleet = await aFleet(t)
  const controllerUrl = await restOf(t, fleet)
  const dataFolder = aFolder(t)
  await enrol({ controllerUrl, token: await fleet.token(), dataFolder, hostname: 'web' })
  const path = join(dataFolder, 'identity.json')
  const good = readFileSync(path, 'utf8')
  const { keyPem } = await aCsr()
  for (const bad of ['', '{}', 'null', good.slice(0, 100), JSON.stringify({ ...JSON.parse(good), keyPem })]) {
    writeFileSync(path, bad)
    await t.rejects(loadIdentity(dataFolder), { name: 'IdentityBroken', message: /is damaged/ })
  }
  writeFileSync(path, good)
  t.ok(await loadIdentity(dataFolder))
  chmodSync(path, 0o644)
  await t.rejects(loadIdentity(dataFolder), { name: 'IdentityBroken', message: /open to other users/ })
})
