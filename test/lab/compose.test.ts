/** The dashboard's command for Compose, by podman-compose: image and container of one engine of containers, upgrade, and nothing left. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { engineStates, fetchText, invite, serve, startServer } from './fleet.ts'
import { ensurePackage } from './package.ts'
import { startContainerHost } from './podman.ts'
import { run, until } from './run.ts'
import { scenario } from './scenario.ts'

const [hostAddress, ownAddress] = ['10.96.0.2', '10.96.0.1']

async function scenarios(): Promise<void> {
  const host = await startContainerHost({ name: 'host4', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  t.teardown(() => host.stop())
  const controller = makeController(ownAddress)
  t.teardown(() => controller.stop())
  await controller.start()
  const server = await startServer('hello from behind', ownAddress)
  t.teardown(() => server.stop())
  const folder = mkdtempSync(join(tmpdir(), 'weir-compose-'))
  const inFolder = (line: string, env: NodeJS.ProcessEnv = {}) => host.run(['sh', '-c', `cd ${folder} && ${line}`], { env })
  const isUp = async (): Promise<boolean> => Object.values(await engineStates(controller)).join() === 'OPER_UP'
  const answers = async (): Promise<boolean> => (await fetchText(`http://${hostAddress}/`)) === '200 hello from behind'
  const ids = async (): Promise<string> => (await host.run(['podman', 'ps', '--quiet', '--no-trunc'])).stdout
  const { commands } = await invite(controller)

  await scenario(t, 'one command makes the image and compose.yaml, and the container joins', async t => {
    const withoutToken = commands['compose']!.replace(/WEIR_TOKEN=\S+/, '')
    t.match(await inFolder(withoutToken), { code: 2, stderr: /WEIR_TOKEN is missing/ })
    const ran = await inFolder(commands['compose']!)
    t.match(ran, { code: 0, stderr: '' }, ran.stdout)
    t.ok(await isUp(), 'the controller calls it up')
    t.match(await inFolder('cat compose.yaml'), { stdout: /^# A Weir service engine by Docker Compose/ })
    await serve(controller, 'web', hostAddress, server)
    await until('the service answers', 10_000, answers)
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'a second run changes nothing; compose.yaml may be changed by who owns it', async t => {
    const before = await ids()
    writeFileSync(join(folder, 'compose.yaml'), `${(await inFolder('cat compose.yaml')).stdout}# ours\n`)
    const ran = await inFolder(commands['compose']!.replace(/WEIR_TOKEN=\S+/, ''))
    t.match(ran, { code: 0 }, ran.stderr)
    t.equal(await ids(), before)
    t.match(await inFolder('tail -n 1 compose.yaml'), { stdout: '# ours\n' })
    return undefined
  })

  await scenario(t, 'another image: another container, the same engine', async t => {
    const before = await ids()
    const uuid = JSON.stringify(await engineStates(controller))
    // What has the name now is another image than the one that the controller gives out.
    copyFileSync('/bin/true', join(folder, 'true'))
    t.match(await inFolder('printf "FROM scratch\\nADD true /true\\n" >Other && podman build --quiet -f Other -t weir-engine .'), {
      code: 0
    })
    const ran = await inFolder(commands['compose']!.replace(/WEIR_TOKEN=\S+/, ''))
    t.match(ran, { code: 0 }, ran.stderr)
    t.not(await ids(), before)
    await until('the controller calls it up', 20_000, isUp)
    t.equal(JSON.stringify(await engineStates(controller)), uuid)
    await until('the service answers', 10_000, answers)
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'down leaves neither container nor volume', async t => {
    t.match(await inFolder('podman-compose --file compose.yaml down --volumes'), { code: 0 })
    t.equal(await ids(), '')
    t.equal((await host.run(['podman', 'volume', 'ls', '--quiet'])).stdout, '')
    t.notOk(await answers(), 'the service is gone from this host')
    return undefined
  })
  rmSync(folder, { recursive: true })
}

/** Older ones put every container on a network of their own as well, which podman refuses beside the host's. */
async function lacksCompose(): Promise<string | undefined> {
  const { stdout, stderr } = await run(['podman-compose', 'version'])
  const [, version = ''] = /podman-composer? version:?\s+(\S+)/.exec(`${stdout}${stderr}`) ?? []
  return /^(?:0\.|1\.0\.[0-5]$)/.test(version) ? `needs podman-compose 1.0.6, not ${version} (pip install podman-compose)` : undefined
}

await labTest(t, {
  story: 'a host with podman-compose becomes an engine',
  file: import.meta.filename,
  tools: ['podman', 'podman-compose', 'runc', 'mount', 'umount'],
  prepare: async () => (await lacksCompose()) ?? (await ensurePackage()),
  scenarios
})
