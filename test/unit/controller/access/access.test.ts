import t from 'tap'
import type { Test } from 'tap'
import type { JsonObject } from '#model/resource/kind.ts'
import { openAccess, TooManyAttempts } from '#controller/access/access.ts'
import type { AccessOptions } from '#controller/access/access.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { StoreUnavailable } from '#controller/store/store.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { aChange, cheapPasswords, seededBytes } from '#test/support/change.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const MINUTE_MS = 60_000

async function aDoor(t: Test, more: Partial<AccessOptions> = {}) {
  const { store, apply, create } = await aChange(t)
  const clock = manualClock()
  const open = (options: Partial<AccessOptions> = {}) =>
    openAccess({ store, clock, randomBytes: seededBytes(3), passwordCost: cheapPasswords, ...more, ...options })
  const bob = await create('user', { name: 'bob', password: 'correct horse' })
  const patch = (replace: JsonObject) => apply([{ op: 'patch', kind: 'user', uuid: bob.uuid, patch: { replace } }])
  return { store, clock, open, access: open(), apply, create, bob, patch }
}

t.test('signIn answers a session for the right password and nothing for anything else', async t => {
  const { access, bob, store } = await aDoor(t)
  const signed = await access.signIn('bob', 'correct horse', '10.0.0.1')
  t.match(signed, { sessionId: /^[\w-]{43}$/, csrfToken: /^[\w-]{43}$/, actor: { name: 'bob', userUuid: bob.uuid, isSuperuser: false } })
  t.match(access.session(signed!.sessionId), { csrfToken: signed!.csrfToken, actor: { name: 'bob' } })
  t.notOk(JSON.stringify(store.table('session').entries()).includes(signed!.sessionId), 'only a hash of it is kept')
  for (const [name, password] of [
    ['bob', 'wrong horse'],
    ['nobody', 'correct horse'],
    ['', 'correct horse'],
    ['bob', ''],
    ['bob', 'x'.repeat(2000)],
    ["' OR 1=1 --", 'x'],
    ['__proto__', 'x']
  ] as const)
    t.equal(await access.signIn(name, password, '10.0.0.1'), undefined)
  for (const id of ['', 'x', '__proto__', signed!.sessionId.slice(1)]) t.equal(access.session(id), undefined)
})

t.test('a user signs in by its username where it has one', async t => {
  const { access, patch } = await aDoor(t)
  await patch({ username: 'bob@example.com' })
  t.ok(await access.signIn('bob@example.com', 'correct horse'))
  t.ok(await access.signIn('bob', 'correct horse'))
})

t.test('the CSRF token belongs to its session', async t => {
  const { access } = await aDoor(t)
  const one = (await access.signIn('bob', 'correct horse'))!
  const two = (await access.signIn('bob', 'correct horse'))!
  t.ok(access.isCsrfToken(one.sessionId, one.csrfToken))
  for (const wrong of [two.csrfToken, '', one.csrfToken.slice(1), `${one.csrfToken}x`]) t.notOk(access.isCsrfToken(one.sessionId, wrong))
  t.notOk(access.isCsrfToken('none', one.csrfToken))
})

t.test('a session ends by signing out, by rest, by age, and is gone from the store', async t => {
  const { access, clock, store } = await aDoor(t, { idleMs: 30 * MINUTE_MS, lifetimeMs: 100 * MINUTE_MS })
  const out = (await access.signIn('bob', 'correct horse'))!
  access.signOut(out.sessionId)
  t.equal(access.session(out.sessionId), undefined)
  const idle = (await access.signIn('bob', 'correct horse'))!
  const used = (await access.signIn('bob', 'correct horse'))!
  for (const at of [20, 40, 60, 80, 100]) {
    clock.advance(20 * MINUTE_MS)
    t.ok(access.session(used.sessionId), `still there after ${at} minutes`)
  }
  t.equal(access.session(idle.sessionId), undefined)
  clock.advance(MINUTE_MS)
  t.equal(access.session(used.sessionId), undefined)
  await access.signIn('bob', 'correct horse')
  clock.advance(31 * MINUTE_MS)
  access.prune()
  t.same(store.table('session').entries(), [])
})

t.test('the system configuration says how long a session lasts and whether basic is allowed', async t => {
  const { access, clock, store, apply } = await aDoor(t, { idleMs: 1000 * MINUTE_MS })
  t.equal(access.isBasicAllowed(), false)
  const { uuid } = store.list('systemconfiguration')[0]!
  const replace = { portal_configuration: { api_force_timeout: 2, allow_basic_authentication: true } }
  await apply([{ op: 'patch', kind: 'systemconfiguration', uuid, patch: { replace } }])
  t.equal(access.isBasicAllowed(), true)
  const { sessionId } = (await access.signIn('bob', 'correct horse'))!
  clock.advance(119 * MINUTE_MS)
  t.ok(access.session(sessionId))
  clock.advance(2 * MINUTE_MS)
  t.equal(access.session(sessionId), undefined)
})

t.test('sessions outlive a restart of the controller', async t => {
  const { access, open } = await aDoor(t)
  const { sessionId, csrfToken } = (await access.signIn('bob', 'correct horse'))!
  t.match(open().session(sessionId), { csrfToken, actor: { name: 'bob' } })
})

t.test('a disabled or deleted user is out at once', async t => {
  const { access, patch, apply, bob } = await aDoor(t)
  const first = (await access.signIn('bob', 'correct horse'))!
  t.ok(await access.verify('bob', 'correct horse'))
  await patch({ is_active: false })
  t.equal(access.session(first.sessionId), undefined)
  t.equal(await access.verify('bob', 'correct horse'), undefined)
  t.equal(await access.signIn('bob', 'correct horse'), undefined)
  await patch({ is_active: true })
  const second = (await access.signIn('bob', 'correct horse'))!
  await apply([{ op: 'delete', kind: 'user', uuid: bob.uuid }])
  t.equal(access.actorOf(second.sessionId), undefined)
  t.equal(await access.signIn('bob', 'correct horse'), undefined)
})

t.test('a new password ends the other sessions of the user', async t => {
  const { access, patch } = await aDoor(t)
  const own = (await access.signIn('bob', 'correct horse'))!
  const other = (await access.signIn('bob', 'correct horse'))!
  const admin = (await access.signIn('admin', 'first password'))!
  t.ok(await access.verify('bob', 'correct horse'))
  await patch({ password: 'battery staple' })
  access.keepSession(own.sessionId)
  t.ok(access.session(own.sessionId))
  t.equal(access.session(other.sessionId), undefined)
  t.ok(access.session(admin.sessionId))
  t.equal(await access.verify('bob', 'correct horse'), undefined, 'a pair that was right is not remembered over it')
  t.ok(await access.verify('bob', 'battery staple'))
  access.keepSession('none')
  const third = (await access.signIn('bob', 'battery staple'))!
  access.keepSession(own.sessionId)
  t.ok(access.session(third.sessionId), 'nothing ends while the password stays')
})

t.test('sessions are bounded for each user and over all: the ones used longest ago go', async t => {
  const { access, clock, store } = await aDoor(t, { sessionsMax: 4, sessionsPerUserMax: 3 })
  const sessions = []
  for (let at = 0; at < 5; at++) {
    sessions.push((await access.signIn('bob', 'correct horse'))!.sessionId)
    clock.advance(1)
  }
  t.same(
    sessions.map(id => access.session(id) !== undefined),
    [false, false, true, true, true]
  )
  await access.signIn('admin', 'first password')
  await access.signIn('admin', 'first password')
  t.equal(store.table('session').entries().length, 4)
})

t.test('guessing is slowed down, for one pair of user and address, and never for good', async t => {
  const { access, clock } = await aDoor(t)
  for (let at = 0; at < 11; at++) t.equal(await access.signIn('bob', 'wrong', '10.0.0.1'), undefined)
  const refused = await access.signIn('bob', 'correct horse', '10.0.0.1').catch((error: unknown) => error)
  t.type(refused, TooManyAttempts)
  t.match(refused, { statusCode: 429, retryAfterS: 1 })
  t.ok(await access.signIn('bob', 'correct horse', '10.0.0.2'), 'from elsewhere it goes on')
  clock.advance(1_001)
  t.equal(await access.signIn('bob', 'wrong', '10.0.0.1'), undefined)
  clock.advance(1_001)
  await t.rejects(access.signIn('bob', 'correct horse', '10.0.0.1'), TooManyAttempts, 'the wait grows')
  clock.advance(MINUTE_MS)
  t.ok(await access.signIn('bob', 'correct horse', '10.0.0.1'))
  t.equal(await access.signIn('bob', 'wrong', '10.0.0.1'), undefined, 'after a success it starts anew')
})

t.test('many sign-ins at once are bounded and none is let in by force', async t => {
  const { access } = await aDoor(t, { waitingMax: 6 })
  const all = await Promise.allSettled(Array.from({ length: 30 }, (_, at) => access.signIn(`user-${at}`, 'wrong', `10.0.${at}.1`)))
  const refused = all.filter(one => one.status === 'rejected')
  t.ok(refused.length > 0)
  t.ok(refused.every(({ reason }) => reason instanceof TooManyAttempts))
  t.ok(all.every(one => one.status === 'rejected' || one.value === undefined))
  t.ok(await access.signIn('bob', 'correct horse', '10.0.0.9'), 'and the door opens again')
})

t.test('guesses that come in together do not slip through the wait', async t => {
  const { access } = await aDoor(t)
  const all = await Promise.allSettled(Array.from({ length: 40 }, () => access.signIn('bob', 'wrong', '10.0.0.1')))
  t.ok(all.filter(one => one.status === 'fulfilled').length <= 13)
})

t.test('verify knows a right pair for a minute, without looking at the password again', async t => {
  const { access, clock } = await aDoor(t)
  const first = await access.verify('bob', 'correct horse')
  t.match(first, { name: 'bob' })
  // Past these the door is closed to whoever has to show the password.
  for (let at = 0; at < 12; at++) await access.verify('bob', 'wrong').catch(() => undefined)
  await t.rejects(access.signIn('bob', 'correct horse'), TooManyAttempts)
  t.equal(await access.verify('bob', 'correct horse'), first, 'one actor while nothing changes')
  clock.advance(59_000)
  t.match(await access.verify('bob', 'correct horse'), { name: 'bob' })
  for (let at = 0; at < 12; at++) await access.verify('bob', 'wrong').catch(() => undefined)
  clock.advance(1_001)
  await t.rejects(access.verify('bob', 'correct horse'), TooManyAttempts, 'then it is looked at again')
})

t.test('an actor changes with its roles, in the same session', async t => {
  const { access, create, patch, store } = await aDoor(t)
  const { sessionId } = (await access.signIn('bob', 'correct horse'))!
  t.equal(access.actorOf(sessionId)!.may('read', 'pool', ADMIN_TENANT), false)
  const role = store.findByName('role', ADMIN_TENANT, 'Application-Admin')!
  const one = await create('tenant', { name: 'one' })
  await patch({ access: [{ role_ref: role.uuid, tenant_ref: one.uuid }] })
  const actor = access.actorOf(sessionId)!
  t.same(actor.tenants, [one.uuid])
  t.ok(actor.may('write', 'pool', one.uuid))
  t.notOk(actor.may('write', 'pool', ADMIN_TENANT))
  await patch({ is_superuser: true })
  t.ok(access.actorOf(sessionId)!.may('write', 'user', ADMIN_TENANT))
})

t.test('an empty store lets nobody in', async t => {
  const store = openMemoryStore()
  t.teardown(() => store.close())
  const access = openAccess({ store, clock: manualClock(), randomBytes: seededBytes() })
  t.equal(await access.signIn('admin', 'admin'), undefined)
})

t.test('a full disk keeps nobody out who is in', async t => {
  const { clock, store } = await aDoor(t)
  let isFull = false
  const full = () => {
    if (isFull) throw new StoreUnavailable('no space left')
  }
  const table = store.table<never>('session')
  const door = openAccess({
    store: { ...store, table: () => ({ ...table, set: full, delete: () => (full(), true) }) as never },
    clock,
    randomBytes: seededBytes(5),
    passwordCost: cheapPasswords
  })
  const { sessionId } = (await door.signIn('bob', 'correct horse'))!
  isFull = true
  clock.advance(2 * MINUTE_MS)
  t.ok(door.session(sessionId), 'although its use cannot be noted')
  clock.advance(100 * MINUTE_MS)
  door.prune()
  t.equal(door.session(sessionId), undefined)
  await t.rejects(door.signIn('bob', 'correct horse'), StoreUnavailable)
})
