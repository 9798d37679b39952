import t from 'tap'
import { parseAnswer } from '#engine/monitor/http/answer.ts'

const never = (): boolean => false

t.test('parseAnswer reads status and the content that is there', async t => {
  t.same(parseAnswer('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab', false, never), {
    is: 'answer',
    status: 200,
    fields: ['Content-Length: 4'],
    body: 'ab',
    isWhole: false
  })
  t.same(parseAnswer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc', false, never), {
    is: 'answer',
    status: 200,
    fields: ['Content-Length: 2'],
    body: 'ab',
    isWhole: true
  })
  t.same(parseAnswer('HTTP/1.0 301\r\n\r\n', true, never), { is: 'answer', status: 301, fields: [], body: '', isWhole: true })
  t.match(parseAnswer('HTTP/1.1 204 x\r\n\r\njunk', false, never), { status: 204, body: '', isWhole: true })
})

t.test('parseAnswer joins chunks', async t => {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  t.match(parseAnswer(`${head}3\r\nall\r\n5;x=1\r\n is w\r\n0\r\n\r\n`, false, never), { body: 'all is w', isWhole: true })
  t.match(parseAnswer(`${head}3\r\nal`, false, never), { body: 'al', isWhole: false })
  t.match(parseAnswer(`${head}zz\r\nal`, false, never), { body: '', isWhole: true })
  t.match(parseAnswer(`${head}ffffffff\r\n${'x'.repeat(5_000)}`, false, never), { isWhole: true, body: /^x{2048}$/ })
})

t.test('parseAnswer passes over interim answers unless one is wanted', async t => {
  const text = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'
  t.match(parseAnswer(text, false, never), { status: 200 })
  t.match(
    parseAnswer(text, false, status => status === 100),
    { status: 100 }
  )
})

t.test('parseAnswer waits for a head that may come and refuses one that cannot', async t => {
  t.same(parseAnswer('HT', false, never), { is: 'incomplete' })
  t.same(parseAnswer('', false, never), { is: 'incomplete' })
  for (const text of [
    '220 smtp ready\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 99 x\r\n\r\n',
    'HTTP/1.1  200 OK\r\n\r\n',
    `HTTP/1.1 200 ${'x'.repeat(20_000)}`
  ])
    t.match(parseAnswer(text, false, never), { is: 'malformed' }, text.slice(0, 20))
  t.match(parseAnswer('HTTP/1.1 200 OK\r\n', true, never), { is: 'malformed', reason: 'its head is cut off' })
})
