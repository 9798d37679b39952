/** A question about a request, as one types it, and what the engines answer. */
import { isRecord, textIn } from '../json.ts'

export interface Step {
  readonly rule: string
  readonly isMatched: boolean
  /** `matched`, or which part of it did not. */
  readonly why: string
  readonly action: string
}

export interface Explained {
  readonly steps: readonly Step[]
  /** Where the request ends, in words. */
  readonly end: string
  readonly pool: { readonly uuid: string | undefined; readonly name: string } | undefined
  readonly server: string
  readonly reason: string
}

/**
 * Headers as one types them: `Name: value`, one a line. A name that comes again has its values joined, as on the wire.
 *
 * Returns the first line that is no header instead, when there is one
 */
export function parseHeaders(text: string): { readonly headers: Readonly<Record<string, string>> } | { readonly wrong: string } {
  const headers = new Map<string, string>()
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const [, name = '', value = ''] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*:\s*(.*?)\s*$/u.exec(line) ?? []
    if (name === '') return { wrong: line.trim() }
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return { headers: Object.fromEntries(headers) }
}

function endOf(answer: Readonly<Record<string, unknown>>): string {
  const status = typeof answer['status'] === 'number' && answer['status'] > 0 ? answer['status'] : undefined
  const location = textIn(answer['location'])
  switch (answer['verdict']) {
    case 'forward':
      return textIn(answer['server']) === '' ? `has no server to go to${status === undefined ? '' : `: ${status}`}` : 'goes to a server'
    case 'answer':
      return `is answered by the engine${status === undefined ? '' : ` with ${status}`}${location === '' ? '' : `, to ${location}`}`
    case 'close':
      return 'ends: the connection is closed'
    default:
      return `is refused${status === undefined ? '' : ` with ${status}`}`
  }
}

/** Reads the answer of `POST /api/explain`; what is not there is empty. */
export function parseExplained(answer: unknown): Explained {
  const fields = isRecord(answer) ? answer : {}
  const steps: readonly unknown[] = Array.isArray(fields['steps']) ? fields['steps'] : []
  const name = textIn(fields['pool_name'])
  // What an engine calls a pool may say more than which one it is.
  const uuid = /^pool-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/u.exec(textIn(fields['pool']))?.[0]
  return {
    steps: steps.filter(isRecord).map(step => ({
      rule: textIn(step['rule']),
      isMatched: step['matched'] === true,
      why: step['matched'] === true ? 'matches' : `does not match: ${textIn(step['failed_on'], 'a part of it')}`,
      action: textIn(step['action']).replaceAll('-', ' ')
    })),
    end: endOf(fields),
    pool: name === '' && uuid === undefined ? undefined : { uuid, name: name === '' ? (uuid ?? '') : name },
    server: textIn(fields['server']),
    reason: textIn(fields['reason'])
  }
}
