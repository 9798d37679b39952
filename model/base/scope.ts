/**
 * Owns what must be closed: every timer, socket and listener is added where it is opened; `close` ends all of them once,
 * last first, and waits. One that fails does not keep the others open.
 */
export class Scope {
  readonly #closers: (() => unknown)[] = []
  #closing: Promise<void> | undefined

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /** Takes over a way to close something; closes it at once when the scope is closed already. */
  add(close: () => unknown): void {
    if (this.#closing !== undefined) {
      void Promise.resolve().then(close)
      return
    }
    this.#closers.push(close)
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = []
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'some parts did not close')
  }
}
