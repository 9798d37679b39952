/** What the disk may hold and what it may refuse. */
import type { Database } from 'better-sqlite3'

export const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')

/** The disk did not take a write: no space, an input/output error, read-only, or held by somebody else. */
export const isRefusedByDisk = (error: unknown): boolean => /^SQLITE_(FULL|IOERR|BUSY|READONLY|CANTOPEN)/.test(codeOf(error))

/** Lets a file grow to so many bytes and no further; beyond it writes are refused as on a full disk. */
export function boundSize(db: Database, sizeMax: number): void {
  const pageSize = db.pragma('page_size', { simple: true }) as number
  db.pragma(`max_page_count = ${Math.max(1, Math.floor(sizeMax / pageSize))}`)
}
