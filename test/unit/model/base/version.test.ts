import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { VERSION } from '#model/base/version.ts'

t.test('VERSION is the version of the package', async t => {
  const text = readFileSync(join(import.meta.dirname, '../../../../package.json'), 'utf8')
  t.match(JSON.parse(text), { version: VERSION })
})
