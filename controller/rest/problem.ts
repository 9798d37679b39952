import type { Violation } from '#model/resource/violation.ts'

/** What the REST layer itself refuses; `rescue.ts` alone turns it into a response. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly status: number
  readonly code: string
  readonly violations: readonly Violation[]
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    options: { readonly violations?: readonly Violation[]; readonly headers?: Readonly<Record<string, string>> } = {}
  ) {
    super(message)
    this.status = status
    this.code = code
    this.violations = options.violations ?? []
    this.headers = options.headers ?? {}
  }
}

export const notFound = (what: string): Problem => new Problem(404, 'NOT_FOUND', `${what} not found`)
export const badQuery = (name: string, message: string): Problem => new Problem(400, 'BAD_QUERY', `query ${name}: ${message}`)
