/** Facts into events: which id, how serious, in which words. Pure. */
import type { EventLevel, EventView } from '#model/resource/event.ts'
import type { OperState } from '#model/resource/runtime.ts'
import type { PlacementFact, ReleaseFact, ScaleFact, StateFact, UpgradeFact } from './port.ts'

/** Names of objects and engines, as they are called now. */
export type NameOf = (kind: 'virtualservice' | 'pool' | 'poolgroup' | 'serviceengine' | 'serviceenginegroup', uuid: string) => string

/** What is told of an object, before it has an id, a time and a tenant. */
export type Told = Pick<EventView, 'event_id' | 'level' | 'event_description'> & Partial<Pick<EventView, 'related_uuids' | 'server'>>

const DESCRIPTION_MAX = 600

const cut = (text: string): string => (text.length <= DESCRIPTION_MAX ? text : `${text.slice(0, DESCRIPTION_MAX - 1)}\u2026`)
const withReasons = (text: string, reasons: readonly string[]): string =>
  cut(reasons.length === 0 ? text : `${text}: ${reasons.join('; ')}`)

const prefixes = { virtualservice: 'VS', pool: 'POOL', server: 'SERVER', serviceengine: 'SE' } as const

/** States that say something; the others are on the way to one of these. */
const told: Partial<Record<OperState, { readonly ends: string; readonly level: EventLevel; readonly words: string }>> = {
  OPER_UP: { ends: 'UP', level: 'INFO', words: 'is up' },
  OPER_DOWN: { ends: 'DOWN', level: 'ERROR', words: 'is down' },
  OPER_DISABLED: { ends: 'DISABLED', level: 'INFO', words: 'is disabled' },
  OPER_PARTITIONED: { ends: 'HEARTBEAT_FAILURE', level: 'ERROR', words: 'is not heard of' }
}

/** Undefined: a state that nobody needs to be told. */
export function stateEvent({ kind, server, state, reasons }: StateFact): Told | undefined {
  const word = told[state]
  if (word === undefined) return undefined
  // A server that is down is what pools are for.
  const level = server !== undefined && word.level === 'ERROR' ? 'WARNING' : word.level
  const event_id = `${prefixes[server === undefined ? kind : 'server']}_${word.ends}`
  const what = server === undefined ? word.words : `server ${server} ${word.words}`
  return { event_id, level, event_description: withReasons(what, reasons), ...(server === undefined ? {} : { server }) }
}

/** Undefined: the same engines in the same order. */
export function placementEvent({ before, after }: PlacementFact, nameOf: NameOf): Told | undefined {
  const names = (uuids: readonly string[]): string => uuids.map(uuid => nameOf('serviceengine', uuid)).join(', ')
  const [come, gone] = [after.filter(uuid => !before.includes(uuid)), before.filter(uuid => !after.includes(uuid))]
  const made = (event_id: string, event_description: string): Told => ({
    event_id,
    level: 'INFO',
    event_description: cut(event_description),
    related_uuids: [...new Set([...after, ...before])]
  })
  if (come.length > 0 && gone.length > 0)
    return made('VS_MIGRATE', `moves from ${names(gone)} to ${names(come)}; it is placed on ${names(after)}`)
  if (come.length > 0)
    return made(
      'VS_ADD_SE',
      before.length === 0 ? `is placed on ${names(after)}` : `is placed on ${names(come)} as well; in all on ${names(after)}`
    )
  if (gone.length > 0) return made('VS_REMOVED_SE', `leaves ${names(gone)}; it stays on ${names(after)}`)
  return before[0] === after[0]
    ? undefined
    : made('VS_SWITCHOVER', `${names(after.slice(0, 1))} is its primary now, ${names(before.slice(0, 1))} no more`)
}

const scalePrefixes = { virtualservice: 'VS', pool: 'SERVER', serviceenginegroup: 'SE_GROUP' } as const
const scaledThing = { virtualservice: 'engines', pool: 'servers', serviceenginegroup: 'engines' } as const

export function scaleEvent({ kind, decision }: ScaleFact): Told {
  const { kind: what, before, after, cause, reasons } = decision
  const ends = what === 'SCALE_OUT' ? 'OUT' : what === 'SCALE_IN' ? 'IN' : what
  const level = what === 'FAILED' ? 'ERROR' : what === 'HELD' ? 'WARNING' : 'INFO'
  const numbers = before === after ? `${after} ${scaledThing[kind]}` : `${before} to ${after} ${scaledThing[kind]}`
  const words = what.toLowerCase().replaceAll('_', ' ')
  return {
    event_id: `${scalePrefixes[kind]}_AUTOSCALE_${ends}`,
    level,
    event_description: withReasons(`${words}, ${numbers}, by ${cause}`, reasons)
  }
}

export function releaseEvent({ pool, kind, share, by, reasons }: ReleaseFact, nameOf: NameOf): Told {
  const isOver = kind === 'PROMOTED' || kind === 'ROLLED_BACK' || kind === 'ABORTED'
  return {
    event_id: `POOL_AUTO_DEPLOYMENT_${!isOver ? 'UPDATE' : kind === 'PROMOTED' ? 'SUCCESS' : 'FAILED'}`,
    level: kind === 'ROLLED_BACK' ? 'ERROR' : kind === 'PAUSED' || kind === 'ABORTED' ? 'WARNING' : 'INFO',
    event_description: withReasons(
      `the release of pool ${nameOf('pool', pool)} ${kind.toLowerCase().replaceAll('_', ' ')} at ${share} %, by ${by}`,
      reasons
    ),
    related_uuids: [pool]
  }
}

const upgradeLevels: Partial<Record<UpgradeFact['kind'], EventLevel>> = {
  FAILED: 'ERROR',
  WENT_BACK: 'ERROR',
  GOING_BACK: 'WARNING',
  PAUSED: 'WARNING',
  ABORTED: 'WARNING',
  SKIPPED: 'WARNING'
}

export function upgradeEvent({ kind, engine, by, reasons }: UpgradeFact, nameOf: NameOf): Told {
  const level = upgradeLevels[kind] ?? 'INFO'
  const what = engine === undefined ? 'the upgrade of its engines' : `the upgrade of engine ${nameOf('serviceengine', engine)}`
  return {
    event_id: `SE_GROUP_UPGRADE_${level === 'ERROR' ? 'FAILED' : kind === 'DONE' || kind === 'ROLLED_BACK' ? 'SUCCESS' : 'UPDATE'}`,
    level,
    event_description: withReasons(`${what}: ${kind.toLowerCase().replaceAll('_', ' ')}, by ${by}`, reasons),
    ...(engine === undefined ? {} : { related_uuids: [engine] })
  }
}
