/** Whatever hosts, engines, controller and operator do: so many at once, a run ends, and who is not done runs what it ran. */
import fc from 'fast-check'
import t from 'tap'
import { upgradeActions } from '#model/resource/upgrade.ts'
import { UpgradeRefused } from '#controller/upgrade/port.ts'
import { aGroup, NEW, obeys, OLD, type Host } from '#test/support/upgraded-group.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const COUNT = 4

t.before(() => t.comment(`seed ${seed} (WEIR_FUZZ_SEED)`))

const hosts: Readonly<Record<string, Host>> = {
  obeys,
  refuses: ({ id }, one) => void (one.ended = { id, outcome: 'failed', reason: 'no' }),
  silent: () => undefined,
  'goes down': ({ build }, one) => {
    one.build = build
    one.isUp = false
  }
}

const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ is: fc.constant('pass' as const), seconds: fc.integer({ min: 1, max: 90 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      is: fc.constant('host' as const),
      n: fc.integer({ min: 1, max: COUNT }),
      host: fc.constantFrom(...Object.keys(hosts))
    })
  },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('up' as const), n: fc.integer({ min: 1, max: COUNT }), isUp: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('errors' as const), n: fc.integer({ min: 1, max: COUNT }) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('restart' as const) }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('act' as const), action: fc.constantFrom(...upgradeActions) }) }
)

t.test('an upgrade keeps its word', async t => {
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 3 }),
    fc.constantFrom(0, 5),
    fc.array(event, { maxLength: 40 }),
    async (most, watched, events) => {
      const house = await aGroup(t, COUNT, { max_parallel: most, evaluation_duration: watched })
      const check = (): void => {
        const { engines } = house.view()
        const busy = engines.filter(({ state }) => ['MEASURING', 'ORDERED', 'WATCHING', 'GOING_BACK'].includes(state))
        if (busy.length > most) throw new Error(`${busy.length} at once`)
        if (house.view().ended_at !== null && busy.length > 0) throw new Error('it ended while engines are under way')
      }
      const say = (action: (typeof upgradeActions)[number]): void => {
        try {
          house.act(action)
        } catch (error) {
          if (!(error instanceof UpgradeRefused)) throw error
        }
      }
      house.start()
      for (const one of events) {
        if (one.is === 'pass') house.pass(one.seconds)
        else if (one.is === 'host') house.engine(one.n).host = hosts[one.host]!
        else if (one.is === 'up') house.engine(one.n).isUp = one.isUp
        else if (one.is === 'errors') house.engine(one.n).errors += 500
        else if (one.is === 'restart') house.restart()
        else say(one.action)
        check()
      }
      // From here on all is well: it comes to its end, and back when it is told to.
      for (const engine of house.engines.values()) Object.assign(engine, { isUp: true, host: obeys })
      for (let i = 0; i < 20 && house.view().ended_at === null; i++) {
        if (house.view().state === 'PAUSED') say('resume')
        house.pass(100)
        check()
      }
      if (house.view().ended_at === null) throw new Error(`it does not end: ${JSON.stringify(house.view().engines)}`)
      for (const { uuid, state } of house.view().engines) {
        const { build } = house.engines.get(uuid)!
        const wanted = house.view().direction === 'FORWARD' ? NEW : OLD
        if (state === 'DONE' && build !== wanted) throw new Error(`${uuid} is done and runs ${build}`)
      }
      say('rollback')
      house.pass(400)
      if (house.view().direction === 'BACK' && house.view().state === 'ROLLED_BACK')
        for (const { uuid, state } of house.view().engines)
          if (state === 'DONE' && house.engines.get(uuid)!.build !== OLD) throw new Error(`${uuid} did not go back`)
    }
  )
  await fc.assert(property, { seed, numRuns: 150 })
  t.pass('in every order')
})
