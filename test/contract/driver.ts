/** What every driver of engines keeps, whatever it makes them of. */
import type { Test } from 'tap'
import { DriverFailed, type Driver, type EngineOrder, type Instance } from '#controller/driver/port.ts'
import { until } from '#test/support/wait.ts'

export interface DriverMaker {
  /** A driver that runs nothing yet; what it made is removed by the maker's own teardown. */
  readonly open: (t: Test) => Promise<{
    /** The same again, as a controller that starts anew would make it. */
    readonly open: () => Driver
    /** How many of a name run, counted from outside. */
    readonly count: (name: string) => number | Promise<number>
    /** Ends one, as a fault would. */
    readonly kill: (name: string) => void | Promise<void>
  }>
  /** A well-formed token; of drivers that start an engine and do not wait for its join, one that nobody knows. */
  readonly token: () => string | Promise<string>
  /** Where nobody answers. */
  readonly controllerUrl: string
  /** The host that one may be on, of drivers that pick one. */
  readonly hostOf?: (name: string) => string
}

export function driverContract(t: Test, kind: string, maker: DriverMaker): Promise<unknown> {
  const order = async (name: string): Promise<EngineOrder> => ({
    name,
    group: 'Edge',
    controllerUrl: maker.controllerUrl,
    token: await maker.token(),
    ...(maker.hostOf === undefined ? {} : { host: maker.hostOf(name) }),
    signal: AbortSignal.timeout(120_000)
  })
  const listed = (driver: Driver) => driver.list(AbortSignal.timeout(30_000))

  return t.test(`${kind} keeps the driver contract`, async t => {
    const { open, count, kill } = await maker.open(t)
    const driver = open()
    const tells = (await listed(driver)) !== undefined
    const mustList = async (t: Test, expected: readonly Instance[], by = driver): Promise<void> => {
      const byName = (a: Instance, b: Instance): number => (a.name < b.name ? -1 : 1)
      if (tells) t.same((await listed(by))!.toSorted(byName), expected)
      else t.equal(await listed(by), undefined)
    }

    await t.test('nothing runs at first', async t => {
      await mustList(t, [])
    })

    await t.test('what is ensured runs, once, however often it is said and by whom', async t => {
      await driver.ensure(await order('edge-1'))
      await until('it runs', async () => (await count('edge-1')) === 1)
      await driver.ensure(await order('edge-1'))
      await open().ensure(await order('edge-1'))
      await mustList(t, [{ name: 'edge-1', isRunning: true }])
      await mustList(t, [{ name: 'edge-1', isRunning: true }], open())
      t.equal(await count('edge-1'), 1)
    })

    await t.test('what ended is told, and runs again when it is said again', async t => {
      await kill('edge-1')
      if (tells) await until('it is seen to have ended', async () => (await listed(driver))![0]?.isRunning === false)
      await driver.ensure(await order('edge-1'))
      await until('it runs', async () => (await count('edge-1')) === 1)
      await mustList(t, [{ name: 'edge-1', isRunning: true }])
    })

    await t.test('engines are told apart', async t => {
      await driver.ensure(await order('edge-10'))
      await mustList(t, [
        { name: 'edge-1', isRunning: true },
        { name: 'edge-10', isRunning: true }
      ])
      await driver.destroy(await order('edge-1'))
      await mustList(t, [{ name: 'edge-10', isRunning: true }])
      t.equal(await count('edge-1'), 0)
      t.equal(await count('edge-10'), 1)
    })

    await t.test('what is destroyed is gone, also when it is not there', async t => {
      await open().destroy(await order('edge-10'))
      await driver.destroy(await order('edge-10'))
      await driver.destroy(await order('never'))
      await mustList(t, [])
      t.equal(await count('edge-10'), 0)
    })

    await t.test('a name that is none is refused', async t => {
      for (const name of ['', '../etc', 'a b', 'A', `${'a'.repeat(64)}`, '-a', 'a;reboot', '$(reboot)']) {
        await t.rejects(driver.ensure(await order(name)), DriverFailed, JSON.stringify(name))
        await t.rejects(driver.destroy(await order(name)), DriverFailed, JSON.stringify(name))
      }
    })
  })
}
