import { Writable } from 'node:stream'
import type { Socket } from 'node:net'
import t from 'tap'
import { DATA } from '#engine/dataplane/http/http2/frames.ts'
import { HpackDecoder } from '#engine/dataplane/http/http2/hpack.ts'
import { Output } from '#engine/dataplane/http/http2/output.ts'
import { Buffers } from '#engine/dataplane/http/wire/parts.ts'

/** A socket that takes as many writes as it is let. */
function openSocket(): { socket: Socket; writes: Buffer[]; take: () => void } {
  const writes: Buffer[] = []
  const waiting: (() => void)[] = []
  const socket = new Writable({
    highWaterMark: 1,
    write: (chunk: Buffer, _encoding, done) => {
      writes.push(Buffer.from(chunk))
      waiting.push(done)
    }
  })
  return { socket: socket as unknown as Socket, writes, take: () => waiting.shift()?.() }
}

function framesOf(bytes: Buffer): { type: number; flags: number; id: number; payload: Buffer }[] {
  const frames = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 9 + bytes.readUIntBE(at, 3)
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, id: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, end) })
    at = end
  }
  return frames
}

t.test('what is said in one turn is one write', async t => {
  const { socket, writes } = openSocket()
  const out = new Output(socket, new Buffers())
  out.block(1, [':status', '200', 'x-a', 'b'], false)
  out.head(DATA, 1, 1, 5)
  out.bytes(Buffer.from('--hello--'), 2, 7)
  out.number(8, 0x7fff_ffff, 0xffff_fffe)
  t.equal(writes.length, 0)
  out.flush()
  t.equal(writes.length, 1)
  const [head, body, update] = framesOf(writes[0]!)
  t.match(head, { type: 1, flags: 4, id: 1 })
  t.match(body, { type: 0, flags: 1, id: 1 })
  t.equal(body!.payload.toString(), 'hello')
  t.match(update, { type: 8, id: 0x7fff_ffff })
  t.equal(update!.payload.readUInt32BE(0), 0xffff_fffe)
  t.equal(out.gatheredBytes, 0)
})

t.test('a block beyond a frame goes on in others, and is read as one', async t => {
  const { socket, writes, take } = openSocket()
  const out = new Output(socket, new Buffers())
  const fields = [':status', '200', ...Array.from({ length: 60 }, (_, i) => [`x-${i}`, String(i).repeat(500)]).flat()]
  out.block(3, fields, true)
  out.flush()
  for (let i = 0; i < 5; i++) take()
  const frames = framesOf(Buffer.concat(writes))
  t.ok(frames.length > 2)
  t.same([frames[0]!.type, frames[0]!.flags, frames[1]!.type, frames[1]!.flags, frames.at(-1)!.flags], [1, 1, 9, 0, 4])
  const whole = Buffer.concat(frames.map(one => one.payload))
  const decoder = new HpackDecoder(200_000, Buffer.alloc(200_000))
  t.equal(decoder.decode(whole, 0, whole.length), 'fields')
  t.same(decoder.fields, fields)
})

t.test('behind a socket that takes nothing it gathers, and says in order afterwards', async t => {
  const { socket, writes, take } = openSocket()
  const out = new Output(socket, new Buffers())
  const body = Buffer.alloc(300_000)
  for (let i = 0; i < body.length; i++) body[i] = i % 251
  out.bytes(body, 0, 10)
  out.flush()
  t.ok(out.isBlocked)
  out.bytes(body, 10, body.length)
  out.flush()
  t.equal(writes.length, 1)
  t.equal(out.gatheredBytes, body.length - 10)
  for (let i = 0; i < 50 && (out.gatheredBytes > 0 || writes.reduce((sum, one) => sum + one.length, 0) < body.length); i++) {
    take()
    await new Promise(resolve => setImmediate(resolve))
    out.isBlocked = socket.writableLength > 0
    out.flush()
  }
  t.ok(Buffer.concat(writes).equals(body))
  out.bytes(body, 0, 100)
  out.drop()
  t.equal(out.gatheredBytes, 0)
})
