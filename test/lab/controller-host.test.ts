/** A host that has nothing becomes a controller by one command: it survives, is upgraded, goes back, and is clean again after remove. */
import t from 'tap'
import { controllerArchive, ensureControllerPackage, spoiler } from './controller-package.ts'
import { isReady, signedIn, type Rest } from './controller.ts'
import { labTest } from './enter.ts'
import { invite, statesAre } from './fleet.ts'
import { give } from './give.ts'
import { startHost } from './host.ts'
import { debianFolder, makeDebian } from './root.ts'
import { until } from './run.ts'
import { scenario } from './scenario.ts'
import { differences, filesOf } from './trace.ts'

const [hostAddress, ownAddress] = ['10.93.0.2', '10.93.0.1']
const url = `https://${hostAddress}:9443`

async function scenarios(): Promise<void> {
  const host = await startHost({ rootFolder: debianFolder, name: 'host1', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  t.teardown(() => host.stop())
  const at = (line: string) => host.shell(`cd /root && ${line}`, { timeoutMs: 120_000 })
  const untouched = await filesOf(host)
  const left = async () => differences(untouched, await filesOf(host)).filter(line => !/ \/root\/|-systemd-\w+\.service-/.test(line))
  const ready = (): Promise<number> => until('the controller is ready', 60_000, () => isReady(url))
  const names = async (rest: Rest): Promise<string> => JSON.stringify((await rest.call('GET', '/api/pool')).body)
  const makePool = async (rest: Rest, name: string): Promise<number> => (await rest.call('POST', '/api/pool', { name })).status
  const journal = async (): Promise<string> => (await at('journalctl -u weir-controller -o cat --no-pager')).stdout
  const mainPid = async (): Promise<string> => (await at('systemctl show -p MainPID --value weir-controller')).stdout.trim()
  let rest: Rest | undefined
  let password = ''

  /** A folder with another version beside the one that was given, made on the host. */
  const another = async (version: string, more = ''): Promise<void> => {
    const sum = 'find . -type f -printf "%P\\n" | LC_ALL=C sort | xargs sha256sum >/tmp/sums; mv /tmp/sums SHA256SUMS'
    const ran = await at(
      `rm -rf next && cp -r weir-controller next && cd next && echo ${version} >VERSION && ${more === '' ? ':' : more} && rm -f SHA256SUMS && ${sum}`
    )
    if (ran.code !== 0) throw new Error(ran.stderr)
  }

  await scenario(t, 'one command and the host is a controller that one can sign in to', async t => {
    await give(host, ownAddress, controllerArchive, '/root/weir-controller.tar.gz')
    t.match(await at('tar -xzf weir-controller.tar.gz && rm weir-controller.tar.gz'), { code: 0 })
    const before = await filesOf(host)
    t.match(await at('weir-controller/install.sh --plan'), { code: 0, stdout: /would .*install weir-controller/ })
    t.same(differences(before, await filesOf(host)), [], 'a plan does nothing')
    const ran = await at('weir-controller/install.sh')
    t.match(ran, { code: 0, stderr: '' }, `${ran.stdout}${await journal()}`)
    password = /sign in +admin \/ (\S+) \(told only now\)/.exec(ran.stdout)?.[1] ?? ''
    t.ok(password.length >= 16, ran.stdout)
    rest = signedIn(url, password)
    t.equal(await makePool(rest, 'before-everything'), 201)
    return { value: ran.tookMs / 1000, unit: 's', below: 20 }
  })

  await scenario(t, 'it is a user of its own without a right, and its password is nowhere', async t => {
    const status = await at(`cat /proc/${await mainPid()}/status`)
    t.match(status.stdout, /CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n/)
    t.notMatch(status.stdout, /^Uid:\t0\t/m)
    t.match(await at('stat -c "%U %a" /var/lib/weir-controller'), { stdout: 'weir-controller 700\n' })
    const found = await at(
      `grep -rlaF -e '${password}' /etc /opt /var /run /tmp 2>/dev/null; systemctl show weir-controller | grep -F '${password}'`
    )
    t.equal(found.stdout, '')
    t.notMatch(await journal(), password)
    return undefined
  })

  await scenario(t, 'a second run changes nothing, and verify finds it whole', async t => {
    const pid = await mainPid()
    t.match(await at('weir-controller/install.sh'), { code: 0, stdout: /nothing changed/ })
    t.match(await at('weir-controller/install.sh upgrade'), { code: 0, stdout: /nothing changed/ })
    t.equal(await mainPid(), pid)
    t.match(await at('/opt/weir-controller/install.sh verify'), { code: 0, stdout: /installed, enabled and ready/ })
    t.match(await at('echo >>/opt/weir-controller/VERSION; /opt/weir-controller/install.sh verify'), {
      code: 1,
      stderr: /files were changed: VERSION/
    })
    t.match(await at('cp weir-controller/VERSION /opt/weir-controller/ && /opt/weir-controller/install.sh verify'), { code: 0 })
    t.match(await at('/opt/weir-controller/install.sh upgrade'), { code: 1, stderr: /this is the one that is installed/ })
    t.match(await at('cp -r weir-controller broken && echo >>broken/controller/main.mjs; broken/install.sh upgrade'), {
      code: 1,
      stderr: /what came is broken/
    })
    await at('rm -rf broken')
    return undefined
  })

  await scenario(t, 'it gives out engines, and its own host can be one', async t => {
    const ran = await at((await invite(rest!)).command)
    t.match(ran, { code: 0, stderr: '' }, ran.stdout)
    await until('the controller calls it up', 20_000, () => statesAre(rest!, { host1: 'OPER_UP' }))
    t.pass('it is up')
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'the host is booted again: the controller is there, with its data and its engine', async t => {
    await host.reboot()
    await ready()
    rest = signedIn(url, password)
    t.match(await names(rest), 'before-everything')
    await until('the controller calls it up', 30_000, () => statesAre(rest!, { host1: 'OPER_UP' }))
    return undefined
  })

  await scenario(t, 'kill -9: systemd starts it again', async t => {
    const pid = await mainPid()
    t.match(await at(`kill -9 ${pid}`), { code: 0 })
    const tookMs = await until('another process is ready', 30_000, async () => (await mainPid()) !== pid && (await isReady(url)))
    t.match(await names(signedIn(url, password)), 'before-everything')
    return { value: tookMs / 1000, unit: 's', below: 10 }
  })

  await scenario(t, 'an upgrade keeps the data and a copy of what they were', async t => {
    await another('0.1.1')
    t.match(await at('next/install.sh'), { code: 1, stderr: /0\.1\.0 is installed already: .*upgrade/ })
    t.match(await at('next/install.sh upgrade --plan'), { code: 0, stdout: /0\.1\.0 to 0\.1\.1/ })
    const ran = await at('next/install.sh upgrade')
    t.match(ran, { code: 0, stdout: /weir-controller 0\.1\.0 to 0\.1\.1; up/, stderr: '' })
    rest = signedIn(url, password)
    t.match(await names(rest), 'before-everything')
    t.match(await at('stat -c "%U %a" /var/lib/weir-controller.before; ls /var/lib/weir-controller.before; ls -d /opt/weir-*'), {
      stdout: /^root 700\n[^]*weir\.db\n[^]*\/opt\/weir-controller\n$/
    })
    t.match(await at('/opt/weir-controller/install.sh verify'), { code: 0, stdout: /0\.1\.1/ })
    await until('the engine is back', 30_000, () => statesAre(rest!, { host1: 'OPER_UP' }))
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'an upgrade that does not come up is undone, build and data', async t => {
    t.equal(await makePool(rest!, 'before-the-bad-one'), 201)
    await another('0.1.2', `cat >controller/main.mjs <<'END'\n${spoiler}END\ntrue`)
    const ran = await at('next/install.sh upgrade')
    t.match(ran, { code: 1, stderr: /did not come up: this build is broken; the one before runs again, with its data as they were/ })
    rest = signedIn(url, password)
    t.match(await names(rest), 'before-the-bad-one')
    t.match(await at('/opt/weir-controller/install.sh verify'), { code: 0, stdout: /0\.1\.1/ })
    t.match(await at('ls -d /opt/weir-controller*'), { stdout: '/opt/weir-controller\n' })
    await until('the engine is back', 30_000, () => statesAre(rest!, { host1: 'OPER_UP' }))
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'settings count at the next start, and a bad one is named', async t => {
    const restart = 'systemctl restart weir-controller'
    await at(`printf '# ours\\nWEIR_PORT="9553"\\n' >/etc/weir-controller.env && ${restart}`)
    await until('it is ready on another port', 30_000, () => isReady(`https://${hostAddress}:9553`))
    t.match(await at('/opt/weir-controller/install.sh verify'), { code: 0 })
    await at(`echo WEIR_PORT=none >/etc/weir-controller.env && ${restart}`)
    await until('verify says what is wrong', 20_000, async () => {
      const { stderr } = await at('/opt/weir-controller/install.sh verify')
      return stderr.includes('is not ready: WEIR_PORT must be a port from 0 to 65535, not "none"')
    })
    await at(`rm /etc/weir-controller.env && ${restart}`)
    await ready()
    t.match(await at('/opt/weir-controller/install.sh verify'), { code: 0 })
    return undefined
  })

  await scenario(t, 'remove leaves the data, and who installs again finds them', async t => {
    t.match(await at('/opt/weir-controller/install.sh remove'), { code: 0, stdout: /\/var\/lib\/weir-controller stays/ })
    t.match(await at('test ! -e /opt/weir-controller && ! systemctl cat weir-controller 2>/dev/null && pgrep -u weir-controller'), {
      code: 1,
      stdout: ''
    })
    const ran = await at('weir-controller/install.sh')
    t.match(ran, { code: 0, stderr: '' })
    t.notMatch(ran.stdout, /sign in/, 'the password is that of before')
    t.match(await names(signedIn(url, password)), 'before-the-bad-one')
    return undefined
  })

  await scenario(t, 'what cannot start says why, and goes on when that is mended', async t => {
    await at('weir-controller/install.sh remove --purge')
    await at('systemctl stop weir-engine')
    await at(
      "systemd-run --unit=in-the-way perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 9443, Listen => 1, ReuseAddr => 1) or die; sleep 120'"
    )
    const ran = await at('weir-controller/install.sh')
    t.match(ran, { code: 1, stderr: /does not come up: port 9443 is in use: set WEIR_PORT to another/ })
    await at('systemctl stop in-the-way')
    const again = await at('weir-controller/install.sh')
    t.match(again, { code: 0, stderr: '' })
    password = /sign in +admin \/ (\S+) \(told only now\)/.exec(again.stdout)?.[1] ?? ''
    t.equal(await makePool(signedIn(url, password), 'one'), 201, 'the password of the first try counts')
    return undefined
  })

  await scenario(t, 'what is removed for good leaves no trace', async t => {
    t.match(await at('/opt/weir/install.sh remove'), { code: 0 })
    t.match(await at('/opt/weir-controller/install.sh remove --purge'), { code: 0 })
    const trace = await left()
    t.same(trace, [])
    t.match(await at('getent passwd weir-controller; pgrep -l node; systemctl list-units --all --plain --no-legend "weir*"'), {
      stdout: ''
    })
    return { value: trace.length, unit: 'files', below: 1 }
  })
}

await labTest(t, {
  story: 'a host becomes a controller',
  file: import.meta.filename,
  tools: ['debootstrap'],
  prepare: async () => (await makeDebian()) ?? (await ensureControllerPackage()),
  scenarios
})
