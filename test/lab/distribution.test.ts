/**
 * A host becomes an engine by the package of Debian or RPM: it joins by one command, a newer package takes over under load, and
 * what is removed leaves no trace.
 */
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { askWhile, fetchText, invite, serve, startServer, statesAre } from './fleet.ts'
import { startHost, type Host } from './host.ts'
import { give } from './give.ts'
import { isOfManagers, makeReady, managerOf, type Manager } from './managers.ts'
import { ensurePackage, repack, type Distribution } from './package.ts'
import { debianFolder, makeDebian } from './root.ts'
import { until, type Ran } from './run.ts'
import { scenario } from './scenario.ts'
import { differences, filesOf } from './trace.ts'

const [hostAddress, ownAddress] = ['10.91.0.2', '10.91.0.1']

async function scenariosOf(kind: Distribution): Promise<void> {
  const manager = managerOf(kind, 'weir-engine')
  const host = await startHost({ rootFolder: debianFolder, name: 'host1', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  const controller = makeController(ownAddress)
  const server = await startServer('hello from behind', ownAddress)
  try {
    await controller.start()
    await runOn(kind, manager, host, controller, server)
  } finally {
    await server.stop()
    await controller.stop()
    await host.stop()
  }
}

async function runOn(
  kind: Distribution,
  manager: Manager,
  host: Host,
  controller: ReturnType<typeof makeController>,
  server: { readonly host: string; readonly port: number }
): Promise<void> {
  await makeReady(kind, host)
  const isUp = (): Promise<boolean> => statesAre(controller, { host1: 'OPER_UP' })
  const answers = async (): Promise<boolean> => (await fetchText(`http://${hostAddress}/`)) === '200 hello from behind'
  const mainPid = async (): Promise<number> =>
    Number((await host.run(['systemctl', 'show', '-p', 'MainPID', '--value', 'weir-engine'])).stdout)
  const untouched = await filesOf(host)
  const left = async (): Promise<readonly string[]> => differences(untouched, await filesOf(host)).filter(line => !isOfManagers(line))
  const { commands } = await invite(controller)
  const [fetchIt, installIt, joinIt] = commands[kind]!.split(' &&\n')
  const packageOf = async (version: string, change?: (tree: string) => void): Promise<string> => {
    await give(host, ownAddress, repack(kind, version, mkdtempSync(join(tmpdir(), 'weir-repack-')), change), `/root/weir-engine.${kind}`)
    return `cd /root && ${manager.install} ./weir-engine.${kind}`
  }
  const inRoot = (line: string): Promise<Ran> => host.shell(`cd /root && ${line}`, { timeoutMs: 120_000 })

  await scenario(t, `${kind}: the package comes from the controller and starts nothing`, async t => {
    t.match(await inRoot(fetchIt!), { code: 0 })
    const own = '/etc/systemd/system/weir-engine.service'
    const refused = await inRoot(`touch ${own}; ${installIt}`)
    t.not(refused.code, 0)
    t.match(refused.stderr, /is here already, not by a package/)
    await inRoot(`rm ${own}`)
    const ran = await inRoot(installIt!)
    t.match(ran, { code: 0 }, `${ran.stdout}${ran.stderr}`)
    t.match(ran.stdout, /next: \/opt\/weir\/install\.sh join/)
    t.equal((await host.run(['systemctl', 'is-enabled', 'weir-engine'])).stdout.trim(), 'disabled')
    t.equal((await host.run(['systemctl', 'is-active', 'weir-engine'])).stdout.trim(), 'inactive')
    t.match(await inRoot('/opt/weir/install.sh upgrade'), { code: 1, stderr: /the package manager installed this/ })
    t.match(await inRoot('/opt/weir/install.sh verify'), { code: 1, stderr: /is not enabled/ })
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, `${kind}: one command and the host is a joined engine`, async t => {
    t.match(await inRoot(joinIt!.replace(/WEIR_TOKEN=\S+/, 'WEIR_TOKEN=weir1.a.b')), { code: 1, stderr: /cannot join/ })
    const ran = await inRoot(joinIt!)
    t.match(ran, { code: 0, stderr: '' })
    t.ok(await isUp(), 'the controller calls it up')
    t.match(await inRoot('/opt/weir/install.sh verify'), { code: 0, stdout: /installed, enabled and up/ })
    t.match(await inRoot(joinIt!), { code: 0, stdout: /already joined/ })
    const status = await host.shell('cat /proc/$(systemctl show -p MainPID --value weir-engine)/status')
    t.match(status.stdout, /CapEff:\t0000000000000400\nCapBnd:\t0000000000000400\n/)
    t.equal((await host.run(['cat', '/proc/sys/net/ipv4/tcp_migrate_req'])).stdout.trim(), '1')
    await serve(controller, 'web', hostAddress, server)
    await until('the service answers', 10_000, answers)
    return { value: ran.tookMs / 1000, unit: 's', below: 5 }
  })

  await scenario(t, `${kind}: a newer package takes over under load, and no request fails`, async t => {
    const upgrade = await packageOf('0.1.1')
    const before = await mainPid()
    let ran: Ran | undefined
    const { asked, wrong } = await askWhile(`http://${hostAddress}/`, '200 hello from behind', async () => {
      ran = await host.shell(upgrade, { timeoutMs: 120_000 })
      await until('the controller calls it up', 20_000, isUp)
    })
    t.match(ran, { code: 0, stdout: /weir-engine 0\.1\.0 to 0\.1\.1; up/ }, ran?.stderr ?? '')
    t.not(await mainPid(), before, 'another process')
    t.ok(asked > 100, `${asked} requests`)
    t.same(wrong.slice(0, 3), [])
    t.match(await inRoot('/opt/weir/install.sh verify'), { code: 0, stdout: /weir-engine 0\.1\.1 is installed/ })
    return { value: wrong.length, unit: 'failed requests', below: 1 }
  })

  await scenario(t, `${kind}: a package whose engine cannot take over leaves the old one serving`, async t => {
    const upgrade = await packageOf('0.1.2', tree => {
      // Starts, so that its libraries can be seen to be there, and then does not run.
      writeFileSync(join(tree, 'opt/weir/weir-engine'), '#!/bin/sh\n[ "$1" = version ]\n')
      chmodSync(join(tree, 'opt/weir/weir-engine'), 0o755)
    })
    const before = await mainPid()
    const { asked, wrong } = await askWhile(`http://${hostAddress}/`, '200 hello from behind', async () => {
      const ran = await host.shell(upgrade, { timeoutMs: 120_000 })
      t.match(`${ran.stdout}${ran.stderr}`, /the new engine was not taken .*: the old one runs on/)
    })
    t.equal(await mainPid(), before)
    t.ok(asked > 20, `${asked} requests`)
    t.same(wrong.slice(0, 3), [])
    t.match(await inRoot('cat /opt/weir/VERSION'), { stdout: '0.1.1\n' })
    t.match(await host.shell(await packageOf('0.1.3'), { timeoutMs: 120_000 }), { code: 0 }, 'the next one mends it')
    await until('the controller calls it up', 20_000, isUp)
    t.match(await inRoot('/opt/weir/install.sh verify'), { code: 0, stdout: /weir-engine 0\.1\.3 is installed/ })
    return { value: wrong.length, unit: 'failed requests', below: 1 }
  })

  await scenario(t, `${kind}: removed and put back it is the same engine`, async t => {
    t.match(await inRoot(manager.remove), { code: 0 })
    t.match(await host.shell('pgrep -l weir; test -e /opt/weir/weir-engine'), { code: 1, stdout: '' })
    t.match(await host.shell('stat -c %a /var/lib/weir'), { stdout: '700\n' }, 'identity and data stay')
    t.match(await inRoot(`${manager.install} ./weir-engine.${kind}`), { code: 0 })
    await until('the controller calls it up', 20_000, isUp)
    await until('the service answers', 10_000, answers)
    return undefined
  })

  await scenario(t, `${kind}: what is removed for good leaves no trace`, async t => {
    t.match(await inRoot(kind === 'deb' ? 'dpkg --purge weir-engine' : '/opt/weir/install.sh remove'), { code: 0 })
    const trace = await left()
    t.same(trace, [])
    t.match(await host.shell('pgrep -l weir; getent passwd weir; systemctl list-units --all --plain --no-legend "weir*"'), { stdout: '' })
    t.not((await inRoot(manager.list)).code, 0)
    return { value: trace.length, unit: 'files', below: 1 }
  })
}

await labTest(t, {
  story: 'a host becomes an engine by a package',
  file: import.meta.filename,
  tools: ['debootstrap', 'dpkg-deb', 'rpmbuild'],
  prepare: async () => (await makeDebian()) ?? (await ensurePackage()),
  scenarios: async () => {
    for (const kind of ['deb', 'rpm'] as const) await scenariosOf(kind)
  }
})
