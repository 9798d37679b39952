import { resolve } from 'node:path'
import t from 'tap'
import { readSettings } from '../../../controller/settings.ts'

t.test('readSettings has the documented defaults', async t => {
  t.match(readSettings({}), { dataFolder: resolve('.weir'), host: '::', port: 9443, enginePort: 9444, hostnames: [] })
  t.equal(readSettings({}).demo, undefined)
  t.equal(readSettings({ WEIR_ADMIN_PASSWORD: '' }).adminPassword, undefined)
})

t.test('readSettings takes the demo from the launcher, unless there shall be none', async t => {
  const env = { WEIR_DEMO_SERVERS: '127.0.0.1:9001, 127.0.0.1:9002', WEIR_DEMO_PORT: '8081' }
  t.same(readSettings(env).demo, { port: 8081, servers: ['127.0.0.1:9001', '127.0.0.1:9002'] })
  t.equal(readSettings({ ...env, WEIR_DEMO: '0' }).demo, undefined)
})

t.test('readSettings refuses what it cannot mean, naming the variable and never the password', async t => {
  t.throws(() => readSettings({ WEIR_PORT: 'x' }), { name: 'SettingsRefused', message: /^WEIR_PORT must be a port/ })
  t.throws(() => readSettings({ WEIR_CONTAINER_SOCKET: 'tcp://1.2.3.4:2375' }), { message: /^WEIR_CONTAINER_SOCKET must be the path/ })
  t.equal(readSettings({ WEIR_CONTAINER_SOCKET: 'unix:///run/podman.sock' }).containerSocket, '/run/podman.sock')
  t.throws(() => readSettings({ WEIR_DEMO_SERVERS: 'localhost' }), { message: /^WEIR_DEMO_SERVERS must be/ })
  try {
    readSettings({ WEIR_ADMIN_PASSWORD: 'secret' })
    t.fail('a short password is taken')
  } catch (error) {
    t.match(error, { message: /^WEIR_ADMIN_PASSWORD must have at least 8/ })
    t.notMatch(String(error), /secret/)
  }
})
