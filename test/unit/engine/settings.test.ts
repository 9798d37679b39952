import t from 'tap'
import { readOrder, readSettings, Refused, scriptUserOf } from '#engine/settings.ts'

t.test('readSettings has a default for everything', async t => {
  const settings = readSettings({}, 'host-1')
  t.match(settings, {
    controllerUrl: '',
    token: '',
    tokenFile: '',
    kernelSocket: null,
    name: 'host-1',
    dataFolder: /\.weir\/engine$/,
    accessLogPath: /\.weir\/engine\/access\.log$/,
    forwarder: 'wire'
  })
  t.ok(settings.workers >= 1 && settings.workers <= 4)
})

t.test('readSettings takes what it is told', async t => {
  t.match(
    readSettings(
      { WEIR_DATA: '/data', WEIR_CONTROLLER: 'https://c:9443', WEIR_TOKEN: 't', WEIR_WORKERS: '9', WEIR_ACCESS_LOG: '-', WEIR_NAME: 'n' },
      'host-1'
    ),
    { dataFolder: '/data', controllerUrl: 'https://c:9443', token: 't', workers: 9, accessLogPath: '-', name: 'n' }
  )
  t.equal(readSettings({ WEIR_FORWARDER: 'stock' }, 'h').forwarder, 'stock')
  t.equal(readSettings({ WEIR_ACCESS_LOG: '' }, 'h').accessLogPath, '')
  t.equal(readSettings({ WEIR_ACCESS_LOG: '/log/a' }, 'h').accessLogPath, '/log/a')
  t.match(readSettings({}, 'h'), { peerPort: 9445, vipInterface: '', birdSocket: '/run/bird/bird.ctl' })
  t.match(readSettings({ WEIR_BIRD_SOCKET: '/var/run/bird.ctl' }, 'h'), { birdSocket: '/var/run/bird.ctl' })
  t.match(readSettings({ WEIR_PEER_PORT: '9500', WEIR_VIP_INTERFACE: 'eth0.7' }, 'h'), { peerPort: 9500, vipInterface: 'eth0.7' })
})

t.test('readSettings refuses what makes no sense, in one line', async t => {
  for (const env of [
    { WEIR_FORWARDER: 'other' },
    { WEIR_WORKERS: '0' },
    { WEIR_WORKERS: 'many' },
    { WEIR_WORKERS: '65' },
    { WEIR_CONTROLLER: 'nonsense' },
    { WEIR_PEER_PORT: '0' },
    { WEIR_PEER_PORT: '65536' },
    { WEIR_PEER_PORT: 'udp' },
    { WEIR_VIP_INTERFACE: 'eth0 up' }
  ]) {
    t.throws(() => readSettings(env, 'h'), { name: 'Refused', message: /^WEIR_[^\n]+$/ }, JSON.stringify(env))
  }
})

t.test('readOrder knows its verbs', async t => {
  const settings = readSettings({ WEIR_TOKEN: 'from-env' }, 'h')
  t.same(readOrder([], settings), { is: 'run' })
  for (const verb of ['takeover', 'reload'] as const) t.same(readOrder([verb], settings), { is: verb })
  t.same(readOrder(['run'], settings), { is: 'run' })
  t.same(readOrder(['status'], settings), { is: 'status' })
  t.same(readOrder(['version'], settings), { is: 'version' })
  t.same(readOrder(['join', '--controller', 'https://c:1', '--token', 'x'], settings), {
    is: 'join',
    controllerUrl: 'https://c:1',
    token: 'x'
  })
  t.same(readOrder(['join', '--controller', 'https://c:1'], settings), { is: 'join', controllerUrl: 'https://c:1', token: 'from-env' })
  for (const args of [['dance'], ['run', 'fast'], ['join'], ['join', '--wrong', 'x'], ['status', '--json']]) {
    t.throws(() => readOrder(args, settings), Refused, args.join(' '))
  }
})

t.test('scriptUserOf names a user that scripts can run as', async t => {
  const accounts = 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nbroken\n'
  t.equal(scriptUserOf('', accounts, 0), null)
  t.same(scriptUserOf('nobody', accounts, 0), { uid: 65534, gid: 65533 })
  t.same(scriptUserOf('65534', accounts, 65534), { uid: 65534, gid: 65533 })
  t.throws(() => scriptUserOf('root', accounts, 0), Refused)
  t.throws(() => scriptUserOf('nobody', accounts, 1000), { message: /must be the user that the engine runs as/ })
  t.throws(() => scriptUserOf('somebody', accounts, 0), { message: /must be a user of this host/ })
  t.throws(() => scriptUserOf('broken', accounts, 0), Refused)
})
