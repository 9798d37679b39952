/** The image of the controller: nobody, without a right, on a read-only root; its data outlive the container. */
import t from 'tap'
import { controllerFolder, ensureControllerPackage } from './controller-package.ts'
import { isReady, signedIn } from './controller.ts'
import { labTest } from './enter.ts'
import { invite } from './fleet.ts'
import { startContainerHost } from './podman.ts'
import { until } from './run.ts'
import { scenario } from './scenario.ts'

const [hostAddress, ownAddress] = ['10.95.0.2', '10.95.0.1']
const url = `https://${hostAddress}:9443`
const password = 'lab-Passw0rd-of-one-run'
/** As docs/install.md says. */
const run = [
  'podman run -d --name weir-controller --restart=always --network=host --cap-drop=ALL --security-opt=no-new-privileges',
  '--read-only --tmpfs /tmp --volume weir-controller:/var/lib/weir --env WEIR_ADMIN_PASSWORD weir-controller'
].join(' ')

async function scenarios(): Promise<void> {
  const host = await startContainerHost({ name: 'host3', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  t.teardown(() => host.stop())
  const ready = (): Promise<number> => until('the controller is ready', 60_000, () => isReady(url))
  const pools = async (): Promise<string> => JSON.stringify((await signedIn(url, password).call('GET', '/api/pool')).body)

  await scenario(t, 'the image is built and the controller is ready', async t => {
    t.match(await host.run(['podman', 'build', '--quiet', '-t', 'weir-controller', controllerFolder]), { code: 0 })
    const ran = await host.run(['sh', '-c', run], { env: { WEIR_ADMIN_PASSWORD: password } })
    t.match(ran, { code: 0 }, ran.stderr)
    const tookMs = await ready()
    t.equal((await signedIn(url, password).call('POST', '/api/pool', { name: 'of-the-container' })).status, 201)
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'the controller is nobody and may nothing, and its log has no password', async t => {
    const pid = (await host.run(['podman', 'inspect', '--format', '{{.State.Pid}}', 'weir-controller'])).stdout.trim()
    const status = await host.run(['cat', `/proc/${pid}/status`])
    t.match(status.stdout, /Uid:\t65532\t65532\t65532\t65532\n/)
    t.match(status.stdout, /CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n/)
    const log = await host.run(['podman', 'logs', 'weir-controller'])
    t.match(log.stderr, /the controller is up/)
    t.notMatch(`${log.stdout}${log.stderr}`, /password/)
    return undefined
  })

  await scenario(t, 'it gives out engines', async t => {
    const { command } = await invite(signedIn(url, password))
    t.match(await host.run(['sh', '-c', command.split(' | ')[0]!]), { code: 0, stdout: /^#!\/bin\/sh\n/ })
    return undefined
  })

  await scenario(t, 'another container of the same volume is the same controller', async t => {
    t.match(await host.run(['podman', 'rm', '--force', '--time', '10', 'weir-controller']), { code: 0 })
    t.match(await host.run(['sh', '-c', run], { env: { WEIR_ADMIN_PASSWORD: 'another-that-counts-not' } }), { code: 0 })
    const tookMs = await ready()
    t.match(await pools(), 'of-the-container')
    return { value: tookMs / 1000, unit: 's' }
  })
}

await labTest(t, {
  story: 'a container is a controller',
  file: import.meta.filename,
  tools: ['podman', 'runc', 'mount', 'umount'],
  prepare: ensureControllerPackage,
  scenarios
})
