/** Engines as processes: the contract over real engines. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { makeJoinToken } from '#model/message/token.ts'
import { openProcessDriver } from '#controller/driver/process/process.ts'
import { driverContract } from '#test/contract/driver.ts'
import { until } from '#test/support/wait.ts'

t.setTimeout(120_000)

const main = resolve(import.meta.dirname, '../../../service-engine/main.ts')
const secret = Buffer.alloc(32).toString('base64url')

/** Engines on a data folder, by the environment of processes whose program is ours. */
function pidsOn(folder: string): number[] {
  return readdirSync('/proc').flatMap(entry => {
    if (!/^\d+$/.test(entry)) return []
    try {
      const isOurs = readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes('service-engine/main.ts')
      return isOurs && readFileSync(`/proc/${entry}/environ`, 'utf8').split('\0').includes(`WEIR_DATA=${folder}`) ? [Number(entry)] : []
    } catch {
      return []
    }
  })
}

void driverContract(t, 'process', {
  token: () => makeJoinToken({ caFingerprint: secret, secret }),
  controllerUrl: 'https://127.0.0.1:1',
  open: async t => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-driver-'))
    const open = () => openProcessDriver({ folder, command: [process.execPath, main], workers: 1, env: process.env })
    t.teardown(async () => {
      for (const { name } of (await open().list(AbortSignal.timeout(10_000))) ?? [])
        await open().destroy({ name, group: 'Edge', signal: AbortSignal.timeout(60_000) })
      rmSync(folder, { recursive: true, force: true })
    })
    return {
      open,
      count: name => pidsOn(join(folder, name)).length,
      kill: async name => {
        for (const pid of pidsOn(join(folder, name))) process.kill(pid, 'SIGKILL')
        await until('it ended', () => pidsOn(join(folder, name)).length === 0)
      }
    }
  }
})

t.test('an engine is told what it needs and nothing of what the controller knows', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-driver-'))
  const env = { ...process.env, WEIR_ADMIN_PASSWORD: 'swordfish', HOME: '/home/of-it' }
  const driver = openProcessDriver({ folder, command: [process.execPath, main], workers: 3, env })
  const signal = AbortSignal.timeout(60_000)
  t.teardown(async () => {
    await driver.destroy({ name: 'one', group: 'Edge', signal })
    rmSync(folder, { recursive: true, force: true })
  })
  const token = makeJoinToken({ caFingerprint: secret, secret })
  await driver.ensure({ name: 'one', group: 'Edge', controllerUrl: 'https://127.0.0.1:1', token, signal })
  const [pid] = await until('it runs', () => {
    const pids = pidsOn(join(folder, 'one'))
    return pids.length === 1 ? pids : undefined
  })
  const told = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  t.notOk(told.some(line => line.includes('swordfish') || line.includes(token)))
  t.ok(told.includes('HOME=/home/of-it') && told.includes('WEIR_WORKERS=3') && told.includes('WEIR_NAME=one'))
  t.notOk(readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(token))
  const sessionOf = (of: number | string): string | undefined => {
    const status = readFileSync(`/proc/${of}/stat`, 'utf8')
    return status.slice(status.lastIndexOf(')') + 2).split(' ')[3]
  }
  t.equal(sessionOf(pid!), String(pid), 'a session of its own: no terminal and no parent ends it')

  const broken = openProcessDriver({ folder, command: ['/nonexistent'], workers: 1, env })
  await t.rejects(
    broken.ensure({ name: 'two', group: 'Edge', controllerUrl: 'https://127.0.0.1:1', token, signal }),
    /two could not be started/
  )
})
