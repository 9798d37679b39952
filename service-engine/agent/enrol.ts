/**
 * Joining a controller: nothing is said before the peer has shown the authority that the token names, and the key never
 * leaves this host.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { parseJoinToken } from '#model/message/token.ts'
import { fitsTogether, loadIdentity, saveIdentity } from './identity.ts'
import type { Identity } from './identity.ts'
import { makeKeyAndCsr } from './key.ts'
import { checkController } from './trust.ts'

const ANSWER_MAX_LENGTH = 64 * 1024
const CHAIN_MAX = 8

export interface EnrolOptions {
  /** `https://host:9443`: where the controller's REST API is. */
  readonly controllerUrl: string
  readonly token: string
  readonly dataFolder: string
  readonly hostname: string
  readonly timeoutMs?: number
}

export type Enrolled =
  | { readonly is: 'joined'; readonly identity: Identity; readonly groupName: string }
  | { readonly is: 'already-joined'; readonly identity: Identity }

/** What went wrong and what to do about it, for a person who reads one line. */
export class JoinFailed extends Error {
  override readonly name = 'JoinFailed'
}

/**
 * Joins, or says that this host has joined already and changes nothing.
 *
 * Throws  JoinFailed, its message ready to print
 */
export async function enrol(options: EnrolOptions): Promise<Enrolled> {
  const { dataFolder, hostname, timeoutMs = 10_000 } = options
  const before = await loadIdentity(dataFolder)
  if (before !== undefined) return { is: 'already-joined', identity: before }

  const token = parseJoinToken(options.token)
  if (token === undefined) throw new JoinFailed('this is not a join token: copy the whole command from the dashboard again')
  const target = parseTarget(options.controllerUrl)
  const caPem = await findAuthority(target, token.caFingerprint, timeoutMs)
  const { keyPem, csrPem } = await makeKeyAndCsr()
  const answer = await post({ target, caPem, timeoutMs, body: JSON.stringify({ token: options.token.trim(), csr: csrPem, hostname }) })
  const identity: Identity = {
    engineId: answer.engineUuid,
    engineName: answer.engineName,
    controllerHost: target.host,
    enginePort: answer.enginePort,
    keyPem,
    certificatePem: answer.certificatePem,
    // The authority that the token named, not whatever the answer says.
    caPem
  }
  if (!fitsTogether(identity)) throw new JoinFailed('the controller answered with a certificate that is not ours: is a proxy in between?')
  try {
    await saveIdentity(dataFolder, identity)
  } catch (cause) {
    throw new JoinFailed(`cannot write to ${dataFolder} (${codeOf(cause)}): the token is used, make a new one after mending it`, { cause })
  }
  return { is: 'joined', identity, groupName: answer.groupName }
}

interface Target {
  readonly host: string
  readonly port: number
}

const nameOf = (target: Target): string => (target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`)

function parseTarget(controllerUrl: string): Target {
  let url: URL
  try {
    url = new URL(controllerUrl.includes('://') ? controllerUrl : `https://${controllerUrl}`)
  } catch {
    throw new JoinFailed(`${controllerUrl} is not an address of a controller: it looks like https://controller:9443`)
  }
  if (url.protocol !== 'https:') throw new JoinFailed('the controller is reached by https only')
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 443 : Number(url.port) }
}

/**
 * The certificate of the chain which the token's fingerprint means. This first connection only looks: it is closed before
 * anything is sent, and the second one trusts nothing but what was found.
 */
async function findAuthority(target: Target, fingerprint: string, timeoutMs: number): Promise<string> {
  const socket = await openTls(target, timeoutMs)
  try {
    for (const certificate of chainOf(socket))
      if (certificate.ca && createHash('sha256').update(certificate.raw).digest('base64url') === fingerprint) return certificate.toString()
  } finally {
    socket.destroy()
  }
  throw new JoinFailed(
    `${nameOf(target)} is not the controller that made this token (its certificate authority has another fingerprint): ` +
      'nothing was sent; check the address, and that nobody sits in between'
  )
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next = socket.getPeerX509Certificate()
  while (next !== undefined && chain.length < CHAIN_MAX && chain.at(-1)?.fingerprint256 !== next.fingerprint256) {
    chain.push(next)
    next = next.issuerCertificate
  }
  return chain
}

function openTls(target: Target, timeoutMs: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // Not verified here: the chain is only looked at.
    const socket = connect({ host: target.host, port: target.port, rejectUnauthorized: false, minVersion: 'TLSv1.2', timeout: timeoutMs })
    const timer = setTimeout(() => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })), timeoutMs)
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
    socket.on('error', error => {
      clearTimeout(timer)
      reject(unreachable(target, error))
    })
  })
}

interface Answer {
  readonly engineUuid: string
  readonly engineName: string
  readonly groupName: string
  readonly certificatePem: string
  readonly enginePort: number
}

function post(order: {
  readonly target: Target
  readonly caPem: string
  readonly timeoutMs: number
  readonly body: string
}): Promise<Answer> {
  const { target, caPem, timeoutMs, body } = order
  return new Promise((resolve, reject) => {
    const sent = request({
      host: target.host,
      port: target.port,
      method: 'POST',
      path: '/api/enrol',
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), accept: 'application/json' },
      ca: caPem,
      checkServerIdentity: checkController,
      minVersion: 'TLSv1.2',
      agent: false,
      signal: AbortSignal.timeout(timeoutMs)
    })
    sent.once('error', error => reject(unreachable(target, error)))
    sent.once('response', response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (text.length > ANSWER_MAX_LENGTH) response.destroy(new Error('the answer is too long'))
      })
      response.once('error', error => reject(unreachable(target, error)))
      response.once('end', () => {
        const answer = parseAnswer(text)
        if (response.statusCode === 200 || response.statusCode === 201) {
          if (isAnswer(answer)) resolve(answer)
          else reject(new JoinFailed(`${nameOf(target)} gave an answer that is not understood: is it a Weir controller of this version?`))
        } else reject(new JoinFailed(`the controller refused: ${reasonOf(answer, response.statusCode ?? 0)}`))
      })
    })
    sent.end(body)
  })
}

function parseAnswer(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function isAnswer(value: object): value is Answer {
  const fields = value as Readonly<Record<string, unknown>>
  const texts = ['engineUuid', 'engineName', 'groupName', 'certificatePem']
  return texts.every(name => typeof fields[name] === 'string') && Number.isInteger(fields['enginePort'])
}

/** problem+json says it in `detail`; Avi's spelling is `error`. */
function reasonOf(answer: Readonly<Record<string, unknown>>, status: number): string {
  const told = [answer['detail'], answer['error'], answer['title']].find(text => typeof text === 'string')
  return typeof told === 'string' ? told.slice(0, 500) : `status ${status}`
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.message : 'unknown')

function unreachable(target: Target, error: Error): JoinFailed {
  const where = nameOf(target)
  const code = codeOf(error)
  const told: Readonly<Record<string, string>> = {
    ECONNREFUSED: `cannot reach controller at ${where} (connection refused): is port ${target.port} open from this host?`,
    ETIMEDOUT: `cannot reach controller at ${where} (no answer): is port ${target.port} open from this host?`,
    EHOSTUNREACH: `cannot reach controller at ${where} (no route to host): is it in a network that this host can reach?`,
    ENETUNREACH: `cannot reach controller at ${where} (network unreachable): is it in a network that this host can reach?`,
    ENOTFOUND: `cannot reach controller at ${where} (the name is not known): does this host resolve ${target.host}?`,
    EAI_AGAIN: `cannot reach controller at ${where} (the name is not known): does this host resolve ${target.host}?`,
    ECONNRESET: `the connection to ${where} was cut: is this the port of the controller's REST API?`,
    CERT_NOT_YET_VALID: `the controller's certificate is not valid yet: is the clock of this host right?`,
    CERT_HAS_EXPIRED: `the controller's certificate has expired: are the clocks of both hosts right?`,
    ABORT_ERR: `cannot reach controller at ${where} (no answer): is port ${target.port} open from this host?`
  }
  return new JoinFailed(told[code] ?? `cannot reach controller at ${where} (${code})`, { cause: error })
}
