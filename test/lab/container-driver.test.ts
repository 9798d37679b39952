/** The driver of containers over a real Podman: the contract, and a group whose engines are made, serve and go. */
import t from 'tap'
import { makeJoinToken } from '#model/message/token.ts'
import { openContainerDriver } from '#controller/driver/container/container.ts'
import { DriverFailed } from '#controller/driver/port.ts'
import { driverContract } from '#test/contract/driver.ts'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { engineStates, fetchText, fieldsOf, serve, startServer } from './fleet.ts'
import { ensurePackage, installFolder } from './package.ts'
import { startContainerHost } from './podman.ts'
import { mustRun, until } from './run.ts'
import { scenario } from './scenario.ts'

const [hostAddress, ownAddress] = ['10.93.0.2', '10.93.0.1']
const secret = Buffer.alloc(32).toString('base64url')

async function scenarios(): Promise<void> {
  const host = await startContainerHost({ name: 'host3', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  t.teardown(() => host.stop())
  const architecture = (await mustRun(['uname', '-m'])).trim() === 'x86_64' ? 'x64' : 'arm64'
  const build = ['podman', 'build', '--quiet', '--build-arg', `ARCH=${architecture}`, '--tag', 'weir-engine', installFolder]
  const built = await host.run(build)
  if (built.code !== 0) throw new Error(built.stderr)
  const socketPath = await host.serveApi()
  const options = { socketPath, controllerId: 'lab', image: 'weir-engine', network: 'host', workers: 1, memory: 0 }
  const namesNow = async (): Promise<string[]> =>
    (await host.run(['podman', 'ps', '--format', '{{.Names}}'])).stdout.split('\n').filter(name => name !== '')

  const controller = makeController(ownAddress, { WEIR_CONTAINER_SOCKET: socketPath })
  t.teardown(() => controller.stop())
  await controller.start()
  const server = await startServer('hello from behind', ownAddress)
  t.teardown(() => server.stop())

  // All that takes time is inside scenarios from here on: between two of them a test may end.
  await driverContract(t, 'container', {
    token: () => makeJoinToken({ caFingerprint: secret, secret }),
    controllerUrl: `https://${ownAddress}:1`,
    open: async () => ({
      open: () => openContainerDriver(options),
      count: async name => (await namesNow()).filter(one => one === name).length,
      kill: async name => void (await host.run(['podman', 'stop', '--time', '5', name]))
    })
  })

  await scenario(t, 'what others made is not touched, and what lacks is said', async t => {
    const signal = AbortSignal.timeout(60_000)
    const order = { name: 'theirs', group: 'Edge', controllerUrl: `https://${ownAddress}:1`, token: 'weir1.a.b', signal }
    const theirs = openContainerDriver({ ...options, controllerId: 'other' })
    await theirs.ensure(order)
    const ours = openContainerDriver(options)
    t.same(await ours.list(signal), [])
    await t.rejects(ours.ensure(order), /theirs that this controller did not make/)
    await t.rejects(ours.destroy(order), DriverFailed)
    t.same(await namesNow(), ['theirs'])
    await theirs.destroy(order)
    await t.rejects(openContainerDriver({ ...options, image: 'no-such:1' }).ensure(order), /there is no image no-such:1/)
    await t.rejects(openContainerDriver({ ...options, socketPath: '/nonexistent' }).list(signal), /at \/nonexistent does not answer/)
    t.equal((await host.run(['podman', 'volume', 'ls', '--quiet'])).stdout, '')
    return undefined
  })

  const patch = async (kind: string, body: object): Promise<void> => {
    const { results } = fieldsOf((await controller.call('GET', `/api/${kind}`)).body)
    const uuid = String(fieldsOf((results as readonly unknown[])[0])['uuid'])
    const answer = await controller.call('PATCH', `/api/${kind}/${uuid}`, { replace: body })
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
  }
  const up = async (count: number): Promise<boolean> => {
    const states = Object.values(await engineStates(controller))
    return states.length === count && states.every(state => state === 'OPER_UP') && (await namesNow()).length === count
  }

  await scenario(t, 'a group gets two engines in containers', async t => {
    await patch('serviceenginegroup', { min_se: 2, max_se: 3, buffer_se: 0, se_deprovision_delay: 0, vs_scalein_timeout: 2 })
    await patch('cloud', { engine_driver: { type: 'CONTAINER', controller_url: controller.url } })
    const tookMs = await until('two are up', 60_000, () => up(2))
    t.same(new Set(Object.keys(await engineStates(controller))), new Set(await namesNow()), 'each is called as its container')
    await serve(controller, 'web', hostAddress, server)
    await until('the service answers', 20_000, async () => (await fetchText(`http://${hostAddress}/`)) === '200 hello from behind')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'the controller is killed while one is made: two are three, not four', async t => {
    await patch('serviceenginegroup', { min_se: 3 })
    await until('it is on its way', 20_000, async () => (await namesNow()).length === 3)
    await controller.kill()
    await controller.start()
    const tookMs = await until('three are up', 60_000, () => up(3))
    t.pass('three are up')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'they drain and go, and leave nothing', async t => {
    await patch('serviceenginegroup', { min_se: 1, max_se: 1 })
    await until('one is left', 90_000, () => up(1))
    await until('the service answers', 20_000, async () => (await fetchText(`http://${hostAddress}/`)) === '200 hello from behind')
    const { results } = fieldsOf((await controller.call('GET', '/api/virtualservice')).body)
    const service = String(fieldsOf((results as readonly unknown[])[0])['uuid'])
    t.equal((await controller.call('DELETE', `/api/virtualservice/${service}`)).status, 204)
    await patch('serviceenginegroup', { min_se: 0, max_se: 0 })
    const tookMs = await until('none is left', 60_000, () => up(0))
    for (const list of ['ps --all --quiet', 'volume ls --quiet']) t.equal((await host.run(['podman', ...list.split(' ')])).stdout, '')
    return { value: tookMs / 1000, unit: 's' }
  })
}

await labTest(t, {
  story: 'engines are made as containers',
  file: import.meta.filename,
  tools: ['podman', 'runc', 'mount', 'umount'],
  prepare: ensurePackage,
  scenarios
})
