/** The feed as React sees it: the only door between views and the network. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import type { QueryClient, UseQueryResult } from '@tanstack/react-query'
import { createContext, useCallback, useContext, useEffect, useState, useSyncExternalStore } from 'react'
import type { ReactNode } from 'react'
import { systemClock } from '#model/base/clock.ts'
import type { LiveFigures, LiveTopic } from '#model/resource/runtime.ts'
import { LiveFeed } from './live.ts'
import type { LiveState } from './live.ts'
import type { AnyObject, LiveKind, Row, RuntimeByKind } from './objects.ts'
import { problemOf } from './problem.ts'
import type { Problem } from './problem.ts'
import { cookieIn, makeRest } from './rest.ts'
import type { Rest, WriteMethod } from './rest.ts'

export interface Feed {
  readonly rest: Rest
  readonly live: LiveFeed
  /** undefined: one's own. */
  readonly tenant: string | undefined
}

/** How often something that was missing is looked for again. */
const MISSING_MS = 3_000

const FeedContext = createContext<Feed | null>(null)

/** Wires the browser's own fetch, cookies and WebSocket into a feed; nothing connects before `live.start()`. */
export function makeFeed(tenant: string | undefined, queries: QueryClient): Feed {
  const rest = makeRest({
    fetch: (input, init) => globalThis.fetch(input, init),
    csrfToken: () => cookieIn(document.cookie, 'csrftoken'),
    tenant,
    onSignedOut: () => queries.setQueryData(['session'], null)
  })
  const live = new LiveFeed({
    open: events => {
      const query = tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`
      const socket = new WebSocket(`${wsScheme()}://${location.host}/api/live${query}`)
      socket.addEventListener('open', events.onOpen)
      socket.addEventListener('message', event => events.onText(String(event.data)))
      socket.addEventListener('close', () => {
        // The reason may be that the session ended, which a browser does not tell: ask.
        void queries.invalidateQueries({ queryKey: ['session'] })
        events.onClose()
      })
      return { send: text => socket.send(text), close: () => socket.close() }
    },
    clock: systemClock,
    random: Math.random,
    onChanged: kinds => void invalidate(queries, kinds)
  })
  return { rest, live, tenant }
}

const wsScheme = (): string => (location.protocol === 'https:' ? 'wss' : 'ws')

/** Keys of queries start with the kind they show, or with `revision`. */
export async function invalidate(queries: QueryClient, kinds: readonly string[] | null): Promise<void> {
  await queries.invalidateQueries({
    predicate: query => {
      const first = query.queryKey[0]
      if (first === 'session') return false
      return kinds === null || first === 'revision' || kinds.includes(String(first))
    }
  })
}

export function FeedProvider({ feed, children }: { readonly feed: Feed; readonly children: ReactNode }): ReactNode {
  return <FeedContext value={feed}>{children}</FeedContext>
}

export function useFeed(): Feed {
  const feed = useContext(FeedContext)
  if (!feed) throw new Error('no feed around this view')
  return feed
}

/** What a view needs of a read: data, or why not, or neither yet. */
export interface Reading<T> {
  readonly data: T | undefined
  readonly problem: Problem | undefined
  readonly onRetry: () => void
}

function readingOf<T>(query: UseQueryResult<T>): Reading<T> {
  return {
    data: query.data,
    problem: query.error && query.data === undefined ? problemOf(query.error) : undefined,
    onRetry: () => void query.refetch()
  }
}

/** Everything that a list page of a kind shows, read once and again when something of the kind is committed. */
export function useInventory<K extends LiveKind>(kind: K, refetchMs?: number): Reading<readonly Row<K>[]> {
  const { rest } = useFeed()
  return readingOf(
    useQuery({
      queryKey: [kind, 'inventory'],
      queryFn: ({ signal }) => rest.readAll<Row<K>>(`/api/${kind}-inventory?include_name`, signal),
      ...(refetchMs === undefined ? {} : { refetchInterval: refetchMs })
    })
  )
}

export function useObjects<T = AnyObject>(kind: string, isWanted = true): Reading<readonly T[]> {
  const { rest } = useFeed()
  return readingOf(
    useQuery({
      queryKey: [kind, 'list'],
      enabled: isWanted,
      queryFn: ({ signal }) => rest.readAll<T>(`/api/${kind}?include_name`, signal)
    })
  )
}

/** As the operator wrote it: what a form edits. */
export function useDocument(kind: string, uuid: string | undefined): Reading<AnyObject> {
  const { rest } = useFeed()
  return readingOf(
    useQuery({
      queryKey: [kind, 'document', uuid],
      enabled: uuid !== undefined,
      queryFn: ({ signal }) => rest.read<AnyObject>(`/api/${kind}/${uuid}?include_name&skip_default`, signal)
    })
  )
}

export function useConfig<T = AnyObject>(kind: string, uuid: string | undefined): Reading<T> {
  const { rest } = useFeed()
  return readingOf(
    useQuery({
      queryKey: [kind, 'config', uuid],
      enabled: uuid !== undefined,
      queryFn: ({ signal }) => rest.read<T>(`/api/${kind}/${uuid}?include_name`, signal)
    })
  )
}

/** Any other read; the key starts with the kind, so that a commit to it reads again. */
export function useRead<T>(key: readonly unknown[], path: string | undefined, refetchMs?: number): Reading<T> {
  const { rest } = useFeed()
  return readingOf(
    useQuery({
      queryKey: key,
      enabled: path !== undefined,
      queryFn: ({ signal }) => rest.read<T>(path ?? '', signal),
      ...(refetchMs === undefined ? {} : { refetchInterval: refetchMs })
    })
  )
}

/** Why there is nothing to be had at a path that the controller serves as a file; undefined while it is there or not yet known. */
export function useMissing(path: string): Problem | undefined {
  const { rest } = useFeed()
  const { data } = useQuery({
    queryKey: ['file', path],
    // Why not is what is asked for here: no failure, so that it stays on screen while it is asked again.
    queryFn: async ({ signal }) => rest.find(path, signal).then(() => null, problemOf),
    // It is built while one looks.
    refetchInterval: ({ state }) => (state.data ? MISSING_MS : false)
  })
  return data ?? undefined
}

/** The runtime of one thing: live where it is, else as REST told it (`seed`, or its own read without one). */
export function useRuntime<K extends LiveKind>(kind: K, uuid: string, seed?: RuntimeByKind[K]): RuntimeByKind[K] | undefined {
  const { live } = useFeed()
  const listen = useCallback((listener: () => void) => live.listen(uuid, listener), [live, uuid])
  const now = useSyncExternalStore(listen, () => live.runtime(uuid))
  return (now as RuntimeByKind[K] | undefined) ?? seed
}

export function useHistory(uuid: string): readonly LiveFigures[] {
  const { live } = useFeed()
  const listen = useCallback((listener: () => void) => live.listen(uuid, listener), [live, uuid])
  return useSyncExternalStore(listen, () => live.history(uuid))
}

export function useLiveState(): LiveState {
  const { live } = useFeed()
  const listen = useCallback((listener: () => void) => live.listen('state', listener), [live])
  return useSyncExternalStore(listen, () => live.state())
}

/** Says that these topics are on screen while the view is. */
export function useWatch(topics: readonly LiveTopic[]): void {
  const { live } = useFeed()
  const key = topics.join(' ')
  useEffect(() => live.watch(key === '' ? [] : (key.split(' ') as LiveTopic[])), [live, key])
}

/** Grows at most every `everyMs` while things of the kind change: lists sort and filter by live figures at that pace. */
export function usePace(kind: LiveKind, everyMs: number): number {
  const { live } = useFeed()
  const [pace, setPace] = useState(0)
  useEffect(() => {
    let isDue = false
    const stop = live.listen(kind, () => {
      isDue = true
    })
    const timer = setInterval(() => {
      if (isDue) setPace(count => count + 1)
      isDue = false
    }, everyMs)
    return () => {
      stop()
      clearInterval(timer)
    }
  }, [live, kind, everyMs])
  return pace
}

/** A write, and everything of the kinds it touches read again. */
export type Write = (method: WriteMethod, path: string, body: unknown, kinds: readonly string[], reason?: string) => Promise<unknown>

export function useWrite(): Write {
  const { rest } = useFeed()
  const queries = useQueryClient()
  return useCallback(
    async (method, path, body, kinds, reason) => {
      const answer = await rest.write<unknown>(method, path, body, reason)
      await invalidate(queries, kinds)
      return answer
    },
    [rest, queries]
  )
}
