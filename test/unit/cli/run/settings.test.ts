import { resolve } from 'node:path'
import t from 'tap'
import { readSettings, Refused } from '../../../../cli/run/settings.ts'

t.test('readSettings has the documented defaults', async t => {
  t.same(readSettings({}), { dataFolder: resolve('.weir'), port: 9443, enginePort: 9444, demoPort: 8080, hasDemo: true })
})

t.test('readSettings takes an empty variable for one that is not set', async t => {
  t.equal(readSettings({ WEIR_PORT: '', WEIR_DATA: '' }).port, 9443)
})

t.test('readSettings refuses what it cannot mean, naming the variable', async t => {
  for (const text of ['0', '65536', '-1', '80.5', '0x50', ' 80', 'http'])
    t.throws(() => readSettings({ WEIR_DEMO_PORT: text }), { name: 'Refused', message: /^WEIR_DEMO_PORT must be a port/ }, text)
  t.throws(() => readSettings({ WEIR_DEMO: 'yes' }), { message: /^WEIR_DEMO must be 0 or 1/ })
})

t.test('readSettings refuses two listeners on one port, unless one of them is not there', async t => {
  t.throws(() => readSettings({ WEIR_PORT: '8080' }), Refused)
  t.throws(() => readSettings({ WEIR_PORT: '9444' }), { message: /WEIR_PORT and WEIR_ENGINE_PORT are both 9444/ })
  t.equal(readSettings({ WEIR_PORT: '8080', WEIR_DEMO: '0' }).port, 8080)
})
