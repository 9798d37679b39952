/** A host that has nothing becomes an engine by one command, carries traffic, survives, and is clean again after remove. */
import t from 'tap'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { abilitiesOf, askWhile, fetchText, invite, serve, serveInKernel, startServer, statesAre } from './fleet.ts'
import { startHost } from './host.ts'
import { ensurePackage } from './package.ts'
import { debianFolder, makeDebian } from './root.ts'
import { until } from './run.ts'
import { scenario } from './scenario.ts'
import { differences, filesOf } from './trace.ts'

const [hostAddress, ownAddress] = ['10.91.0.2', '10.91.0.1']
async function scenarios(): Promise<void> {
  const host = await startHost({ rootFolder: debianFolder, name: 'host1', address: `${hostAddress}/24`, gateway: `${ownAddress}/24` })
  t.teardown(() => host.stop())
  const controller = makeController(ownAddress)
  t.teardown(() => controller.stop())
  await controller.start()
  const server = await startServer('hello from behind', ownAddress)
  t.teardown(() => server.stop())

  const isUp = (): Promise<boolean> => statesAre(controller, { host1: 'OPER_UP' })
  const answers = async (): Promise<boolean> => (await fetchText(`http://${hostAddress}/`)) === '200 hello from behind'
  const mainPid = async (): Promise<number> =>
    Number((await host.run(['systemctl', 'show', '-p', 'MainPID', '--value', 'weir-engine'])).stdout)
  const journal = async (): Promise<string> =>
    (await host.run(['journalctl', '-u', 'weir-engine', '-n', '40', '--no-pager', '-o', 'cat'])).stdout
  const untouched = await filesOf(host)
  const { token, command } = await invite(controller)

  await scenario(t, 'the host has neither Node nor libatomic', async t => {
    t.match(await host.shell('! command -v node && ! ldconfig -p | grep -q libatomic'), { code: 0 })
    return undefined
  })

  await scenario(t, 'one command and the host is a joined engine that the controller calls up', async t => {
    const ran = await host.shell(command, { timeoutMs: 60_000 })
    t.match(ran, { code: 0, stderr: '' }, `${ran.stderr}${await journal()}`)
    t.equal(ran.stdout.trim().split('\n').length, 5, ran.stdout)
    t.ok(await isUp(), 'the controller says so as well')
    t.comment(ran.stdout)
    return { value: ran.tookMs / 1000, unit: 's', below: 5 }
  })

  await scenario(t, 'a virtual service that is posted is served by the host', async t => {
    await serve(controller, 'web', hostAddress, server)
    const tookMs = await until('the service answers', 10_000, answers)
    t.pass('it answers')
    return { value: tookMs / 1000, unit: 's', below: 1 }
  })

  await scenario(t, 'a second run changes nothing', async t => {
    const before = (await filesOf(host, { withTimes: true })).filter(line => !line.startsWith('/var/lib/weir/'))
    const pid = await mainPid()
    const ran = await host.shell(command, { timeoutMs: 60_000 })
    t.match(ran, { code: 0, stdout: /already joined: .*nothing changed/ }, ran.stderr)
    const after = (await filesOf(host, { withTimes: true })).filter(line => !line.startsWith('/var/lib/weir/'))
    t.same(differences(before, after), [])
    t.equal(await mainPid(), pid, 'the engine was not restarted')
    return { value: ran.tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'verify finds the engine whole and up', async t => {
    t.match(await host.run(['/opt/weir/install.sh', 'verify']), { code: 0, stdout: /installed, enabled and up/ })
    return undefined
  })

  await scenario(t, 'the token is nowhere on the host', async t => {
    const [, , secret] = token.split('.')
    t.ok(secret !== undefined && secret.length > 40)
    const found = await host.shell(
      `grep -rlF -e '${secret}' /etc /opt /var /run /tmp 2>/dev/null; cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -F '${secret}'`
    )
    t.equal(found.stdout, '')
    return undefined
  })

  const kernelPid = async (): Promise<number> =>
    Number((await host.run(['pgrep', '-f', '^/opt/weir/weir-engine kernel-peer'])).stdout.trim() || '0')
  const hasTable = async (): Promise<boolean> => (await host.run(['nft', 'list', 'tables'])).stdout.includes('inet weir_')
  const answersInKernel = async (): Promise<boolean> => (await fetchText(`http://${hostAddress}:81/`)) === '200 hello from behind'

  await scenario(t, 'the kernel forwards, programmed by a process of its own that has CAP_NET_ADMIN alone', async t => {
    t.ok((await abilitiesOf(controller, 'host1')).includes('l4-kernel'), 'the engine says that it can')
    t.equal(await kernelPid(), 0, 'nothing runs that is not needed')
    t.match(await host.run(['sysctl', '-w', 'net.ipv4.ip_forward=1']), { code: 0 })
    await serveInKernel(controller, 'fast', { vsvip: 'web', port: 81 }, server)
    const tookMs = await until('the kernel forwards', 20_000, async () =>
      (await host.run(['nft', 'list', 'ruleset'])).stdout.includes('dnat')
    )
    await until('the service answers', 10_000, answersInKernel)
    const statusOf = async (pid: number): Promise<string> => (await host.run(['cat', `/proc/${pid}/status`])).stdout
    const [engine, kernel] = [await statusOf(await mainPid()), await statusOf(await kernelPid())]
    t.match(engine, /CapPrm:\t0000000000000400\nCapEff:\t0000000000000400\nCapBnd:\t0000000000000400\n/)
    t.match(kernel, /CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\nCapBnd:\t0000000000001000\n/)
    t.match(kernel, /NoNewPrivs:\t1/)
    const uidIn = (status: string): string => /^Uid:\t(\d+)/m.exec(status)?.[1] ?? ''
    t.notMatch([uidIn(engine), uidIn(kernel)], ['0', '0'])
    t.not(uidIn(kernel), uidIn(engine), 'a user of its own')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'nobody but the engine gives orders', async t => {
    const ask = (user: string): Promise<{ readonly stdout: string }> =>
      host.shell(
        `printf 'weir_x\n' | timeout 10 runuser -u ${user} -- curl -s -m 8 telnet://x:1 --unix-socket /run/weir-kernel.sock; echo "$?"`
      )
    t.equal((await ask('nobody')).stdout.trim().split('\n').at(-1), '7', 'the socket is closed to others')
    await ask('root')
    await until('the process that root met says why', 10_000, async () =>
      (await host.run(['journalctl', '-n', '200', '--no-pager', '-o', 'cat'])).stdout.includes('orders of user 0 are not taken')
    )
    t.notMatch((await host.run(['nft', 'list', 'tables'])).stdout, /weir_x\b/)
    t.ok(await answersInKernel(), 'who is served stays so')
    return undefined
  })

  await scenario(t, 'addresses are held by the same right, as long as the engine is connected', async t => {
    const orders = [{ is: 'prepare' }, { is: 'hold', addresses: ['10.91.0.9'], fallback: '' }].map((order, at) =>
      JSON.stringify({ sequence: at + 1, order })
    )
    const talk =
      'my $s = IO::Socket::UNIX->new($ARGV[0]) or die $!; print $s "addresses weir_x\\n$ARGV[1]\\n$ARGV[2]\\n"; print scalar <$s> for 1, 2'
    const asEngine = ['timeout', '20', 'runuser', '-u', 'weir', '--', 'perl', '-MIO::Socket::UNIX', '-e', talk]
    const { stdout: said, stderr } = await host.run([...asEngine, '/run/weir-kernel.sock', ...orders], { timeoutMs: 30_000 })
    t.equal(stderr, '')
    t.match(said, /"sequence":1,.*"is":"done"|"is":"done".*"sequence":1/, said)
    t.match(said, /10\.91\.0\.9/, said)
    t.equal((await host.run(['cat', '/proc/sys/net/ipv4/ip_nonlocal_bind'])).stdout.trim(), '1')
    await until('the address is given up', 20_000, async () => !(await host.run(['ip', 'address'])).stdout.includes('10.91.0.9'))
    return undefined
  })

  await scenario(t, 'the process is killed: the kernel is programmed anew by the next', async t => {
    const pid = await kernelPid()
    await host.run(['kill', '-9', `${pid}`])
    const tookMs = await until('another process runs', 20_000, async () => {
      const now = await kernelPid()
      return now > 0 && now !== pid && (await hasTable())
    })
    await until('the service answers', 10_000, answersInKernel)
    t.pass('it answers')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'the engine stops: process, table and socket go with it', async t => {
    await host.run(['systemctl', 'stop', 'weir-engine'])
    await until('nothing is left', 20_000, async () => (await kernelPid()) === 0 && !(await hasTable()))
    t.match(await host.shell('test ! -e /run/weir-kernel.sock; systemctl is-active weir-kernel.socket'), { stdout: /^inactive/ })
    t.match(await host.run(['systemctl', 'start', 'weir-engine']), { code: 0 })
    await until('the controller calls it up', 20_000, isUp)
    await until('the kernel forwards', 20_000, hasTable)
    await until('the service answers', 10_000, answersInKernel)
    t.pass('it answers')
    return undefined
  })

  await scenario(t, 'systemctl restart serves again', async t => {
    t.match(await host.run(['systemctl', 'restart', 'weir-engine']), { code: 0 })
    const tookMs = await until('the service answers', 20_000, answers)
    await until('the controller calls it up', 20_000, isUp)
    t.pass('it answers')
    return { value: tookMs / 1000, unit: 's', below: 5 }
  })

  await scenario(
    t,
    'systemctl reload under load: another process takes over, no request fails, and systemd watches the new one',
    async t => {
      const pids = [await mainPid()]
      const { asked, wrong } = await askWhile(`http://${hostAddress}/`, '200 hello from behind', async () => {
        for (let round = 0; round < 3; round++) {
          t.match(await host.run(['systemctl', 'reload', 'weir-engine'], { timeoutMs: 90_000 }), { code: 0 }, await journal())
          pids.push(await mainPid())
          await until('the controller calls it up', 20_000, isUp)
        }
      })
      t.equal(new Set(pids).size, 4, `processes ${pids.join(', ')}`)
      t.ok(asked > 100, `${asked} requests`)
      t.same(wrong.slice(0, 3), [])
      t.match(await host.run(['systemctl', 'is-active', 'weir-engine']), { stdout: 'active\n' })
      await until('the processes before have ended', 90_000, async () => {
        const { stdout } = await host.shell('pgrep -fc "/opt/weir/weir-engine (run|takeover)" || true')
        return stdout.trim() === '1'
      })
      const last = pids.at(-1)!
      await host.run(['kill', '-9', String(last)])
      await until('systemd starts the service again', 20_000, async () => {
        const now = await mainPid()
        return now > 0 && now !== last && (await answers())
      })
      await until('the controller calls it up', 20_000, isUp)
      return { value: wrong.length, unit: 'failed requests', below: 1 }
    }
  )

  await scenario(t, 'kill -9 of the engine: the controller says down', async t => {
    const startedMs = performance.now()
    await host.run(['systemctl', 'kill', '-s', 'KILL', 'weir-engine'])
    // Before systemd starts it again.
    await host.run(['systemctl', 'stop', 'weir-engine'])
    await until('the controller calls it down', 20_000, async () => !(await isUp()))
    const tookMs = performance.now() - startedMs
    t.pass('it says so')
    await host.run(['systemctl', 'start', 'weir-engine'])
    await until('the controller calls it up', 20_000, isUp)
    await until('the service answers', 20_000, answers)
    return { value: tookMs / 1000, unit: 's', below: 3 }
  })

  await scenario(t, 'the cable is pulled: the controller says so, and finds the engine again when it is back', async t => {
    const startedMs = performance.now()
    await host.plug(false)
    await until('the controller does not call it up', 20_000, async () => !(await isUp()))
    const tookMs = performance.now() - startedMs
    await host.plug(true)
    await until('the controller calls it up', 30_000, isUp)
    await until('the service answers', 20_000, answers)
    t.pass('it is back')
    return { value: tookMs / 1000, unit: 's', below: 3 }
  })

  await scenario(t, 'kill -9 of the controller under load fails no request', async t => {
    const { asked, wrong } = await askWhile(`http://${hostAddress}/`, '200 hello from behind', async () => {
      await controller.kill()
      await controller.start()
      await until('the controller calls it up', 30_000, isUp)
    })
    t.ok(asked > 100, `${asked} requests`)
    t.same(wrong.slice(0, 3), [])
    return { value: wrong.length, unit: 'failed requests', below: 1 }
  })

  await scenario(t, 'kill -9 while the controller is gone: systemd restarts the engine, which serves its last snapshot', async t => {
    await controller.kill()
    t.ok(await answers(), 'traffic flows on without a controller')
    const pid = await mainPid()
    await host.run(['systemctl', 'kill', '-s', 'KILL', 'weir-engine'])
    const tookMs = await until('another process serves', 20_000, async () => {
      const now = await mainPid()
      return now > 0 && now !== pid && (await answers())
    })
    t.pass('it serves')
    return { value: tookMs / 1000, unit: 's', below: 5 }
  })

  await scenario(t, 'the controller comes back and finds its engine', async t => {
    await controller.start()
    const tookMs = await until('the controller calls it up', 30_000, isUp)
    t.ok(await answers(), 'and it serves')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'remove leaves no trace', async t => {
    t.match(await host.run(['/opt/weir/install.sh', 'remove']), { code: 0 })
    const left = differences(untouched, await filesOf(host))
    t.same(left, [])
    t.match(
      await host.shell('pgrep -l weir; getent passwd weir; nft list tables; systemctl list-units --all --plain --no-legend "weir*"'),
      {
        stdout: ''
      }
    )
    t.notOk(await answers(), 'the service is gone from this host')
    return { value: left.length, unit: 'files', below: 1 }
  })
}

await labTest(t, {
  story: 'a host with systemd becomes an engine',
  file: import.meta.filename,
  tools: ['debootstrap'],
  prepare: async () => (await makeDebian()) ?? (await ensurePackage()),
  scenarios
})
