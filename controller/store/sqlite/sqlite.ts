/** The store on disk: one SQLite file in WAL mode, synchronised at every commit, held by one process at a time. */
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import BetterSqlite from 'better-sqlite3'
import type { Database } from 'better-sqlite3'
import { systemClock } from '#model/base/clock.ts'
import type { Clock } from '#model/base/clock.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { byText, frozen, ResourceIndex } from '../resource-index.ts'
import type { OutgoingReference } from '../resource-index.ts'
import { makeSeries } from '../series.ts'
import { StoreRefused, StoreUnavailable } from '../store.ts'
import type { Commit, Committed, Revision, Store, Table } from '../store.ts'
import { boundSize, codeOf, isRefusedByDisk } from './disk.ts'
import { migrate } from './schema.ts'
import { openSeriesFile } from './series-file.ts'

export interface SqliteStoreOptions {
  /** The store's file; its folder is made when it is not there. Series live beside it, in `<name>.series.db`. */
  readonly path: string
  readonly clock?: Clock
  /** The newest so many revisions are kept. */
  readonly revisionsKept?: number
  /** Bytes that the diffs of all kept revisions may take. */
  readonly revisionBytesKept?: number
  readonly seriesMax?: number
  /** Bytes that the store's file may take, and the file of the series. Beyond them writes are refused as on a full disk. */
  readonly sizeMax?: number
  readonly seriesSizeMax?: number
  /** How long to wait for another process to let the file go, as at a quick restart. */
  readonly lockWaitMs?: number
}

export interface SqliteStore extends Store {
  /**
   * Copies the resources, revisions and tables as they are at one moment to a new file, while reads and writes go on; series are
   * left out. Rejects with StoreUnavailable when the disk does not take it.
   */
  readonly copyTo: (path: string) => Promise<{ readonly revision: number }>
}

/** A series point waits this long before it is written. */
const FLUSH_MS = 5_000
const GIBIBYTE = 2 ** 30
/** Old revisions are deleted in batches of so many, not one by one at every commit. */
const PRUNE_BATCH = 64

function prepareFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
  } catch (error) {
    throw new StoreRefused(`cannot write ${path}: ${codeOf(error) || 'no access'}`, { cause: error })
  }
}

/** Says in one line why a file could not be opened. */
function refusal(path: string, error: unknown): StoreRefused {
  if (error instanceof StoreRefused) return error
  const code = codeOf(error)
  if (code.startsWith('SQLITE_BUSY')) return new StoreRefused(`${path} is in use by another controller`, { cause: error })
  if (code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT')) {
    return new StoreRefused(`${path} is damaged: restore it from a copy`, { cause: error })
  }
  return new StoreRefused(`cannot open ${path}: ${code || (error instanceof Error ? error.message : String(error))}`, { cause: error })
}

function openFile(path: string, lockWaitMs: number, sizeMax: number): Database {
  prepareFile(path)
  const db = new BetterSqlite(path, { timeout: lockWaitMs })
  try {
    // With this mode the first transaction takes the file and keeps it until it is closed or the process is gone.
    db.pragma('locking_mode = EXCLUSIVE')
    db.exec('BEGIN IMMEDIATE; COMMIT')
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    db.pragma('trusted_schema = OFF')
    db.pragma('wal_autocheckpoint = 1000')
    db.pragma('journal_size_limit = 67108864')
    db.exec('BEGIN IMMEDIATE; COMMIT')
    const health = db.pragma('integrity_check(1)', { simple: true })
    if (health !== 'ok') throw new StoreRefused(`${path} is damaged (${String(health).split('\n')[0]}): restore it from a copy`)
    migrate(db, path)
    boundSize(db, sizeMax)
    return db
  } catch (error) {
    db.close()
    throw refusal(path, error)
  }
}

interface ResourceRow {
  uuid: string
  kind: KindName
  tenant: string
  name: string
  body: string
  refs: string
  created_revision: number
  revision: number
  last_modified: number
}

interface RevisionRow {
  revision: number
  author: string
  reason: string
  at_epoch_ms: number
  changes: string
}

function loadIndex(db: Database): ResourceIndex {
  const index = new ResourceIndex()
  for (const row of db.prepare<[], ResourceRow>('SELECT * FROM resource').iterate()) {
    index.put({
      resource: frozen({
        kind: row.kind,
        uuid: row.uuid,
        tenant: row.tenant,
        name: row.name,
        body: JSON.parse(row.body) as JsonObject,
        createdRevision: row.created_revision,
        revision: row.revision,
        lastModified: String(row.last_modified)
      }),
      references: JSON.parse(row.refs) as OutgoingReference[]
    })
  }
  return index
}

/** What the world did to a write, under the port's name; our own defects pass as they are. */
function attempt<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    if (isRefusedByDisk(error)) {
      const code = codeOf(error)
      throw new StoreUnavailable(code === 'SQLITE_FULL' ? 'no space left for the store' : `the store cannot be written (${code})`, {
        cause: error
      })
    }
    throw error
  }
}

/** Revisions: bounded by number and by bytes, found by resource. */
function makeRevisions(db: Database, kept: { readonly revisions: number; readonly bytes: number }) {
  const insert = db.prepare('INSERT INTO revision VALUES (?, ?, ?, ?, ?)')
  const insertTouched = db.prepare('INSERT INTO revision_resource VALUES (?, ?) ON CONFLICT DO NOTHING')
  const newest = db.prepare<[number, number], RevisionRow>('SELECT * FROM revision WHERE revision < ? ORDER BY revision DESC LIMIT ?')
  const ofOne = db.prepare<[string, number, number], RevisionRow>(
    'SELECT revision.* FROM revision_resource JOIN revision USING (revision) WHERE uuid = ? AND revision < ? ORDER BY revision DESC LIMIT ?'
  )
  const oldest = db.prepare<[number], { revision: number; bytes: number }>(
    'SELECT revision, length(CAST(changes AS BLOB)) AS bytes FROM revision ORDER BY revision LIMIT ?'
  )
  const dropBelow = db.prepare('DELETE FROM revision WHERE revision <= ?')
  const dropTouchedBelow = db.prepare('DELETE FROM revision_resource WHERE revision <= ?')
  const total = db.prepare<[], { n: number; bytes: number }>(
    'SELECT count(*) AS n, coalesce(sum(length(CAST(changes AS BLOB))), 0) AS bytes FROM revision'
  )
  const last = db.prepare<[], { revision: number }>('SELECT revision FROM state')
  let { n: count, bytes } = total.get()!
  let newestRevision = last.get()!.revision

  const prune = (): void => {
    let through = 0
    let dropped = 0
    for (const row of oldest.all(Math.max(PRUNE_BATCH, count - kept.revisions))) {
      // The newest one always stays.
      if (count - dropped <= 1 || (count - dropped <= kept.revisions && bytes <= kept.bytes)) break
      through = row.revision
      dropped += 1
      bytes -= row.bytes
    }
    if (dropped === 0) return
    dropBelow.run(through)
    dropTouchedBelow.run(through)
    count -= dropped
  }

  const toRevision = (row: RevisionRow): Revision => ({
    revision: row.revision,
    author: row.author,
    reason: row.reason,
    atEpochMs: row.at_epoch_ms,
    changes: JSON.parse(row.changes) as Revision['changes']
  })

  return {
    /** Inside the commit's transaction. */
    add: (revision: number, { author, reason, atEpochMs, changes }: Commit): void => {
      const text = JSON.stringify(changes)
      insert.run(revision, author, reason, atEpochMs, text)
      for (const change of changes) insertTouched.run(change.uuid, revision)
      newestRevision = revision
      count += 1
      bytes += Buffer.byteLength(text)
      if (count >= kept.revisions + PRUNE_BATCH || bytes > kept.bytes) prune()
    },
    /** After a transaction that did not happen. */
    recount: (): void => {
      ;({ n: count, bytes } = total.get()!)
      newestRevision = last.get()!.revision
    },
    query: ({ before = Number.MAX_SAFE_INTEGER, limit, uuid }: Parameters<Store['revisions']>[0]): readonly Revision[] => {
      const rows = uuid === undefined ? newest.all(before, limit) : ofOne.all(uuid, before, limit)
      // Between two prunings there may be a few more than are promised.
      return rows.filter(row => row.revision > newestRevision - kept.revisions).map(toRevision)
    }
  }
}

function makeTables(db: Database): (name: string) => Table<unknown> {
  const select = db.prepare<[string, string], { value: string }>('SELECT value FROM module_row WHERE module = ? AND key = ?')
  const upsert = db.prepare('INSERT INTO module_row VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
  const remove = db.prepare('DELETE FROM module_row WHERE module = ? AND key = ?')
  const all = db.prepare<[string], { key: string; value: string }>('SELECT key, value FROM module_row WHERE module = ?')
  return name => {
    const get = (key: string): unknown => {
      const row = select.get(name, key)
      return row === undefined ? undefined : (JSON.parse(row.value) as unknown)
    }
    const set = (key: string, row: unknown): void => void attempt(() => upsert.run(name, key, JSON.stringify(row)))
    const drop = (key: string): boolean => attempt(() => remove.run(name, key).changes > 0)
    return {
      get,
      set,
      delete: drop,
      entries: () =>
        all
          .all(name)
          .sort((a, b) => byText(a.key, b.key))
          .map(({ key, value }) => [key, JSON.parse(value) as unknown] as const),
      update: (key, change) =>
        attempt(() =>
          db
            .transaction(() => {
              const row = change(get(key))
              if (row === undefined) drop(key)
              else set(key, row)
              return row
            })
            .immediate()
        )
    }
  }
}

/**
 * Opens the store at `path`, makes it when it is new, brings an older one up to date (a copy is kept beside it).
 *
 * Throws  StoreRefused: in use, not writable, damaged, not ours, or written by a newer version
 * Cost    reads from memory; a commit costs one synchronised write of the log
 */
export function openSqliteStore(options: SqliteStoreOptions): SqliteStore {
  const { path, clock = systemClock, lockWaitMs = 2_000 } = options
  const db = openFile(path, lockWaitMs, options.sizeMax ?? 4 * GIBIBYTE)
  const seriesFile = openSeriesFile(`${path.replace(/\.db$/, '')}.series.db`, options.seriesSizeMax ?? 4 * GIBIBYTE)
  const index = loadIndex(db)
  const state = db.prepare<[], { revision: number; last_modified: number }>('SELECT revision, last_modified FROM state').get()!
  let { revision, last_modified: lastModified } = state

  const updateState = db.prepare('UPDATE state SET revision = ?, last_modified = ?')
  const deleteResource = db.prepare('DELETE FROM resource WHERE uuid = ?')
  const putResource = db.prepare(`
    INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (uuid) DO UPDATE SET tenant = excluded.tenant, name = excluded.name, body = excluded.body, refs = excluded.refs,
      revision = excluded.revision, last_modified = excluded.last_modified
  `)
  const revisions = makeRevisions(db, { revisions: options.revisionsKept ?? 10_000, bytes: options.revisionBytesKept ?? 256 * 2 ** 20 })
  const tableOf = makeTables(db)
  const series = makeSeries(seriesFile, options.seriesMax === undefined ? {} : { seriesMax: options.seriesMax })
  const stopFlushing = clock.every(FLUSH_MS, series.flush)

  const commit = async (order: Commit): Promise<Committed> => {
    const staged = index.stage(order, { revision, lastModified })
    try {
      attempt(() =>
        db
          .transaction(() => {
            for (const { uuid } of staged.deletes) deleteResource.run(uuid)
            for (const { resource, references } of staged.puts) {
              const { uuid, kind, tenant, name, body, createdRevision } = resource
              const texts = [JSON.stringify(body), JSON.stringify(references)] as const
              putResource.run(uuid, kind, tenant, name, ...texts, createdRevision, resource.revision, Number(resource.lastModified))
            }
            revisions.add(staged.revision, order)
            updateState.run(staged.revision, staged.lastModified)
          })
          .immediate()
      )
    } catch (error) {
      revisions.recount()
      throw error
    }
    index.apply(staged)
    revision = staged.revision
    lastModified = staged.lastModified
    return { revision, resources: staged.puts.map(put => put.resource) }
  }

  const close = async (): Promise<void> => {
    if (!db.open) return
    stopFlushing()
    try {
      series.flush()
    } finally {
      seriesFile.close()
      db.pragma('wal_checkpoint(TRUNCATE)')
      db.close()
    }
  }

  return {
    revision: () => revision,
    get: (kind, uuid) => index.get(kind, uuid),
    findByName: (kind, tenant, name) => index.findByName(kind, tenant, name),
    list: (kind, tenant) => index.list(kind, tenant),
    referrersOf: uuid => index.referrersOf(uuid),
    referencesOf: uuid => index.referencesOf(uuid),
    commit,
    touchedSince: since => (since === revision ? [] : index.touchedSince(since)),
    revisions: revisions.query,
    table: <Row>(name: string) => tableOf(name) as Table<Row>,
    series,
    copyTo: path => copyTo(db, path),
    close
  }
}

async function copyTo(db: Database, path: string): Promise<{ readonly revision: number }> {
  prepareFile(path)
  try {
    await db.backup(path)
  } catch (error) {
    if (isRefusedByDisk(error)) throw new StoreUnavailable(`the store cannot be copied (${codeOf(error)})`, { cause: error })
    throw error
  }
  const copy = new BetterSqlite(path)
  try {
    // One file, without a log beside it.
    copy.pragma('journal_mode = DELETE')
    return copy.prepare<[], { revision: number }>('SELECT revision FROM state').get()!
  } finally {
    copy.close()
  }
}

/**
 * Throws  StoreRefused when a controller runs on the store at `path`
 */
export function mustBeIdle(path: string): void {
  const db = new BetterSqlite(path, { timeout: 0 })
  try {
    db.exec('BEGIN IMMEDIATE; ROLLBACK')
  } catch (error) {
    // What is damaged is held by nobody.
    if (codeOf(error).startsWith('SQLITE_BUSY')) throw refusal(path, error)
  } finally {
    db.close()
  }
}
