/** Engines that were not there before. */
export function joinedSince<E extends { readonly uuid: string }>(engines: readonly E[], known: ReadonlySet<string>): readonly E[] {
  return engines.filter(engine => !known.has(engine.uuid))
}
