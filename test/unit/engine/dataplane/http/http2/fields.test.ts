import t from 'tap'
import { Fault } from '#engine/base/fault.ts'
import { readAnswerHead } from '#engine/dataplane/http/http2/fields.ts'

t.test('an answer head is its status, its fields in order, and what it says of its length', async t => {
  t.same(readAnswerHead([':status', '200', 'set-cookie', 'a=1', 'content-length', '007', 'set-cookie', 'b=2']), {
    status: 200,
    headers: ['set-cookie', 'a=1', 'content-length', '007', 'set-cookie', 'b=2'],
    length: 7
  })
  t.same(readAnswerHead([':status', '103']), { status: 103, headers: [], length: -1 })
  t.match(readAnswerHead([':status', '599', 'x-latin', 'caf\xe9', 'x-none', '', 'x-tab', 'a\tb']), { status: 599 })
})

const refused: readonly (readonly [name: string, fields: readonly string[]])[] = [
  ['nothing', []],
  ['a field alone', ['x-a', 'b']],
  ['two statuses', [':status', '200', ':status', '200']],
  ['a status that is a word', [':status', 'ok']],
  ['a status of nothing', [':status', '']],
  ['a status with a blank', [':status', ' 200']],
  ['a status with its reason', [':status', '200 OK']],
  ['a status below 100', [':status', '099']],
  ['a change of protocol', [':status', '101']],
  ['a late status', ['x-a', 'b', ':status', '200']],
  ['another pseudo-header field', [':status', '200', ':scheme', 'http']],
  ['an empty pseudo-header field', [':status', '200', ':', 'http']],
  ['upper case', [':status', '200', 'Content-Type', 'text/plain']],
  ['a carriage return', [':status', '200', 'x-a', 'b\r']],
  ['DEL', [':status', '200', 'x-a', 'b\x7fc']],
  ['a blank at the end', [':status', '200', 'x-a', 'b ']],
  ['proxy-connection', [':status', '200', 'proxy-connection', 'close']],
  ['a length that is not one', [':status', '200', 'content-length', '0x10']],
  ['a length beyond what is exact', [':status', '200', 'content-length', '9999999999999999']]
]

t.test('what would be another message elsewhere is refused', async t => {
  for (const [name, fields] of refused) {
    const head = readAnswerHead(fields)
    t.ok(head instanceof Fault && head.code === 'UPSTREAM_BAD_RESPONSE', name)
  }
})
