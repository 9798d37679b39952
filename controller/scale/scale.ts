/** The driver of scaling by load: one look each second at services, groups and pools. */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { Store } from '#controller/store/store.ts'
import { openJournal } from './journal.ts'
import { Outlook } from './outlook.ts'
import type { ScalePort } from './port.ts'
import { PoolScaling, type PoolScalingOptions } from './pools.ts'
import { ServiceScaling, type ServiceScalingOptions } from './services.ts'

export interface ScaleOptions
  extends Omit<ServiceScalingOptions, 'journal' | 'outlook'>, Omit<PoolScalingOptions, 'journal' | 'outlook' | 'telemetry'> {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

const LOOK_MS = 1_000
const TIDY_MS = 60_000

export function openScale(options: ScaleOptions): ScalePort & { readonly stop: () => void } {
  const { store, clock, log } = options
  const journal = openJournal({ store, clock, log })
  const outlook = new Outlook(store.series, clock)
  const services = new ServiceScaling({ ...options, journal, outlook })
  const pools = new PoolScaling({ ...options, journal, outlook })

  const look = (): void => {
    outlook.begin()
    for (const part of [services, pools])
      try {
        part.look()
      } catch (error) {
        log.error('scaling by load failed', { error })
      }
  }
  const stops = [clock.every(LOOK_MS, look), clock.every(TIDY_MS, journal.tidy)]

  return {
    ofService: uuid => services.ofService(uuid),
    ofPool: uuid => pools.ofPool(uuid),
    scalePool: (uuid, way, by, reason) => pools.scale(uuid, way, by, reason),
    ofGroup: uuid => services.ofGroup(uuid),
    enginesWanted: uuid => services.enginesWanted(uuid),
    note: journal.add,
    onDecision: journal.onDecision,
    stop: () => {
      for (const stop of stops) stop()
    }
  }
}
