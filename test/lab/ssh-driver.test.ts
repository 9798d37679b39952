/** The driver of hosts by SSH, over hosts with systemd: the contract, and a group that load makes grow onto a second host. */
import { get } from 'node:http'
import t from 'tap'
import { openSshDriver, type PoolHost } from '#controller/driver/ssh/ssh.ts'
import { driverContract } from '#test/contract/driver.ts'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { engineStates, fetchText, fieldsOf, invite, serve, startServer } from './fleet.ts'
import { startHost, type Host } from './host.ts'
import { ensurePackage } from './package.ts'
import { debianFolder, makeDebian } from './root.ts'
import { until } from './run.ts'
import { scenario } from './scenario.ts'
import { makeAccess, serveSsh } from './sshd.ts'

const addresses = ['10.94.1.2', '10.94.2.2'] as const
const gateways = ['10.94.1.1', '10.94.2.1'] as const

async function scenarios(): Promise<void> {
  const hosts: Host[] = []
  for (const [i, address] of addresses.entries()) {
    const host = await startHost({
      rootFolder: debianFolder,
      name: `pool${i + 1}`,
      address: `${address}/24`,
      gateway: `${gateways[i]!}/24`
    })
    t.teardown(() => host.stop())
    hosts.push(host)
  }
  const controller = makeController('10.94.1.1')
  t.teardown(() => controller.stop())
  await controller.start()
  const access = await makeAccess()
  const keys: string[] = []
  for (const host of hosts) keys.push(await serveSsh(host, access))
  const pool: PoolHost[] = hosts.map(({ address }, i) => ({ address, port: 22, user: 'root', hostKey: keys[i]! }))
  const pinIn = (command: string): string => /--pin '([^']+)'/.exec(command)?.[1] ?? ''
  const pin = pinIn((await invite(controller)).command)
  const options = { hosts: pool, privateKey: access.privateKey, controllerId: 'lab', pin, env: process.env, random: () => 0 }
  const hostOf = (name: string): Host => (name === 'edge-10' ? hosts[1]! : hosts[0]!)
  const isActive = async (host: Host): Promise<boolean> =>
    (await host.run(['systemctl', 'is-active', 'weir-engine'])).stdout.trim() === 'active'

  const server = await startServer('hello from behind', gateways[0])
  t.teardown(() => server.stop())

  // All that takes time is inside scenarios from here on: between two of them a test may end.
  await driverContract(t, 'ssh', {
    token: async () => (await invite(controller)).token,
    controllerUrl: controller.url,
    hostOf: name => hostOf(name).address,
    open: async () => ({
      open: () => openSshDriver(options),
      count: async name => {
        const host = hostOf(name)
        const marker = (await host.run(['cat', '/var/lib/weir-driver'])).stdout.trim()
        return marker === `lab ${name}` && (await isActive(host)) ? 1 : 0
      },
      kill: async name => void (await hostOf(name).run(['systemctl', 'stop', 'weir-engine']))
    })
  })

  const order = {
    name: 'edge-1',
    group: 'Edge',
    controllerUrl: controller.url,
    token: 'weir1.a.b',
    host: addresses[0],
    signal: new AbortController().signal
  }

  await scenario(t, 'a host that shows another key, does not let in, is taken or is not there is said to be', async t => {
    const withHost = (more: Partial<PoolHost>) => openSshDriver({ ...options, hosts: [{ ...pool[0]!, ...more }] })
    await t.rejects(withHost({ hostKey: keys[1]! }).ensure(order), /10\.94\.1\.2: Host key verification failed/)
    const stranger = openSshDriver({ ...options, privateKey: (await makeAccess()).privateKey })
    await t.rejects(stranger.ensure(order), /Permission denied/)
    await t.rejects(openSshDriver(options).ensure({ ...order, host: '10.94.9.9' }), /not in the pool any more/)
    await t.rejects(openSshDriver({ ...options, program: '/nonexistent/ssh' }).ensure(order), /OpenSSH client is missing/)
    await hosts[0]!.shell('echo "other edge-7" >/var/lib/weir-driver')
    await t.rejects(openSshDriver(options).ensure(order), /carries another engine that a driver made: other edge-7/)
    await openSshDriver(options).destroy(order)
    t.equal((await hosts[0]!.run(['cat', '/var/lib/weir-driver'])).stdout, 'other edge-7\n', 'and is not touched')
    await hosts[0]!.run(['rm', '/var/lib/weir-driver'])
    t.match(openSshDriver(options).pick?.([addresses[0]]), addresses[1])
    t.equal(openSshDriver(options).pick?.([...addresses]), undefined)
    return undefined
  })

  const patch = async (kind: string, body: object): Promise<void> => {
    const { results } = fieldsOf((await controller.call('GET', `/api/${kind}`)).body)
    const uuid = String(fieldsOf((results as readonly unknown[])[0])['uuid'])
    const answer = await controller.call('PATCH', `/api/${kind}/${uuid}`, { replace: body })
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
  }
  const up = async (): Promise<number> => Object.values(await engineStates(controller)).filter(state => state === 'OPER_UP').length
  const answering = async (): Promise<number> => {
    const texts = await Promise.all(addresses.map(address => fetchText(`http://${address}/`)))
    return texts.filter(text => text === '200 hello from behind').length
  }

  await scenario(t, 'a host of the pool is installed and serves', async t => {
    // Engines of the contract are gone, and still listed: as an operator would, they are deleted.
    const { results } = fieldsOf((await controller.call('GET', '/api/serviceengine')).body)
    for (const engine of results as readonly unknown[])
      await controller.call('DELETE', `/api/serviceengine/${String(fieldsOf(engine)['uuid'])}`)
    await patch('serviceenginegroup', {
      min_se: 1,
      max_se: 2,
      buffer_se: 0,
      se_deprovision_delay: 0,
      vs_scalein_timeout: 2,
      max_cpu_usage: 90,
      min_cpu_usage: 60,
      autoscale: { max_requests_per_engine: 20, scaleout_delay: 0, scaleout_cooldown: 5, scalein_delay: 10, scalein_cooldown: 5 }
    })
    const ssh = { hosts: pool.map(({ hostKey, ...host }) => ({ ...host, host_key: hostKey })), private_key: access.privateKey }
    await patch('cloud', { engine_driver: { type: 'SSH', controller_url: controller.url, ssh } })
    const tookMs = await until('one is up', 120_000, async () => (await up()) === 1)
    await serve(controller, 'web', '192.0.2.10', server)
    await until('it serves', 30_000, async () => (await answering()) === 1)
    const cloud = JSON.stringify((await controller.call('GET', '/api/cloud')).body)
    t.notMatch(cloud, 'PRIVATE KEY', 'the key is shown to nobody')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'load asks for a second host, which is installed and serves; allowed no more, it is clean again', async t => {
    let isLoading = true
    const ask = (address: string): void => {
      if (!isLoading) return
      const again = (): void => void setTimeout(ask, 15, address)
      get({ host: address, port: 80, agent: false, timeout: 2_000 }, response => response.resume().on('end', again)).on('error', again)
    }
    for (const address of addresses) ask(address)
    let tookMs = 0
    try {
      tookMs = await until('both serve', 120_000, async () => (await answering()) === 2)
    } finally {
      isLoading = false
    }
    t.equal(await up(), 2)
    // Whether hosts are idle is the machine's to say; what may be is the operator's.
    await patch('serviceenginegroup', { max_se: 1, max_scaleout_per_vs: 1 })
    await until('one is left', 150_000, async () => (await up()) === 1 && Object.keys(await engineStates(controller)).length === 1)
    t.equal(await answering(), 1, 'the other serves on')
    const clean = await Promise.all(
      hosts.map(async host => (await host.shell('! [ -e /opt/weir ] && ! [ -e /var/lib/weir-driver ]')).code === 0)
    )
    t.equal(clean.filter(Boolean).length, 1, 'one host is as it was')
    return { value: tookMs / 1000, unit: 's' }
  })
}

await labTest(t, {
  story: 'engines are installed on hosts of a pool',
  file: import.meta.filename,
  tools: ['debootstrap', 'sshd', 'ssh', 'ssh-keygen'],
  prepare: async () => (await ensurePackage()) ?? (await makeDebian()),
  scenarios
})
