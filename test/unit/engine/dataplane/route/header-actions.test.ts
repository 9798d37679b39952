import t from 'tap'
import type { HeaderAction } from '#model/snapshot/snapshot.ts'
import { compileHeaderActions } from '#engine/dataplane/route/header-actions.ts'
import { anExchange } from '#test/support/exchange.ts'

const cookie = (is: HeaderAction['is'], name: string, value = ''): HeaderAction => ({ is, of: 'cookie', name, value })

function changed(actions: readonly HeaderAction[], of: 'request' | 'answer', given: readonly string[]): readonly string[] {
  const headers = [...given]
  compileHeaderActions(actions, of)?.(anExchange({ headers: ['Host', 'shop.test', 'X-Theme', 'dark; Path=/evil'] }), headers)
  return headers
}

t.test('compileHeaderActions changes single cookies of a request and leaves the others as they are', async t => {
  const given = ['a', '1', 'cookie', 'id=7; theme=light;flag', 'cookie', 'theme=old; x="a=b"']
  t.same(changed([cookie('remove', 'theme')], 'request', given), ['a', '1', 'cookie', 'id=7; flag; x="a=b"'])
  t.same(changed([cookie('replace', 'theme', 'new')], 'request', given), ['a', '1', 'cookie', 'id=7; flag; x="a=b"; theme=new'])
  t.same(changed([cookie('add', 'theme', 'new')], 'request', ['cookie', 'theme=old']), ['cookie', 'theme=old; theme=new'])
  t.same(changed([cookie('add', 'theme', 'new')], 'request', []), ['cookie', 'theme=new'])
  t.same(changed([cookie('remove', 'theme')], 'request', ['cookie', 'theme=old', 'b', '2']), ['b', '2'])
  t.same(changed([cookie('remove', 'Theme')], 'request', ['cookie', 'theme=old']), ['cookie', 'theme=old'], 'names have their case')
})

t.test('compileHeaderActions changes the cookies that an answer sets', async t => {
  const given = ['set-cookie', 'theme=light; Path=/', 'a', '1', 'set-cookie', 'id=7; HttpOnly']
  t.same(changed([cookie('remove', 'theme')], 'answer', given), ['a', '1', 'set-cookie', 'id=7; HttpOnly'])
  t.same(changed([cookie('replace', 'id', '8; Secure')], 'answer', given), [
    'a',
    '1',
    'set-cookie',
    'theme=light; Path=/',
    'set-cookie',
    'id=8; Secure'
  ])
  t.same(changed([cookie('add', 'id', '8')], 'answer', given), [...given, 'set-cookie', 'id=8'])
  t.same(changed([cookie('remove', 'id')], 'answer', ['cookie', 'id=7']), ['cookie', 'id=7'], 'no cookie of a request')
})

t.test('what a variable brings becomes neither another cookie nor an attribute', async t => {
  t.same(changed([cookie('add', 'theme', '$http_x_theme')], 'request', []), ['cookie', 'theme=dark Path=/evil'])
  t.same(changed([cookie('add', 'theme', '$http_x_theme; Path=/')], 'answer', []), ['set-cookie', 'theme=dark Path=/evil; Path=/'])
  t.same(changed([cookie('add', 'theme', 'a\r\nb: c')], 'answer', []), ['set-cookie', 'theme=ab: c'])
})
