import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import fc from 'fast-check'
import t from 'tap'
import { Fault } from '#engine/base/fault.ts'
import { readHead } from '#engine/dataplane/http/head.ts'
import { readServerName, readTicket } from '#engine/dataplane/listen/client-hello.ts'
import { readFingerprint } from '#engine/dataplane/listen/fingerprint.ts'
import { normalizeTarget } from '#engine/dataplane/route/path.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)
const run = <T>(property: fc.IProperty<T>): void => fc.assert(property, { seed, numRuns: 3000, interruptAfterTimeLimit: 3000 })

const pieces = fc.constantFrom(
  '/',
  '//',
  '.',
  '..',
  '/./',
  '/../',
  '%2e',
  '%2E%2e',
  '%2f',
  '%5c',
  '%00',
  '%41',
  '%',
  ';',
  '..;',
  '?',
  '#',
  'a',
  'admin',
  '\\',
  '\u00e9',
  ' '
)

t.test('normalizeTarget leaves no dot segment, no hidden slash, and nothing to do for a second pass', async () => {
  run(
    fc.property(fc.array(pieces, { maxLength: 12 }), parts => {
      const made = normalizeTarget(`/${parts.join('')}`)
      if (typeof made === 'string') return true
      const segments = made.path.split('/')
      const again = normalizeTarget(made.target)
      return (
        !segments.includes('.') &&
        !segments.includes('..') &&
        !made.path.includes('//') &&
        !/%2f|%5c|%00|\\|%2e/i.test(made.path) &&
        typeof again !== 'string' &&
        again.target === made.target &&
        again.path === made.path
      )
    })
  )
})

t.test('readHead never throws, and what it takes is framed in one way', async () => {
  const name = fc.constantFrom(
    'Host',
    'host',
    'Content-Length',
    'content-length',
    'Transfer-Encoding',
    'Connection',
    'X-A',
    'x_a',
    'Upgrade',
    '',
    'a b',
    '__proto__'
  )
  const value = fc.oneof(
    fc.constantFrom('a', '5', '5, 5', '+5', 'chunked', 'Chunked ', 'gzip, chunked', 'x-a, host', 'a:80', '[::1]', 'a\r\nb: c'),
    fc.string({ maxLength: 8 })
  )
  const head = fc.record({
    method: fc.constantFrom('GET', 'POST', 'TRACE', 'G T', ''),
    target: fc.oneof(
      fc.array(pieces, { maxLength: 6 }).map(parts => `/${parts.join('')}`),
      fc.constantFrom('*', 'http://a/', 'a', ''),
      fc.string({ maxLength: 10 })
    ),
    version: fc.constantFrom('1.0', '1.1', '0.9'),
    headers: fc.array(fc.tuple(name, value), { maxLength: 8 }).map(fields => fields.flat())
  })
  run(
    fc.property(head, raw => {
      const made = readHead(raw, { maxHeaderCount: 6 })
      if (made instanceof Fault) return made.origin === 'downstream'
      const names = made.headers.filter((_, i) => i % 2 === 0)
      const lengths = names.filter(given => given === 'content-length').length
      return (
        !names.includes('transfer-encoding') &&
        !names.includes('host') &&
        lengths === (made.framing === 'length' ? 1 : 0) &&
        made.headers.every(text => !/[\r\n\0]/.test(text)) &&
        !/[\r\n\0 ]/.test(made.target + made.authority)
      )
    })
  )
})

t.test('readServerName reads a real hello, in every cut, and never throws on a broken one', async t => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = tlsConnect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    servername: 'Shop.Test',
    ALPNProtocols: ['h2']
  })
  socket.on('error', () => undefined)
  const [accepted] = await once(server, 'connection')
  const [hello] = (await once(accepted, 'data')) as [Buffer]
  socket.destroy()
  accepted.destroy()
  server.close()
  t.same(readServerName(hello), { is: 'name', name: 'shop.test' })
  for (let cut = 0; cut < hello.length; cut++) t.same(readServerName(hello.subarray(0, cut)), { is: 'incomplete' }, `cut at ${cut}`)
  // The same message in records of 40 bytes.
  const records: Buffer[] = []
  for (let at = 5; at < hello.length; at += 40) {
    const piece = hello.subarray(at, at + 40)
    records.push(Buffer.from([22, 3, 1, piece.length >> 8, piece.length & 255]), piece)
  }
  t.same(readServerName(Buffer.concat(records)), { is: 'name', name: 'shop.test' })
  t.same(readFingerprint(Buffer.concat(records)), readFingerprint(hello))
  for (let cut = 0; cut < hello.length; cut++) t.equal(readFingerprint(hello.subarray(0, cut)), undefined, `cut at ${cut}`)
  const isFingerprint = (both: string): boolean =>
    /^[0-9a-f]{32} t(?:1[0-3]|s3|00)[di]\d{4}[0-9A-Za-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}$/.test(both)
  const own = readFingerprint(hello)
  t.ok(isFingerprint(`${own?.ja3} ${own?.ja4}`))
  const mutation = fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { maxLength: 10 })
  run(
    fc.property(mutation, fc.nat(hello.length), (changes, length) => {
      const broken = Buffer.from(hello)
      for (const [at, byte] of changes) broken[at] = byte
      const read = readServerName(broken.subarray(0, length))
      const ticket = readTicket(broken.subarray(0, length))
      if (ticket !== undefined && (ticket.bytes.length === 0 || ticket.bytes.length > length)) return false
      const fingerprint = readFingerprint(broken.subarray(0, length))
      if (fingerprint !== undefined && !isFingerprint(`${fingerprint.ja3} ${fingerprint.ja4}`)) return false
      return read.is !== 'name' || /^[a-z0-9_.-]+$/.test(read.name)
    })
  )
  run(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      bytes => readServerName(bytes).is.length > 0 && readTicket(bytes) === undefined && readFingerprint(bytes) === undefined
    )
  )
  t.equal(readTicket(hello), undefined, 'a first visit')

  // The last extension of a hello, as RFC 8446 §4.2.11 and RFC 5077 §3.2 have them.
  const u16 = (value: number): number[] => [value >> 8, value & 255]
  const withExtension = (kind: number, content: readonly number[]): Buffer => {
    const extension = [...u16(kind), ...u16(content.length), ...content]
    const body = [3, 3, ...Array.from({ length: 32 }, () => 7), 0, 0, 2, 0x13, 1, 1, 0, ...u16(extension.length), ...extension]
    const message = [1, 0, ...u16(body.length), ...body]
    return Buffer.from([22, 3, 1, ...u16(message.length), ...message])
  }
  const ticketBytes = Array.from({ length: 200 }, (_, i) => i)
  const identities = [...u16(ticketBytes.length), ...ticketBytes, 0, 0, 0, 9]
  const shownOnce = withExtension(41, [...u16(identities.length), ...identities, 0, 33, 32, ...Array.from({ length: 32 }, () => 1)])
  t.same(readTicket(shownOnce), { bytes: Buffer.from(ticketBytes), isOnce: true })
  t.same(readTicket(withExtension(35, ticketBytes)), { bytes: Buffer.from(ticketBytes), isOnce: false })
  t.equal(readTicket(withExtension(35, [])), undefined, 'one who would like to have one')
  t.equal(readTicket(withExtension(41, [0, 6, 0, 9, 1, 2, 3, 4])), undefined, 'longer than what is there')
  for (let cut = 0; cut < shownOnce.length; cut++) t.equal(readTicket(shownOnce.subarray(0, cut)), undefined, `cut at ${cut}`)
})
