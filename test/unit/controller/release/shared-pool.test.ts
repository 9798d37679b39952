/** A release in a pool group whose pools other virtual services use as well is judged by the traffic of its own. */
import type { Test } from 'tap'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { bucketOf } from '#model/message/histogram.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { openReleases } from '#controller/release/release.ts'
import { makeMemoryBlocks, makeSeries } from '#controller/store/series.ts'
import { openTelemetry } from '#controller/telemetry/ingest.ts'
import { aChange, admin } from '#test/support/change.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample, traffic } from '#test/support/sample.ts'

interface Behaviour {
  readonly perS: number
  /** Of a hundred. */
  readonly errors?: number
  readonly us?: number
}

const facts = { isDown: false, serversUp: 1, serversEnabled: 1, enginesUp: 1, enginesWanted: 1 }

/** `shop` sends to the pool group by itself or by its policies; `other` sends to both pools by a pool group of its own. */
async function aRelease(t: Test, isByPolicy = false) {
  const clock = manualClock()
  const { store, change, create } = await aChange(t)
  const telemetry = openTelemetry({ series: makeSeries(makeMemoryBlocks()), clock, log: silentLog })
  t.teardown(telemetry.stop)
  const [old, fresh] = [(await create('pool', { name: 'old' })).uuid, (await create('pool', { name: 'new' })).uuid]
  await create('poolgroupdeploymentpolicy', {
    name: 'slowly',
    scheme: 'CANARY',
    steps: [50, 100],
    evaluation_duration: 10,
    minimum_requests: 100
  })
  const group = await create('poolgroup', {
    name: 'web',
    deployment_policy_ref: '/api/poolgroupdeploymentpolicy?name=slowly',
    members: [{ pool_ref: old }, { pool_ref: fresh, ratio: 0 }]
  })
  const others = await create('poolgroup', { name: 'others', members: [{ pool_ref: old }, { pool_ref: fresh }] })
  await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.1', type: 'V4' } }] })
  await create('httppolicyset', {
    name: 'rules',
    http_request_policy: {
      rules: [
        {
          name: 'all',
          index: 1,
          enable: true,
          match: { path: { match_criteria: 'BEGINS_WITH', match_str: ['/'] } },
          switching_action: { action: 'HTTP_SWITCHING_SELECT_POOLGROUP', pool_group_ref: group.uuid }
        }
      ]
    }
  })
  const service = async (name: string, port: number, more: object) =>
    (await create('virtualservice', { name, vsvip_ref: '/api/vsvip?name=vip', services: [{ port }], ...more })).uuid
  const byPolicy = { http_policies: [{ index: 1, http_policy_set_ref: '/api/httppolicyset?name=rules' }] }
  const shop = await service('shop', 80, isByPolicy ? byPolicy : { pool_group_ref: group.uuid })
  const other = await service('other', 81, { pool_group_ref: others.uuid })
  const releases = openReleases({
    store,
    change,
    telemetry,
    healthOf: (pool, of) => Math.min(...of.map(service => telemetry.healthScore(pool, facts, service).score)),
    webhooks: { tell: () => undefined },
    timeline: { released: () => undefined },
    actor: controllerActor,
    clock,
    log: silentLog
  })
  t.teardown(releases.stop)
  await releases.start(group.uuid, fresh, admin)

  const sums = new Map<string, { requests: number; responses5xx: number; latency: Map<number, number> }>()
  const add = (key: string, { perS, errors = 0, us = 2_000 }: Behaviour): void => {
    const sum = sums.get(key) ?? { requests: 0, responses5xx: 0, latency: new Map<number, number>() }
    sum.requests += perS
    sum.responses5xx += (perS * errors) / 100
    sum.latency.set(bucketOf(us), (sum.latency.get(bucketOf(us)) ?? 0) + perS)
    sums.set(key, sum)
  }
  const counted = (id: string, key: string) => {
    const { requests, responses5xx, latency } = sums.get(key)!
    return traffic(id, { requests, responses5xx }, [...latency].toSorted(([a], [b]) => a - b).flat())
  }
  let sequence = 0
  /** Seconds in which the two services see the new pool behave like that; the old one is well. */
  const pass = async (seconds: number, seen: { readonly shop: Behaviour; readonly other: Behaviour }): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      for (const pool of [old, fresh]) {
        const isFresh = pool === fresh
        const parts = [
          [shop, isFresh ? seen.shop : { perS: seen.shop.perS }],
          [other, isFresh ? seen.other : { perS: seen.other.perS }]
        ] as const
        for (const [user, behaviour] of parts) for (const key of [`${user}/${pool}`, pool]) add(key, behaviour)
      }
      sequence += 1
      telemetry.ingest(
        'se-1',
        aSample({
          sequence,
          atEpochMs: clock.nowEpochMs(),
          pools: [old, fresh].map(pool => counted(pool, pool)),
          uses: [old, fresh].flatMap(poolId => [shop, other].map(user => ({ ...counted(user, `${user}/${poolId}`), poolId })))
        })
      )
      clock.advance(1_000)
      for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve))
    }
  }
  return { pass, view: () => releases.of(group.uuid)! }
}

t.test('errors and slowness that only another virtual service sees roll nothing back', async t => {
  for (const bad of [{ errors: 50 }, { us: 80_000 }])
    for (const isByPolicy of [false, true]) {
      const { pass, view } = await aRelease(t, isByPolicy)
      await pass(40, { shop: { perS: 100 }, other: { perS: 300, ...bad } })
      t.match(view(), { state: 'PROMOTED', steps: [50, 100] }, view().reason)
    }
})

t.test('errors and slowness of its own roll back, however well the pool serves another virtual service', async t => {
  for (const bad of [{ errors: 5 }, { us: 5_000 }]) {
    const { pass, view } = await aRelease(t)
    await pass(40, { shop: { perS: 100, ...bad }, other: { perS: 10_000 } })
    t.match(view(), { state: 'ROLLED_BACK', step: 0 }, view().reason)
  }
})

t.test('traffic of another virtual service is no evidence', async t => {
  const { pass, view } = await aRelease(t)
  await pass(15, { shop: { perS: 1 }, other: { perS: 1_000 } })
  t.match(view(), { state: 'RUNNING', step: 0, now: { new: { requests: Number } } })
  t.ok(view().now!.new.requests < 20, `${view().now!.new.requests}`)
  t.equal(view().decisions.at(-1)?.kind, 'EXTENDED')
})
