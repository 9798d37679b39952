import t from 'tap'
import { UpgradeRefused } from '#controller/upgrade/port.ts'
import { aGroup, NEW, obeys, OLD, type Host } from '#test/support/upgraded-group.ts'

t.test('engines are measured, replaced, watched, one after the other', async t => {
  const { start, pass, states, engine, view, kinds, orders } = await aGroup(t, 2)
  t.match(start(), { state: 'RUNNING', version: '2.0.0', serviceenginegroup_name: 'edge' })
  t.same(states(), ['MEASURING', 'WAITING'])
  pass(9)
  t.equal(orders.length, 0)
  pass(1)
  t.same(states(), ['ORDERED', 'WAITING'])
  pass(1)
  t.same(states(), ['WATCHING', 'WAITING'])
  t.equal(engine(2).build, OLD)
  pass(10)
  t.same(states(), ['DONE', 'MEASURING'])
  pass(22)
  t.same(states(), ['DONE', 'DONE'])
  t.match(view(), { state: 'DONE', reason: '2 of 2 engines run the new build' })
  t.ok(view().ended_at !== null)
  t.same([engine(1).build, engine(2).build], [NEW, NEW])
  t.same(kinds(), ['STARTED', 'ORDERED e1', 'UP e1', 'UPGRADED e1', 'ORDERED e2', 'UP e2', 'UPGRADED e2', 'DONE'])
})

t.test('so many at once, and no more', async t => {
  const { start, pass, states, view } = await aGroup(t, 5, { max_parallel: 2, evaluation_duration: 2 })
  start()
  let most = 0
  for (let i = 0; i < 30; i++) {
    most = Math.max(most, states().filter(state => ['MEASURING', 'ORDERED', 'WATCHING'].includes(state)).length)
    pass(1)
  }
  t.equal(most, 2)
  t.match(view(), { state: 'DONE', reason: '5 of 5 engines run the new build' })
})

t.test(
  'a host that does not bring the build up goes back by itself: the upgrade stops, says why, and tries again when told to',
  async t => {
    const { start, pass, states, engine, view, act, orders } = await aGroup(t, 2)
    engine(1).host = ({ id }, one) => {
      one.ended = { id, outcome: 'failed', reason: 'weir: the new engine was not up within 20 s: the old one runs again' }
    }
    start()
    pass(12)
    t.same(states(), ['FAILED', 'WAITING'])
    t.match(view(), { state: 'PAUSED', reason: 'e1: weir: the new engine was not up within 20 s: the old one runs again' })
    pass(100)
    t.same(states(), ['FAILED', 'WAITING'], 'nothing more begins')
    engine(1).host = obeys
    t.match(act('resume'), { state: 'RUNNING' })
    pass(60)
    t.match(view(), { state: 'DONE' })
    t.equal(orders.length, 3)
  }
)

t.test('an engine that answers with errors on the new build is ordered back', async t => {
  const { start, pass, states, engine, engines, view, kinds } = await aGroup(t, 2)
  start()
  pass(11)
  t.same(states(), ['WATCHING', 'WAITING'])
  for (let i = 0; i < 5; i++) {
    if (engine(1).build === NEW) engine(1).errors += 50
    pass(1)
  }
  t.same(states(), ['FAILED', 'WAITING'])
  t.equal(engine(1).build, OLD)
  t.match(view(), { state: 'PAUSED', reason: /^e1: errors: \d+(\.\d+)? % of \d+ requests, 0 % of 1000 before$/ })
  t.same(kinds().slice(2), ['UP e1', 'GOING_BACK e1', 'WENT_BACK e1', 'PAUSED'])
  t.ok([...engines.values()].every(({ build }) => build === OLD))
})

t.test('a health score that stays lower until the deadline is no better', async t => {
  const { start, pass, states, engine, scores, view } = await aGroup(t, 1)
  start()
  pass(11)
  scores.score = 70
  pass(30)
  t.same(states(), ['WATCHING'], 'it may recover')
  pass(40)
  t.same(states(), ['FAILED'])
  t.equal(engine(1).build, OLD)
  t.match(view().reason, /^e1: health of shop: 70, 100 before$/)
})

t.test('an engine that refuses what it ran, or does not stay up, goes back', async t => {
  const house = await aGroup(t, 1)
  house.start()
  house.pass(11)
  house.engine(1).violations = [{ pointer: '/virtual-service/x', message: 'must be known' }]
  house.pass(2)
  t.match(house.view(), { state: 'PAUSED', reason: 'e1: it refuses what it should run: must be known' })
  t.equal(house.engine(1).build, OLD)
  house.engine(1).violations = []
  house.act('resume')
  house.pass(11)
  t.same(house.states(), ['WATCHING'])
  for (let i = 0; i < 40; i++) {
    house.engine(1).isUp = i % 3 !== 0
    house.pass(2)
  }
  t.same(house.states(), ['FAILED'])
  t.match(house.view().reason, /^e1: it did not stay up on the new build within 60 s/)
})

t.test('a host that says nothing is given up at the deadline, and ordered back', async t => {
  const { start, pass, states, engine, orders, sent, view } = await aGroup(t, 1)
  const silent: Host = ({ build }, one) => {
    if (build === OLD) one.host = obeys
  }
  engine(1).host = silent
  start()
  pass(10)
  const [first] = orders
  pass(59)
  t.same(states(), ['ORDERED'])
  t.ok(sent.filter(id => id === first!.id).length > 3, 'the same order again and again')
  pass(3)
  t.same(states(), ['FAILED'])
  t.same(
    orders.map(({ build }) => build),
    [NEW, OLD]
  )
  t.match(view().reason, 'e1: it was not up on the new build within 60 s')
})

t.test('what cannot go back says so', async t => {
  const { start, pass, engine, view, states } = await aGroup(t, 1)
  engine(1).host = ({ id, build }, one) => {
    if (build === NEW) one.build = NEW
    else one.ended = { id, outcome: 'failed', reason: 'no way back' }
  }
  start()
  pass(11)
  engine(1).violations = [{ pointer: '/x', message: 'bad' }]
  pass(2)
  t.same(states(), ['FAILED'])
  t.match(view().reason, /; and it could not go back: no way back$/)
})

t.test('paused, nothing begins and what is under way is brought to its end; aborted, nothing begins any more', async t => {
  const { start, pass, states, act, view, engine } = await aGroup(t, 3)
  start()
  pass(11)
  t.match(act('pause'), { state: 'PAUSED' })
  t.throws(() => act('pause'), UpgradeRefused)
  pass(40)
  t.same(states(), ['DONE', 'WAITING', 'WAITING'])
  t.match(act('resume'), { state: 'RUNNING' })
  t.throws(() => act('resume'), UpgradeRefused)
  pass(10)
  t.same(states(), ['DONE', 'ORDERED', 'WAITING'])
  t.match(act('abort'), { state: 'ABORTED', ended_at: null })
  pass(20)
  t.same(states(), ['DONE', 'DONE', 'SKIPPED'])
  t.ok(view().ended_at !== null)
  t.throws(() => act('resume'), UpgradeRefused)
  t.throws(() => act('abort'), UpgradeRefused)
  t.equal(engine(3).build, OLD)
})

t.test('rolled back, every engine returns to what it ran, one after the other', async t => {
  const { start, pass, states, act, view, engines, orders } = await aGroup(t, 3, { evaluation_duration: 0 })
  start()
  pass(2)
  t.same(states(), ['DONE', 'DONE', 'ORDERED'])
  t.match(act('rollback'), { state: 'RUNNING', direction: 'BACK' })
  t.throws(() => act('rollback'), UpgradeRefused)
  pass(10)
  t.same(states(), ['DONE', 'DONE', 'DONE'])
  t.match(view(), { state: 'ROLLED_BACK', reason: '3 of 3 engines run what they ran before' })
  t.ok([...engines.values()].every(({ build }) => build === OLD))
  t.equal(orders.filter(({ build }) => build === OLD).length, 3)
  t.throws(() => act('rollback'), UpgradeRefused)
})

t.test('one that is done can still be rolled back, and another started after that', async t => {
  const { start, pass, act, view } = await aGroup(t, 2, { evaluation_duration: 0 })
  start()
  pass(10)
  t.equal(view().state, 'DONE')
  act('rollback')
  pass(10)
  t.equal(view().state, 'ROLLED_BACK')
  start()
  pass(10)
  t.equal(view().state, 'DONE')
})

t.test('a controller that is killed goes on where it was', async t => {
  const { start, pass, restart, states, orders, engine, view } = await aGroup(t, 2, { evaluation_duration: 3 })
  engine(1).host = () => undefined
  start()
  pass(4)
  restart()
  t.same(states(), ['ORDERED', 'WAITING'])
  pass(2)
  engine(1).build = NEW
  pass(1)
  t.same(states(), ['WATCHING', 'WAITING'])
  restart()
  engine(1).isUp = false
  engine(2).isUp = false
  pass(10)
  t.same(states(), ['WATCHING', 'WAITING'], 'engines come back first')
  engine(1).isUp = true
  engine(2).isUp = true
  for (let i = 0; i < 20; i++) {
    restart()
    pass(5)
  }
  t.equal(view().state, 'DONE')
  t.equal(orders.length, 2, 'nobody was ordered twice')
})

t.test('engines that are not up, take no orders or say no build are left out, in words', async t => {
  const { start, pass, engine, view } = await aGroup(t, 4, { evaluation_duration: 0 })
  engine(1).abilities = []
  engine(2).build = ''
  engine(3).isUp = false
  start()
  pass(5)
  t.equal(view().state, 'RUNNING', 'it may come back')
  pass(60)
  t.match(view(), {
    state: 'DONE',
    reason: '1 of 4 engines run the new build',
    engines: [
      { state: 'SKIPPED', reason: /takes no orders/ },
      { state: 'SKIPPED', reason: /does not say which build/ },
      { state: 'SKIPPED', reason: 'it is not up' },
      { state: 'DONE' }
    ]
  })
})

t.test('what makes no sense is refused, and other builds are not mixed in', async t => {
  const house = await aGroup(t, 2)
  t.throws(() => house.act('rollback'), new UpgradeRefused('this group was never upgraded from here'))
  house.start()
  t.throws(() => house.start(), new UpgradeRefused('an upgrade of this group is under way'))
  house.pass(5)
  house.given.build = 'cc'.repeat(32)
  house.pass(40)
  t.match(house.view(), { state: 'PAUSED', reason: /gives out another build by now/ })
  t.same(house.states(), ['DONE', 'WAITING'])
  house.act('abort')
  house.given.build = NEW
  house.start()
  house.pass(40)
  t.same(house.states(), ['SKIPPED', 'DONE'])
  t.throws(() => house.start(), /no engine of the group is to be upgraded: e1: it runs that build already; e2: it runs/)
})

t.test('a webhook is told each event', async t => {
  const { start, pass, told } = await aGroup(t, 1, { evaluation_duration: 0 })
  start('admin', 'webhook-1')
  pass(3)
  t.same(told, ['upgrade.started', 'upgrade.ordered', 'upgrade.upgraded', 'upgrade.done'])
})
