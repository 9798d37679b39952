/** One JSON object a line. Values that could be secret are never passed in. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  readonly debug: (message: string, fields?: LogFields) => void
  readonly info: (message: string, fields?: LogFields) => void
  readonly warn: (message: string, fields?: LogFields) => void
  readonly error: (message: string, fields?: LogFields) => void
  /** The same log with fields that every line carries. */
  readonly with: (fields: LogFields) => Log
}

const order: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

function writable(fields: LogFields): LogFields {
  const out: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    out[name] =
      value instanceof Error
        ? { message: value.message, stack: value.stack, cause: value.cause instanceof Error ? value.cause.message : undefined }
        : value
  }
  return out
}

/**
 * A log that hands finished lines (with their line feed) to `write`.
 *
 * Shapes  level: lines below it are not built
 */
export function makeLog(
  write: (line: string) => void,
  options: { readonly level?: LogLevel; readonly fields?: LogFields; readonly nowEpochMs?: () => number } = {}
): Log {
  const { level = 'info', fields = {}, nowEpochMs = Date.now } = options
  const line =
    (at: LogLevel) =>
    (message: string, more: LogFields = {}) => {
      if (order[at] < order[level]) return
      write(`${JSON.stringify({ at: new Date(nowEpochMs()).toISOString(), level: at, message, ...fields, ...writable(more) })}\n`)
    }
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    with: more => makeLog(write, { level, nowEpochMs, fields: { ...fields, ...more } })
  }
}

export const silentLog: Log = makeLog(() => undefined, { level: 'error' })
