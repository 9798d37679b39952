/** Active/standby: which two engines of a group carry its services, and which of them is active for a service. */
import { PAIR } from '#model/resource/serviceenginegroup.ts'

export interface Pair {
  /** Each engine is active for the services of its side; else one of them is for all. */
  readonly distributes: boolean
  /** An engine that comes back is active again for the services of its side. */
  readonly returns: boolean
}

interface Member {
  readonly uuid: string
  readonly isUp: boolean
  readonly takes: 'all' | 'keeps' | 'none' | 'forced'
  readonly rank?: number
}

interface Sided {
  readonly uuid: string
  readonly side?: 0 | 1
}

/**
 * The pair of a group: those who joined first. One that is down stays one of them, for it will come back; one that is drained does not, and
 * the next takes its place.
 *
 * Returns at most two, in the order of their sides
 */
export function pairOf<T extends Member>(engines: readonly T[]): readonly T[] {
  const order = (a: Member, b: Member): number => (a.rank ?? 0) - (b.rank ?? 0) || (a.uuid < b.uuid ? -1 : 1)
  return engines
    .filter(({ takes }) => takes !== 'none' && takes !== 'forced')
    .toSorted(order)
    .slice(0, PAIR)
}

/**
 * Which engine should be active for a service where nobody is: that of its side, or the one that is active for most services.
 *
 * Shapes  pair: as `pairOf` gives it; current: uuid of a service -> uuids of its engines, the active one first
 * Returns a function of a service to the uuid of an engine that is up; undefined when none is
 */
export function engineFor(
  { distributes }: Pair,
  pair: readonly Member[],
  services: readonly Sided[],
  current: ReadonlyMap<string, readonly string[]>
): (service: Sided) => string | undefined {
  const up = pair.filter(({ isUp }) => isUp)
  if (distributes)
    return ({ side = 0 }) => {
      const own = pair[side]
      return own?.isUp === true ? own.uuid : up[0]?.uuid
    }
  const active = Map.groupBy(
    services.flatMap(({ uuid }) => current.get(uuid)?.find(engine => up.some(one => one.uuid === engine)) ?? []),
    engine => engine
  )
  const count = ({ uuid }: Member): number => active.get(uuid)?.length ?? 0
  const [most] = up.toSorted((a, b) => count(b) - count(a))
  return () => most?.uuid
}
