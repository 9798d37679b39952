import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { parseContents, unpack } from '#controller/backup/archive.ts'
import { BackupBroken, decrypt, encrypt } from '#controller/backup/envelope.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

t.before(() => t.comment(`seed ${seed} (WEIR_FUZZ_SEED)`))

const deriveKey = async (passphrase: string, salt: Buffer): Promise<Buffer> => createHash('sha256').update(passphrase).update(salt).digest()

async function* pieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Buffer, void, void> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    yield Buffer.from(bytes.subarray(at, at + size))
    at += size
  }
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** What came out, or that it was refused; anything else fails the test. */
async function attempt<T>(work: () => Promise<T>): Promise<T | 'refused'> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BackupBroken) return 'refused'
    throw error
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 5 })
const pass = 'a passphrase of the test'

t.test('a backup that was damaged anywhere is refused, and a whole one opens however it comes', async t => {
  const plain = Buffer.alloc(150_000, 'weir')
  const sealed = await whole(encrypt(pieces(plain, [9_999]), pass, deriveKey))
  const blows = fc.array(
    fc.oneof(
      fc.record({ is: fc.constant('flip' as const), at: fc.nat(sealed.length - 1), bit: fc.integer({ min: 0, max: 7 }) }),
      fc.record({ is: fc.constant('cut' as const), at: fc.nat(sealed.length - 1), bit: fc.constant(0) }),
      fc.record({ is: fc.constant('drop' as const), at: fc.nat(sealed.length - 1), bit: fc.integer({ min: 1, max: 200 }) })
    ),
    { maxLength: 2 }
  )
  const property = fc.asyncProperty(blows, sizes, async (all, steps) => {
    let bytes = Buffer.from(sealed)
    for (const { is, at, bit } of all) {
      if (is === 'flip' && at < bytes.length) bytes[at]! ^= 1 << bit
      if (is === 'cut') bytes = bytes.subarray(0, at)
      if (is === 'drop') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + bit)])
    }
    const opened = await attempt(() => whole(decrypt(pieces(bytes, steps), pass, deriveKey)))
    if (bytes.equals(sealed)) return opened !== 'refused' && opened.equals(plain)
    return opened === 'refused'
  })
  await fc.assert(property, { seed, numRuns: 300 })
  t.pass('all of them')
})

t.test('no bytes make the reader do anything but refuse or read', async t => {
  const header = Buffer.concat([Buffer.from('WEIRBACKUP\u0001'), Buffer.alloc(23)])
  const property = fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), sizes, async (bytes, hasHeader, steps) => {
    const given = hasHeader ? Buffer.concat([header, bytes]) : bytes
    return (await attempt(() => whole(decrypt(pieces(given, steps), pass, deriveKey)))) === 'refused'
  })
  await fc.assert(property, { seed, numRuns: 300 })
  t.pass('all of them')
})

t.test('an archive gives out no more than it said, under no other names', async t => {
  const name = fc.oneof(fc.constantFrom('weir.db', 'seal.key', '../seal.key', '__proto__', '/etc/passwd'), fc.string())
  const size = fc.oneof(fc.nat(40), fc.constantFrom(-1, 1.5, 2 ** 53, 1e308), fc.string())
  const line = fc.oneof(
    fc.json(),
    fc
      .record({
        format: fc.constantFrom(1, 1, 1, 2),
        version: fc.oneof(fc.constant('0.1.0'), fc.anything()),
        revision: fc.oneof(fc.nat(), fc.anything()),
        made_at: fc.nat(),
        files: fc.oneof(
          fc.tuple(fc.nat(40), fc.nat(40)).map(([a, b]) => [
            { name: 'seal.key', size: a },
            { name: 'weir.db', size: b }
          ]),
          fc.array(fc.record({ name, size }), { maxLength: 3 })
        )
      })
      .map(value => JSON.stringify(value))
  )
  let taken = 0
  const property = fc.asyncProperty(line, fc.uint8Array({ maxLength: 80 }), sizes, async (text, body, steps) => {
    const got = new Map<string, number>()
    const contents = await attempt(() =>
      unpack(pieces(Buffer.concat([Buffer.from(`${text}\n`), body]), steps), {
        contents: () => undefined,
        bytes: (of, bytes) => got.set(of, (got.get(of) ?? 0) + bytes.length)
      })
    )
    if ([...got.keys()].some(of => of !== 'seal.key' && of !== 'weir.db')) return false
    if (contents === 'refused') return true
    taken += 1
    return (
      contents.files.every(file => (got.get(file.name) ?? 0) === file.sizeBytes) &&
      JSON.stringify(parseContents(text)) === JSON.stringify(contents)
    )
  })
  await fc.assert(property, { seed, numRuns: 2_000 })
  t.comment(`${taken} were taken`)
  t.pass('all of them')
})
