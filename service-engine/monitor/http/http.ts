/** HTTP and HTTPS: the server is up when its answer has a wanted status and, if asked so, contains a keyword. */
import { isIPv6 } from 'node:net'
import type { ProbeSpec, UpstreamTlsSpec } from '#model/snapshot/snapshot.ts'
import { converse, makeProbeTls } from '../connect.ts'
import {
  down,
  MAINTENANCE,
  MAX_BODY_BYTES,
  MAX_HEAD_BYTES,
  up,
  type Probe,
  type ProbeResult,
  type ProbeServices,
  type ProbeTarget
} from '../probe.ts'
import { parseWeight } from '../weight.ts'
import { fieldOf, parseAnswer } from './answer.ts'

type HttpProbeSpec = Extract<ProbeSpec, { is: 'http' | 'https' }>

/** Avi's behaviour without TLS attributes: encrypted, not verified. */
const unverified: UpstreamTlsSpec = {
  isSniEnabled: true,
  serverName: null,
  trustedPem: null,
  isHostChecked: false,
  clientCertificateId: null,
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: ''
}

/**
 * The bytes to send: the operator's lines with CRLF ends, completed by Host, User-Agent, Accept, Connection and the
 * credentials unless they are there already; an exact request is only given its ends of line.
 */
export function formatRequest(spec: HttpProbeSpec, target: ProbeTarget): string {
  const [head = '', ...rest] = spec.request.replace(/\r\n|\r|\n/g, '\n').split('\n\n')
  const lines = head.split('\n').filter(line => line !== '')
  const body = spec.body === undefined ? rest.join('\n\n').replaceAll('\n', '\r\n') : Buffer.from(spec.body).toString('latin1')
  if (!spec.isExactRequest) {
    const isMissing = (name: string): boolean => !lines.slice(1).some(line => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
    const authority = target.hostHeader ?? `${isIPv6(target.host) ? `[${target.host}]` : target.host}:${target.port}`
    const defaults: readonly (readonly [string, string | null])[] = [
      ['Host', authority],
      ['User-Agent', 'Weir-Health-Monitor'],
      ['Accept', '*/*'],
      ['Connection', 'close'],
      ['Authorization', spec.authorization],
      ['Content-Length', body === '' ? null : String(Buffer.byteLength(body, 'latin1'))]
    ]
    for (const [name, value] of defaults) if (value !== null && isMissing(name)) lines.push(`${name}: ${value}`)
  }
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

const hideCredentials = (request: string): string => request.replace(/^((?:proxy-)?authorization|cookie):.*$/gim, '$1: (hidden)')

function makeJudge(spec: HttpProbeSpec): (text: string, isEnd: boolean) => ProbeResult | undefined {
  const { statusRanges, bodyContains, maintenanceStatuses, maintenanceBody, weightHeader, maxBodyBytes = MAX_BODY_BYTES } = spec
  const isWanted = (status: number): boolean =>
    statusRanges.length === 0 || statusRanges.some(({ from, to }) => status >= from && status <= to)
  const isInterimWanted = (status: number): boolean => statusRanges.length > 0 && isWanted(status)
  return (text, isEnd) => {
    const answer = parseAnswer(text, isEnd, isInterimWanted, maxBodyBytes)
    if (answer.is === 'incomplete') return undefined
    if (answer.is === 'malformed') return down(`the answer cannot be read: ${answer.reason}`)
    const { status, body, isWhole } = answer
    if (maintenanceStatuses.includes(status)) return { ...MAINTENANCE, detail: `${status}, maintenance` }
    if (!isWanted(status)) return down(`status ${status}`)
    if (maintenanceBody !== null) {
      if (body.includes(maintenanceBody)) return { ...MAINTENANCE, detail: `${status}, maintenance` }
      if (!isWhole) return undefined
    }
    if (bodyContains === null || body.includes(bodyContains)) {
      const weightPercent = weightHeader === undefined ? undefined : parseWeight(fieldOf(answer.fields, weightHeader) ?? '')
      return weightPercent === undefined ? up(String(status)) : { ...up(`${status}, takes ${weightPercent} %`), weightPercent }
    }
    return isWhole ? down(`status ${status}, but the expected text is not in the first ${maxBodyBytes} bytes`) : undefined
  }
}

/** Throws what OpenSSL says about TLS settings that it cannot use. */
export function makeHttpProbe(spec: HttpProbeSpec, services: ProbeServices): Probe {
  const tls = spec.is === 'https' ? makeProbeTls(spec.tls ?? unverified, services) : null
  const judge = makeJudge(spec)
  return {
    kind: spec.is,
    attempt: (target, timeoutMs) => {
      const request = formatRequest(spec, target)
      return converse({
        target,
        timeoutMs,
        tls,
        request,
        shownRequest: hideCredentials(request),
        judge,
        maxAnswerBytes: MAX_HEAD_BYTES + 2 * (spec.maxBodyBytes ?? MAX_BODY_BYTES)
      })
    }
  }
}
