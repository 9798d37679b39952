import type { Test } from 'tap'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import { openReleases, type Releases } from '#controller/release/release.ts'
import { aChange, admin } from '#test/support/change.ts'
import { manualClock } from '#test/support/manual-clock.ts'

interface Totals {
  requests: number
  errors: number
  us: number
}

/** Two pools of a group, whose traffic a test makes up, and a driver whose clock it turns. */
async function aRelease(t: Test, policy: JsonObject = {}) {
  const clock = manualClock()
  let releases: Releases | undefined
  const house = await aChange(t, { committed: () => releases?.committed() })
  const { store, change, create, apply } = house
  const uuids = [] as string[]
  for (const name of ['old', 'new']) uuids.push((await create('pool', { name })).uuid)
  const [old, fresh] = uuids as [string, string]
  await create('webhook', { name: 'ops', callback_url: 'https://ops.test/' })
  const settings = {
    scheme: 'CANARY',
    test_traffic_ratio_rampup: 50,
    evaluation_duration: 10,
    webhook_ref: '/api/webhook?name=ops',
    ...policy
  }
  await create('poolgroupdeploymentpolicy', { name: 'slowly', ...settings })
  const group = await create('poolgroup', {
    name: 'web',
    deployment_policy_ref: '/api/poolgroupdeploymentpolicy?name=slowly',
    members: [
      { pool_ref: old, ratio: 7 },
      { pool_ref: fresh, ratio: 0 }
    ]
  })
  const totals = new Map<string, Totals>(uuids.map(uuid => [uuid, { requests: 0, errors: 0, us: 0 }]))
  const told: { readonly event: string }[] = []
  let isBroken = false
  let isRefused = false
  const measure = (pool: string) => {
    const begun = { ...totals.get(pool)! }
    return {
      read: () => {
        const { requests, errors } = totals.get(pool)!
        const count = requests - begun.requests
        return { requests: count, errors: errors - begun.errors, latency: count === 0 ? [] : [totals.get(pool)!.us, count] }
      },
      stop: () => undefined
    }
  }
  const open = (): Releases => {
    const made = openReleases({
      store,
      change: {
        apply: async order => {
          if (isRefused) throw new ChangeRefused('CONFLICT', 'no')
          if (isBroken) throw new Error('the disk is full')
          return change.apply(order)
        }
      },
      telemetry: { measure },
      healthOf: () => 100,
      webhooks: { tell: (_, message) => void told.push(message as { event: string }) },
      timeline: { released: () => undefined },
      actor: controllerActor,
      clock,
      log: silentLog
    })
    t.teardown(made.stop)
    return made
  }
  releases = open()
  const quiet = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve))
  }
  /** Seconds go by in which each pool answers as it is told. */
  const pass = async (seconds: number, per: { old?: number; fresh?: number; errors?: number; us?: number } = {}): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      Object.assign(totals.get(old)!, { us: 200, requests: totals.get(old)!.requests + (per.old ?? 100) })
      const of = totals.get(fresh)!
      Object.assign(of, { us: per.us ?? 200, requests: of.requests + (per.fresh ?? 100), errors: of.errors + (per.errors ?? 0) })
      clock.advance(1_000)
      await quiet()
    }
  }
  return {
    ...house,
    group: group.uuid,
    old,
    fresh,
    told,
    pass,
    quiet,
    apply,
    releases: () => releases!,
    break: (is: boolean) => void (isBroken = is),
    refuse: (is: boolean) => void (isRefused = is),
    restart: async () => {
      releases!.stop()
      releases = open()
      await quiet()
    },
    members: () =>
      (store.get('poolgroup', group.uuid)!.body['members'] as JsonObject[]).map(({ ratio, deployment_state: state }) => [ratio, state]),
    view: () => releases!.of(group.uuid)!
  }
}

t.test('a good pool is walked up to all of the traffic, each decision a revision of the controller', async t => {
  const { releases, group, fresh, pass, quiet, members, view, store, told } = await aRelease(t)
  t.equal(releases().of(group), undefined)
  const begun = await releases().start(group, fresh, admin)
  t.match(begun, { state: 'RUNNING', steps: [50, 100], step: 0, started_by: 'ann', pool_name: 'new' })
  await quiet()
  t.same(members(), [
    [500, undefined],
    [500, 'EVALUATION_IN_PROGRESS']
  ])
  await pass(4)
  t.match(view(), {
    step: 0,
    share: 50,
    now: { new: { requests: Number, error_percent: 0 }, old: { requests: Number } },
    judged_at: Number
  })
  await pass(9)
  t.match(view(), { step: 1, share: 100, state: 'RUNNING' })
  await pass(14, { old: 0 })
  t.match(view(), { state: 'PROMOTED', share: 100, ended_at: Number })
  t.same(members(), [
    [0, 'OUT_OF_SERVICE'],
    [1_000, 'IN_SERVICE']
  ])
  t.match(
    view().decisions.map(({ kind, by }) => [kind, by]),
    [
      ['STARTED', 'ann'],
      ['PASSED', 'controller'],
      ['PROMOTED', 'controller']
    ]
  )
  t.ok(view().decisions.every(({ revision }) => revision !== null))
  t.match(store.revisions({ limit: 1 }), [{ author: 'controller', reason: /PROMOTED errors 0 % against 0 %/ }])
  t.same(
    told.map(({ event }) => event),
    ['release.started', 'release.passed', 'release.promoted']
  )
})

t.test('errors and slowness roll back within two steps, to what was before', async t => {
  for (const bad of [{ errors: 2 }, { us: 207 }]) {
    const { releases, group, fresh, pass, members, view } = await aRelease(t, { steps: [10, 20, 40, 100] })
    await releases().start(group, fresh, admin)
    await pass(16, bad)
    t.match(view(), { state: 'ROLLED_BACK', step: 0 }, view().reason)
    t.same(members(), [
      [7, 'IN_SERVICE'],
      [0, 'EVALUATION_FAILED']
    ])
  }
})

t.test('a paused release stays, a resumed one is measured anew, an aborted one is as before', async t => {
  const { releases, group, fresh, pass, members, view } = await aRelease(t)
  await releases().start(group, fresh, admin)
  await pass(5)
  t.match(await releases().act(group, 'pause', admin), { state: 'PAUSED', judged_at: null })
  await pass(100, { errors: 50 })
  t.match(view(), { state: 'PAUSED', step: 0 })
  t.equal(members()[1]![0], 500)
  await t.rejects(releases().act(group, 'pause', admin), { name: 'ReleaseRefused' })
  await releases().act(group, 'resume', admin)
  await t.rejects(releases().act(group, 'resume', admin), { name: 'ReleaseRefused' })
  await pass(11)
  t.match(view(), { step: 0 }, 'not judged by what it was before')
  t.match(await releases().act(group, 'abort', admin), { state: 'ABORTED' })
  t.same(members(), [
    [7, 'IN_SERVICE'],
    [0, 'OUT_OF_SERVICE']
  ])
  await t.rejects(releases().act(group, 'abort', admin), { name: 'ReleaseRefused' })
  t.match(await releases().start(group, fresh, admin), { state: 'RUNNING' }, 'and may be tried again')
  t.match(await releases().act(group, 'promote', admin), {
    state: 'PROMOTED',
    decisions: [{ kind: 'STARTED' }, { kind: 'PROMOTED', by: 'ann' }]
  })
})

t.test('a driver that is stopped anywhere goes on at the same step, and judges it', async t => {
  const { releases, group, fresh, pass, restart, quiet, members, view, ...house } = await aRelease(t)
  await releases().start(group, fresh, admin)
  await pass(11)
  await restart()
  t.match(view(), { step: 0, now: { new: { requests: 0 } } })
  await pass(9)
  t.match(view(), { step: 0 }, 'what was measured before is measured anew')
  house.break(true)
  await pass(3)
  t.match(view(), { step: 1 }, 'decided')
  t.equal(members()[1]![0], 500, 'and not yet done')
  await restart()
  house.break(false)
  await pass(1)
  t.equal(members()[1]![0], 1_000, 'done after the restart')
  t.equal(view().decisions.filter(({ kind }) => kind === 'PASSED').length, 1)
  house.break(true)
  await pass(15, { old: 0 })
  t.match(view(), { state: 'PROMOTED', ended_at: null })
  await restart()
  house.break(false)
  await pass(1)
  t.match(view(), { state: 'PROMOTED', ended_at: Number })
  await quiet()
})

t.test('too few requests extend a step, and then what the policy says', async t => {
  for (const [choice, state, step] of [
    ['PAUSE', 'PAUSED', 0],
    ['ROLL_BACK', 'ROLLED_BACK', 0],
    ['GO_ON', 'RUNNING', 1]
  ] as const) {
    const { releases, group, fresh, pass, view } = await aRelease(t, { too_few_requests: choice, max_extensions: 1 })
    await releases().start(group, fresh, admin)
    await pass(14, { fresh: 1 })
    t.match(view(), { step: 0, state: 'RUNNING', reason: /are needed of each/ })
    await pass(10, { fresh: 1 })
    t.match(view(), { state, step }, choice)
  }
})

t.test('whoever takes the pool out by hand ends the release', async t => {
  const { releases, group, fresh, old, pass, members, view, apply } = await aRelease(t)
  await releases().start(group, fresh, admin)
  await pass(3)
  await apply([{ op: 'patch', kind: 'poolgroup', uuid: group, patch: { replace: { members: [{ pool_ref: old, ratio: 3 }] } } }])
  await pass(1)
  t.match(view(), { state: 'ABORTED', reason: /by hand/ })
  t.same(members(), [[3, undefined]], 'and what was written stays')
})

t.test('a member that is written as under evaluation starts a release by itself; what cannot be released is refused', async t => {
  const { releases, group, fresh, old, pass, view, apply } = await aRelease(t)
  await t.rejects(releases().start(group, 'pool-x', admin), { name: 'ReleaseRefused', message: /no member/ })
  await t.rejects(releases().start(group, old, admin), { name: 'ReleaseRefused', message: /no other pool/ })
  await t.rejects(releases().start('poolgroup-x', old, admin), { name: 'ReleaseRefused' })
  const members = [{ pool_ref: old }, { pool_ref: fresh, deployment_state: 'EVALUATION_IN_PROGRESS' }]
  await apply([{ op: 'patch', kind: 'poolgroup', uuid: group, patch: { replace: { members } } }])
  await pass(1)
  t.match(view(), { state: 'RUNNING', started_by: 'ann' })
  await t.rejects(releases().start(group, fresh, admin), { name: 'ReleaseRefused', message: /is running/ })
})

t.test('a release that its operator asks for while the group cannot be changed waits, and says why', async t => {
  const { releases, group, fresh, pass, view, ...house } = await aRelease(t)
  await releases().start(group, fresh, admin)
  await pass(3)
  house.refuse(true)
  await pass(20)
  t.match(view(), { state: 'PAUSED', reason: /the pool group cannot be changed: no/ })
  house.refuse(false)
  await releases().act(group, 'resume', admin)
  await pass(1)
  t.match(view(), { state: 'RUNNING', step: 1 })
})

t.test('a single error among few requests is measured for longer, and forgiven when it stays alone', async t => {
  for (const [errors, expected] of [
    [0, { state: 'RUNNING', step: 1 }],
    [1, { state: 'ROLLED_BACK', step: 0, reason: /^errors: / }]
  ] as const) {
    const { releases, group, fresh, pass, view } = await aRelease(t, { max_extensions: 2, minimum_requests: 50 })
    await releases().start(group, fresh, admin)
    await pass(4)
    await pass(1, { fresh: 10, errors: 1 })
    await pass(8, { fresh: 10 })
    t.match(view(), { state: 'RUNNING', step: 0, reason: /not certain/ })
    await pass(9, { fresh: 10, errors })
    await pass(2, { fresh: 10 })
    t.match(view(), expected, `${errors} errors more a second: ${view().reason}`)
  }
})
