import type { Socket } from 'node:net'
import t from 'tap'
import { queueKey, readSendQueues, SendQueues } from '#engine/dataplane/http/wire/send-queues.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const v4 = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode${' '.repeat(53)}
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 555 1 000000001de07b72 100 0 0 10 0
   1: 0100007F:A575 0101A8C0:A570 01 0001F4A0:00000000 01:0000001D 00000000  1000        0 700 3 00000000f684e338 20 4 30 10 -1
10001: 0100007F:A576 0100007F:A570 01 00000000:00000010 00:00000000 00000000  1000        0 701 1 00000000f684e339 20 4 30 10 -1
`
const v6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0050 B80D01200000000000000000FF000000:C001 01 00000A00:00000000 01:00000020 00000000  1000        0 9 1
`

t.test('readSendQueues finds what is unacknowledged, by connection', async t => {
  const queues = readSendQueues([v4, v6])
  t.equal(queues.size, 2)
  t.equal(queues.get(queueKey({ localAddress: '127.0.0.1', localPort: 0xa575, remoteAddress: '192.168.1.1', remotePort: 0xa570 })), 0x1f4a0)
  t.equal(queues.get(queueKey({ localAddress: '::1', localPort: 80, remoteAddress: '2001:db8::ff', remotePort: 0xc001 })), 0xa00)
  t.equal(readSendQueues(['', '  sl  local\n', '  sl\n   0: 0100007F:A575', 'x: \n: \n']).size, 0, 'what is cut off or strange is left out')
})

t.test('queueKey spells addresses as the kernel does, with zones and mapped ones', async t => {
  const key = (localAddress: string): string => queueKey({ localAddress, localPort: 1, remoteAddress: '::1', remotePort: 2 })
  t.equal(key('::ffff:10.0.0.1'), '0000000000000000FFFF00000100000A:0001 00000000000000000000000001000000:0002')
  t.equal(key('fe80::1%eth0').slice(0, 8), '000080FE')
  t.equal(queueKey({ remoteAddress: undefined, remotePort: undefined }), '')
})

t.test('SendQueues reads once for all who ask at once, not too often, and says when it cannot know', async t => {
  const clock = manualClock()
  let reads = 0
  let isThere = true
  const queues = new SendQueues(clock, path => {
    reads++
    return isThere ? Promise.resolve(path.endsWith('6') ? v6 : v4) : Promise.reject(new Error('no such file'))
  })
  const at = (localPort: number): Socket =>
    ({ localAddress: '127.0.0.1', localPort, remoteAddress: '192.168.1.1', remotePort: 0xa570 }) as Socket
  const socket = at(0xa575)
  const other = at(1)
  const ask = (whom: Socket): Promise<number | null> => new Promise(resolve => queues.ask(whom, resolve))
  t.same(await Promise.all([ask(socket), ask(other), ask({} as Socket)]), [0x1f4a0, 0, null])
  t.equal(reads, 2, 'one reading of two tables')
  const later = ask(socket)
  await new Promise(resolve => setImmediate(resolve))
  t.equal(reads, 2)
  clock.advance(500)
  t.equal(await later, 0x1f4a0)
  clock.advance(500)
  isThere = false
  t.equal(await ask(socket), null)
})
