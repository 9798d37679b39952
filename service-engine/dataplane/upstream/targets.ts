/** From a target to a pool that can take it. */
import type { FailAction, GroupMember, TargetSpec } from '#model/snapshot/snapshot.ts'
import { hashText, heaviest } from '../balance/consistent-hash.ts'
import { smoothSchedule } from '../balance/round-robin.ts'
import type { Pool } from './pool.ts'

export type Choice =
  | { readonly is: 'pool'; readonly pool: Pool }
  | { readonly is: 'fail'; readonly action: FailAction; readonly name: string }

interface GroupState {
  turn: number
  /** Members of one priority that are available, as a key, and their schedule. */
  key: string
  schedule: readonly string[]
}

/** Chooses pools; remembers for each group whose turn it is. */
export class Targets {
  readonly #groups = new WeakMap<TargetSpec, GroupState>()

  /**
   * The pool itself, or one of the group's highest priority that has an available server, by ratio: in turn, or that of the client where the group keeps
   * clients on their side.
   *
   * Shapes  key: what a client is known by; '' for nothing
   *
   * Returns `fail` with the action of the group or pool when none is available; undefined when a pool is not known
   */
  choose(target: TargetSpec, poolOf: (id: string) => Pool | undefined, key = ''): Choice | undefined {
    if (target.is === 'pool') {
      const pool = poolOf(target.poolId)
      if (pool === undefined) return undefined
      return pool.hasAvailable() ? { is: 'pool', pool } : standIn(pool.part.failAction, pool.part.name, poolOf)
    }
    const able = target.members.filter(member => member.ratio > 0 && poolOf(member.poolId)?.hasAvailable() === true)
    const highest = able.reduce((best, member) => Math.max(best, member.priority), -Infinity)
    const members = able.filter(member => member.priority === highest)
    const pool = poolOf(target.sticky === undefined || key === '' ? this.#next(target, members) : sideOf(members, key))
    return pool === undefined ? standIn(target.failAction, target.name, poolOf) : { is: 'pool', pool }
  }

  #next(target: TargetSpec, members: readonly GroupMember[]): string {
    if (members.length <= 1) return members[0]?.poolId ?? ''
    let state = this.#groups.get(target)
    if (state === undefined) this.#groups.set(target, (state = { turn: 0, key: '', schedule: [] }))
    const key = members.map(member => member.poolId).join()
    if (key !== state.key) {
      state.key = key
      state.schedule = smoothSchedule(members.map(member => member.ratio)).map(index => members[index]!.poolId)
    }
    return state.schedule[state.turn++ % state.schedule.length]!
  }
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

/** The pool that an action names, when it can answer; else what is left to do. */
function standIn(action: FailAction, name: string, poolOf: (id: string) => Pool | undefined): Choice {
  if (action.is !== 'pool') return { is: 'fail', action, name }
  const backup = poolOf(action.poolId)
  if (backup?.hasAvailable() === true) return { is: 'pool', pool: backup }
  const last = backup?.part.failAction
  return { is: 'fail', action: last === undefined || last.is === 'pool' ? { is: 'close' } : last, name }
}
