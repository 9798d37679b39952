import { isRecord } from '../json.ts'
import type { Violation } from '#model/resource/violation.ts'

/** What a request came to when it was not answered with what was asked for. */
export class Problem extends Error {
  override readonly name = 'Problem'
  /** HTTP status; 0 when no answer came. */
  readonly status: number
  readonly title: string
  readonly violations: readonly Violation[]
  /** What to search the controller's logs by. */
  readonly instance: string | undefined
  constructor(status: number, title: string, detail: string, violations: readonly Violation[] = [], instance?: string) {
    super(detail)
    this.status = status
    this.title = title
    this.violations = violations
    this.instance = instance
  }
}

const filledText = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

function violationsIn(value: unknown): readonly Violation[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((entry: unknown) =>
    isRecord(entry) && typeof entry['pointer'] === 'string' && typeof entry['message'] === 'string'
      ? [{ pointer: entry['pointer'], message: entry['message'] }]
      : []
  )
}

function parsed(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body)
    return isRecord(value) ? value : {}
  } catch {
    return {}
  }
}

/**
 * Reads an answer that is no success: problem+json (RFC 9457) with Avi's `error` and our `violations`, or anything else
 * that a proxy on the way may have said.
 *
 * Throws  nothing
 */
export function parseProblem(status: number, body: string): Problem {
  const fields = parsed(body)
  const title = filledText(fields['title']) ?? `status ${status}`
  const detail = filledText(fields['detail']) ?? filledText(fields['error']) ?? filledText(fields['message']) ?? title
  return new Problem(
    status,
    title,
    detail,
    violationsIn(fields['violations']),
    filledText(fields['instance']) ?? filledText(fields['request_id'])
  )
}

/** Any thrown thing as a Problem, so that a view has one shape to draw. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  return new Problem(0, 'no answer', error instanceof Error ? error.message : String(error))
}
