import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { settingsPage } from '#test/support/settings-page.ts'

const path = join(import.meta.dirname, '../../docs/settings.md')

t.test('docs/settings.md says what the schemas say; make golden rewrites it', async t => {
  const page = settingsPage()
  if (process.env['WEIR_GOLDEN'] === 'write') writeFileSync(path, page)
  t.equal(readFileSync(path, 'utf8'), page)
})
