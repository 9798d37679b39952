import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { MAX_HEADER_LENGTH, readProxyHeader, writeProxyHeader } from '#engine/dataplane/listen/proxy-protocol.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)
const run = <T>(property: fc.IProperty<T>): void => fc.assert(property, { seed, numRuns: 3000, interruptAfterTimeLimit: 3000 })

const port = fc.integer({ min: 0, max: 65_535 })
const end = fc.record({ ip: fc.oneof(fc.ipV4(), fc.ipV6()), port })
const version = fc.constantFrom<1 | 2>(1, 2)
const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const bytes = (constraints: fc.IntArrayConstraints = {}) => fc.uint8Array(constraints).map(array => Buffer.from(array))

t.test('what is written is read, whatever follows and wherever it is cut', async () => {
  run(
    fc.property(version, end, end, bytes({ maxLength: 40 }), (which, source, destination, rest) => {
      const header = writeProxyHeader(which, source, destination)
      const found = readProxyHeader(Buffer.concat([header, rest]))
      if (found.is !== 'header' || found.length !== header.length || found.source === null) return false
      for (let cut = 0; cut < header.length; cut++) if (readProxyHeader(header.subarray(0, cut)).is !== 'incomplete') return false
      const again = writeProxyHeader(which, found.source, found.destination!)
      return found.source.port === source.port && isIP(found.source.ip) !== 0 && readProxyHeader(again).is === 'header'
    })
  )
})

t.test('nothing crashes, nothing waits for ever, and a verdict stays with more bytes', async () => {
  const noise = fc.oneof(
    bytes({ maxLength: 200 }),
    bytes({ maxLength: 200 }).map(tail => Buffer.concat([signature, tail])),
    bytes({ maxLength: 120 }).map(tail => Buffer.concat([Buffer.from('PROXY TCP4 '), tail])),
    fc.tuple(version, end, end, fc.nat(60), fc.nat(255)).map(([which, source, destination, at, value]) => {
      const header = writeProxyHeader(which, source, destination)
      header[at % header.length] = value
      return header
    })
  )
  run(
    fc.property(noise, input => {
      const found = readProxyHeader(input)
      const more = readProxyHeader(Buffer.concat([input, Buffer.alloc(MAX_HEADER_LENGTH)]))
      if (found.is === 'header') {
        if (found.length > input.length || found.length > MAX_HEADER_LENGTH) return false
        if (found.source !== null && isIP(found.source.ip) === 0) return false
        return more.is === 'header' && more.length === found.length
      }
      return found.is === 'bad' ? more.is === 'bad' : more.is !== 'incomplete'
    })
  )
})
