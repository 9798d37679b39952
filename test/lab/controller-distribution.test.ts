/** A host becomes a controller by the package of Debian or RPM: upgrades keep the data, a bad one is undone, purge leaves nothing. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { controllerPackageFile, ensureControllerPackage, repackController, spoiler } from './controller-package.ts'
import { isReady, signedIn } from './controller.ts'
import { labTest } from './enter.ts'
import { give } from './give.ts'
import { startHost } from './host.ts'
import { isOfManagers, makeReady, managerOf } from './managers.ts'
import type { Distribution } from './package.ts'
import { debianFolder, makeDebian } from './root.ts'
import { until } from './run.ts'
import { scenario } from './scenario.ts'
import { differences, filesOf } from './trace.ts'

const [hostAddress, ownAddress] = ['10.94.0.2', '10.94.0.1']
const url = `https://${hostAddress}:9443`
/** All that a shell or systemd could take for something else. */
const password = `pa"ss'w\\ord$1 \`x\`%n #é`

async function scenariosOf(kind: Distribution): Promise<void> {
  const host = await startHost({ rootFolder: debianFolder, name: 'host1', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  try {
    const manager = managerOf(kind, 'weir-controller')
    await makeReady(kind, host)
    const untouched = await filesOf(host)
    const at = (line: string) => host.shell(`cd /root && ${line}`, { timeoutMs: 120_000 })
    const installed = '/opt/weir-controller/install.sh'
    const names = async (): Promise<string> => JSON.stringify((await signedIn(url, password).call('GET', '/api/pool')).body)
    const makePool = async (name: string): Promise<number> => (await signedIn(url, password).call('POST', '/api/pool', { name })).status
    const install = async (file: string) => {
      await give(host, ownAddress, file, `/root/weir-controller.${kind}`)
      return at(`${manager.install} ./weir-controller.${kind}; code=$?; rm ./weir-controller.${kind}; exit $code`)
    }
    const installVersion = async (version: string, main?: string) => {
      const file = repackController(kind, version, mkdtempSync(join(tmpdir(), 'weir-repack-')), main)
      try {
        return await install(file)
      } finally {
        rmSync(file)
      }
    }

    await scenario(t, `${kind}: the package starts nothing, and one command sets it up`, async t => {
      const ran = await install(controllerPackageFile(kind))
      t.match(ran, { code: 0, stdout: /next: \/opt\/weir-controller\/install\.sh setup/ }, ran.stderr)
      t.equal((await at('systemctl is-active weir-controller')).stdout.trim(), 'inactive')
      const quoted = `'${password.replaceAll("'", `'\\''`)}'`
      const set = await at(`WEIR_ADMIN_PASSWORD=${quoted} ${installed} setup`)
      t.match(set, { code: 0, stdout: /sign in +admin, with the password that WEIR_ADMIN_PASSWORD says/, stderr: '' })
      t.notMatch(set.stdout, password)
      t.equal(await makePool('before-everything'), 201)
      t.match(await at(`${installed} setup`), { code: 0, stdout: /nothing changed/ })
      t.match(await at(`${installed} verify`), { code: 0, stdout: /installed, enabled and ready/ })
      t.match(await at(`${installed} upgrade`), { code: 1, stderr: /the package manager installed this/ })
      return { value: set.tookMs / 1000, unit: 's', below: 20 }
    })

    await scenario(t, `${kind}: a newer package keeps the data and a copy of what they were`, async t => {
      const ran = await installVersion('0.1.1')
      t.match(ran, { code: 0, stdout: /weir-controller 0\.1\.0 to 0\.1\.1; up/ }, ran.stderr)
      t.match(await names(), 'before-everything')
      t.match(await at(`${installed} verify; test -f /var/lib/weir-controller.before/weir.db`), { code: 0, stdout: /0\.1\.1/ })
      return { value: ran.tookMs / 1000, unit: 's' }
    })

    await scenario(t, `${kind}: a package that does not come up is undone, build and data`, async t => {
      t.equal(await makePool('before-the-bad-one'), 201)
      const ran = await installVersion('0.1.2', spoiler)
      t.match(`${ran.stdout}${ran.stderr}`, /did not come up: this build is broken; the one before runs again/)
      t.match(await names(), 'before-the-bad-one')
      t.match(await at(`cat /opt/weir-controller/VERSION && ls /opt/weir-controller/ui/dist/assets`), {
        stdout: /^0\.1\.1\n[^]*of-0\.1\.1\.js/
      })
      t.match(await at('cd /opt/weir-controller && sha256sum --check --quiet SHA256SUMS'), { code: 0 }, 'it is there as a whole')
      const mended = await installVersion('0.1.3')
      t.match(mended, { code: 0 }, `${mended.stdout}${mended.stderr}`)
      t.match(await at(`${installed} verify && ls /opt/weir-controller/ui/dist/assets`), { code: 0, stdout: /0\.1\.3 is installed/ })
      t.match(await names(), 'before-the-bad-one')
      return { value: ran.tookMs / 1000, unit: 's' }
    })

    await scenario(t, `${kind}: the host is booted again, and the controller is there`, async t => {
      await host.reboot()
      await until('the controller is ready', 60_000, () => isReady(url))
      t.match(await names(), 'before-the-bad-one')
      return undefined
    })

    await scenario(t, `${kind}: removed it leaves the data, and put back it is the same controller`, async t => {
      t.match(await at(manager.remove), { code: 0 })
      t.match(await at('pgrep -l node; test -e /opt/weir-controller/node'), { code: 1, stdout: '' })
      t.match(await at('stat -c %a /var/lib/weir-controller'), { stdout: '700\n' })
      const ran = await installVersion('0.1.3')
      t.match(ran, { code: 0 }, `${ran.stdout}${ran.stderr}`)
      t.match(await names(), 'before-the-bad-one')
      return undefined
    })

    await scenario(t, `${kind}: what is removed for good leaves no trace`, async t => {
      await at('mkdir -p /etc/systemd/system/weir-controller.service.d && touch /etc/weir-controller.env')
      t.match(await at(kind === 'deb' ? 'dpkg --purge weir-controller' : `${installed} remove --purge`), { code: 0 })
      const trace = differences(untouched, await filesOf(host)).filter(line => !isOfManagers(line) && !/-systemd-\w+\.service-/.test(line))
      t.same(trace, [])
      t.match(await at('getent passwd weir-controller; systemctl list-units --all --plain --no-legend "weir*"'), { stdout: '' })
      t.not((await at(manager.list)).code, 0)
      return { value: trace.length, unit: 'files', below: 1 }
    })
  } finally {
    await host.stop()
  }
}

await labTest(t, {
  story: 'a host becomes a controller by a package',
  file: import.meta.filename,
  tools: ['debootstrap', 'dpkg-deb', 'rpmbuild'],
  prepare: async () => (await makeDebian()) ?? (await ensureControllerPackage()),
  scenarios: async () => {
    for (const kind of ['deb', 'rpm'] as const) await scenariosOf(kind)
  }
})
