/** DNS: the server is up when it answers the question as it should. Asked over UDP, and over TCP when the answer is cut off. */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { isIP, isIPv6 } from 'node:net'
import type { ProbeSpec } from '#model/snapshot/snapshot.ts'
import { openSocket } from '../connect.ts'
import { describeError, down, legible, up, type Probe, type ProbeResult, type ProbeTarget } from '../probe.ts'
import { formatQuery, MAX_DNS_BYTES, parseDnsAnswer, type DnsAnswer, type DnsRecord } from './message.ts'

type DnsSpec = Extract<ProbeSpec, { is: 'dns' }>
type Read = Extract<DnsAnswer, { is: 'answer' }>

const ANY = 255

/** Names of the response codes that servers give (RFC 1035 §4.1.1). */
const rcodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED']
const nameOf = (rcode: number): string => rcodes[rcode] ?? `RCODE${rcode}`

/** An address must be one of the records as a whole, so that 10.0.0.1 is not found in 10.0.0.10; other data in part. */
function isAmong(records: readonly DnsRecord[], expected: string): boolean {
  const wanted = expected.toLowerCase().replace(/\.$/, '')
  const isAddress = isIP(wanted) !== 0
  return records.some(({ text }) => (isAddress ? text === wanted : text.toLowerCase().includes(wanted)))
}

/** What an answer says of the server that gave it. */
export function judgeDns(spec: DnsSpec, { rcode, records }: Read): ProbeResult {
  if (rcode !== 0 && !spec.isErrorAccepted) return down(`answered ${nameOf(rcode)}`)
  const fitting = spec.accepts === 'type' && spec.recordType !== ANY ? records.filter(({ type }) => type === spec.recordType) : records
  if (spec.accepts !== 'anything' && fitting.length === 0) return down(`${nameOf(rcode)}, but no record that fits`)
  if (spec.expected !== null && !isAmong(records, spec.expected)) return down(`${nameOf(rcode)}, but without the expected record`)
  return up(`${nameOf(rcode)}, ${records.length} ${records.length === 1 ? 'record' : 'records'}`)
}

function show(answer: Read): string {
  return legible([nameOf(answer.rcode), ...answer.records.slice(0, 20).map(({ type, text }) => `type ${type}: ${text}`)].join('\n'))
}

/** One message; rejects with what went wrong. Answers to other questions are passed over. */
function askUdp(target: ProbeTarget, query: Buffer, timeoutMs: number): Promise<DnsAnswer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(target.ip) ? 'udp6' : 'udp4')
    const finish = (end: () => void): void => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => undefined)
      socket.close()
      end()
    }
    const timer = setTimeout(() => finish(() => reject(new Error(`no answer within ${timeoutMs} ms`))), timeoutMs)
    socket.on('error', error => finish(() => reject(error)))
    socket.on('message', datagram => {
      const answer = parseDnsAnswer(datagram)
      if (answer.is === 'answer' && answer.id !== query.readUInt16BE(0)) return
      finish(() => resolve(answer))
    })
    socket.connect(target.port, target.ip, () => socket.send(query))
  })
}

/** The same over a stream, where a message has its length before it (RFC 7766 §8). */
function askTcp(target: ProbeTarget, query: Buffer, timeoutMs: number): Promise<DnsAnswer> {
  return new Promise((resolve, reject) => {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    const socket = openSocket(target, null)
    let received = Buffer.alloc(0)
    const finish = (end: () => void): void => {
      clearTimeout(timer)
      socket.destroy()
      end()
    }
    const timer = setTimeout(() => finish(() => reject(new Error(`no answer over TCP within ${timeoutMs} ms`))), timeoutMs)
    socket.on('error', error => finish(() => reject(error)))
    socket.on('end', () => finish(() => reject(new Error('closed without an answer over TCP'))))
    socket.on('connect', () => socket.write(Buffer.concat([length, query])))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk.subarray(0, MAX_DNS_BYTES + 2 - received.length)])
      if (received.length < 2) return
      const size = received.readUInt16BE(0)
      if (received.length < size + 2) return
      finish(() => resolve(parseDnsAnswer(received.subarray(2, size + 2))))
    })
  })
}

export function makeDnsProbe(spec: DnsSpec): Probe {
  const question = `${spec.name} type ${spec.recordType}`
  return {
    kind: 'dns',
    attempt: async (target, timeoutMs): Promise<ProbeResult> => {
      const endMs = performance.now() + timeoutMs
      const query = formatQuery(randomInt(65_536), spec.name, spec.recordType)
      let request = `UDP: ${question}`
      try {
        let answer = await askUdp(target, query, timeoutMs)
        if (answer.is === 'answer' && answer.isTruncated) {
          request = `TCP, as the answer was cut off: ${question}`
          answer = await askTcp(target, query, Math.max(1, Math.ceil(endMs - performance.now())))
        }
        if (answer.is === 'malformed') return { ...down(`the answer cannot be read: ${answer.reason}`), request }
        if (answer.id !== query.readUInt16BE(0)) return { ...down('the answer is to another question'), request }
        return { ...judgeDns(spec, answer), request, answer: show(answer) }
      } catch (error) {
        return { ...down(error instanceof Error ? describeError(error) : String(error)), request }
      }
    }
  }
}
