import { existsSync } from 'node:fs'
import t from 'tap'
import { librariesOf } from '../../../agent-installers/build.ts'

t.test('librariesOf names where each library of the running Node lies, the linker among them', async t => {
  const libraries = librariesOf(process.execPath)
  const names = Object.keys(libraries)
  t.ok(names.includes('libc.so.6'))
  t.ok(names.includes('libatomic.so.1'))
  t.ok(names.some(name => name.startsWith('ld-linux')))
  for (const path of Object.values(libraries)) t.ok(existsSync(path), path)
})

t.test('librariesOf says when a file is not a program', async t => {
  t.throws(() => librariesOf(import.meta.filename))
})
