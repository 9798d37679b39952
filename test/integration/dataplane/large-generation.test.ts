/** Ten thousand rules and a group of a hundred thousand addresses: built beside the traffic, and asked without holding it up. */
import t from 'tap'
import { ask, openHttpServer, openTestPlane } from '#test/support/data-plane.ts'
import { aLargeRuleBook } from '#test/support/large-rules.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

t.test('a generation of that size is built while requests are answered, and its rules hold', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { load, port, bugs } = openTestPlane(t)
  const pools = [aPool([web.port])]
  const { requestRules, networkRules } = aLargeRuleBook()
  await load(aSnapshot({ services: [aService()], pools }))
  t.equal((await ask(port())).body, 'web')
  let isLoading = true
  let answered = 0
  const asking = (async () => {
    while (isLoading) if ((await ask(port())).status === 200) answered++
  })()
  const violations = await load(aSnapshot({ revision: 2, services: [aService({ requestRules, networkRules })], pools }))
  isLoading = false
  await asking
  t.same(violations, [])
  t.ok(answered >= 3, `${answered} answers while it was built`)

  const status = async (host: string, path: string, localAddress = '127.0.0.1'): Promise<number> =>
    (await ask(port(), { path, localAddress, headers: { host } })).status
  t.equal(await status('shop.test', '/'), 200)
  t.equal(await status('shop.test', '/', '127.0.0.9'), 401)
  t.equal(await status('h9995.test', '/'), 403)
  t.equal(await status('shop.test', '/p9996'), 403)
  t.equal(await status('shop.test', '/B9997/x'), 403)
  t.equal(await status('shop.test', '/b9997'), 200)
  t.equal(await status('shop.test', '/x/Word9993x/y'), 403)
  t.equal(await status('shop.test', '/aaa/FILE9994.php'), 403)
  t.equal(await status('shop.test', '/aaa/file9994.html'), 200)
  t.equal(await status('evil399.test', `/${'a'.repeat(300)}!`), 200)
  t.equal(await status('evil399.test', `/${'a'.repeat(300)}`), 403)
  t.same(bugs, [])
})
