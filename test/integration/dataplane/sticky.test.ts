/** Clients keep their side of a pool group, however they are known, and when shares move only those that must. */
import t from 'tap'
import type { StickySpec } from '#model/snapshot/snapshot.ts'
import { ask, openHttpServer, openTestPlane } from '#test/support/data-plane.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

type Tap = Parameters<typeof openHttpServer>[0]

async function aGroup(t: Tap) {
  const ports: number[] = []
  for (const name of ['old', 'new']) ports.push((await openHttpServer(t, (_request, response) => response.end(name))).port)
  const pools = ['old', 'new'].map((id, i) => aPool([ports[i]!], { id, name: id }))
  return (share: number, sticky?: StickySpec) =>
    aSnapshot({
      services: [
        aService({
          target: {
            is: 'group',
            id: 'g',
            name: 'g',
            members: [
              { poolId: 'old', ratio: 100 - share, priority: 0 },
              { poolId: 'new', ratio: share, priority: 0 }
            ],
            failAction: { is: 'close' },
            ...(sticky === undefined ? {} : { sticky })
          }
        })
      ],
      pools
    })
}

t.test('a client is given a cookie once, keeps its side on every engine, and moves only to the side that grows', async t => {
  const groupOf = await aGroup(t)
  const sticky: StickySpec = { by: 'cookie', name: 'side', maxAgeS: 60 }
  const [one, two] = [openTestPlane(t), openTestPlane(t)]
  for (const plane of [one, two]) t.same(await plane.load(groupOf(50, sticky)), [])
  const clients: { readonly cookie: string; readonly side: string }[] = []
  for (let i = 0; i < 60; i++) {
    const { headers, body } = await ask(one.port())
    const [set = ''] = headers['set-cookie'] ?? []
    t.match(set, /^side=[0-9a-f-]{36}; Path=\/; Max-Age=60; HttpOnly; SameSite=Lax$/)
    clients.push({ cookie: set.slice(0, set.indexOf(';')), side: body })
  }
  t.equal(new Set(clients.map(({ side }) => side)).size, 2, 'both sides have clients')
  for (const { cookie, side } of clients) {
    const { headers, body } = await ask(two.port(), { headers: { cookie: `a=b; ${cookie}` } })
    t.equal(body, side)
    t.equal(headers['set-cookie'], undefined)
  }
  t.same(await one.load(groupOf(80, sticky)), [])
  let moved = 0
  for (const { cookie, side } of clients) {
    const { body } = await ask(one.port(), { headers: { cookie } })
    if (side === 'new') t.equal(body, 'new', 'who was on the side that grows stays')
    else if (body === 'new') moved += 1
  }
  t.ok(moved > 0, `${moved} of the others moved`)
  t.same(one.bugs, [])
})

t.test('by header and by address, and in turn where nothing keeps a client', async t => {
  const groupOf = await aGroup(t)
  const { load, port, bugs } = openTestPlane(t)
  const sidesOf = async (headers: Record<string, string> = {}): Promise<string[]> => {
    const bodies = new Set<string>()
    for (let i = 0; i < 8; i++) bodies.add((await ask(port(), { headers })).body)
    return [...bodies]
  }
  t.same(await load(groupOf(50, { by: 'header', name: 'x-user' })), [])
  const sides = new Set<string>()
  for (let i = 0; i < 30; i++) {
    const of = await sidesOf({ 'x-user': `user-${i}` })
    t.equal(of.length, 1)
    sides.add(of[0]!)
  }
  t.equal(sides.size, 2)
  t.same(await load(groupOf(50, { by: 'client-address' })), [])
  t.equal((await sidesOf()).length, 1)
  t.same(await load(groupOf(50)), [])
  t.equal((await sidesOf()).length, 2)
  t.same(bugs, [])
})
