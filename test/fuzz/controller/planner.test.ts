/** A planner that follows the store plans what one that looks at everything anew would plan, whatever was changed in between. */
import fc from 'fast-check'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { makeChange } from '#controller/change/apply.ts'
import { firstStart } from '#controller/change/first-start.ts'
import type { Write } from '#controller/change/order.ts'
import { makePlanner } from '#controller/fleet/planner.ts'
import { Engine } from '#controller/fleet/roster.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { plainSeal, seededBytes } from '#test/support/change.ts'

const SEED = 20_261_125
const NAMES = ['a', 'b', 'c', 'd']
const name = fc.constantFrom(...NAMES)
const number = fc.nat({ max: 5 })

type Step =
  | {
      readonly is: 'pool' | 'vip' | 'service' | 'child' | 'monitor' | 'group' | 'profile' | 'remove'
      readonly name: string
      readonly number: number
    }
  | { readonly is: 'engine'; readonly number: number; readonly isUp: boolean }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      is: fc.constantFrom('pool', 'vip', 'service', 'child', 'monitor', 'group', 'profile', 'remove' as const),
      name,
      number
    }) as fc.Arbitrary<Step>
  },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('engine' as const), number: fc.nat({ max: 2 }), isUp: fc.boolean() }) }
)

t.test('following the store is the same as looking at all of it', async t => {
  let plans = 0
  let parts = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 25 }), async steps => {
      const store = openMemoryStore()
      const randomBytes = seededBytes()
      const change = makeChange({ store, seal: plainSeal(), clock: { nowEpochMs: () => 1000 }, randomBytes, committed: () => undefined })
      await firstStart({ store, change, randomBytes })
      // What the rules refuse is no change: the plans must agree all the same.
      const apply = async (write: Write): Promise<void> => {
        await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [write] }).catch(() => undefined)
      }
      const put = (kind: KindName, body: JsonObject): Promise<void> => {
        const before = store.findByName(kind, ADMIN_TENANT, body['name'] as string)
        return apply(
          before === undefined ? { op: 'create', kind, body } : { op: 'patch', kind, uuid: before.uuid, patch: { replace: body } }
        )
      }
      const engines: Engine[] = []
      for (const each of ['one', 'two', 'three']) {
        await put('serviceengine', { name: each })
        const { uuid } = store.findByName('serviceengine', ADMIN_TENANT, each)!
        const row = { facts: null, lastSeenEpochMs: 1, runningRevision: 0, serialNumber: null, certificateNotAfterEpochMs: null }
        engines.push(new Engine(uuid, row, 'OPER_INITIALIZING', [], 0))
      }
      for (const [i, each] of NAMES.entries()) {
        for (const is of ['pool', 'vip', 'service'] as const) await put(...documentOf(is, each, i + 1))
      }
      const follower = makePlanner({ store, seal: plainSeal(), log: silentLog })
      for (const step of steps) {
        if (step.is === 'engine') engines[step.number]!.state = step.isUp ? 'OPER_INITIALIZING' : 'OPER_DOWN'
        else if (step.is === 'remove') {
          for (const kind of ['virtualservice', 'vsvip', 'pool'] as const) {
            const found = store.findByName(kind, ADMIN_TENANT, step.name)
            if (found !== undefined) await apply({ op: 'delete', kind, uuid: found.uuid })
          }
        } else await put(...documentOf(step.is, step.name, step.number))
        const followed = follower.plan(engines)
        const fresh = makePlanner({ store, seal: plainSeal(), log: silentLog })
        const anew = fresh.plan(engines)
        for (const { uuid } of engines) {
          parts += anew.get(uuid)!.manifest.parts.filter(({ kind }) => kind === 'virtual-service').length
          t.equal(followed.get(uuid)?.manifest.hash, anew.get(uuid)?.manifest.hash)
          t.equal(followed.get(uuid)?.manifest.revision, store.revision())
        }
        for (const { uuid } of store.list('virtualservice')) t.same(follower.service(uuid), fresh.service(uuid))
        plans++
      }
      await store.close()
    }),
    { numRuns: 40, seed: SEED }
  )
  t.ok(plans > 100)
  t.ok(parts > 100, 'virtual services were planned for')
})

function documentOf(is: string, name: string, number: number): [KindName, JsonObject] {
  switch (is) {
    case 'pool':
      return [
        'pool',
        {
          name,
          servers: [{ ip: { addr: `192.0.2.${1 + number}`, type: 'V4' } }],
          health_monitor_refs: ['/api/healthmonitor?name=System-TCP']
        }
      ]
    case 'vip':
      return ['vsvip', { name, vip: [{ vip_id: '1', ip_address: { addr: `198.51.100.${1 + number}`, type: 'V4' } }] }]
    case 'monitor':
      return ['healthmonitor', { name: 'System-TCP', type: 'HEALTH_MONITOR_TCP', send_interval: 5 + number }]
    case 'group':
      return ['serviceenginegroup', { name: 'Default-Group', min_scaleout_per_vs: 1 + (number % 3), max_vs_per_se: 1 + number }]
    case 'profile':
      return [
        'networkprofile',
        { name: 'System-TCP-Proxy', profile: { type: number % 2 === 0 ? 'PROTOCOL_TYPE_TCP_PROXY' : 'PROTOCOL_TYPE_TCP_FAST_PATH' } }
      ]
    case 'child':
      return [
        'virtualservice',
        {
          name: `child-${name}`,
          enabled: number > 1,
          type: 'VS_TYPE_VH_CHILD',
          vh_type: 'VS_TYPE_VH_ENHANCED',
          vh_parent_vs_ref: '/api/virtualservice?name=d',
          vh_matches: [{ host: `${name}.test` }]
        }
      ]
    default:
      return [
        'virtualservice',
        {
          name,
          enabled: number > 0,
          ...(name === 'd' ? { type: 'VS_TYPE_VH_PARENT', vh_type: 'VS_TYPE_VH_ENHANCED' } : {}),
          vsvip_ref: `/api/vsvip?name=${NAMES[number % 3]!}`,
          services: [{ port: 80 + number }],
          ...(name === 'd' ? {} : { pool_ref: `/api/pool?name=${NAMES[number % 2]!}` })
        }
      ]
  }
}
