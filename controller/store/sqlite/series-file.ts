/** Blocks of time series in a file of their own: telemetry may be lost without harm, so it never slows or endangers the configuration. */
import { closeSync, openSync, rmSync } from 'node:fs'
import BetterSqlite from 'better-sqlite3'
import type { Database } from 'better-sqlite3'
import { levels } from '../series.ts'
import type { BlockStorage, SeriesRow } from '../series.ts'
import { boundSize, isRefusedByDisk } from './disk.ts'

const SERIES_VERSION = 1
const rollups = ['mean', 'max', 'sum'] as const

const schema = `
  CREATE TABLE series (
    id INTEGER PRIMARY KEY, entity TEXT NOT NULL, metric TEXT NOT NULL, rollup INTEGER NOT NULL, UNIQUE (entity, metric)
  );
  ${levels.map((_, level) => `CREATE TABLE block_${level} (series INTEGER NOT NULL, at INTEGER NOT NULL, cells BLOB NOT NULL, PRIMARY KEY (series, at)) WITHOUT ROWID;`).join('\n')}
  PRAGMA user_version = ${SERIES_VERSION};
`

function openDatabase(path: string, sizeMax: number): Database {
  closeSync(openSync(path, 'a', 0o600))
  const db = new BetterSqlite(path)
  try {
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = NORMAL')
    db.pragma('journal_size_limit = 16777216')
    boundSize(db, sizeMax)
    const version = db.pragma('user_version', { simple: true }) as number
    if (version === 0) db.exec(schema)
    else if (version !== SERIES_VERSION || db.pragma('quick_check(1)', { simple: true }) !== 'ok')
      throw new Error('damaged or of another version')
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

export function removeDatabase(path: string): void {
  for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true })
}

/**
 * Opens the blocks at `path`; a file that cannot be read is replaced by an empty one.
 *
 * Cost    a write is not synchronised to the disk by itself: after a power cut the last seconds may be gone, never more
 */
export function openSeriesFile(path: string, sizeMax: number): BlockStorage & { readonly close: () => void } {
  let db: Database
  try {
    db = openDatabase(path, sizeMax)
  } catch {
    removeDatabase(path)
    db = openDatabase(path, sizeMax)
  }
  const tables = levels.map((_, level) => ({
    read: db.prepare<[number, number, number], { at: number; bytes: Buffer }>(
      `SELECT at, cells AS bytes FROM block_${level} WHERE series = ? AND at BETWEEN ? AND ?`
    ),
    write: db.prepare(`INSERT INTO block_${level} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET cells = excluded.cells`),
    deleteBefore: db.prepare(`DELETE FROM block_${level} WHERE series = ? AND at < ?`),
    deleteAll: db.prepare(`DELETE FROM block_${level} WHERE series = ?`)
  }))
  const insertSeries = db.prepare('INSERT INTO series (entity, metric, rollup) VALUES (?, ?, ?)')
  const deleteSeries = db.prepare('DELETE FROM series WHERE id = ?')
  return {
    loadSeries: () => {
      const last = levels.map((_, level) => `coalesce((SELECT max(at) FROM block_${level} WHERE series = id), 0)`).join(', ')
      const rows = db
        .prepare<[], { id: number; entity: string; metric: string; rollup: number; last: number }>(
          `SELECT id, entity, metric, rollup, max(${last}) AS last FROM series`
        )
        .all()
      return rows.map(({ id, entity, metric, rollup, last: lastAtEpochS }): SeriesRow => ({
        id,
        entity,
        metric,
        rollup: rollups[rollup] ?? 'mean',
        lastAtEpochS
      }))
    },
    createSeries: ({ entity, metric, rollup }) => Number(insertSeries.run(entity, metric, rollups.indexOf(rollup)).lastInsertRowid),
    deleteSeries: id => {
      for (const table of tables) table.deleteAll.run(id)
      deleteSeries.run(id)
    },
    read: (level, id, fromAt, toAt) => tables[level]!.read.all(id, fromAt, toAt),
    write: (level, id, at, bytes) => void tables[level]!.write.run(id, at, bytes),
    deleteBefore: (level, id, before) => void tables[level]!.deleteBefore.run(id, before),
    transaction: work => {
      if (db.inTransaction) {
        work()
        return true
      }
      try {
        db.transaction(work).immediate()
        return true
      } catch (error) {
        if (isRefusedByDisk(error)) return false
        throw error
      }
    },
    close: () => db.close()
  }
}
