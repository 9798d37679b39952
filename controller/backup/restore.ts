/** Puts a backup into a data folder that no controller runs on: beside what is there, checked, then named into place. */
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import { join } from 'node:path'
import { fileNames, unpack, type Contents, type FileName } from './archive.ts'
import { BackupBroken, decrypt, type DeriveKey } from './envelope.ts'

/** What a person can mend, in one line. */
export class RestoreRefused extends Error {
  override readonly name = 'RestoreRefused'
}

export interface RestoreOptions {
  /** The backup. */
  readonly file: string
  readonly passphrase: string
  readonly dataFolder: string
  /** What is in the folder is put aside; else a folder with data is refused. */
  readonly isForced: boolean
  /** Throws when a controller runs on the store at this path. */
  readonly mustBeIdle: (path: string) => void
  /** Checks the store at this path, and marks it as restored; `folder` has its seal key as well. Throws with what is wrong. */
  readonly check: (folder: string, contents: Contents) => Promise<void>
  readonly nowEpochMs: () => number
  readonly deriveKey?: DeriveKey
}

export interface Restored {
  readonly contents: Contents
  /** Where what was there before is now. */
  readonly putAside: string | undefined
}

/** All that a controller keeps by name in its data folder and that must not outlive it beside other data. */
const ownFiles = [
  'weir.db',
  'weir.db-wal',
  'weir.db-shm',
  'weir.db-journal',
  'weir.series.db',
  'weir.series.db-wal',
  'weir.series.db-shm',
  'seal.key',
  'ca.pem'
]

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  fsyncSync(folder)
  closeSync(folder)
}

async function unpackInto(folder: string, { file, passphrase, deriveKey }: RestoreOptions): Promise<Contents> {
  const open = new Map<FileName, number>()
  try {
    const contents = await unpack(decrypt(createReadStream(file) as AsyncIterable<Buffer>, passphrase, deriveKey), {
      contents: () => {
        // Names of ours, files that were not there before, in a folder that is ours alone.
        for (const name of fileNames) open.set(name, openSync(join(folder, name), 'wx', 0o600))
      },
      bytes: (name, bytes) => {
        for (let at = 0; at < bytes.length;) at += writeSync(open.get(name)!, bytes, at)
      }
    })
    for (const descriptor of open.values()) fsyncSync(descriptor)
    return contents
  } finally {
    for (const descriptor of open.values()) closeSync(descriptor)
  }
}

/**
 * Restores.
 *
 * Throws  RestoreRefused, BackupBroken; what `check` and `mustBeIdle` throw. Until the very end nothing in the folder has changed
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { file, dataFolder, isForced } = options
  let isFile = false
  try {
    isFile = statSync(file).isFile()
  } catch (cause) {
    throw new RestoreRefused(`${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'no access'})`, { cause })
  }
  if (!isFile) throw new RestoreRefused(`${file} is not a file`)
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
  const there = ownFiles.filter(name => existsSync(join(dataFolder, name)))
  if (there.includes('weir.db')) options.mustBeIdle(join(dataFolder, 'weir.db'))
  if (there.length > 0 && !isForced)
    throw new RestoreRefused(
      `${dataFolder} holds data already (${there.join(', ')}): restore into an empty folder, or add --force to put it aside`
    )
  const draft = mkdtempSync(join(dataFolder, 'restore-'))
  try {
    const contents = await unpackInto(draft, options)
    await options.check(draft, contents)
    let putAside: string | undefined
    if (there.length > 0) {
      putAside = mkdtempSync(join(dataFolder, `before-restore-${options.nowEpochMs()}-`))
      for (const name of ownFiles) if (existsSync(join(dataFolder, name))) renameSync(join(dataFolder, name), join(putAside, name))
    }
    // The key first: a store without its key would make a new one at the next start.
    for (const name of ['seal.key', 'weir.db'] as const) renameSync(join(draft, name), join(dataFolder, name))
    syncFolder(dataFolder)
    return { contents, putAside }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC')
      throw new BackupBroken(`no space left in ${dataFolder} for what the backup holds`, { cause: error })
    throw error
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}
