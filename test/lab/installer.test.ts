/** The systemd installer's verbs and sentences on a real host, with a stand-in for controller and engine. */
import t from 'tap'
import { labTest } from './enter.ts'
import { startHost } from './host.ts'
import { debianFolder, makeDebian } from './root.ts'
import type { Ran } from './run.ts'
import { scenario } from './scenario.ts'
import { engineFiles, startStandIn } from './standin.ts'
import { differences, filesOf } from './trace.ts'

async function scenarios(): Promise<void> {
  const host = await startHost({ rootFolder: debianFolder, name: 'host1', address: '10.91.0.2/24', gateway: '10.91.0.1/24' })
  t.teardown(() => host.stop())
  const controller = await startStandIn('10.91.0.1', 9443)
  t.teardown(() => controller.stop())
  controller.give(engineFiles('1.0.0', { comesUp: true }))

  const command = (args: string, origin: { readonly url?: string; readonly pin?: string } = {}): string => {
    const { url = controller.url, pin = controller.pin } = origin
    return `curl -fsSLk --pinnedpubkey '${controller.pin}' ${controller.url}/install.sh | sh -s -- --controller ${url} --pin '${pin}' ${args}`
  }
  const install = (args: string, origin: { readonly url?: string; readonly pin?: string } = {}): Promise<Ran> =>
    host.shell(command(args, origin), { timeoutMs: 60_000 })
  const untouched = await filesOf(host)
  const leftBehind = async (): Promise<readonly string[]> => differences(untouched, await filesOf(host))

  await scenario(t, 'a plan says what it would do and changes nothing', async t => {
    const ran = await install('--token good --plan')
    t.match(ran, { code: 0, stderr: '' })
    t.match(ran.stdout, /would +install weir-engine 1\.0\.0 in \/opt\/weir/)
    t.same(await leftBehind(), [])
    t.match((await host.shell(command('remove --plan'))).stdout, /nothing of Weir/)
    return undefined
  })

  await scenario(t, 'what goes wrong is said in one line and leaves nothing', async t => {
    const refused = async (ran: Ran, sentence: RegExp): Promise<void> => {
      t.not(ran.code, 0)
      t.match(ran.stderr, sentence)
      t.equal(ran.stderr.trim().split('\n').length, 1, ran.stderr)
      t.same(await leftBehind(), [])
    }
    await refused(
      await install('--token good', { url: 'https://10.91.0.1:9' }),
      /cannot reach controller at 10\.91\.0\.1:9 \(connection refused\): is port 9 open from this host\?/
    )
    await refused(await install('--token good', { url: 'https://nowhere.invalid' }), /the name nowhere\.invalid does not resolve/)
    await refused(
      await install('--token good', { pin: `sha256//${'A'.repeat(43)}=` }),
      /does not show the key that this command was made for/
    )
    await refused(await install('--token good', { url: 'http://10.91.0.1' }), /must begin with https/)
    await refused(await install("--token good --controller 'https://a;reboot'"), /no such address/)
    await refused(await install(''), /--token is missing/)
    const script = await host.shell(`curl -fsSk ${controller.url}/install.sh`)
    const asStranger = ['setpriv', '--reuid', '1', '--clear-groups', 'sh', '-s', '--', '--controller', controller.url]
    await refused(await host.run(asStranger, { input: script.stdout }), /must run as root/)

    controller.give(503)
    const again = ['sh', '-s', '--', '--controller', controller.url, '--pin', controller.pin, '--token', 'good']
    await refused(await host.run(again, { input: script.stdout }), /no engine to give out: run 'make package' there/)
    const files = engineFiles('1.0.0', { comesUp: true })
    const archive = Object.keys(files)[0]!
    const elsewhere = files['SHA256SUMS']!.toString().replaceAll('weir-engine-linux', 'weir-engine-other')
    controller.give({ ...files, SHA256SUMS: Buffer.from(elsewhere) })
    await refused(await host.run(again, { input: script.stdout }), /has no engine for linux-/)
    controller.give({ ...files, [archive]: Buffer.from('cut short') })
    await refused(await host.run(again, { input: script.stdout }), /came broken: its checksum differs/)
    controller.give(files)
    return undefined
  })

  await scenario(t, 'a refused token is said, and a good one after it joins', async t => {
    const refused = await install('--token bad')
    t.match(refused, { code: 1, stderr: /cannot join https:\/\/10\.91\.0\.1:9443: the token is not known/ })
    t.equal((await host.run(['systemctl', 'is-active', 'weir-engine'])).stdout.trim(), 'inactive')
    const ran = await install('--token good')
    t.match(ran, { code: 0, stderr: '' })
    t.match(ran.stdout, /joins +host1 in group Default-Group\n/)
    t.equal(ran.stdout.trim().split('\n').length, 5, ran.stdout)
    t.match((await host.shell(command('verify'))).stdout, /installed, enabled and up/)
    return { value: ran.tookMs / 1000, unit: 's', below: 5 }
  })

  await scenario(t, 'the unit is hardened', async t => {
    const judged = await host.run(['systemd-analyze', 'security', '--no-pager', 'weir-engine'])
    const exposure = Number(/Overall exposure level[^:]*: ([0-9.]+)/.exec(judged.stdout)?.[1])
    t.ok(exposure > 0, judged.stdout.slice(-200))
    t.match(await host.run(['systemd-analyze', 'verify', '/etc/systemd/system/weir-engine.service']), { code: 0, stderr: '' })
    t.equal((await host.shell('stat -c "%a %U" /var/lib/weir')).stdout.trim(), '700 weir')
    const status = await host.shell('cat /proc/$(systemctl show -p MainPID --value weir-engine)/status')
    t.match(status.stdout, /CapEff:\t0000000000000400\nCapBnd:\t0000000000000400\n/, 'may bind low ports and nothing else')
    t.match(status.stdout, /NoNewPrivs:\t1/)
    t.match(status.stdout, /Seccomp:\t2/)
    t.equal((await host.run(['cat', '/proc/sys/net/ipv4/tcp_migrate_req'])).stdout.trim(), '1')
    return { value: exposure, unit: 'points', below: 5 }
  })

  await scenario(t, 'a second run says already joined and changes nothing', async t => {
    const before = await filesOf(host, { withTimes: true })
    const pid = await host.run(['systemctl', 'show', '-p', 'MainPID', 'weir-engine'])
    const ran = await install('--token good')
    t.match(ran, { code: 0, stdout: /already joined: host1 in group Default-Group; nothing changed/ })
    t.same(differences(before, await filesOf(host, { withTimes: true })), [])
    t.equal((await host.run(['systemctl', 'show', '-p', 'MainPID', 'weir-engine'])).stdout, pid.stdout)
    const elsewhere = await install('--token good', { url: 'https://10.91.0.1:9444' })
    t.match(elsewhere, { code: 1, stderr: /is joined to https:\/\/10\.91\.0\.1:9443 already/ })
    return undefined
  })

  await scenario(t, 'an upgrade swaps the engine, repeats as nothing, and goes back when the new one is not up', async t => {
    const local = (args: string): Promise<Ran> => host.shell(`WEIR_UP_WITHIN=3 /opt/weir/install.sh ${args}`, { timeoutMs: 60_000 })
    t.match(await local('upgrade'), { code: 0, stdout: /is what the controller gives out: nothing changed/ })
    controller.give(engineFiles('1.1.0', { comesUp: true }))
    t.match(await local('upgrade --plan'), { code: 0, stdout: /would +upgrade weir-engine 1\.0\.0 to 1\.1\.0/ })
    t.equal((await host.run(['/opt/weir/weir-engine', 'version'])).stdout, '1.0.0\n')
    t.match(await local('upgrade'), { code: 0, stdout: /weir-engine 1\.0\.0 to 1\.1\.0; up/ })
    t.equal((await host.run(['/opt/weir/weir-engine', 'version'])).stdout, '1.1.0\n')
    t.match(await local('verify'), { code: 0, stdout: /weir-engine 1\.1\.0 is installed/ })

    controller.give(engineFiles('1.2.0', { comesUp: false }))
    const ran = await local('upgrade')
    t.match(ran, {
      code: 1,
      stderr:
        /was not up within \d+ s \(no link to the controller; is the controller's port .*open from this host\?\): the old one runs again/
    })
    t.equal((await host.run(['/opt/weir/weir-engine', 'version'])).stdout, '1.1.0\n')
    t.match(await local('verify'), { code: 0, stdout: /weir-engine 1\.1\.0 is installed, enabled and up/ })
    return undefined
  })

  await scenario(t, 'the build before is kept whole: the way back needs no controller', async t => {
    const local = (args: string): Promise<Ran> => host.shell(`WEIR_UP_WITHIN=3 /opt/weir/install.sh ${args}`, { timeoutMs: 60_000 })
    const digest = async (folder: string): Promise<string> => (await host.run(['cat', `${folder}/digest`])).stdout.trim()
    const [now, before] = [await digest('/opt/weir'), await digest('/opt/weir.before')]
    t.not(now, before)
    controller.give(503)
    t.match(await local(`upgrade --digest ${now}`), { code: 0, stdout: /is the build that was asked for: nothing changed/ })
    t.match(await local(`upgrade --digest ${before}`), { code: 0, stdout: /weir-engine 1\.1\.0 to 1\.0\.0; up/ })
    t.equal((await host.run(['/opt/weir/weir-engine', 'version'])).stdout, '1.0.0\n')
    t.same([await digest('/opt/weir'), await digest('/opt/weir.before')], [before, now])
    controller.give(engineFiles('1.3.0', { comesUp: true }))
    t.match(await local(`upgrade --digest ${'ab'.repeat(32)}`), {
      code: 1,
      stderr: /the build (ab){32} is not what the controller gives out, nor what ran here before/
    })
    t.equal(await digest('/opt/weir'), before)
    return undefined
  })

  await scenario(t, 'verify tells what somebody changed', async t => {
    await host.shell('echo "# changed" >>/etc/systemd/system/weir-engine.service')
    t.match(await host.shell(command('verify')), { code: 1, stderr: /weir-engine\.service was changed/ })
    return undefined
  })

  await scenario(t, 'remove leaves no trace, and a second one says so', async t => {
    t.match(await host.shell('/opt/weir/install.sh remove'), { code: 0, stdout: /is gone from this host/ })
    const left = await leftBehind()
    t.same(left, [])
    t.equal((await host.run(['cat', '/proc/sys/net/ipv4/tcp_migrate_req'])).stdout.trim(), '0', 'the setting is as it was')
    t.match(await host.shell(command('remove')), { code: 0, stdout: /nothing changed/ })
    t.match(await host.run(['systemctl', 'cat', 'weir-engine']), { code: 1 })
    return { value: left.length, unit: 'files', below: 1 }
  })
}

await labTest(t, {
  story: 'the systemd installer on a host',
  file: import.meta.filename,
  tools: ['debootstrap', 'openssl'],
  prepare: makeDebian,
  scenarios
})
