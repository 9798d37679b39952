const none: ReadonlySet<never> = new Set<never>()

/** Sets of values by key; a key without values is not kept. */
export class Multimap<Key, Value> {
  readonly #sets = new Map<Key, Set<Value>>()

  /** Follows what is added and deleted while the key has values; whoever changes it meanwhile copies it first. */
  of(key: Key): ReadonlySet<Value> {
    return this.#sets.get(key) ?? none
  }

  add(key: Key, value: Value): void {
    const values = this.#sets.get(key)
    if (values === undefined) this.#sets.set(key, new Set([value]))
    else values.add(value)
  }

  delete(key: Key, value: Value): void {
    const values = this.#sets.get(key)
    values?.delete(value)
    if (values?.size === 0) this.#sets.delete(key)
  }
}
