import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback } from 'react'
import { useFeed } from './feed.tsx'
import { Problem, problemOf } from './problem.ts'
import { parseSession } from './session.ts'
import type { Session } from './session.ts'

export type SessionReading =
  | { readonly is: 'loading' }
  | { readonly is: 'failed'; readonly problem: Problem; readonly onRetry: () => void }
  | { readonly is: 'signed-out' }
  | { readonly is: 'signed-in'; readonly session: Session }

export function useSession(): SessionReading {
  const { rest } = useFeed()
  const query = useQuery({
    queryKey: ['session'],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async (): Promise<Session | null> => {
      try {
        return parseSession(await rest.read<unknown>('/api/initial-data?include_name'))
      } catch (error) {
        if (error instanceof Problem && error.status === 401) return null
        throw error
      }
    }
  })
  if (query.data) return { is: 'signed-in', session: query.data }
  if (query.data === null) return { is: 'signed-out' }
  if (query.error) return { is: 'failed', problem: problemOf(query.error), onRetry: () => void query.refetch() }
  return { is: 'loading' }
}

export function useSignIn(): (username: string, password: string) => Promise<void> {
  const { rest } = useFeed()
  const queries = useQueryClient()
  return useCallback(
    async (username, password) => {
      await rest.write('POST', '/login', { username, password })
      await queries.refetchQueries({ queryKey: ['session'] })
    },
    [rest, queries]
  )
}

export function useSignOut(): () => Promise<void> {
  const { rest, live } = useFeed()
  const queries = useQueryClient()
  return useCallback(async () => {
    await rest.write('POST', '/logout')
    live.stop()
    queries.setQueryData(['session'], null)
    // Nothing of one person may be seen by the next.
    queries.removeQueries({ predicate: query => query.queryKey[0] !== 'session' })
  }, [rest, live, queries])
}
