/**
 * The last good snapshot on disk, and the one before it. Parts are files named by the hash of what they hold; a manifest file
 * starts with the checksum of its rest. What does not match its hash is not there: the one before is taken, never garbage.
 * Parts hold private keys: the folder is 0700, files 0600.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '#model/base/log.ts'
import { decodeHubMessage, encode } from '#model/message/codec.ts'
import { canonicalJson } from '#model/snapshot/canonical.ts'
import { SNAPSHOT_VERSION } from '#model/snapshot/snapshot.ts'
import type { Manifest, Part } from '#model/snapshot/snapshot.ts'
import { makePrivateFolder, writePrivateFile } from './file.ts'

/** Files written at once. */
const WRITERS = 16

export interface StoredSnapshot {
  readonly manifest: Manifest
  readonly parts: ReadonlyMap<string, Part>
}

export interface SnapshotStore {
  /**
   * The newest snapshot that is whole and that this build can read. Whatever lies in the folder, it does not throw for its content.
   *
   * Shapes  isNewest: it is what was saved last, or nothing ever was
   */
  readonly load: () => Promise<{ readonly snapshot: StoredSnapshot | undefined; readonly isNewest: boolean }>
  /** Keeps it as the newest; the one before stays as the way back, older ones go. */
  readonly save: (snapshot: StoredSnapshot) => Promise<void>
  /** Removes everything. */
  readonly forget: () => Promise<void>
}

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The hash that a part should have. */
export const hashOfPart = (part: Part): string => hashOf(canonicalJson(part))

export async function openSnapshotStore(dataFolder: string, log: Log): Promise<SnapshotStore> {
  const folder = join(dataFolder, 'snapshot')
  const partsFolder = join(folder, 'parts')
  const current = join(folder, 'current')
  const previous = join(folder, 'previous')
  await makePrivateFolder(partsFolder)
  const onDisk = new Set((await readdir(partsFolder)).filter(name => /^[0-9a-f]{64}$/.test(name)))
  let kept: { readonly hash: string; readonly parts: ReadonlySet<string> } | undefined

  async function readManifest(path: string): Promise<Manifest | undefined> {
    const text = await readFile(path, 'utf8').catch(() => '')
    const end = text.indexOf('\n')
    const body = text.slice(end + 1)
    if (end !== 64 || hashOf(body) !== text.slice(0, end)) return undefined
    const decoded = decodeHubMessage(body)
    if (decoded.is !== 'message' || decoded.message.type !== 'ApplySnapshot') return undefined
    const { manifest } = decoded.message
    return manifest.version <= SNAPSHOT_VERSION ? manifest : undefined
  }

  async function readWhole(path: string): Promise<StoredSnapshot | undefined> {
    const manifest = await readManifest(path)
    if (manifest === undefined) return undefined
    const parts = new Map<string, Part>()
    for (const { hash } of manifest.parts) {
      const text = await readFile(join(partsFolder, hash), 'utf8').catch(() => '')
      if (hashOf(text) !== hash) {
        // Written anew when it comes again.
        onDisk.delete(hash)
        return undefined
      }
      parts.set(hash, JSON.parse(text) as Part)
    }
    return { manifest, parts }
  }

  async function writeParts(snapshot: StoredSnapshot): Promise<void> {
    const missing = snapshot.manifest.parts.map(entry => entry.hash).filter(hash => !onDisk.has(hash))
    const todo = [...new Set(missing)]
    const writer = async (): Promise<void> => {
      for (let hash = todo.pop(); hash !== undefined; hash = todo.pop()) {
        await writePrivateFile(join(partsFolder, hash), canonicalJson(snapshot.parts.get(hash)), false)
        onDisk.add(hash)
      }
    }
    await Promise.all(Array.from({ length: WRITERS }, writer))
  }

  async function removeOthers(keep: readonly ReadonlySet<string>[]): Promise<void> {
    for (const name of await readdir(partsFolder)) {
      if (keep.some(hashes => hashes.has(name))) continue
      onDisk.delete(name)
      await rm(join(partsFolder, name), { force: true })
    }
  }

  return {
    load: async () => {
      const newest = await readWhole(current)
      if (newest !== undefined) {
        kept = { hash: newest.manifest.hash, parts: new Set(newest.parts.keys()) }
        return { snapshot: newest, isNewest: true }
      }
      const before = await readWhole(previous)
      const isEmpty = before === undefined && (await readdir(folder)).length <= 1
      if (!isEmpty)
        log.error('the last snapshot on disk is damaged, or of a newer engine', {
          fallback: before === undefined ? 'none' : before.manifest.revision
        })
      return { snapshot: before, isNewest: isEmpty }
    },
    save: async snapshot => {
      const { manifest } = snapshot
      await makePrivateFolder(partsFolder)
      await writeParts(snapshot)
      const isNewContent = kept?.hash !== manifest.hash
      // Only a whole one becomes the way back.
      if (isNewContent && kept !== undefined) await rename(current, previous).catch(() => undefined)
      const body = encode({ type: 'ApplySnapshot', manifest, parts: [] })
      await writePrivateFile(current, `${hashOf(body)}\n${body}`)
      if (!isNewContent) return
      const before = kept?.parts ?? new Set((await readManifest(previous))?.parts.map(entry => entry.hash))
      kept = { hash: manifest.hash, parts: new Set(manifest.parts.map(entry => entry.hash)) }
      await removeOthers([kept.parts, before])
    },
    forget: async () => {
      onDisk.clear()
      kept = undefined
      await rm(folder, { recursive: true, force: true })
    }
  }
}
