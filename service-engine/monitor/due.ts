/** A heap of things by the time they fall due; putting one again moves it. */
export class DueHeap<Item extends object> {
  readonly #heap: { readonly item: Item; readonly atMs: number }[] = []
  /** The newest time of each item: an older entry in the heap is passed over. */
  readonly #atMs = new WeakMap<Item, number>()

  put(item: Item, atMs: number): void {
    this.#atMs.set(item, atMs)
    const heap = this.#heap
    let at = heap.length
    heap.push({ item, atMs })
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.atMs <= heap[at]!.atMs) break
      ;[heap[parent], heap[at]] = [heap[at]!, heap[parent]!]
      at = parent
    }
  }

  nextMs(): number | undefined {
    this.#dropStale()
    return this.#heap[0]?.atMs
  }

  /** The item that is due longest, taken out; undefined when none is due. */
  takeDue(nowMs: number): Item | undefined {
    this.#dropStale()
    const first = this.#heap[0]
    if (first === undefined || first.atMs > nowMs) return undefined
    this.#removeFirst()
    this.#atMs.delete(first.item)
    return first.item
  }

  #dropStale(): void {
    for (let first = this.#heap[0]; first !== undefined && this.#atMs.get(first.item) !== first.atMs; first = this.#heap[0]) {
      this.#removeFirst()
    }
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    heap[0] = last
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const right = left + 1
      let least = at
      if (left < heap.length && heap[left]!.atMs < heap[least]!.atMs) least = left
      if (right < heap.length && heap[right]!.atMs < heap[least]!.atMs) least = right
      if (least === at) return
      ;[heap[least], heap[at]] = [heap[at]!, heap[least]!]
      at = least
    }
  }
}
