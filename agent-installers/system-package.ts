/** A tree of files as a package of Debian and of RPM: the same files, the same scripts; the same tree gives the same bytes. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const scripts = join(import.meta.dirname, 'packages')

export interface SystemPackage {
  readonly name: string
  readonly version: string
  /** One line, without a period. */
  readonly summary: string
  /** What lies below `/` on the host. */
  readonly folder: string
  /** What the packages' scripts have to know. */
  readonly host: {
    readonly prefix: string
    /** Folders that are gone after a purge. */
    readonly data: readonly string[]
    readonly account: string
    readonly units: readonly string[]
    /** A file that the administrator wrote; empty when there is none. */
    readonly settings: string
  }
  readonly debDepends: string
  readonly rpmRequires: string
}

/** Node's names of processors in the words of others. */
const processors: Readonly<Record<string, { readonly deb: string; readonly rpm: string }>> = {
  x64: { deb: 'amd64', rpm: 'x86_64' },
  arm64: { deb: 'arm64', rpm: 'aarch64' }
}

export function processorNames(): { readonly deb: string; readonly rpm: string } {
  const names = processors[process.arch]
  if (names === undefined) throw new Error(`no package can be made for ${process.arch}`)
  return names
}

/**
 * What the phases are called: [our file, Debian's script, RPM's section]. RPM's comes after the files that only the package of
 * before had are gone: who goes back to that one has them again.
 */
const phases = [
  ['before.sh', 'preinst', 'pre'],
  ['after.sh', 'postinst', 'posttrans'],
  ['before-remove.sh', 'prerm', 'preun'],
  ['after-remove.sh', 'postrm', 'postun']
] as const

/**
 * Puts what a package is about into one of the scripts.
 *
 * Throws  when the text asks for what nobody knows
 */
export function fillScript(text: string, { name, host }: Pick<SystemPackage, 'name' | 'host'>): string {
  const values: Readonly<Record<string, string>> = {
    NAME: name,
    PREFIX: host.prefix,
    DATA: host.data.join(' '),
    ACCOUNT: host.account,
    UNITS: host.units.join(' '),
    SETTINGS: host.settings
  }
  return text.replaceAll(/@([A-Z]+)@/g, (_, key: string) => {
    const value = values[key]
    if (value === undefined) throw new Error(`a script of the packages asks for @${key}@`)
    return value
  })
}

const scriptOf = (file: string, of: SystemPackage): string => fillScript(readFileSync(join(scripts, file), 'utf8'), of)

/** Paths below a folder, sorted: those that end in `/` are folders. */
export function listBelow(folder: string, at = ''): string[] {
  return readdirSync(join(folder, at), { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(entry => {
      const path = join(at, entry.name)
      return entry.isDirectory() ? [`${path}/`, ...listBelow(folder, path)] : [path]
    })
}

const sameTime = { ...process.env, SOURCE_DATE_EPOCH: '0', LC_ALL: 'C' }

/** Nothing in a package tells when and with which rights it was built. */
export function settle(folder: string): void {
  for (const path of ['', ...listBelow(folder)]) {
    const full = join(folder, path)
    const isOpen = path === '' || path.endsWith('/') || (statSync(full).mode & 0o100) !== 0
    chmodSync(full, isOpen ? 0o755 : 0o644)
    utimesSync(full, 0, 0)
  }
}

/** Builds the package of Debian. Throws what `dpkg-deb` says. */
export function buildDeb(of: SystemPackage, outFile: string, gzipLevel = 6): void {
  const work = mkdtempSync(join(tmpdir(), 'weir-deb-'))
  try {
    const tree = join(work, 'tree')
    cpSync(of.folder, tree, { recursive: true })
    const files = listBelow(tree).filter(path => !path.endsWith('/'))
    const sizeKiB = Math.ceil(files.reduce((sum, path) => sum + statSync(join(tree, path)).size, 0) / 1_024)
    const control = join(tree, 'DEBIAN')
    mkdirSync(control, { mode: 0o755 })
    const fields = [
      `Package: ${of.name}`,
      `Version: ${of.version}`,
      `Architecture: ${processorNames().deb}`,
      'Maintainer: Weir <weir@localhost>',
      'Section: net',
      'Priority: optional',
      `Installed-Size: ${sizeKiB}`,
      `Depends: ${of.debDepends}`,
      `Description: ${of.summary}`
    ]
    writeFileSync(join(control, 'control'), `${fields.join('\n')}\n`)
    const sums = files.map(
      path =>
        `${createHash('md5')
          .update(readFileSync(join(tree, path)))
          .digest('hex')}  ${path}\n`
    )
    writeFileSync(join(control, 'md5sums'), sums.join(''))
    for (const [file, script] of phases) writeFileSync(join(control, script), scriptOf(file, of), { mode: 0o755 })
    settle(tree)
    // gzip: the dpkg of older distributions knows nothing newer that is as fast.
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', `-z${gzipLevel}`, '--build', tree, join(work, 'out.deb')], {
      env: sameTime,
      stdio: ['ignore', 'ignore', 'pipe']
    })
    renameOver(join(work, 'out.deb'), outFile)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Folders that belong to the host: a package puts files there and does not own them. */
const hostFolders = ['opt/', 'usr/', 'usr/lib/', 'usr/lib/systemd/', 'usr/lib/systemd/system/', 'usr/lib/sysctl.d/']

/** The spec file: what `%{tree}` holds, as it is. */
function specOf(of: SystemPackage): string {
  const files = listBelow(of.folder)
    .filter(path => !hostFolders.includes(path))
    .map(path => (path.endsWith('/') ? `%dir /${path.slice(0, -1)}` : `/${path}`))
  const sections = phases.map(([file, , section]) => `%${section}\n${scriptOf(file, of).replaceAll('%', '%%')}`)
  return `Name: ${of.name}
Version: ${of.version}
Release: 1
Summary: ${of.summary}
License: Apache-2.0
Requires: ${of.rpmRequires}
AutoReqProv: no

%description
${of.summary}.

%install
cp -a %{tree}/. %{buildroot}/

${sections.join('\n')}
%files
%defattr(-,root,root)
${files.join('\n')}
`
}

/** Builds the package of RPM. Throws what `rpmbuild` says. */
export function buildRpm(of: SystemPackage, outFile: string, gzipLevel = 6): void {
  const work = mkdtempSync(join(tmpdir(), 'weir-rpm-'))
  try {
    const tree = join(work, 'tree')
    cpSync(of.folder, tree, { recursive: true })
    settle(tree)
    writeFileSync(join(work, 'package.spec'), specOf(of))
    const defined = {
      tree,
      _topdir: work,
      _rpmdir: work,
      _build_name_fmt: 'out.rpm',
      _binary_payload: `w${gzipLevel}.gzdio`,
      _buildhost: 'localhost',
      use_source_date_epoch_as_buildtime: '1',
      clamp_mtime_to_source_date_epoch: '1',
      // The files are as they shall be: nothing is stripped, compressed or taken apart.
      __os_install_post: '%{nil}',
      debug_package: '%{nil}',
      _build_id_links: 'none'
    }
    const defines = Object.entries(defined).flatMap(([name, value]) => ['--define', `${name} ${value}`])
    execFileSync('rpmbuild', ['-bb', '--quiet', ...defines, join(work, 'package.spec')], {
      env: sameTime,
      stdio: ['ignore', 'ignore', 'pipe']
    })
    renameOver(join(work, 'out.rpm'), outFile)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Across file systems as well. */
function renameOver(from: string, to: string): void {
  cpSync(from, `${to}.part`)
  renameSync(`${to}.part`, to)
}

const builders = [
  { tool: 'dpkg-deb', of: 'dpkg', build: buildDeb, nameOf: (name: string) => `${name}_${processorNames().deb}.deb` },
  { tool: 'rpmbuild', of: 'rpm', build: buildRpm, nameOf: (name: string) => `${name}.${processorNames().rpm}.rpm` }
] as const

function has(tool: string): boolean {
  try {
    execFileSync(tool, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * Builds the packages that this machine has the tools for; says of the others what is missing.
 *
 * Returns the names of the files in `outFolder`
 */
export function buildSystemPackages(of: SystemPackage, outFolder: string, say: (line: string) => void): readonly string[] {
  return builders.flatMap(({ tool, of: from, build, nameOf }) => {
    const name = nameOf(of.name)
    if (!has(tool)) {
      say(`${name} is left out: ${tool} is missing (apt-get install ${from})`)
      return []
    }
    build(of, join(outFolder, name))
    return [name]
  })
}
