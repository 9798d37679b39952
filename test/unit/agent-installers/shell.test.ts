/** Shell scripts are for strangers' machines: POSIX, and shellcheck finds nothing. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import t from 'tap'

const root = resolve(import.meta.dirname, '../../..')

function scriptsBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    if (entry.isDirectory()) return ['node_modules', '.cache', 'dist'].includes(entry.name) ? [] : scriptsBelow(join(folder, entry.name))
    return entry.name.endsWith('.sh') ? [join(folder, entry.name)] : []
  })
}

const scripts = ['agent-installers', 'cli', 'test'].flatMap(folder => scriptsBelow(join(root, folder)))
const hasShellcheck = spawnSync('shellcheck', ['--version']).error === undefined

t.test('scripts were found', async t => {
  t.ok(scripts.some(script => script.endsWith('systemd/install.sh')))
})

for (const script of scripts) {
  const name = relative(root, script)
  t.test(`${name} is written for sh and parses`, async t => {
    t.match(readFileSync(script, 'utf8'), /^#!\/bin\/sh\n/)
    t.equal(spawnSync('sh', ['-n', script]).status, 0)
  })
  t.test(`${name} passes shellcheck`, { skip: hasShellcheck ? false : 'needs shellcheck (apt-get install shellcheck)' }, async t => {
    const judged = spawnSync('shellcheck', ['--shell=sh', script], { encoding: 'utf8' })
    t.equal(judged.stdout, '')
    t.equal(judged.status, 0)
  })
}

for (const [name, wrong] of [
  ['systemd', [['instal'], ['--token'], ['--prefix', '/']]],
  ['controller', [['instal'], ['--token', 'x'], ['install', '--purge']]]
] as const) {
  const script = join(root, `agent-installers/${name}/install.sh`)

  t.test(`install.sh of ${name} cut short at any line runs nothing`, async t => {
    const lines = readFileSync(script, 'utf8').trimEnd().split('\n')
    // Only the last line calls; a script that ends before it may set variables and define functions.
    t.equal(lines.at(-1), 'main "$@"')
    for (const keep of [10, 30, lines.length - 2]) {
      const ran = spawnSync('sh', ['-s', '--', 'unit'], { input: `${lines.slice(0, keep).join('\n')}\n`, encoding: 'utf8' })
      t.equal(ran.stdout, '', `${keep} lines`)
    }
  })

  t.test(`install.sh of ${name} refuses what it does not know with usage and code 2`, async t => {
    for (const args of wrong) {
      const ran = spawnSync('sh', [script, ...args], { encoding: 'utf8' })
      t.equal(ran.status, 2)
      t.match(ran.stderr, /^usage: /)
    }
    t.match(execFileSync('sh', [script, '--help'], { encoding: 'utf8' }), /^usage: /)
  })
}
