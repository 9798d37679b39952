/** UDP: the server is up when it answers what is expected, or, where nothing is, when nobody says that nobody listens there. */
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { ProbeSpec } from '#model/snapshot/snapshot.ts'
import { describeError, down, legible, MAINTENANCE, MAX_BODY_BYTES, printable, up, type Probe, type ProbeResult } from '../probe.ts'

/** A host that nobody listens on says so at once, if it says so at all. */
const SILENCE_MS = 1_000

export function makeUdpProbe({ request, response, maintenanceResponse }: Extract<ProbeSpec, { is: 'udp' }>): Probe {
  const judge = (answer: string): ProbeResult | undefined => {
    if (maintenanceResponse !== null && answer.includes(maintenanceResponse)) return MAINTENANCE
    if (response === null) return up('answered')
    return answer.includes(response) ? up('answered as expected') : undefined
  }
  return {
    kind: 'udp',
    attempt: (target, timeoutMs) =>
      new Promise(resolve => {
        const socket = createSocket(isIPv6(target.ip) ? 'udp6' : 'udp4')
        let last = ''
        const finish = (result: ProbeResult): void => {
          clearTimeout(timer)
          socket.removeAllListeners().on('error', () => undefined)
          socket.close()
          resolve({
            ...result,
            ...(request === null ? {} : { request: legible(request) }),
            ...(last === '' ? {} : { answer: legible(last) })
          })
        }
        const silent = (): void => {
          if (response === null) finish(up('nothing came back'))
          else finish(down(last === '' ? `no answer within ${timeoutMs} ms` : `answered "${printable(last)}"`))
        }
        const timer = setTimeout(silent, response === null ? Math.min(timeoutMs, SILENCE_MS) : timeoutMs)
        socket.on('error', error => finish(down(describeError(error))))
        socket.on('message', datagram => {
          last = datagram.toString('latin1', 0, MAX_BODY_BYTES)
          const result = judge(last)
          if (result !== undefined) finish(result)
        })
        socket.connect(target.port, target.ip, () => socket.send(request ?? ''))
      })
  }
}
