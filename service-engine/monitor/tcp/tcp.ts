/** TCP: the server is up when it accepts a connection and, if asked so, answers what is expected. */
import type { ProbeSpec } from '#model/snapshot/snapshot.ts'
import { converse } from '../connect.ts'
import { parseAgentLine } from '../weight.ts'
import { down, MAINTENANCE, MAX_BODY_BYTES, printable, up, type Probe } from '../probe.ts'

/**
 * A half-open check connects and closes without sending anything: a SYN alone would need a raw socket, which the engine
 * has no right to.
 */
export function makeTcpProbe(spec: Extract<ProbeSpec, { is: 'tcp' }>): Probe {
  const { request, response, maintenanceResponse, isHalfOpen, isAgent = false } = spec
  return {
    kind: 'tcp',
    attempt: (target, timeoutMs) =>
      converse({
        target,
        timeoutMs,
        tls: null,
        request: request ?? '',
        isConnectEnough: isHalfOpen || (response === null && maintenanceResponse === null && !isAgent),
        isSilenceAnswer: response === null && !isAgent,
        maxAnswerBytes: MAX_BODY_BYTES,
        judge: (answer, isEnd) => {
          if (isHalfOpen) return up('connected')
          if (isAgent) return answer.includes('\n') || isEnd ? parseAgentLine(answer) : undefined
          if (maintenanceResponse !== null && answer.includes(maintenanceResponse)) return MAINTENANCE
          if (response !== null && answer.includes(response)) return up('answered as expected')
          if (!isEnd) return undefined
          if (response === null) return up('connected')
          return down(answer === '' ? 'closed without an answer' : `answered "${printable(answer)}"`)
        }
      })
  }
}
