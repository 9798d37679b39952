/**
 * The store port: resources, revisions and audit, tables of other modules, and time series. Reads answer at once from
 * the store's own memory or file; a write resolves when it is durable. `sqlite/` is the default, `memory/` serves tests;
 * both pass test/contract/store.ts. Only `controller/main.ts` names an implementation.
 */
import type { JsonObject, KindName } from '#model/resource/kind.ts'

export interface StoredResource {
  readonly kind: KindName
  readonly uuid: string
  /** Uuid of its tenant; of `admin` for global kinds. */
  readonly tenant: string
  readonly name: string
  /** As the operator wrote it, references resolved to uuids, secrets sealed; no defaults written back. */
  readonly body: JsonObject
  readonly createdRevision: number
  readonly revision: number
  /** Epoch microseconds as a decimal string; strictly growing over the whole store. */
  readonly lastModified: string
}

export interface Reference {
  readonly fromKind: KindName
  readonly fromUuid: string
  readonly fromName: string
  readonly pointer: string
  readonly toKind: KindName
  readonly toUuid: string
}

export interface ResourceWrite {
  readonly kind: KindName
  readonly uuid: string
  readonly tenant: string
  readonly name: string
  readonly body: JsonObject
  readonly references: readonly { readonly pointer: string; readonly toKind: KindName; readonly toUuid: string }[]
}

/** One transaction: all of it or nothing. Becomes one revision. */
export interface Commit {
  readonly author: string
  readonly reason: string
  readonly atEpochMs: number
  /** Refuses with StaleRevision when the store has moved on. */
  readonly expectRevision?: number
  readonly puts: readonly ResourceWrite[]
  readonly deletes: readonly { readonly kind: KindName; readonly uuid: string }[]
  /** For each resource that changed: what it was and is, secrets redacted. */
  readonly changes: readonly ResourceChange[]
}

export interface ResourceChange {
  readonly action: 'create' | 'update' | 'delete'
  readonly kind: KindName
  readonly uuid: string
  readonly name: string
  readonly tenant: string
  readonly diff: readonly DiffEntry[]
}

export interface DiffEntry {
  readonly pointer: string
  /** Absent: was not there. Secrets are `<sensitive>`. */
  readonly before?: unknown
  readonly after?: unknown
}

export interface Revision {
  readonly revision: number
  readonly author: string
  readonly reason: string
  readonly atEpochMs: number
  readonly changes: readonly ResourceChange[]
}

/** A resource that was written or deleted. */
export interface Touched {
  readonly kind: KindName
  readonly uuid: string
  /** What it was called before and is called after. */
  readonly names: readonly string[]
}

export interface Committed {
  readonly revision: number
  readonly resources: readonly StoredResource[]
}

export class StaleRevision extends Error {
  override readonly name = 'StaleRevision'
}

/** The store cannot be opened here: in use, not writable, damaged, newer than this program. One clear line; exit code 2. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
}

/** A write did not happen (disk full, input/output error): nothing changed, the same may be tried again later. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
  readonly statusCode = 503
}

export interface Store {
  readonly revision: () => number
  readonly get: (kind: KindName, uuid: string) => StoredResource | undefined
  readonly findByName: (kind: KindName, tenant: string, name: string) => StoredResource | undefined
  /** In order of name. `tenant` undefined: of all tenants. */
  readonly list: (kind: KindName, tenant?: string) => readonly StoredResource[]
  readonly referrersOf: (uuid: string) => readonly Reference[]
  readonly referencesOf: (uuid: string) => readonly Reference[]
  readonly commit: (commit: Commit) => Promise<Committed>
  /** What commits after `revision` wrote or deleted, each once or more; undefined when that is too long ago to be known. */
  readonly touchedSince: (revision: number) => readonly Touched[] | undefined
  /** Newest first. */
  readonly revisions: (query: { readonly before?: number; readonly limit: number; readonly uuid?: string }) => readonly Revision[]
  /** Keyed rows of one module (sessions, engine status, certificates): `name` is the module's own. */
  readonly table: <Row>(name: string) => Table<Row>
  readonly series: SeriesStore
  readonly close: () => Promise<void>
}

/** Rows by key, JSON inside; every call is one durable step. */
export interface Table<Row> {
  readonly get: (key: string) => Row | undefined
  readonly set: (key: string, row: Row) => void
  readonly delete: (key: string) => boolean
  /** In order of key. */
  readonly entries: () => readonly (readonly [key: string, row: Row])[]
  /** Reads and writes in one transaction; `undefined` from `change` deletes. Returns what was written. */
  readonly update: (key: string, change: (row: Row | undefined) => Row | undefined) => Row | undefined
}

/** Points of time series in steps of 1 s (1 h kept), 1 min (1 day), 1 h (1 year); bounded by age. */
export interface SeriesStore {
  /** Appends points of one second; returns when queued, written in batches. */
  readonly append: (points: readonly SeriesPoint[]) => void
  /** Of the finest resolution that covers the range, steps ascending. */
  readonly query: (query: {
    readonly entity: string
    readonly metric: string
    readonly startEpochS: number
    readonly stopEpochS: number
    readonly stepS: number
  }) => readonly { readonly atEpochS: number; readonly value: number }[]
  /** Writes what is queued. */
  readonly flush: () => void
  /** Drops what is older than its resolution's age; called each minute. */
  readonly prune: (nowEpochS: number) => void
}

export interface SeriesPoint {
  readonly entity: string
  readonly metric: string
  readonly atEpochS: number
  readonly value: number
  /** How points of a coarser step come from finer ones. */
  readonly rollup: 'mean' | 'max' | 'sum'
}
