import type { KindName } from '#model/resource/kind.ts'
import { byText, frozen, ResourceIndex } from '../resource-index.ts'
import { makeMemoryBlocks, makeSeries } from '../series.ts'
import type { Commit, Committed, Revision, Store, Table } from '../store.ts'

export interface MemoryStoreOptions {
  /** The newest so many revisions are kept. */
  readonly revisionsKept?: number
  readonly seriesMax?: number
}

/** A store that keeps nothing: for tests, under the same contract as the one on disk. */
export function openMemoryStore(options: MemoryStoreOptions = {}): Store {
  const { revisionsKept = 10_000 } = options
  const index = new ResourceIndex()
  const revisions: Revision[] = []
  const tables = new Map<string, Map<string, string>>()
  let revision = 0
  let lastModified = 0
  let isClosed = false

  // The check of what cannot be done runs inside the promise, so that a caller sees one kind of failure.
  const commit = async (order: Commit): Promise<Committed> => {
    if (isClosed) throw new Error('the store is closed')
    const staged = index.stage(order, { revision, lastModified })
    index.apply(staged)
    revision = staged.revision
    lastModified = staged.lastModified
    const { author, reason, atEpochMs } = order
    const changes = JSON.parse(JSON.stringify(order.changes)) as Revision['changes']
    revisions.push(frozen({ revision, author, reason, atEpochMs, changes }))
    if (revisions.length > revisionsKept) revisions.splice(0, revisions.length - revisionsKept)
    return { revision, resources: staged.puts.map(put => put.resource) }
  }

  const table = <Row>(name: string): Table<Row> => {
    let rows = tables.get(name)
    if (rows === undefined) tables.set(name, (rows = new Map()))
    const own = rows
    const get = (key: string): Row | undefined => {
      const text = own.get(key)
      return text === undefined ? undefined : (JSON.parse(text) as Row)
    }
    const set = (key: string, row: Row): void => void own.set(key, JSON.stringify(row))
    return {
      get,
      set,
      delete: key => own.delete(key),
      entries: () => [...own].sort(([a], [b]) => byText(a, b)).map(([key, text]) => [key, JSON.parse(text) as Row] as const),
      update: (key, change) => {
        const row = change(get(key))
        if (row === undefined) own.delete(key)
        else set(key, row)
        return row
      }
    }
  }

  return {
    revision: () => revision,
    get: (kind: KindName, uuid) => index.get(kind, uuid),
    findByName: (kind, tenant, name) => index.findByName(kind, tenant, name),
    list: (kind, tenant) => index.list(kind, tenant),
    referrersOf: uuid => index.referrersOf(uuid),
    referencesOf: uuid => index.referencesOf(uuid),
    commit,
    touchedSince: since => (since === revision ? [] : index.touchedSince(since)),
    revisions: ({ before = Infinity, limit, uuid }) =>
      revisions
        .filter(item => item.revision < before && (uuid === undefined || item.changes.some(change => change.uuid === uuid)))
        .reverse()
        .slice(0, limit),
    table,
    series: makeSeries(makeMemoryBlocks(), options.seriesMax === undefined ? {} : { seriesMax: options.seriesMax }),
    close: async () => {
      isClosed = true
    }
  }
}
