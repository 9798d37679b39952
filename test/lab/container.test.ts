/** A host with podman becomes an engine by one command; the container carries traffic, survives, and is gone after remove. */
import t from 'tap'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { engineStates, fetchText, invite, serve, startServer } from './fleet.ts'
import { ensurePackage } from './package.ts'
import { startContainerHost } from './podman.ts'
import { until } from './run.ts'
import { scenario } from './scenario.ts'

const [hostAddress, ownAddress] = ['10.92.0.2', '10.92.0.1']
async function scenarios(): Promise<void> {
  const host = await startContainerHost({ name: 'host2', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  t.teardown(() => host.stop())
  const controller = makeController(ownAddress)
  t.teardown(() => controller.stop())
  await controller.start()
  const server = await startServer('hello from behind', ownAddress)
  t.teardown(() => server.stop())

  const isUp = async (): Promise<boolean> => Object.values(await engineStates(controller)).join() === 'OPER_UP'
  const answers = async (): Promise<boolean> => (await fetchText(`http://${hostAddress}/`)) === '200 hello from behind'
  const pidOf = async (): Promise<number> =>
    Number((await host.run(['podman', 'inspect', '--format', '{{.State.Pid}}', 'weir-engine'])).stdout)
  const { token, command } = await invite(controller)
  const containerCommand = command.replace('/install.sh', '/install/container.sh')

  await scenario(t, 'one command builds the image and the container joins', async t => {
    const ran = await host.run(['sh', '-c', containerCommand])
    t.match(ran, { code: 0 }, `${ran.stderr}${(await host.run(['podman', 'logs', 'weir-engine'])).stdout}`)
    t.ok(await isUp(), 'the controller calls it up')
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'the engine is nobody and may bind low ports', async t => {
    const status = await host.run(['cat', `/proc/${await pidOf()}/status`])
    t.match(status.stdout, /Uid:\t65532\t65532\t65532\t65532\n/)
    t.match(status.stdout, /CapEff:\t0000000000000400\nCapBnd:\t0000000000000400\n/)
    t.match(status.stdout, /NoNewPrivs:\t1/)
    const inspected = await host.run(['podman', 'inspect', '--format', '{{.Config.Cmd}} {{.Config.CreateCommand}}', 'weir-engine'])
    t.notMatch(inspected.stdout, token, 'the token is in no command line')
    return undefined
  })

  await scenario(t, 'a virtual service that is posted is served by the container', async t => {
    await serve(controller, 'web', hostAddress, server)
    const tookMs = await until('the service answers', 10_000, answers)
    t.pass('it answers')
    return { value: tookMs / 1000, unit: 's', below: 1 }
  })

  await scenario(t, 'a second run changes nothing', async t => {
    const pid = await pidOf()
    const ran = await host.run(['sh', '-c', containerCommand])
    t.match(ran, { code: 0, stdout: /nothing changed/ }, ran.stderr)
    t.equal(await pidOf(), pid)
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'started again while the controller is gone it serves its last snapshot', async t => {
    await controller.kill()
    t.match(await host.run(['podman', 'restart', '--time', '5', 'weir-engine']), { code: 0 })
    const tookMs = await until('the service answers', 20_000, answers)
    t.pass('it serves')
    await controller.start()
    await until('the controller calls it up', 30_000, isUp)
    return { value: tookMs / 1000, unit: 's', below: 5 }
  })

  await scenario(t, 'kill -9 of the engine: podman starts it again', async t => {
    const pid = await pidOf()
    t.match(await host.run(['kill', '-9', `${pid}`]), { code: 0 })
    const tookMs = await until('another process serves', 30_000, async () => {
      const now = await pidOf()
      return now > 0 && now !== pid && (await answers())
    })
    t.pass('it serves')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'remove leaves neither container nor volume nor image', async t => {
    t.match(await host.run(['sh', 'agent-installers/container/install.sh', 'remove']), { code: 0 })
    for (const list of ['ps --all --quiet', 'volume ls --quiet', 'images --quiet --filter reference=weir-engine'])
      t.equal((await host.run(['podman', ...list.split(' ')])).stdout, '')
    t.notOk(await answers(), 'the service is gone from this host')
    return undefined
  })
}

await labTest(t, {
  story: 'a host with podman becomes an engine',
  file: import.meta.filename,
  tools: ['podman', 'runc', 'mount', 'umount'],
  prepare: ensurePackage,
  scenarios
})
