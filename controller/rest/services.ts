import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { Access } from '#controller/access/access.ts'
import type { ChangeOrder, ChangeResult } from '#controller/change/order.ts'
import type { DriversPort } from '#controller/driver/port.ts'
import type { FleetPort } from '#controller/fleet/port.ts'
import type { ReleasePort } from '#controller/release/port.ts'
import type { UpgradePort } from '#controller/upgrade/port.ts'
import type { ScalePort } from '#controller/scale/port.ts'
import type { AuthorityPort } from '#controller/pki/port.ts'
import type { Backups } from '#controller/backup/backup.ts'
import type { Store } from '#controller/store/store.ts'
import type { TimelinePort } from '#controller/timeline/port.ts'
import type { TelemetryPort } from '#controller/telemetry/port.ts'

/** What the REST layer speaks for. */
export interface RestServices {
  readonly store: Store
  readonly change: { readonly apply: (order: ChangeOrder) => Promise<ChangeResult> }
  readonly access: Access
  readonly authority: Pick<AuthorityPort, 'caPem' | 'caFingerprint' | 'serverKeyPin' | 'serverCertificate' | 'onServerRenewed'>
  readonly fleet: FleetPort
  readonly releases: ReleasePort
  readonly upgrades: UpgradePort
  readonly backups: Backups
  readonly scale: ScalePort
  readonly drivers: DriversPort
  readonly timeline: TimelinePort
  readonly telemetry: Pick<TelemetryPort, 'live' | 'metrics' | 'healthScore' | 'prometheus'>
  readonly clock: Clock
  readonly log: Log
  /** Where the built dashboard lies. */
  readonly uiFolder: string
  /** Where `make package` puts what /install serves. */
  readonly installFolder: string
  readonly version: string
}
