import t from 'tap'
import { placementEvent, releaseEvent, scaleEvent, stateEvent, upgradeEvent } from '#controller/timeline/words.ts'

const nameOf = (_kind: string, uuid: string): string => uuid.toUpperCase()

t.test('states that are on the way are no events', async t => {
  for (const state of ['OPER_INITIALIZING', 'OPER_UNKNOWN', 'OPER_CREATING'] as const)
    t.equal(stateEvent({ kind: 'pool', uuid: 'p', state, reasons: [] }), undefined, state)
})

t.test('a server that is down is a warning, what clients reach an error, both with their reasons', async t => {
  const reasons = ['connection refused', 'twice']
  t.same(stateEvent({ kind: 'pool', uuid: 'p', server: '10.0.0.1:80', state: 'OPER_DOWN', reasons }), {
    event_id: 'SERVER_DOWN',
    level: 'WARNING',
    event_description: 'server 10.0.0.1:80 is down: connection refused; twice',
    server: '10.0.0.1:80'
  })
  t.match(stateEvent({ kind: 'virtualservice', uuid: 's', state: 'OPER_DOWN', reasons }), { event_id: 'VS_DOWN', level: 'ERROR' })
  t.match(stateEvent({ kind: 'serviceengine', uuid: 'e', state: 'OPER_PARTITIONED', reasons: [] }), {
    event_id: 'SE_HEARTBEAT_FAILURE',
    event_description: 'is not heard of'
  })
  const long = stateEvent({ kind: 'pool', uuid: 'p', state: 'OPER_DOWN', reasons: ['x'.repeat(5_000)] })!
  t.ok(long.event_description.length <= 600, 'bounded')
})

t.test('a placement says what comes, what goes, and what stays', async t => {
  const told = (before: readonly string[], after: readonly string[]) => placementEvent({ uuid: 's', before, after }, nameOf)
  t.match(told([], ['a', 'b']), { event_id: 'VS_ADD_SE', event_description: 'is placed on A, B', related_uuids: ['a', 'b'] })
  t.match(told(['a'], ['a', 'b']), { event_id: 'VS_ADD_SE', event_description: 'is placed on B as well; in all on A, B' })
  t.match(told(['a'], ['b']), {
    event_id: 'VS_MIGRATE',
    event_description: 'moves from A to B; it is placed on B',
    related_uuids: ['b', 'a']
  })
  t.match(told(['a', 'b'], ['b']), { event_id: 'VS_REMOVED_SE', event_description: 'leaves A; it stays on B' })
  t.match(told(['a', 'b'], ['b', 'a']), { event_id: 'VS_SWITCHOVER', event_description: 'B is its primary now, A no more' })
  t.equal(told(['a', 'b', 'c'], ['a', 'c', 'b']), undefined, 'the primary is the same')
})

t.test('decisions carry their numbers', async t => {
  const decision = {
    kind: 'SCALE_OUT',
    at: 1,
    cause: 'load',
    before: 1,
    after: 2,
    reasons: ['CPU at 91 %, above 80 %'],
    figures: null
  } as const
  t.same(scaleEvent({ kind: 'virtualservice', uuid: 's', decision }), {
    event_id: 'VS_AUTOSCALE_OUT',
    level: 'INFO',
    event_description: 'scale out, 1 to 2 engines, by load: CPU at 91 %, above 80 %'
  })
  t.match(scaleEvent({ kind: 'pool', uuid: 'p', decision: { ...decision, kind: 'FAILED', after: 1 } }), {
    event_id: 'SERVER_AUTOSCALE_FAILED',
    level: 'ERROR',
    event_description: 'failed, 1 servers, by load: CPU at 91 %, above 80 %'
  })
  const release = { poolGroup: 'g', pool: 'new', share: 25, by: 'controller', reasons: ['2.1 % errors, the old 0.1 %'] }
  t.match(releaseEvent({ ...release, kind: 'ROLLED_BACK' }, nameOf), {
    event_id: 'POOL_AUTO_DEPLOYMENT_FAILED',
    level: 'ERROR',
    event_description: 'the release of pool NEW rolled back at 25 %, by controller: 2.1 % errors, the old 0.1 %',
    related_uuids: ['new']
  })
  t.match(releaseEvent({ ...release, kind: 'PASSED' }, nameOf), { event_id: 'POOL_AUTO_DEPLOYMENT_UPDATE', level: 'INFO' })
  t.match(releaseEvent({ ...release, kind: 'PROMOTED' }, nameOf), { event_id: 'POOL_AUTO_DEPLOYMENT_SUCCESS', level: 'INFO' })
})

t.test('an upgrade is told of its group, and of the engine that a step is about', async t => {
  const step = { group: 'g', engine: 'e', by: 'weir', reasons: ['errors: 50 %, 0 % before'] }
  t.same(upgradeEvent({ ...step, kind: 'GOING_BACK' }, nameOf), {
    event_id: 'SE_GROUP_UPGRADE_UPDATE',
    level: 'WARNING',
    event_description: 'the upgrade of engine E: going back, by weir: errors: 50 %, 0 % before',
    related_uuids: ['e']
  })
  t.match(upgradeEvent({ ...step, kind: 'WENT_BACK' }, nameOf), { event_id: 'SE_GROUP_UPGRADE_FAILED', level: 'ERROR' })
  t.same(upgradeEvent({ ...step, kind: 'DONE', engine: undefined, reasons: [] }, nameOf), {
    event_id: 'SE_GROUP_UPGRADE_SUCCESS',
    level: 'INFO',
    event_description: 'the upgrade of its engines: done, by weir'
  })
})
