/** What makes engines: one port for all drivers; and what the rest of the controller may ask of them. */
import type { GroupDriverView } from '#model/resource/autoscale.ts'

export interface EngineOrder {
  /** Chosen by the controller: letters, digits and `-`, at most 63; the same name is the same engine. */
  readonly name: string
  /** Name of the group that it is for. */
  readonly group: string
  /** https://host:port */
  readonly controllerUrl: string
  /** To join with; left out for an engine that has joined, which is only started again. */
  readonly token?: string
  /** Where, of a driver that picks hosts. */
  readonly host?: string
  readonly signal: AbortSignal
}

/** One engine as a driver sees it. */
export interface Instance {
  readonly name: string
  readonly isRunning: boolean
}

/** All may be said again at any time, and come to the same; all throw when it could not be done, and nothing is lost by trying again. */
export interface Driver {
  /** What it runs for this controller; undefined where nobody can tell. */
  readonly list: (signal: AbortSignal) => Promise<readonly Instance[] | undefined>
  /** Makes and starts it, unless it runs; resolves when it is on its way, which is before it joined. */
  readonly ensure: (order: EngineOrder) => Promise<void>
  /** Stops it and removes what it left; also when it is not there. */
  readonly destroy: (order: Pick<EngineOrder, 'name' | 'group' | 'host' | 'signal'>) => Promise<void>
  /** A host for one more engine, unless all are taken. Of drivers that have hosts to choose from. */
  readonly pick?: (taken: readonly string[]) => string | undefined
}

/** What a driver could not do, in words for the operator; never holds a secret. */
export class DriverFailed extends Error {
  override readonly name = 'DriverFailed'
}

const nameShape = /^[a-z0-9][a-z0-9-]{0,62}$/
export const isEngineName = (name: string): boolean => nameShape.test(name)

/** What is no name of an engine goes into no path and no command. Throws DriverFailed. */
export function mustBeEngineName(name: string): string {
  if (!isEngineName(name)) throw new DriverFailed(`${JSON.stringify(name.slice(0, 80))} is no name of an engine`)
  return name
}

export interface DriversPort {
  readonly ofGroup: (uuid: string) => GroupDriverView
  /** Engines of a group that are on their way and not up yet. */
  readonly comingTo: (group: string) => number
  /** The driver of its cloud makes engines on one host only. */
  readonly isOnOneHost: (group: string) => boolean
  /** Tries at once what waits for another try. */
  readonly retry: (group: string) => void
}
