import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder } from '#cli/run/folder.ts'

t.test('makeFolder makes what is missing, for one user, and is content with what is there', async t => {
  const path = join(t.testdir(), 'a/b/c')
  makeFolder(path)
  makeFolder(path)
  t.equal(statSync(path).mode & 0o777, 0o700)
})

t.test('makeFolder ends with an error where no folder can be', async t => {
  const file = join(t.testdir(), 'file')
  writeFileSync(file, '')
  t.throws(() => makeFolder(file), { code: 'EEXIST' })
  t.throws(() => makeFolder(join(file, 'x')), { code: 'ENOTDIR' })
  t.test('in /proc, which says that it is not there', { skip: !existsSync('/proc/self') && 'no /proc' }, async t => {
    t.throws(() => makeFolder('/proc/weir/data'), { code: 'ENOENT' })
  })
})
