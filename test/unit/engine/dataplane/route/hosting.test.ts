import t from 'tap'
import { Automata } from '#engine/dataplane/route/automata.ts'
import { compileHosting } from '#engine/dataplane/route/hosting.ts'
import { aDownstream, aHead } from '#test/support/exchange.ts'
import { noMatch } from '#test/support/snapshot.ts'

const asked = (host: string, target = '/') => aHead({ target, headers: ['Host', host] })
const child = (id: string) => ({ is: 'child', id }) as const

t.test('compileHosting by SNI goes by the name of the connection, and by no other', async t => {
  const choose = compileHosting(
    {
      by: 'sni',
      names: [
        { name: 'a.test', childId: 'a', match: null },
        { name: '*.a.test', childId: 'wild', match: null },
        { name: 'b.test', childId: 'b', match: null }
      ]
    },
    new Automata()
  )
  const over = (serverName: string | null, host: string) => choose(asked(host), aDownstream({ isTls: true, serverName }))
  t.same(over('a.test', 'a.test'), child('a'))
  t.same(over('x.y.a.test', 'X.y.a.test:443'), child('wild'))
  t.same(over('a.test', '10.0.0.1'), child('a'), 'a host that nobody claims')
  t.same(over('a.test', 'b.test'), { is: 'misdirected' })
  t.same(over(null, 'b.test'), { is: 'misdirected' }, 'the parent’s certificate asks for no child')
  t.same(over('other.test', 'other.test'), { is: 'parent' })
  t.same(choose(asked('a.test'), aDownstream()), { is: 'parent' }, 'without TLS there is no name')
})

t.test('compileHosting by host takes the first child whose rules match, and the one without rules last', async t => {
  const match = { ...noMatch, path: { operator: 'begins-with', values: ['/api/'], isCaseSensitive: false } } as const
  const choose = compileHosting(
    {
      by: 'host',
      names: [
        { name: 'shop.test', childId: 'web', match: null },
        { name: 'shop.test', childId: 'api', match },
        { name: '*.shop.test', childId: 'wild', match }
      ]
    },
    new Automata()
  )
  const at = (host: string, target: string) => choose(asked(host, target), aDownstream())
  t.same(at('shop.test', '/api/x'), child('api'))
  t.same(at('SHOP.test:8080', '/x'), child('web'))
  t.same(at('eu.shop.test', '/api/x'), child('wild'))
  t.same(at('eu.shop.test', '/x'), { is: 'parent' })
  t.same(at('other.test', '/api/x'), { is: 'parent' })
})
