/** What every build of something that is installed is made of. The same sources and Node give the same bytes. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { build } from 'esbuild'

export const root = resolve(import.meta.dirname, '..')

/** CommonJS packages inside an ES module bundle call `require` for Node's own modules. */
const requireBanner = `import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(process.execPath);`

/** One source file and all that it imports, but for the packages `without`, as one ES module. */
export async function bundle(entry: string, outFile: string, without: readonly string[] = []): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile: outFile,
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node26',
    banner: { js: requireBanner },
    // Speed-ups of `ws` that are native modules; it does without when they cannot be loaded.
    external: ['bufferutil', 'utf-8-validate', ...without],
    logLevel: 'warning'
  })
}

/** Without debug symbols a fifth smaller; a machine without binutils keeps them. */
export function strip(from: string, to: string, say: (line: string) => void): void {
  try {
    execFileSync('strip', ['--strip-all', '-o', to, from], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch {
    say('strip (binutils) is missing: what is built will be larger')
    copyFileSync(from, to)
  }
}

/**
 * Where the dynamic linker of this machine finds the libraries that a binary needs.
 *
 * Shapes  name -> path, the linker itself among them; what is missing here has no entry
 * Throws  when `ldd` cannot read the binary
 */
export function librariesOf(binary: string): Readonly<Record<string, string>> {
  const lines = execFileSync('ldd', [binary], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).split('\n')
  const found = lines.flatMap(line => {
    const [, path] = /(?:=> |^\s*)(\/\S+) \(0x/.exec(line) ?? []
    return path === undefined ? [] : [[basename(path), path] as const]
  })
  return Object.fromEntries(found)
}

/** Not part of glibc, so a minimal host may lack them: the first nearly always, the others seldom. */
export const shippedLibraries = ['libatomic.so.1', 'libstdc++.so.6', 'libgcc_s.so.1'] as const

export function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

export interface Packed {
  readonly name: string
  /** Of user and group; 0 when not said. */
  readonly owner?: number
}

/** Packs with nothing that depends on when or by whom it is run. */
export function pack(folder: string, entries: readonly Packed[], outFile: string): void {
  const tar = join(folder, 'packed.tar')
  for (const [at, { name, owner = 0 }] of entries.entries()) {
    const fixed = ['--sort=name', '--mtime=@0', `--owner=${owner}`, `--group=${owner}`, '--numeric-owner', '--format=ustar']
    execFileSync('tar', ['-C', folder, ...fixed, at === 0 ? '-cf' : '-rf', tar, name])
  }
  execFileSync('gzip', ['-n', '-6', tar])
  copyFileSync(`${tar}.gz`, outFile)
}

export function versionOf(packageFile: string): string {
  const parsed: unknown = JSON.parse(readFileSync(packageFile, 'utf8'))
  if (typeof parsed === 'object' && parsed !== null && 'version' in parsed && typeof parsed.version === 'string') return parsed.version
  throw new Error(`${packageFile} has no version`)
}

/** Copies those libraries of a program that a host may lack, or says which package this machine lacks. */
export function copyLibraries(binary: string, folder: string): void {
  const libraries = librariesOf(binary)
  mkdirSync(folder)
  for (const name of shippedLibraries) {
    const path = libraries[name]
    if (path === undefined)
      throw new Error(`${name} is missing on this machine: apt-get install ${name.startsWith('libatomic') ? 'libatomic1' : name}`)
    copyFileSync(path, join(folder, name))
    chmodSync(join(folder, name), 0o644)
  }
}
