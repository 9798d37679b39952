/** A machine becomes an engine by the user-data that the dashboard gives, when it boots with cloud-init. */
import t from 'tap'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { invite, statesAre } from './fleet.ts'
import { startHost } from './host.ts'
import { ensurePackage } from './package.ts'
import { makeProvisionedDebian, provisionedFolder } from './root.ts'
import { mustRun, until } from './run.ts'
import { scenario } from './scenario.ts'

const [hostAddress, ownAddress] = ['10.98.0.2', '10.98.0.1']
const place = { rootFolder: provisionedFolder, name: 'host1', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` }

async function scenarios(): Promise<void> {
  const controller = makeController(ownAddress)
  t.teardown(() => controller.stop())
  const isUp = (): Promise<boolean> => statesAre(controller, { host1: 'OPER_UP' })

  await scenario(t, 'a machine is an engine when it has booted for the first time, and stays one', async t => {
    // The controller is asked over this network, so it has to be there before the host is.
    await mustRun(['ip', 'address', 'add', `${ownAddress}/32`, 'dev', 'lo'])
    await controller.start()
    const { token, commands } = await invite(controller)
    const seed = 'var/lib/cloud/seed/nocloud'
    const host = await startHost({
      ...place,
      files: {
        [`${seed}/user-data`]: commands['cloudinit']!,
        [`${seed}/meta-data`]: 'instance-id: one\nlocal-hostname: host1\n',
        'etc/cloud/cloud.cfg.d/99-lab.cfg': `${[
          'network: {config: disabled}',
          'datasource_list: [NoCloud, None]',
          // What user-data of ours asks for; the rest of an image of clouds is not here.
          'cloud_init_modules: [write-files]',
          'cloud_config_modules: [runcmd]',
          'cloud_final_modules: [scripts-user]'
        ].join('\n')}\n`
      }
    })
    t.teardown(() => host.stop())
    const tookMs = await until('the controller calls it up', 60_000, isUp)
    const status = await host.run(['cloud-init', 'status', '--wait', '--long'], { timeoutMs: 60_000 })
    t.match(status, { code: 0, stdout: /status: done/ }, status.stdout)
    t.match(await host.run(['cloud-init', 'schema', '--system']), { code: 0 })
    t.match(await host.run(['/opt/weir/install.sh', 'verify']), { code: 0 })
    const secret = token.split('.')[2]!
    const found = await host.shell(`grep -rlF -e '${secret}' /etc /opt /var /run /tmp 2>/dev/null | grep -v '^/var/lib/cloud/'`)
    t.equal(found.stdout, '', 'the token is nowhere but where cloud-init keeps what it was given')
    await host.reboot()
    await until('the controller calls it up', 60_000, isUp)
    t.match(await host.run(['/opt/weir/install.sh', 'verify']), { code: 0 })
    return { value: tookMs / 1000, unit: 's' }
  })
}

await labTest(t, {
  story: 'a machine becomes an engine by cloud-init',
  file: import.meta.filename,
  tools: ['debootstrap'],
  prepare: async () => (await makeProvisionedDebian()) ?? (await ensurePackage()),
  scenarios
})
