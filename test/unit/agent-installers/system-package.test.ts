/** Packages of a small tree: what is in them, the same bytes each time, and what is said where a tool lacks. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  buildDeb,
  buildRpm,
  buildSystemPackages,
  fillScript,
  processorNames,
  type SystemPackage
} from '../../../agent-installers/system-package.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-system-package-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const has = (tool: string): boolean => spawnSync(tool, ['--version']).error === undefined

function aTree(name: string): SystemPackage {
  const tree = join(folder, name)
  mkdirSync(join(tree, 'opt/thing'), { recursive: true })
  writeFileSync(join(tree, 'opt/thing/run'), '#!/bin/sh\n', { mode: 0o700 })
  writeFileSync(join(tree, 'opt/thing/text'), 'x\n', { mode: 0o600 })
  const host = {
    prefix: '/opt/thing',
    data: ['/var/lib/a', '/var/lib/b'],
    account: 'thing',
    units: ['thing.service'],
    settings: '/etc/thing'
  }
  return { name: 'thing', version: '1.2.3', summary: 'A thing', folder: tree, host, debDepends: 'passwd', rpmRequires: 'shadow-utils' }
}

t.test('fillScript puts in what the package is about, and refuses what nobody knows', async t => {
  const of = aTree('fill')
  t.equal(fillScript('rm @DATA@ @SETTINGS@ of @NAME@ @UNITS@', of), 'rm /var/lib/a /var/lib/b /etc/thing of thing thing.service')
  t.throws(() => fillScript('@WHAT@', of), /asks for @WHAT@/)
})

for (const [kind, tool, build] of [
  ['deb', 'dpkg-deb', buildDeb],
  ['rpm', 'rpmbuild', buildRpm]
] as const) {
  t.test(
    `the ${kind} is the same bytes each time, whoever may read the files that it is built from`,
    { skip: has(tool) ? false : `needs ${tool}` },
    async t => {
      const files = [0, 1].map(at => {
        const file = join(folder, `${at}.${kind}`)
        build(aTree(`${kind}-${at}`), file)
        return readFileSync(file)
      })
      t.ok(files[0]!.equals(files[1]!))
      const list = kind === 'deb' ? ['dpkg-deb', '-c'] : ['rpm', '-qplv']
      const listed = execFileSync(list[0]!, [list[1]!, join(folder, `0.${kind}`)], { encoding: 'utf8' })
      t.match(listed, /^-rwxr-xr-x .*root[ /]+root .*\/opt\/thing\/run$/m)
      t.match(listed, /^-rw-r--r-- .*\/opt\/thing\/text$/m)
    }
  )
}

t.test('buildSystemPackages says in one line of each package what is missing', async t => {
  const before = process.env['PATH']
  const said: string[] = []
  process.env['PATH'] = folder
  t.same(
    buildSystemPackages(aTree('none'), folder, line => said.push(line)),
    []
  )
  process.env['PATH'] = before
  const { deb, rpm } = processorNames()
  t.same(said, [
    `thing_${deb}.deb is left out: dpkg-deb is missing (apt-get install dpkg)`,
    `thing.${rpm}.rpm is left out: rpmbuild is missing (apt-get install rpm)`
  ])
})
