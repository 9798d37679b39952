/** The unit as the installer writes it, for a systemd without and with growing restart delays. `make golden` rewrites. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'

const installScript = resolve(import.meta.dirname, '../../agent-installers/systemd/install.sh')

for (const [verb, name] of [
  ['kernel-socket', 'weir-kernel.socket'],
  ['kernel-unit', 'weir-kernel@.service'],
  ['upgrade-socket', 'weir-upgrade.socket'],
  ['upgrade-unit', 'weir-upgrade@.service']
] as const) {
  t.test(`install.sh renders ${name} as reviewed`, async t => {
    const rendered = execFileSync('sh', [installScript, verb], { encoding: 'utf8' })
    const golden = join(import.meta.dirname, 'installer', name)
    if (process.env['WEIR_GOLDEN'] === 'write') writeFileSync(golden, rendered)
    t.equal(rendered, readFileSync(golden, 'utf8'))
  })
}

for (const [name, script] of [
  ['weir-engine', installScript],
  ['weir-controller', join(installScript, '../../controller/install.sh')]
] as const) {
  for (const systemd of ['252', '257']) {
    t.test(`install.sh renders the unit of ${name} for systemd ${systemd} as reviewed`, async t => {
      const rendered = execFileSync('sh', [script, 'unit'], {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], WEIR_SYSTEMD: systemd }
      })
      const golden = join(import.meta.dirname, 'installer', `${name}.${systemd}.service`)
      if (process.env['WEIR_GOLDEN'] === 'write') writeFileSync(golden, rendered)
      t.equal(rendered, readFileSync(golden, 'utf8'))
    })
  }
}
