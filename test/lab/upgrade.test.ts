/** Two hosts under load come to another build one after the other, by orders of their controller; one that does not come up is put back. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { UpgradeView } from '#model/resource/upgrade.ts'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { askWhile, fetchText, fieldsOf, invite, serve, startServer, statesAre } from './fleet.ts'
import { startHost, type Host } from './host.ts'
import { ensurePackage, installFolder } from './package.ts'
import { debianFolder, makeDebian } from './root.ts'
import { mustRun, until } from './run.ts'
import { scenario } from './scenario.ts'

const archive = `weir-engine-linux-${process.arch}.tar.gz`

/** Gives out another build from now on: the engine as it was built, or as a test changes it, under another digest. */
async function giveOut(folder: string, version: string, change: (tree: string) => void = () => undefined): Promise<string> {
  const tree = mkdtempSync(join(tmpdir(), 'weir-build-'))
  await mustRun(['tar', '-xzf', join(folder, `built-${archive}`), '-C', tree])
  writeFileSync(join(tree, 'lib', 'note'), version)
  change(tree)
  await mustRun(['tar', '-czf', join(folder, archive), '-C', tree, 'weir-engine', 'lib'])
  rmSync(tree, { recursive: true })
  writeFileSync(join(folder, 'VERSION'), `${version}\n`)
  const digestOf = (name: string): string =>
    createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')
  const sums = readFileSync(join(folder, 'SHA256SUMS'), 'utf8')
    .split('\n')
    .map(line => (/ {2}(VERSION|weir-engine-linux-.*)$/.test(line) ? `${digestOf(line.slice(66))}  ${line.slice(66)}` : line))
  writeFileSync(join(folder, 'SHA256SUMS'), sums.join('\n'))
  return digestOf(archive)
}

const buildOn = async (host: Host): Promise<string> => (await host.run(['cat', '/opt/weir/digest'])).stdout.trim()
const mainPid = async (host: Host): Promise<string> =>
  (await host.run(['systemctl', 'show', '-p', 'MainPID', '--value', 'weir-engine'])).stdout.trim()

async function scenarios(): Promise<void> {
  // In a folder of its own, seen by this test alone: other builds are given out while it runs.
  const given = mkdtempSync(join(tmpdir(), 'weir-given-'))
  cpSync(installFolder, given, { recursive: true })
  cpSync(join(given, archive), join(given, `built-${archive}`))
  await mustRun(['mount', '--bind', given, installFolder])
  const [one, two] = await Promise.all(
    [1, 2].map(async n => startHost({ rootFolder: debianFolder, name: `host${n}`, address: `10.91.${n}.2/24`, gateway: `10.91.${n}.1/24` }))
  )
  const hosts = [one!, two!] as const
  t.teardown(() => Promise.all(hosts.map(host => host.stop())))
  const controller = makeController('10.91.1.1')
  t.teardown(() => controller.stop())
  await controller.start()
  const server = await startServer('hello from behind', '10.91.1.1')
  t.teardown(() => server.stop())

  const areUp = (): Promise<boolean> => statesAre(controller, { host1: 'OPER_UP', host2: 'OPER_UP' })
  const { results } = fieldsOf((await controller.call('GET', '/api/serviceenginegroup')).body) as {
    readonly results: readonly { readonly uuid: string }[]
  }
  const at = `/api/serviceenginegroup/${results[0]!.uuid}/upgrade`
  const upgrade = async (): Promise<UpgradeView> => (await controller.call('GET', at)).body as UpgradeView
  const say = async (verb: string, body: object = {}): Promise<UpgradeView> => {
    const answer = await controller.call('POST', `${at}/${verb}`, body)
    if (answer.status !== 200) throw new Error(`${verb}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body as UpgradeView
  }
  /** Both services are asked for all the while. */
  const underLoad = async (happens: () => Promise<unknown>): Promise<{ readonly asked: number; readonly wrong: readonly string[] }> => {
    const wanted = '200 hello from behind'
    const other = Promise.withResolvers<void>()
    const second = askWhile(`http://${two!.address}/`, wanted, () => other.promise)
    const first = await askWhile(`http://${one!.address}/`, wanted, happens).finally(other.resolve)
    const last = await second
    return { asked: Math.min(first.asked, last.asked), wrong: [...first.wrong, ...last.wrong] }
  }
  const told = async (): Promise<string> => JSON.stringify(await upgrade().catch(() => undefined), null, 1)

  await scenario(t, 'two hosts join, serve, and take orders to upgrade', async t => {
    for (const host of hosts) {
      const { command } = await invite(controller)
      const ran = await host.shell(command, { timeoutMs: 60_000 })
      t.match(ran, { code: 0 }, ran.stderr)
      await serve(controller, host.name, host.address, server)
    }
    await until('both answer', 20_000, async () =>
      (await Promise.all(hosts.map(host => fetchText(`http://${host.address}/`)))).every(text => text === '200 hello from behind')
    )
    const { results } = fieldsOf((await controller.call('GET', '/api/serviceengine-inventory')).body) as {
      readonly results: readonly { readonly runtime: { readonly abilities: readonly string[]; readonly build: string } }[]
    }
    const builds = await Promise.all(hosts.map(buildOn))
    for (const { runtime } of results) {
      t.ok(runtime.abilities.includes('upgrade'))
      t.equal(runtime.build, builds[0])
    }
    t.match((await hosts[0].run(['stat', '-c', '%U %a', '/run/weir-upgrade.sock'])).stdout, /^weir 600$/m)
    return undefined
  })

  await scenario(t, 'both are upgraded under load, one after the other, and no request fails', async t => {
    const [before, pids] = [await buildOn(hosts[0]), await Promise.all(hosts.map(mainPid))]
    const build = await giveOut(given, '9.0.0')
    const overlaps: string[] = []
    const { asked, wrong } = await underLoad(async () => {
      t.match(await say('start', { evaluation_duration: 3, deadline: 90 }), { state: 'RUNNING', version: '9.0.0' })
      await until('it is done', 150_000, async () => {
        const { state, engines } = await upgrade()
        const busy = engines.filter(engine => ['MEASURING', 'ORDERED', 'WATCHING', 'GOING_BACK'].includes(engine.state))
        if (busy.length > 1) overlaps.push(busy.map(({ name }) => name).join())
        if (state === 'PAUSED') throw new Error(await told())
        return state === 'DONE'
      })
    })
    t.same(await Promise.all(hosts.map(buildOn)), [build, build], await told())
    t.same(await Promise.all(hosts.map(async host => (await host.run(['cat', '/opt/weir.before/digest'])).stdout.trim())), [before, before])
    t.notMatch(await Promise.all(hosts.map(mainPid)), pids)
    t.same(overlaps, [])
    t.ok(await areUp())
    t.ok(asked > 100, `${asked} requests`)
    t.same(wrong.slice(0, 3), [])
    t.comment((await upgrade()).events.map(({ kind, engine, reasons }) => `${kind} ${engine?.name ?? ''} ${reasons.join('; ')}`).join('\n'))
    return { value: wrong.length, unit: 'failed requests', below: 1 }
  })

  await scenario(t, 'a build that does not come up is put back, the upgrade stops, and no request fails', async t => {
    const before = await buildOn(hosts[0])
    // Starts, and never takes over.
    await giveOut(given, '9.0.1', tree =>
      writeFileSync(join(tree, 'weir-engine'), '#!/bin/sh\n[ "$1" != version ] || exec echo 9.0.1\nexit 1\n', { mode: 0o755 })
    )
    const { asked, wrong } = await underLoad(async () => {
      await say('start', { evaluation_duration: 0, deadline: 90 })
      await until('it stops', 120_000, async () => (await upgrade()).state === 'PAUSED')
    })
    const { engines, reason } = await upgrade()
    t.match(engines, [
      { name: 'host1', state: 'FAILED' },
      { name: 'host2', state: 'WAITING' }
    ])
    t.match(reason, /^host1: the new engine was not taken/)
    t.same(await Promise.all(hosts.map(buildOn)), [before, before])
    await until('both are up', 20_000, areUp)
    t.ok(asked > 20, `${asked} requests`)
    t.same(wrong.slice(0, 3), [])
    t.match(await say('abort'), { state: 'ABORTED' })
    return { value: wrong.length, unit: 'failed requests', below: 1 }
  })

  await scenario(t, 'a build that takes over and does not find its controller is put back by its host, and no request fails', async t => {
    const before = await buildOn(hosts[0])
    await giveOut(given, '9.0.2', tree => {
      const engine = readFileSync(join(tree, 'weir-engine'))
      const [path, other] = ['enginePort}/engine', 'enginePort}/elsewh']
      const where = engine.indexOf(path)
      t.ok(where > 0)
      for (let at = where; at > 0; at = engine.indexOf(path, at)) engine.write(other, at)
      writeFileSync(join(tree, 'weir-engine'), engine)
    })
    const { asked, wrong } = await underLoad(async () => {
      await say('start', { evaluation_duration: 0, deadline: 120 })
      await until('it stops', 150_000, async () => (await upgrade()).state === 'PAUSED')
    })
    const { engines, reason } = await upgrade()
    t.match(
      engines,
      [
        { name: 'host1', state: 'FAILED' },
        { name: 'host2', state: 'WAITING' }
      ],
      await told()
    )
    t.match(reason, /^host1: the new engine was not up within 20 s/)
    t.same(await Promise.all(hosts.map(buildOn)), [before, before])
    await until('both are up', 20_000, areUp)
    t.ok(asked > 20, `${asked} requests`)
    t.same(wrong.slice(0, 3), [])
    await say('abort')
    return { value: wrong.length, unit: 'failed requests', below: 1 }
  })

  await scenario(t, 'a controller that is killed in the middle goes on, and what was upgraded can be rolled back', async t => {
    const before = await buildOn(hosts[0])
    const build = await giveOut(given, '9.1.0')
    const { asked, wrong } = await underLoad(async () => {
      await say('start', { evaluation_duration: 3, deadline: 90, max_parallel: 2 })
      await until('both are ordered', 60_000, async () =>
        (await upgrade()).engines.every(({ state }) => state === 'ORDERED' || state === 'WATCHING')
      )
      await controller.kill()
      await controller.start()
      await until('it is done', 120_000, async () => {
        const { state } = await upgrade()
        if (state === 'PAUSED') t.fail(await told())
        return state !== 'RUNNING'
      })
      t.same(await Promise.all(hosts.map(buildOn)), [build, build])
      t.match(await say('rollback'), { direction: 'BACK' })
      await until('it is rolled back', 120_000, async () => (await upgrade()).state === 'ROLLED_BACK')
    })
    t.same(await Promise.all(hosts.map(buildOn)), [before, before], await told())
    await until('both are up', 20_000, areUp)
    t.ok(asked > 100, `${asked} requests`)
    t.same(wrong.slice(0, 3), [])
    return { value: wrong.length, unit: 'failed requests', below: 1 }
  })

  await scenario(t, 'the host takes orders of its controller alone', async t => {
    const before = await buildOn(hosts[0])
    const hand = (line: string): Promise<{ readonly stdout: string }> =>
      hosts[0].run(
        [
          'timeout',
          '20',
          'runuser',
          '-u',
          'weir',
          '--',
          'curl',
          '-s',
          '-m',
          '15',
          'telnet://x:1',
          '--unix-socket',
          '/run/weir-upgrade.sock'
        ],
        {
          input: `${line}\n`,
          timeoutMs: 30_000
        }
      )
    for (const line of ['', 'nonsense', JSON.stringify({ order: 'x', signature: 'eA==', publicKey: 'eA==' })])
      t.match((await hand(line)).stdout, /the host refuses the order: /)
    const asNobody = await hosts[0].shell(
      'echo x | timeout 10 runuser -u nobody -- curl -s -m 8 telnet://x:1 --unix-socket /run/weir-upgrade.sock; echo "$?"'
    )
    t.equal(asNobody.stdout.trim(), '7', 'the socket is closed to others')
    t.equal(await buildOn(hosts[0]), before)
    return undefined
  })

  await scenario(t, 'remove takes the build before and the units along', async t => {
    t.match(await hosts[0].run(['/opt/weir/install.sh', 'remove']), { code: 0 })
    const left = await hosts[0].shell(
      'ls -d /opt/weir* /etc/systemd/system/weir* /run/weir* 2>/dev/null; systemctl list-units --all --plain --no-legend "weir*"'
    )
    t.equal(left.stdout, '')
    return undefined
  })
}

await labTest(t, {
  story: 'engines are upgraded by their controller',
  file: import.meta.filename,
  tools: ['debootstrap'],
  prepare: async () => (await makeDebian()) ?? (await ensurePackage()),
  scenarios
})
