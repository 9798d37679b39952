/** What lies inside a backup: one line of JSON that says what follows, then the files, one after the other. */
import { createReadStream } from 'node:fs'
import { BackupBroken } from './envelope.ts'

const LINE_MAX = 4_096
const FORMAT = 1

/** All that a backup holds, and the most that each may have in bytes. A name is only ever compared with these, never used as a path. */
export const sizesMax = { 'seal.key': 4_096, 'weir.db': 64 * 2 ** 30 } as const
export type FileName = keyof typeof sizesMax
export const fileNames = Object.keys(sizesMax) as FileName[]

export interface Contents {
  readonly format: typeof FORMAT
  /** Of the program that made it. */
  readonly version: string
  /** The store's newest revision. */
  readonly revision: number
  readonly madeAtEpochMs: number
  readonly files: readonly { readonly name: FileName; readonly sizeBytes: number }[]
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isFileName = (value: unknown): value is FileName => typeof value === 'string' && Object.hasOwn(sizesMax, value)

/**
 * Reads the first line.
 *
 * Throws  BackupBroken unless it names each file exactly once, within its bounds
 */
export function parseContents(line: string): Contents {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new BackupBroken('the backup does not say what is in it', { cause })
  }
  if (!isObject(value)) throw new BackupBroken('the backup does not say what is in it')
  if (value['format'] !== FORMAT) throw new BackupBroken('the backup was made by another version of Weir: restore it with that')
  const { version, revision, made_at: madeAtEpochMs, files } = value
  if (typeof version !== 'string' || version.length > 64 || !isCount(revision) || !isCount(madeAtEpochMs) || !Array.isArray(files))
    throw new BackupBroken('the backup does not say what is in it')
  const found = files.map((file: unknown) => {
    if (!isObject(file) || !isFileName(file['name'])) throw new BackupBroken('the backup holds a file that does not belong there')
    const { name, size: sizeBytes } = file
    if (!isCount(sizeBytes) || sizeBytes > sizesMax[name]) throw new BackupBroken(`${name} in the backup is too large`)
    return { name, sizeBytes }
  })
  if (found.length !== fileNames.length || new Set(found.map(({ name }) => name)).size !== fileNames.length)
    throw new BackupBroken('the backup does not hold each of its files once')
  return { format: FORMAT, version, revision, madeAtEpochMs, files: found }
}

const formatContents = ({ format, version, revision, madeAtEpochMs, files }: Contents): string =>
  JSON.stringify({
    format,
    version,
    revision,
    made_at: madeAtEpochMs,
    files: files.map(file => ({ name: file.name, size: file.sizeBytes }))
  })

export interface Source {
  readonly name: FileName
  readonly path: string
  readonly sizeBytes: number
}

export async function* pack(
  about: Pick<Contents, 'version' | 'revision' | 'madeAtEpochMs'>,
  sources: readonly Source[]
): AsyncGenerator<Uint8Array, void, void> {
  yield Buffer.from(`${formatContents({ format: FORMAT, ...about, files: sources })}\n`)
  for (const { path, sizeBytes } of sources) {
    let read = 0
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      read += chunk.length
      yield chunk
    }
    if (read !== sizeBytes) throw new Error(`${path} changed while it was read`)
  }
}

/** Who takes the files, in the order of the archive. */
export interface Taker {
  readonly contents: (contents: Contents) => void
  readonly bytes: (name: FileName, bytes: Buffer) => void
}

/**
 * Takes an archive apart.
 *
 * Returns what it said was in it, after exactly that was taken
 * Throws  BackupBroken for what is cut off or goes on after its end
 */
export async function unpack(plain: AsyncIterable<Buffer>, taker: Taker): Promise<Contents> {
  let contents: Contents | undefined
  let line: Buffer = Buffer.alloc(0)
  /** The file that bytes belong to now, and how many it still lacks. */
  let at = 0
  let left = 0
  const skipFull = (): void => {
    while (contents !== undefined && left === 0 && at + 1 < contents.files.length) left = contents.files[++at]!.sizeBytes
  }
  for await (const chunk of plain) {
    let bytes = chunk
    if (contents === undefined) {
      line = Buffer.concat([line, bytes])
      const end = line.indexOf(0x0a)
      if (end > LINE_MAX || (end < 0 && line.length > LINE_MAX)) throw new BackupBroken('the backup does not say what is in it')
      if (end < 0) continue
      contents = parseContents(line.toString('utf8', 0, end))
      taker.contents(contents)
      bytes = line.subarray(end + 1)
      left = contents.files[0]!.sizeBytes
      skipFull()
    }
    while (bytes.length > 0) {
      if (left === 0) throw new BackupBroken('the backup goes on after its end')
      const piece = bytes.subarray(0, left)
      taker.bytes(contents.files[at]!.name, piece)
      left -= piece.length
      bytes = bytes.subarray(piece.length)
      skipFull()
    }
  }
  if (contents === undefined || left > 0) throw new BackupBroken('the backup is cut off')
  return contents
}
