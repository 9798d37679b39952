/** A host becomes an engine by the Ansible role, as the dashboard says it. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { invite, statesAre } from './fleet.ts'
import { startHost } from './host.ts'
import { ensurePackage } from './package.ts'
import { makeProvisionedDebian, provisionedFolder } from './root.ts'
import { run } from './run.ts'
import { scenario } from './scenario.ts'

const [hostAddress, ownAddress] = ['10.97.0.2', '10.97.0.1']
const place = { rootFolder: provisionedFolder, name: 'host1', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` }

/** Ansible's SSH, without a network in between: all before the host's name are options of SSH, all behind is the command. */
const ssh = (pid: number): string => `#!/bin/sh
while [ "$1" != host1 ]; do shift; done
shift
exec nsenter -t ${pid} -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 sh -c "$*"
`

async function scenarios(): Promise<void> {
  const controller = makeController(ownAddress)
  t.teardown(() => controller.stop())
  const host = await startHost(place)
  t.teardown(() => host.stop())
  await controller.start()
  const isUp = (): Promise<boolean> => statesAre(controller, { host1: 'OPER_UP' })

  const folder = mkdtempSync(join(tmpdir(), 'weir-ansible-'))
  const wrapper = join(folder, 'ssh')
  writeFileSync(wrapper, ssh(host.pid()))
  chmodSync(wrapper, 0o755)
  const [fetchIt, playIt] = (await invite(controller)).commands['ansible']!.split(' &&\n')
  const settings = `-u root -e ansible_ssh_executable=${wrapper} -e ansible_ssh_transfer_method=piped -e ansible_python_interpreter=/usr/bin/python3`
  const env = { ...process.env, HOME: folder, ANSIBLE_NOCOLOR: '1', ANSIBLE_RETRY_FILES_ENABLED: '0' }
  const play = (more = '') =>
    run(['sh', '-c', `${playIt!.replace('-i HOST,', `-i host1, ${settings}`)} ${more}`], { cwd: folder, env, timeoutMs: 120_000 })

  await scenario(t, 'the role installs, and a second run changes nothing', async t => {
    t.match(await run(['sh', '-c', fetchIt!], { cwd: folder, env }), { code: 0 })
    const ran = await play()
    t.match(ran, { code: 0, stdout: /failed=0/ }, `${ran.stdout}${ran.stderr}`)
    t.ok(await isUp(), 'the controller calls it up')
    t.match(await play(), { code: 0, stdout: /changed=0 .*failed=0/ })
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'latest, verified and absent', async t => {
    t.match(await play('-e weir_state=latest'), { code: 0, stdout: /changed=0 .*failed=0/ })
    t.match(await play('-e weir_state=verified'), { code: 0, stdout: /changed=0 .*failed=0/ })
    await host.run(['systemctl', 'stop', 'weir-engine'])
    t.match(await play('-e weir_state=verified'), { code: 2, stdout: /failed=1/ })
    const ran = await play('-e weir_state=absent')
    t.match(ran, { code: 0, stdout: /failed=0/ })
    t.match(await host.shell('test ! -e /opt/weir && test ! -e /var/lib/weir && test ! -e /run/weir-install.sh && pgrep weir'), { code: 1 })
    t.match(await play('-e weir_state=wrong'), { code: 2, stdout: /weir_state must be present, latest, absent or verified/ })
    return undefined
  })

  rmSync(folder, { recursive: true })
}

await labTest(t, {
  story: 'a host becomes an engine by Ansible',
  file: import.meta.filename,
  tools: ['debootstrap', 'ansible-playbook'],
  prepare: async () => (await makeProvisionedDebian()) ?? (await ensurePackage()),
  scenarios
})
