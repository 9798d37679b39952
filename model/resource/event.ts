/** What happened and was decided, as REST and the dashboard tell it. Configuration changes are revisions, not events. */

export const eventLevels = ['INFO', 'WARNING', 'ERROR'] as const
export type EventLevel = (typeof eventLevels)[number]

export const eventObjects = ['virtualservice', 'pool', 'poolgroup', 'serviceengine', 'serviceenginegroup'] as const
export type EventObject = (typeof eventObjects)[number]

/** Field names as in Avi's EventLog where it has them. */
export interface EventView {
  /** Grows with time; names the event. */
  readonly id: number
  /** Epoch milliseconds. */
  readonly report_timestamp: number
  /** Such as VS_DOWN: what kind of thing happened. */
  readonly event_id: string
  readonly level: EventLevel
  readonly obj_type: EventObject
  readonly obj_uuid: string
  /** As it was called then. */
  readonly obj_name: string
  /** Of which server of the pool, as its runtime names it. */
  readonly server?: string
  /** In words, with the numbers that it stands on. */
  readonly event_description: string
  /** Other objects that it is about: it is found under them as well. */
  readonly related_uuids: readonly string[]
  /** Uuid. */
  readonly tenant: string
}
