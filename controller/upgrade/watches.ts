/** What engines do while somebody watches them. Not kept: a controller that starts again watches anew. */
import type { Clock } from '#model/base/clock.ts'
import type { ServiceEngineRuntime } from '#model/resource/runtime.ts'
import type { FleetPort } from '#controller/fleet/port.ts'
import type { Measurement, TelemetryPort } from '#controller/telemetry/port.ts'
import type { Side } from './gate.ts'

export class Watches {
  readonly #byEngine = new Map<string, { readonly sinceMs: number; readonly measurement: Measurement }>()
  readonly #options: WatchesOptions

  constructor(options: WatchesOptions) {
    this.#options = options
  }

  /** From now on, unless it is watched already. */
  begin(uuid: string): void {
    if (this.#byEngine.has(uuid)) return
    const { clock, telemetry } = this.#options
    this.#byEngine.set(uuid, { sinceMs: clock.nowMs(), measurement: telemetry.measure(uuid) })
  }

  end(uuid: string): void {
    this.#byEngine.get(uuid)?.measurement.stop()
    this.#byEngine.delete(uuid)
  }

  endAll(): void {
    for (const uuid of this.#byEngine.keys()) this.end(uuid)
  }

  /** What it did since, and whether that was for so long; begins when it was not watched. */
  look(uuid: string, runtime: ServiceEngineRuntime, seconds: number): { readonly side: Side; readonly isOver: boolean } {
    this.begin(uuid)
    const { clock, fleet } = this.#options
    const { sinceMs, measurement } = this.#byEngine.get(uuid)!
    const { requests, errors } = measurement.read()
    const scores = runtime.virtualservices.map(({ uuid: service, name }) => {
      const score = fleet.virtualServiceRuntime(service)?.health_score.score ?? 0
      return [service, { name, score }] as const
    })
    return {
      side: { requests, errors, scores: Object.fromEntries(scores), refuses: runtime.violations.map(({ message }) => message) },
      isOver: clock.nowMs() - sinceMs >= seconds * 1_000
    }
  }
}

export interface WatchesOptions {
  readonly telemetry: Pick<TelemetryPort, 'measure'>
  readonly fleet: Pick<FleetPort, 'virtualServiceRuntime'>
  readonly clock: Clock
}
