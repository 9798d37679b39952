/** Two virtual services never listen at the same place, and none is refused that could: judged against all pairs. */
import fc from 'fast-check'
import t from 'tap'
import { listenersOf, type Listener } from '#model/resource/conflict.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import type { Write } from '#controller/change/order.ts'
import { aChange } from '#test/support/change.ts'

const SEED = 20_261_125
const RUNS = 60
const NAMES = ['a', 'b', 'c', 'd', 'e']

const step = fc.record({
  is: fc.constantFrom('vip', 'service', 'service', 'service', 'remove'),
  name: fc.constantFrom(...NAMES),
  vip: fc.constantFrom(...NAMES),
  address: fc.nat({ max: 2 }),
  port: fc.nat({ max: 3 }),
  ports: fc.constantFrom(1, 1, 1, 2, 100),
  enabled: fc.constantFrom(true, true, true, false)
})

t.test('the index of listeners misses nobody and invents nobody', async t => {
  t.comment(`seed ${SEED}`)
  let refused = 0
  let written = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async steps => {
      const { store, change } = await aChange(t)
      const put = async (kind: KindName, body: JsonObject): Promise<'written' | 'taken'> => {
        const before = store.findByName(kind, ADMIN_TENANT, body['name'] as string)
        const write: Write =
          before === undefined ? { op: 'create', kind, body } : { op: 'patch', kind, uuid: before.uuid, patch: { replace: body } }
        try {
          await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [write] })
          return 'written'
        } catch (error) {
          if (!(error instanceof ChangeRefused)) throw error
          if (error.violations.every(({ message }) => message.includes('already listened for'))) return 'taken'
          throw error
        }
      }
      const lookup = { resource: (kind: KindName, uuid: string) => store.get(kind, uuid)?.body }
      const key = ({ address, port }: Listener): string => `${address} ${port}`
      const held = (except?: string): string[] =>
        store.list('virtualservice').flatMap(({ name, body }) => (name === except ? [] : listenersOf(body, lookup).map(key)))
      for (const [i, name] of NAMES.entries())
        await put('vsvip', { name, vip: [{ vip_id: '1', ip_address: { addr: `192.0.2.${1 + i}`, type: 'V4' } }] })

      for (const { is, name, vip, address, port, ports, enabled } of steps) {
        if (is === 'remove') {
          const found = store.findByName('virtualservice', ADMIN_TENANT, name)
          if (found === undefined) continue
          const writes = [{ op: 'delete' as const, kind: 'virtualservice' as const, uuid: found.uuid }]
          await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes })
        } else if (is === 'vip') {
          await put('vsvip', { name: vip, vip: [{ vip_id: '1', ip_address: { addr: `192.0.2.${1 + address}`, type: 'V4' } }] })
        } else {
          const body = {
            name,
            enabled,
            vsvip_ref: store.findByName('vsvip', ADMIN_TENANT, vip)!.uuid,
            services: [{ port: 80 + port, port_range_end: 80 + port + ports - 1 }]
          }
          const others = new Set(held(name))
          const isTaken = listenersOf(body, lookup).some(listener => others.has(key(listener)))
          const outcome = await put('virtualservice', body)
          t.equal(outcome, isTaken ? 'taken' : 'written', JSON.stringify(body))
          if (isTaken) refused++
          else written++
        }
        const all = held()
        t.equal(new Set(all).size, all.length)
      }
    }),
    { numRuns: RUNS, seed: SEED }
  )
  t.ok(refused > 50 && written > 50, `${refused} refused, ${written} written`)
})
