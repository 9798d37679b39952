/** Looks after a connection that takes less than it is given, and tells when that is too little. */
import type { Socket } from 'node:net'
import type { PaceSpec } from '#model/snapshot/snapshot.ts'
import type { WireParts } from './parts.ts'
import { Pace } from './pace.ts'
import { takenBytes } from './send-queues.ts'
import { Timer, type Lane } from './wheel.ts'

/** Whoever takes all that there is within this time is not looked at. */
const LOOK_MS = 500

/** What the watches of one entrance share. */
export interface WatchParts {
  readonly pace: PaceSpec
  /** Between two looks. */
  readonly lane: Lane
  readonly wheel: WireParts['wheel']
  readonly queues: WireParts['queues']
}

export const watchParts = ({ wheel, queues }: WireParts, pace: PaceSpec): WatchParts => ({
  pace,
  lane: wheel.lane(Math.min(pace.graceMs / 2, LOOK_MS)),
  wheel,
  queues
})

/**
 *   quiet -> waiting (a look is due) -> asking (the kernel, what it holds) -> waiting | too slow
 *   each goes to quiet when everything was taken
 */
export class ReaderWatch {
  readonly #socket: Socket
  readonly #parts: WatchParts
  readonly #tooSlow: () => void
  readonly #pace: Pace
  readonly #timer = new Timer(() => this.#look())
  #isAsking = false
  /** What the kernel had taken and held as of the last look; -1 when that is not known. */
  #taken = 0
  #queued = -1

  constructor(socket: Socket, parts: WatchParts, tooSlow: () => void) {
    this.#socket = socket
    this.#parts = parts
    this.#tooSlow = tooSlow
    this.#pace = new Pace(parts.pace)
  }

  /** Something could not be sent. */
  waits(): void {
    if (this.#timer.isArmed || this.#isAsking) return
    const { lane, wheel } = this.#parts
    lane.arm(this.#timer)
    this.#pace.begin(wheel.nowMs)
    this.#taken = takenBytes(this.#socket)
    this.#queued = -1
  }

  /** Everything was, or nobody waits any more. */
  rests(): void {
    this.#timer.disarm()
    this.#isAsking = false
  }

  /** What has left us may stand in the kernel for long: it is asked. */
  #look(): void {
    this.#isAsking = true
    this.#parts.queues.ask(this.#socket, queued => {
      if (this.#isAsking && !this.#socket.destroyed) this.#looked(queued)
    })
  }

  #looked(queued: number | null): void {
    const { lane, wheel } = this.#parts
    const taken = takenBytes(this.#socket)
    const left = queued === null || this.#queued < 0 ? 0 : this.#queued - queued
    this.#pace.passed(taken - this.#taken + left, wheel.nowMs)
    this.#taken = taken
    this.#queued = queued ?? -1
    this.#isAsking = false
    if (this.#pace.isTooSlow(wheel.nowMs)) this.#tooSlow()
    else lane.arm(this.#timer)
  }
}
