/** Questions to engines, and who waits for which answer. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import type { Explanation, RequestExplained, RequestQuestion } from '#model/message/message.ts'
import type { Engine } from './roster.ts'

const ANSWER_WITHIN_MS = 3_000
/** More at once are not asked: an engine has other things to do. */
const MAX_WAITING = 256

export interface Answered {
  readonly engineUuid: string
  readonly explanation: Explanation
}

export class Questions {
  readonly #clock: Clock
  readonly #waiting = new Map<string, { readonly engineUuid: string; readonly answer: (explanation: Explanation | undefined) => void }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Asks the first of these engines that runs the service and is connected. */
  ask(engines: Iterable<Engine>, question: RequestQuestion): Promise<Answered | undefined> {
    const engine = [...engines].find(one => one.session?.isLive === true && one.runningIds.has(question.virtualServiceId))
    if (engine === undefined || this.#waiting.size >= MAX_WAITING) return Promise.resolve(undefined)
    const id = randomUUID()
    const engineUuid = engine.uuid
    return new Promise(resolve => {
      const answer = (explanation: Explanation | undefined): void => {
        cancel()
        this.#waiting.delete(id)
        resolve(explanation === undefined ? undefined : { engineUuid, explanation })
      }
      const cancel = this.#clock.after(ANSWER_WITHIN_MS, () => answer(undefined))
      this.#waiting.set(id, { engineUuid, answer })
      engine.session?.send({ type: 'ExplainRequest', id, question })
    })
  }

  /** Only the engine that was asked is listened to. */
  answered(engineUuid: string, { id, explanation }: RequestExplained): void {
    const waiting = this.#waiting.get(id)
    if (waiting?.engineUuid === engineUuid) waiting.answer(explanation)
  }
}
