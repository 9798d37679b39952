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
  /** A token that is well-formed and that nobody knows: the engine tries to join for a minute. */
  readonly token: string
  /** Where nobody answers. */
  readonly controllerUrl: string
  /** A host that it may be on, of drivers that pick one. */
  readonly host?: string
}

export function driverContract(t: Test, kind: string, maker: DriverMaker): void {
  const order = (name: string): EngineOrder => ({
    name,
    group: 'Edge',
    controllerUrl: maker.controllerUrl,
    token: maker.token,
    ...(maker.host === undefined ? {} : { host: maker.host }),
    signal: AbortSignal.timeout(60_000)
  })
  const listed = (driver: Driver) => driver.list(AbortSignal.timeout(30_000))

  void t.test(`${kind} keeps the driver contract`, async t => {
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
      await driver.ensure(order('edge-1'))
      await until('it runs', async () => (await count('edge-1')) === 1)
      await driver.ensure(order('edge-1'))
      await open().ensure(order('edge-1'))
      await mustList(t, [{ name: 'edge-1', isRunning: true }])
      await mustList(t, [{ name: 'edge-1', isRunning: true }], open())
      t.equal(await count('edge-1'), 1)
    })

    await t.test('what ended is told, and runs again when it is said again', async t => {
      await kill('edge-1')
      if (tells) await until('it is seen to have ended', async () => (await listed(driver))![0]?.isRunning === false)
      await driver.ensure(order('edge-1'))
      await until('it runs', async () => (await count('edge-1')) === 1)
      await mustList(t, [{ name: 'edge-1', isRunning: true }])
    })

    await t.test('engines are told apart', async t => {
      await driver.ensure(order('edge-10'))
      await mustList(t, [
        { name: 'edge-1', isRunning: true },
        { name: 'edge-10', isRunning: true }
      ])
      await driver.destroy(order('edge-1'))
      await mustList(t, [{ name: 'edge-10', isRunning: true }])
      t.equal(await count('edge-1'), 0)
      t.equal(await count('edge-10'), 1)
    })

    await t.test('what is destroyed is gone, also when it is not there', async t => {
      await open().destroy(order('edge-10'))
      await driver.destroy(order('edge-10'))
      await driver.destroy(order('never'))
      await mustList(t, [])
      t.equal(await count('edge-10'), 0)
    })

    await t.test('a name that is none is refused', async t => {
      for (const name of ['', '../etc', 'a b', 'A', `${'a'.repeat(64)}`, '-a', 'a;reboot', '$(reboot)']) {
        await t.rejects(driver.ensure(order(name)), DriverFailed, JSON.stringify(name))
        await t.rejects(driver.destroy(order(name)), DriverFailed, JSON.stringify(name))
      }
    })
  })
}
