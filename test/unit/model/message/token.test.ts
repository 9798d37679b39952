import { createHash } from 'node:crypto'
import t from 'tap'
import { makeJoinToken, parseJoinToken } from '#model/message/token.ts'

const of = (text: string): string => createHash('sha256').update(text).digest('base64url')

t.test('parseJoinToken reads back what makeJoinToken wrote', async t => {
  for (let i = 0; i < 200; i++) {
    const token = { caFingerprint: of(`ca ${i}`), secret: of(`secret ${i}`) }
    t.same(parseJoinToken(makeJoinToken(token)), token)
  }
  t.same(parseJoinToken(`\n ${makeJoinToken({ caFingerprint: of('a'), secret: of('b') })}\r\n`)?.secret, of('b'), 'white space around it')
})

t.test('parseJoinToken takes nothing else for a token', async t => {
  const good = makeJoinToken({ caFingerprint: of('a'), secret: of('b') })
  const wrong = [
    '',
    'weir1',
    'weir1..',
    good.replace('weir1', 'weir2'),
    `${good}.more`,
    good.slice(0, -1),
    `${good}A`,
    good.replaceAll('.', ':'),
    `${good.slice(0, -1)}=`,
    'x'.repeat(100_000)
  ]
  for (const text of wrong) t.equal(parseJoinToken(text), undefined, text.slice(0, 40))
})

t.test('makeJoinToken refuses parts that are not 32 bytes', async t => {
  t.throws(() => makeJoinToken({ caFingerprint: 'short', secret: of('b') }), RangeError)
  t.throws(() => makeJoinToken({ caFingerprint: of('a'), secret: 'a.b' }), RangeError)
})
