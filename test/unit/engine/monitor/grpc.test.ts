import t from 'tap'
import { formatCheck, judgeGrpc, parseCheck } from '#engine/monitor/grpc/grpc.ts'

const message = (...bytes: number[]): Buffer => Buffer.from([0, 0, 0, 0, bytes.length, ...bytes])

t.test('formatCheck frames a request', async t => {
  t.same([...formatCheck('')], [0, 0, 0, 0, 0])
  t.same([...formatCheck('ab')], [0, 0, 0, 0, 4, 0x0a, 2, 0x61, 0x62])
  t.same([...formatCheck('x'.repeat(200)).subarray(0, 8)], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1], 'a length of two bytes')
})

t.test('parseCheck reads the status and passes over what it does not know', async t => {
  t.equal(parseCheck(message(8, 1)), 1)
  t.equal(parseCheck(message()), 0)
  t.equal(parseCheck(message(0x12, 2, 8, 9, 8, 2)), 2, 'a text before it')
  t.equal(parseCheck(message(0x19, 1, 2, 3, 4, 5, 6, 7, 8, 8, 3)), 3, 'a number of eight bytes before it')
  for (const body of [
    Buffer.alloc(0),
    Buffer.from([1, 0, 0, 0, 2, 8, 1]),
    Buffer.from([0, 0, 0, 0, 9, 8, 1]),
    message(8),
    message(0x12, 9),
    message(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    message(0x0b)
  ])
    t.equal(parseCheck(body), undefined, body.toString('hex'))
})

t.test('judgeGrpc says why a server is down', async t => {
  t.match(judgeGrpc(200, '0', '', message(8, 1)), { verdict: 'up', detail: 'SERVING' })
  t.match(judgeGrpc(200, '0', '', message(8, 2)), { verdict: 'down', detail: 'NOT_SERVING' })
  t.match(judgeGrpc(200, '0', '', message(8, 9)), { verdict: 'down', detail: 'serving status 9' })
  t.match(judgeGrpc(200, '0', '', message(8)), { verdict: 'down', detail: 'the answer cannot be read' })
  t.match(judgeGrpc(200, '12', '', message()), { verdict: 'down', detail: /no health service/ })
  t.match(judgeGrpc(200, '5', '', message()), { verdict: 'down', detail: /does not know this service/ })
  t.match(judgeGrpc(200, '14', 'going down', message()), { verdict: 'down', detail: 'grpc-status 14: going down' })
  t.match(judgeGrpc(200, '', '', message()), { verdict: 'down', detail: 'the answer has no grpc-status' })
  t.match(judgeGrpc(503, '', '', message()), { verdict: 'down', detail: 'status 503' })
})
