/** A memory store behind `change`, with its default objects. */
import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { seededRandom } from '#model/base/random.ts'
import { ADMIN_TENANT, superActor } from '#controller/access/permission.ts'
import type { Actor } from '#controller/access/actor.ts'
import { makeChange } from '#controller/change/apply.ts'
import type { ChangeOptions } from '#controller/change/apply.ts'
import { firstStart } from '#controller/change/first-start.ts'
import type { ChangeOrder, ChangeResult, Write } from '#controller/change/order.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import type { Seal } from '#controller/pki/port.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'

/** Argon2 at its least: tests are about who gets in, not about how long it takes. */
export const cheapPasswords = { memoryKib: 8, passes: 1 } as const

export const admin = superActor('ann', null)

/** Seals so that a test sees what is inside; every sealing gives another text, as the real one does. */
export function plainSeal(): Seal {
  let count = 0
  return {
    seal: plain => `sealed:v1:${++count}:${Buffer.from(plain).toString('hex')}`,
    open: sealed => {
      if (!sealed.startsWith('sealed:v1:')) throw new Error('not sealed')
      return Buffer.from(sealed.split(':')[3]!, 'hex').toString()
    },
    isSealed: text => text.startsWith('sealed:v1:'),
    derive: purpose => Buffer.from(purpose.padEnd(32, '.').slice(0, 32)).toString('base64')
  }
}

export function seededBytes(seed = 1): (size: number) => Uint8Array {
  const random = seededRandom(seed)
  return size => createHash('shake256', { outputLength: size }).update(String(random())).digest()
}

export async function aChange(t: Test, more: Partial<ChangeOptions> = {}) {
  const store = openMemoryStore()
  t.teardown(() => store.close())
  const committed: number[] = []
  let nowEpochMs = 1_000_000
  let count = 0
  const change = makeChange({
    store,
    seal: plainSeal(),
    clock: { nowEpochMs: () => ++nowEpochMs },
    randomBytes: seededBytes(),
    passwordCost: cheapPasswords,
    committed: revision => committed.push(revision),
    uuid: () => `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`,
    ...more
  })
  await firstStart({ store, change, randomBytes: seededBytes(2), adminPassword: 'first password' })
  committed.length = 0
  const apply = (writes: readonly Write[], order: Partial<ChangeOrder> = {}): Promise<ChangeResult> =>
    change.apply({ actor: admin, tenant: ADMIN_TENANT, writes, ...order })
  const create = async (kind: KindName, body: JsonObject, order: Partial<ChangeOrder> & { readonly actor?: Actor } = {}) =>
    (await apply([{ op: 'create', kind, body }], order)).resources[0]!
  return { store, change, committed, apply, create }
}

/** What an order is refused with. */
export async function refusalOf(order: Promise<unknown>): Promise<ChangeRefused> {
  try {
    await order
  } catch (error) {
    if (error instanceof ChangeRefused) return error
    throw error
  }
  throw new Error('the order was not refused')
}

export const aServer = (addr: string, more: JsonObject = {}): JsonObject => ({ ip: { addr, type: 'V4' }, port: 80, ...more })
