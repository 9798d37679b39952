/** From a target to a pool that can take it. */
import type { FailAction, GroupMember, TargetSpec } from '#model/snapshot/snapshot.ts'
import { hashText, heaviest } from '../balance/consistent-hash.ts'
import { turnsOf, type Turns } from '../balance/round-robin.ts'
import type { Pool } from './pool.ts'

export type Choice =
  | { readonly is: 'pool'; readonly pool: Pool }
  | { readonly is: 'fail'; readonly action: FailAction; readonly name: string }

/** The pool as the running generation has it. */
type PoolOf = (id: string) => Pool | undefined

interface GroupState {
  turn: number
  /** Members of one priority that are available, as a key, and whose turn it is among them. */
  key: string
  at: Turns
}

/** Chooses pools; remembers for each group whose turn it is. */
export class Targets {
  readonly #groups = new WeakMap<TargetSpec, GroupState>()

  /**
   * The pool itself, or one of the group's highest priority that has an available server, by ratio: in turn, or that of the client where the group keeps
   * clients on their side.
   *
   * Shapes  key: what a client is known by; '' for nothing
   *         tried: ids of servers that have failed the request; a pool that has no other is as good as down. Null for none
   *
   * Returns `fail` with the action of the group or pool when none is available; undefined when a pool is not known
   */
  choose(target: TargetSpec, poolOf: PoolOf, key = '', tried: readonly string[] | null = null): Choice | undefined {
    if (target.is === 'pool') {
      const pool = poolOf(target.poolId)
      if (pool === undefined) return undefined
      return canTake(pool, tried) ? { is: 'pool', pool } : standIn(pool.part, poolOf, tried)
    }
    const able = target.members.filter(member => member.ratio > 0 && canTake(poolOf(member.poolId), tried))
    const highest = able.reduce((best, member) => Math.max(best, member.priority), -Infinity)
    const members = able.filter(member => member.priority === highest)
    const hasSides = target.sticky !== undefined && key !== ''
    const pool = poolOf(hasSides ? sideOf(members, key) : this.#next(target, members, tried !== null))
    return pool === undefined ? standIn(target, poolOf, tried) : { is: 'pool', pool }
  }

  #next(target: TargetSpec, members: readonly GroupMember[], isRetry: boolean): string {
    if (members.length <= 1) return members[0]?.poolId ?? ''
    let state = this.#groups.get(target)
    if (state === undefined) this.#groups.set(target, (state = { turn: 0, key: '', at: turnsOf([]) }))
    const turn = state.turn++
    // Whoever is left over for one request is no reason to make the turns of all anew.
    if (isRetry) return sideOf(members, String(turn))
    const key = members.map(member => member.poolId).join()
    if (key !== state.key) {
      state.key = key
      state.at = turnsOf(members.map(member => member.ratio))
    }
    return members[state.at(turn)]!.poolId
  }
}

/** Whether a server that has not failed the request could be asked, of whichever pool stands in. */
export function hasUntried(target: TargetSpec, poolOf: PoolOf, tried: readonly string[]): boolean {
  const isLeft = (id: string): boolean => poolOf(id)?.hasUntried(tried) === true
  const isLeftOf = ({ failAction }: { readonly failAction: FailAction }): boolean => failAction.is === 'pool' && isLeft(failAction.poolId)
  if (target.is === 'group') return target.members.some(({ ratio, poolId }) => ratio > 0 && isLeft(poolId)) || isLeftOf(target)
  const pool = poolOf(target.poolId)
  return pool !== undefined && (pool.hasUntried(tried) || isLeftOf(pool.part))
}

function canTake(pool: Pool | undefined, tried: readonly string[] | null): boolean {
  return pool !== undefined && (tried === null ? pool.hasAvailable() : pool.hasUntried(tried))
}

/**
 * The same pool for the same key on every worker and engine, each as often as its ratio says. When ratios move, only clients of what lost share
 * move, to what won it.
 */
function sideOf(members: readonly GroupMember[], key: string): string {
  const weights = members.map(({ ratio }) => ({ weight: ratio }))
  const seeds = members.map(({ poolId }) => hashText(poolId))
  return members[heaviest(weights, seeds, hashText(key))]?.poolId ?? ''
}

/** The pool that the fail action of a pool or group names, when it can answer; else what is left to do. */
function standIn(
  { failAction, name }: { readonly failAction: FailAction; readonly name: string },
  poolOf: PoolOf,
  tried: readonly string[] | null
): Choice {
  if (failAction.is !== 'pool') return { is: 'fail', action: failAction, name }
  const backup = poolOf(failAction.poolId)
  if (backup !== undefined && canTake(backup, tried)) return { is: 'pool', pool: backup }
  const last = backup?.part.failAction
  return { is: 'fail', action: last === undefined || last.is === 'pool' ? { is: 'close' } : last, name }
}
