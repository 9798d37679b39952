/** Makes a backup while writes go on. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pack } from './archive.ts'
import { encrypt, type DeriveKey } from './envelope.ts'

export interface BackupOptions {
  readonly dataFolder: string
  /** Copies the store, as it is at one moment, to a file that is not there yet. */
  readonly copyStore: (path: string) => Promise<{ readonly revision: number }>
  readonly version: string
  readonly nowEpochMs: () => number
  readonly deriveKey?: DeriveKey
}

export interface Backups {
  /** The bytes of the file; undefined while another one is made. */
  readonly make: (passphrase: string) => AsyncGenerator<Buffer, void, void> | undefined
}

const DRAFT = 'backup-'

export function openBackups({ dataFolder, copyStore, version, nowEpochMs, deriveKey }: BackupOptions): Backups {
  // Of a controller that was killed while it made one.
  for (const name of readdirSync(dataFolder))
    if (/^backup-[A-Za-z0-9]{6}$/.test(name)) rmSync(join(dataFolder, name), { recursive: true, force: true })
  let isBusy = false

  async function* run(passphrase: string): AsyncGenerator<Buffer, void, void> {
    let folder: string | undefined
    try {
      folder = mkdtempSync(join(dataFolder, DRAFT))
      const copy = join(folder, 'weir.db')
      const { revision } = await copyStore(copy)
      const sealKey = join(dataFolder, 'seal.key')
      const sources = [
        { name: 'seal.key', path: sealKey, sizeBytes: statSync(sealKey).size },
        { name: 'weir.db', path: copy, sizeBytes: statSync(copy).size }
      ] as const
      yield* encrypt(pack({ version, revision, madeAtEpochMs: nowEpochMs() }, sources), passphrase, deriveKey)
    } finally {
      isBusy = false
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    }
  }

  return {
    make: passphrase => {
      if (isBusy) return undefined
      isBusy = true
      return run(passphrase)
    }
  }
}
