import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { makeSeal, openSeal, SealBroken } from '#controller/pki/seal.ts'

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'weir-seal-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

t.test('a seal opens what it sealed, also after a restart', async t => {
  const path = join(folder(t), 'deep', 'seal.key')
  const first = openSeal(path)
  const sealed = first.seal('päss')
  t.match(sealed, /^sealed:v1:/)
  t.notMatch(sealed, /päss/)
  t.equal(openSeal(path).open(sealed), 'päss')
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.not(first.seal('x'), first.seal('x'), 'equal secrets do not look equal')
  t.ok(first.isSealed(sealed))
  t.notOk(first.isSealed('plain'))
})

t.test('a seal refuses what was changed, cut or sealed under another key', async t => {
  const path = folder(t)
  const mine = openSeal(join(path, 'a.key'))
  const sealed = mine.seal('secret')
  t.throws(() => openSeal(join(path, 'b.key')).open(sealed), SealBroken)
  t.throws(() => mine.open('plain'), SealBroken)
  t.throws(() => mine.open('sealed:v1:AAAA'), SealBroken)
  const bytes = Buffer.from(sealed.slice(10), 'base64url')
  for (let i = 0; i < bytes.length; i++) {
    const changed = Buffer.from(bytes)
    changed[i]! ^= 1
    t.throws(() => mine.open(`sealed:v1:${changed.toString('base64url')}`), SealBroken, `byte ${i}`)
  }
})

t.test('openSeal refuses a key that others may read, and a file that is no key', async t => {
  const path = join(folder(t), 'seal.key')
  openSeal(path)
  chmodSync(path, 0o640)
  t.throws(() => openSeal(path), { name: 'SealBroken', message: /open to other users/ })
  chmodSync(path, 0o600)
  const key = readFileSync(path, 'utf8')
  writeFileSync(path, key.slice(0, 10))
  t.throws(() => openSeal(path), { name: 'SealBroken', message: /is not a seal key/ })
  t.throws(() => makeSeal(new Uint8Array(16)), SealBroken)
})

t.test('derive gives each purpose a secret of its own that outlives restarts and other keys do not give', async t => {
  const [seal, again, other] = [1, 1, 2].map(byte => makeSeal(new Uint8Array(32).fill(byte)))
  t.equal(Buffer.from(seal!.derive('a'), 'base64').length, 32)
  t.equal(seal!.derive('a'), again!.derive('a'))
  t.not(seal!.derive('a'), seal!.derive('b'))
  t.not(seal!.derive('a'), other!.derive('a'))
})
