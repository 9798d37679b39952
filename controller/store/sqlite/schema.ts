/** The shape of the store's file, and how an older one becomes the present one. */
import { closeSync, openSync, rmSync } from 'node:fs'
import type { Database } from 'better-sqlite3'
import { StoreRefused } from '../store.ts'

/** Marks a file as ours, so that a stranger's database is never taken for an empty store: "Weir" in ASCII. */
export const APPLICATION_ID = 0x57656972

/** Row n turns version n into n + 1. Never change a row that was released: add one. */
export const migrations: readonly ((db: Database) => void)[] = [
  db =>
    db.exec(`
      CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, last_modified INTEGER NOT NULL);
      INSERT INTO state VALUES (1, 0, 0);
      CREATE TABLE resource (
        uuid TEXT PRIMARY KEY, kind TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL,
        body TEXT NOT NULL, refs TEXT NOT NULL,
        created_revision INTEGER NOT NULL, revision INTEGER NOT NULL, last_modified INTEGER NOT NULL
      );
      CREATE TABLE revision (
        revision INTEGER PRIMARY KEY, author TEXT NOT NULL, reason TEXT NOT NULL, at_epoch_ms INTEGER NOT NULL, changes TEXT NOT NULL
      );
      CREATE TABLE revision_resource (uuid TEXT NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (uuid, revision)) WITHOUT ROWID;
      CREATE INDEX revision_resource_revision ON revision_resource (revision);
      CREATE TABLE module_row (
        module TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (module, key)
      ) WITHOUT ROWID;
    `)
]

function keepCopy(db: Database, path: string): void {
  rmSync(path, { force: true })
  closeSync(openSync(path, 'wx', 0o600))
  db.prepare('VACUUM INTO ?').run(path)
}

const versionOf = (db: Database): number => db.pragma('user_version', { simple: true }) as number

/**
 * Brings an opened file to the present version; a copy of an older one is kept beside it first.
 *
 * Shapes  steps: the whole list, of which those that are missing run in one transaction
 * Returns the version that it had (0: it was new)
 * Throws  StoreRefused for a file that is not ours or is newer than `steps`
 */
export function migrate(db: Database, path: string, steps: readonly ((db: Database) => void)[] = migrations): number {
  const version = versionOf(db)
  const isEmpty = (db.prepare('SELECT count(*) AS n FROM sqlite_master').get() as { n: number }).n === 0
  const isOurs = db.pragma('application_id', { simple: true }) === APPLICATION_ID
  if (!isEmpty && !isOurs) throw new StoreRefused(`${path} is not a store of Weir`)
  if (version > steps.length) {
    throw new StoreRefused(`${path} was written by a newer version of Weir (its schema is ${version}, this program knows ${steps.length})`)
  }
  if (version === steps.length) return version
  if (!isEmpty) keepCopy(db, `${path}.before-schema-${steps.length}`)
  db.transaction(() => {
    for (const step of steps.slice(version)) step(db)
    db.pragma(`application_id = ${APPLICATION_ID}`)
    db.pragma(`user_version = ${steps.length}`)
  }).immediate()
  return version
}
