import t from 'tap'
import { makeDriver, type CatalogOptions } from '#controller/driver/catalog.ts'
import { DriverFailed } from '#controller/driver/port.ts'

const options: CatalogOptions = {
  dataFolder: '/nonexistent',
  engineCommand: [process.execPath, import.meta.filename],
  env: {},
  webhooks: { callNow: async () => undefined },
  serverKeyPin: 'sha256//x',
  caFingerprint: 'f',
  openSecret: sealed => `opened ${sealed}`,
  random: () => 0,
  containerSocket: '/run/docker.sock'
}
const common = { max_engines: 1, join_timeout: 300, controller_url: 'https://c:9443' }

t.test('makeDriver makes each type of driver, or says what it lacks', async t => {
  const host = { address: 'h', port: 22, user: 'root', host_key: 'ssh-ed25519 AAAA' }
  const ssh = makeDriver({ ...common, type: 'SSH', ssh: { hosts: [host], private_key: 'k' } }, options)
  t.equal(ssh.pick?.([]), 'h')
  for (const type of ['PROCESS', 'CONTAINER', 'WEBHOOK'] as const) t.equal(makeDriver({ ...common, type }, options).pick, undefined, type)
  const refused = (type: 'PROCESS' | 'CONTAINER', more: Partial<CatalogOptions>, words: RegExp): void => {
    t.throws(() => makeDriver({ ...common, type }, { ...options, ...more }), words)
    t.throws(() => makeDriver({ ...common, type }, { ...options, ...more }), DriverFailed)
  }
  refused('PROCESS', { engineCommand: [process.execPath, '/nonexistent/main.ts'] }, /an installed controller has no engine beside it/)
  refused('CONTAINER', { containerSocket: '' }, /set WEIR_CONTAINER_SOCKET/)
})
