/** The REST API as the command line uses it: one session, over TLS that is checked against the controller's own authority. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'

/** Kept between calls, for this user alone. */
export interface Session {
  readonly controller: string
  readonly caPem: string
  readonly cookie: string
  readonly csrfToken: string
}

/** The controller said no; exit code 1. */
export class RefusedByController extends Error {
  override readonly name = 'RefusedByController'
}

/** There was no answer; exit code 3. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

const ANSWER_MS = 60_000

export type Target = Pick<Session, 'controller' | 'caPem'> & Partial<Session>

/**
 * Sends one request.
 *
 * Returns the answer, its body not read yet, when the status is 2xx
 * Throws  RefusedByController with the controller's words, Unreachable
 */
export async function send(session: Target, method: string, path: string, body?: unknown): Promise<IncomingMessage> {
  const { controller, caPem, cookie, csrfToken } = session
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(controller + path, {
      method,
      ca: caPem,
      agent: false,
      headers: {
        accept: 'application/json',
        referer: `${controller}/`,
        ...(cookie === undefined ? {} : { cookie }),
        ...(csrfToken === undefined ? {} : { 'x-csrftoken': csrfToken }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' })
      }
    })
    sent.setTimeout(ANSWER_MS, () => sent.destroy(new Error(`no answer within ${ANSWER_MS / 1_000} s`)))
    sent.on('error', error => reject(new Unreachable(`${controller} cannot be reached: ${error.message}`, { cause: error })))
    sent.on('response', resolve)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
  const status = answer.statusCode ?? 0
  if (status >= 200 && status < 300) return answer
  const words = wordsOf(await text(answer)) || `the controller answers ${status}`
  throw new RefusedByController(status === 401 && path !== '/login' ? `${words}: weir login comes first` : words)
}

function wordsOf(body: string): string {
  try {
    const said: unknown = JSON.parse(body)
    if (typeof said !== 'object' || said === null || !('error' in said) || typeof said.error !== 'string') return ''
    const violations = 'violations' in said && Array.isArray(said.violations) ? (said.violations as readonly unknown[]) : []
    const each = violations.flatMap(one =>
      typeof one === 'object' && one !== null && 'pointer' in one && 'message' in one ? `${String(one.pointer)} ${String(one.message)}` : []
    )
    return [said.error, ...each].join('; ')
  } catch {
    return ''
  }
}

export async function readJson(answer: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const value: unknown = JSON.parse(await text(answer))
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RefusedByController('the controller does not answer with an object')
  return value as Readonly<Record<string, unknown>>
}

/** What a sign-in gave, ready to be sent. */
export function cookiesOf(headers: IncomingHttpHeaders): Pick<Session, 'cookie' | 'csrfToken'> {
  const cookies = (headers['set-cookie'] ?? []).map(line => line.split(';', 1)[0]!)
  return { cookie: cookies.join('; '), csrfToken: cookies.find(one => one.startsWith('csrftoken='))?.slice('csrftoken='.length) ?? '' }
}
