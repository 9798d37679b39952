/** One connection of a probe: opens, sends, collects a bounded answer, and is gone within its timeout. */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import { compileRevocation } from '#model/base/crl.ts'
import type { UpstreamTlsSpec } from '#model/snapshot/snapshot.ts'
import { describeError, down, legible, type ProbeResult, type ProbeServices, type ProbeTarget } from './probe.ts'

export interface ProbeTls {
  readonly spec: UpstreamTlsSpec
  readonly context: SecureContext
  /** Why a certificate (DER) that leads to the roots is not good. */
  readonly refusal: ReturnType<typeof compileRevocation> | null
}

/** Throws what OpenSSL says about certificates or ciphers that it cannot use. */
export function makeProbeTls(spec: UpstreamTlsSpec, services: ProbeServices): ProbeTls {
  const own = spec.clientCertificateId === null ? undefined : services.certificate(spec.clientCertificateId)
  return {
    spec,
    refusal: spec.leafCrls === undefined ? null : compileRevocation(spec.leafCrls),
    context: createSecureContext({
      ...(spec.trustedPem === null ? {} : { ca: spec.trustedPem }),
      ...(spec.crlPem === undefined ? {} : { crl: spec.crlPem }),
      ...(own === undefined ? {} : { cert: own.certificatePem, key: own.keyPem }),
      ...(spec.ciphers === '' ? {} : { ciphers: spec.ciphers }),
      minVersion: spec.minVersion,
      maxVersion: spec.maxVersion
    })
  }
}

export interface Conversation {
  readonly target: ProbeTarget
  readonly timeoutMs: number
  readonly tls: ProbeTls | null
  /** Sent when the connection stands; '' sends nothing. */
  readonly request: string
  /** More of the answer came (latin1), or its end: a result ends the probe, undefined waits for more. */
  readonly judge: (answer: string, isEnd: boolean) => ProbeResult | undefined
  /** More is never kept; at the bound the answer counts as ended. */
  readonly maxAnswerBytes: number
  /** The connection itself is the answer. */
  readonly isConnectEnough?: boolean
  /** A server that says nothing until the timeout has answered as well. */
  readonly isSilenceAnswer?: boolean
  /** The request as it may be shown to people; the request itself when left out. */
  readonly shownRequest?: string
}

/** Opens a connection to the target; `alpn` is what is offered over TLS. */
export function openSocket(target: ProbeTarget, tls: ProbeTls | null, alpn: readonly string[] = []): Socket {
  const end = target.path === undefined ? { host: target.ip, port: target.port } : { path: target.path }
  if (tls === null) return connectTcp(end)
  const { spec, context, refusal } = tls
  const name = spec.serverName ?? target.host
  return connectTls({
    ...end,
    secureContext: context,
    // RFC 6066 §3: a literal address is not a server name.
    ...(spec.isSniEnabled && isIP(name) === 0 ? { servername: name } : {}),
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    rejectUnauthorized: spec.trustedPem !== null,
    checkServerIdentity: (host, certificate) => {
      const reason = refusal?.(certificate.raw, Date.now())
      if (reason !== undefined) return new Error(`certificate ${reason}`)
      return spec.isHostChecked ? checkServerIdentity(host, certificate) : undefined
    }
  })
}

/** Runs a conversation to its result. Never rejects; the socket is destroyed when it resolves. */
export function converse(conversation: Conversation): Promise<ProbeResult> {
  const { target, timeoutMs, tls, request, judge, maxAnswerBytes, isConnectEnough = false, isSilenceAnswer = false } = conversation
  return new Promise(resolve => {
    let answer = ''
    let isConnected = false
    let isDone = false
    const finish = (result: ProbeResult): void => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      socket.destroy()
      const sent = isConnected ? (conversation.shownRequest ?? request) : ''
      resolve({
        ...result,
        ...(sent === '' ? {} : { request: legible(sent) }),
        ...(answer === '' ? {} : { answer: legible(answer) })
      })
    }
    const ended = (): void => finish(judge(answer, true) ?? down('connection closed before an answer'))

    const socket = openSocket(target, tls)
    const timer = setTimeout(() => {
      if (isConnected && isSilenceAnswer) return ended()
      finish(down(isConnected ? `no answer within ${timeoutMs} ms` : `no connection within ${timeoutMs} ms`))
    }, timeoutMs)
    socket.on('error', error => {
      // A server may reset right after a complete answer.
      const result = answer === '' ? undefined : judge(answer, true)
      finish(result?.verdict === 'up' ? result : down(describeError(error)))
    })
    socket.on(tls === null ? 'connect' : 'secureConnect', () => {
      isConnected = true
      if (isConnectEnough) return ended()
      if (request !== '') socket.write(request, 'latin1')
    })
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1', 0, Math.min(chunk.length, maxAnswerBytes - answer.length))
      if (answer.length >= maxAnswerBytes) return ended()
      const result = judge(answer, false)
      if (result !== undefined) finish(result)
    })
    socket.on('end', ended)
    socket.on('close', ended)
  })
}
