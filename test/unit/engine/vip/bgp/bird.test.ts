import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { askBird, readProtocols } from '#engine/vip/bgp/bird.ts'

const head = '0001 BIRD 2.0.12 ready.\n0016 Access restricted\n'
const table = `2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     09:31:01.018  
 bfd1       BFD        ---        up     2026-11-25    
 router_v4  BGP        ---        up     2026-11-25 09:31:02  Established   
 router_v6  BGP        ---        start  09:31:01.021  Active        Socket: Connection refused
`

t.test('readProtocols takes the sessions of BGP from what BIRD 2 writes', async t => {
  t.same(readProtocols(`${head}${table}0000 \n`), {
    is: 'up',
    reason: '',
    sessions: [
      { name: 'router_v4', isUp: true, state: 'up Established' },
      { name: 'router_v6', isUp: false, state: 'start Active Socket: Connection refused' }
    ]
  })
  t.match(readProtocols(`${head}${table.replace('Established', 'OpenSent')}0000 \n`), {
    is: 'down',
    reason: 'BIRD has no session with a router'
  })
  t.match(readProtocols(`${head}2002-Name Proto\n1002-device1 Device --- up 09:31:01.018\n0000 \n`), { is: 'down', sessions: [] })
  t.match(readProtocols(`${head}9001 Parse error\n`), { is: 'unknown', reason: 'BIRD says: Parse error' })
  t.match(readProtocols('HTTP/1.1 400 Bad Request\n'), { is: 'unknown', reason: 'what answers at the socket is not BIRD' })
})

t.test('readProtocols says nothing before the answer is whole', async t => {
  const whole = `${head}${table}0000 \n`
  for (let length = 0; length < whole.length; length++) t.equal(readProtocols(whole.slice(0, length)), undefined)
})

async function aSocket(t: Test, serve: (socket: Socket) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bird-'))
  const path = join(folder, 'bird.ctl')
  const open = new Set<Socket>()
  const server = createServer(socket => {
    open.add(socket.on('error', () => undefined))
    serve(socket)
  })
  await new Promise<void>(done => server.listen(path, done))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  return path
}

t.test('askBird asks in the mode that may only read, and takes an answer in pieces', async t => {
  const asked: string[] = []
  const path = await aSocket(t, socket => {
    socket.on('data', text => {
      asked.push(String(text))
      for (const piece of `${head}${table}0000 \n`.match(/[^]{1,7}/g) ?? []) socket.write(piece)
    })
  })
  t.match(await askBird(path), { is: 'up' })
  t.equal(asked.join(''), 'restrict\nshow protocols\n')
})

t.test('askBird says why it has no answer', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bird-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const nowhere = join(folder, 'bird.ctl')
  t.same(await askBird(nowhere), { is: 'unknown', reason: `there is no BIRD at ${nowhere}`, sessions: [] })
  t.match(await askBird(await aSocket(t, socket => socket.end())), { is: 'down', reason: 'BIRD closed the connection' })
  t.match(await askBird(await aSocket(t, () => undefined)), { is: 'down', reason: 'BIRD does not answer' })
  t.match(await askBird(await aSocket(t, socket => void socket.write(`1002-${'x'.repeat(300_000)}`))), {
    is: 'unknown',
    reason: 'BIRD says too much'
  })
  if (process.getuid?.() === 0) return
  const closed = await aSocket(t, () => undefined)
  chmodSync(closed, 0)
  t.match(await askBird(closed), { is: 'unknown', reason: `the engine may not open BIRD’s socket ${closed}` })
})
