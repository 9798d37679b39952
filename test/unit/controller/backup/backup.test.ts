import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { parseContents, unpack } from '#controller/backup/archive.ts'
import { openBackups } from '#controller/backup/backup.ts'
import { BackupBroken, decrypt, encrypt, slowKey } from '#controller/backup/envelope.ts'
import { restore, RestoreRefused, type RestoreOptions } from '#controller/backup/restore.ts'

/** The real one takes half a second on purpose. */
const deriveKey = async (passphrase: string, salt: Buffer): Promise<Buffer> => createHash('sha256').update(passphrase).update(salt).digest()
const PASS = 'correct horse battery'

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}
const stream = (bytes: Buffer, step = 10_007): AsyncIterable<Buffer> =>
  Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
    })()
  )
const opened = (sealed: Buffer, passphrase = PASS): Promise<Buffer> => whole(decrypt(stream(sealed), passphrase, deriveKey))

t.test('encrypt and decrypt give back what went in, whatever its length', async t => {
  for (const length of [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000]) {
    const plain = randomBytes(length)
    const sealed = await whole(encrypt(stream(plain), PASS, deriveKey))
    t.ok((await opened(sealed)).equals(plain), `${length} bytes`)
    t.equal(sealed.length, 34 + length + 16 * Math.max(1, Math.ceil(length / 65_536)))
  }
})

t.test('the real key derivation opens what it sealed, composed or not', async t => {
  const sealed = await whole(encrypt(stream(Buffer.from('x')), 'pässphrase 12', slowKey))
  t.equal((await whole(decrypt(stream(sealed), 'pa\u0308ssphrase 12', slowKey))).toString(), 'x')
  await t.rejects(whole(decrypt(stream(sealed), 'passphrase 12', slowKey)), BackupBroken)
})

t.test('decrypt refuses what was changed, cut off, moved or lengthened', async t => {
  const plain = randomBytes(200_000)
  const sealed = await whole(encrypt(stream(plain), PASS, deriveKey))
  const frame = 65_536 + 16
  await t.rejects(opened(sealed, 'another passphrase'), { message: 'the passphrase is wrong, or the backup was changed' })
  await t.rejects(opened(Buffer.from('PK\u0003\u0004 something else entirely')), { message: 'this is not a backup of Weir' })
  await t.rejects(opened(Buffer.alloc(0)), { message: 'this is not a backup of Weir' })
  for (const length of [5, 20, 34, 40, 34 + frame, 34 + 2 * frame, sealed.length - 1])
    await t.rejects(opened(sealed.subarray(0, length)), BackupBroken, `cut to ${length}`)
  const moved = Buffer.concat([
    sealed.subarray(0, 34),
    sealed.subarray(34 + frame, 34 + 2 * frame),
    sealed.subarray(34, 34 + frame),
    sealed.subarray(34 + 2 * frame)
  ])
  await t.rejects(opened(moved), BackupBroken)
  await t.rejects(opened(Buffer.concat([sealed, randomBytes(30)])), BackupBroken)
  await t.rejects(opened(Buffer.concat([sealed.subarray(0, 34 + frame), sealed.subarray(34 + 2 * frame)])), BackupBroken, 'one left out')
  const newer = Buffer.from(sealed)
  newer[10] = 2
  await t.rejects(opened(newer), /format 2, this program knows 1/)
})

const contents = {
  format: 1,
  version: '0.1.0',
  revision: 7,
  made_at: 5,
  files: [
    { name: 'seal.key', size: 3 },
    { name: 'weir.db', size: 0 }
  ]
}
const taken = (text: string): Promise<unknown> => {
  const files: Record<string, string> = {}
  return unpack(stream(Buffer.from(text), 3), {
    contents: () => undefined,
    bytes: (name, bytes) => (files[name] = (files[name] ?? '') + bytes.toString())
  }).then(() => files)
}

t.test('unpack takes exactly what was said', async t => {
  t.same(await taken(`${JSON.stringify(contents)}\nabc`), { 'seal.key': 'abc' })
  await t.rejects(taken(`${JSON.stringify(contents)}\nabcd`), /goes on after its end/)
  await t.rejects(taken(`${JSON.stringify(contents)}\nab`), /cut off/)
  await t.rejects(taken('x'.repeat(10_000)), /does not say/)
})

t.test('parseContents refuses names that are not ours, and sizes that cannot be', async t => {
  const withFiles = (files: unknown): string => JSON.stringify({ ...contents, files })
  for (const name of ['../weir.db', '/etc/passwd', 'weir.db/', 'WEIR.DB', '', 'toString', '__proto__', 'weir.db\0', 7])
    t.throws(() => parseContents(withFiles([{ name, size: 1 }, contents.files[1]])), BackupBroken, String(name))
  for (const size of [-1, 1.5, 1e30, '3', null])
    t.throws(() => parseContents(withFiles([{ name: 'seal.key', size }, contents.files[1]])), BackupBroken)
  t.throws(() => parseContents(withFiles([contents.files[0]])), BackupBroken)
  t.throws(() => parseContents(withFiles([contents.files[0], contents.files[0]])), BackupBroken)
  t.throws(() => parseContents(withFiles([...contents.files, contents.files[0]])), BackupBroken)
  t.throws(() => parseContents(JSON.stringify({ ...contents, format: 2 })), /another version/)
})

async function aBackup(folder: string): Promise<string> {
  mkdirSync(join(folder, 'from'), { recursive: true })
  writeFileSync(join(folder, 'from/seal.key'), 'the key')
  const backups = openBackups({
    dataFolder: join(folder, 'from'),
    copyStore: async path => {
      writeFileSync(path, 'the store')
      return { revision: 7 }
    },
    version: '1',
    nowEpochMs: () => 1_000,
    deriveKey
  })
  const running = backups.make(PASS)!
  const first = await running.next()
  t.equal(backups.make(PASS), undefined, 'one at a time')
  const file = join(folder, 'the.backup')
  writeFileSync(file, Buffer.concat([first.value!, await whole(running)]))
  t.not(backups.make(PASS), undefined, 'the next one when it is done')
  return file
}

const options = (file: string, dataFolder: string, more: Partial<RestoreOptions> = {}): RestoreOptions => ({
  file,
  passphrase: PASS,
  dataFolder,
  isForced: false,
  mustBeIdle: () => undefined,
  check: async () => undefined,
  nowEpochMs: () => 5,
  deriveKey,
  ...more
})

t.test('restore puts back the store and its key, for this user alone', async t => {
  const folder = t.testdir()
  const file = await aBackup(folder)
  t.same(readdirSync(join(folder, 'from')), ['seal.key'], 'nothing is left over')
  const to = join(folder, 'to/deep')
  t.match(await restore(options(file, to)), { contents: { revision: 7, version: '1', madeAtEpochMs: 1_000 }, putAside: undefined })
  t.same(readdirSync(to).toSorted(), ['seal.key', 'weir.db'])
  t.equal(readFileSync(join(to, 'seal.key'), 'utf8'), 'the key')
  t.equal(readFileSync(join(to, 'weir.db'), 'utf8'), 'the store')
  t.equal(statSync(join(to, 'seal.key')).mode & 0o777, 0o600)
})

t.test('restore refuses a folder with data, and puts it aside when forced', async t => {
  const folder = t.testdir({ to: { 'weir.db': 'old', 'weir.db-wal': 'old log', 'seal.key': 'old key', other: 'stays' } })
  const file = await aBackup(folder)
  const to = join(folder, 'to')
  await t.rejects(restore(options(file, to)), RestoreRefused)
  t.equal(readFileSync(join(to, 'weir.db'), 'utf8'), 'old')
  const { putAside } = await restore(options(file, to, { isForced: true }))
  t.equal(readFileSync(join(to, 'weir.db'), 'utf8'), 'the store')
  t.notOk(existsSync(join(to, 'weir.db-wal')))
  t.same(readdirSync(putAside!).toSorted(), ['seal.key', 'weir.db', 'weir.db-wal'])
  t.equal(readFileSync(join(to, 'other'), 'utf8'), 'stays')
})

t.test('a restore that fails changes nothing', async t => {
  const folder = t.testdir({ to: { 'weir.db': 'old' } })
  const file = await aBackup(folder)
  const to = join(folder, 'to')
  const forced = { isForced: true }
  await t.rejects(restore(options(file, to, { ...forced, passphrase: 'wrong' })), BackupBroken)
  await t.rejects(restore(options(join(folder, 'none'), to, forced)), /cannot be read \(ENOENT\)/)
  await t.rejects(restore(options(folder, to, forced)), /is not a file/)
  const refuse = async (): Promise<void> => {
    throw new RestoreRefused('the store is damaged')
  }
  await t.rejects(restore(options(file, to, { ...forced, check: refuse })), /damaged/)
  const busy = (): void => {
    throw new RestoreRefused('in use')
  }
  await t.rejects(restore(options(file, to, { ...forced, mustBeIdle: busy })), /in use/)
  t.same(readdirSync(to), ['weir.db'])
  t.equal(readFileSync(join(to, 'weir.db'), 'utf8'), 'old')
})

t.test('restore follows no link out of its folder', async t => {
  const folder = t.testdir({ outside: 'untouched', to: {} })
  const file = await aBackup(folder)
  symlinkSync(join(folder, 'outside'), join(folder, 'to/weir.db'))
  await t.rejects(restore(options(file, join(folder, 'to'))), RestoreRefused)
  await restore(options(file, join(folder, 'to'), { isForced: true }))
  t.equal(readFileSync(join(folder, 'outside'), 'utf8'), 'untouched')
})
