/** Which rows of a long list are drawn. */

export const ROW_HEIGHT_PX = 36
/** Shorter lists are drawn whole. */
export const DRAWN_WHOLE = 200
const OVERSCAN = 10

export interface RowWindow {
  readonly first: number
  /** One past the last. */
  readonly end: number
}

/**
 * The rows that a scrolled box shows, with some to spare on both sides so that a fast scroll finds them drawn.
 *
 * Units  px; rows are all ROW_HEIGHT_PX high
 */
export function rowWindow(count: number, scrollTopPx: number, heightPx: number): RowWindow {
  if (count <= DRAWN_WHOLE) return { first: 0, end: count }
  const first = Math.max(0, Math.floor(scrollTopPx / ROW_HEIGHT_PX) - OVERSCAN)
  const end = Math.min(count, Math.ceil((scrollTopPx + heightPx) / ROW_HEIGHT_PX) + OVERSCAN)
  return { first: Math.min(first, end), end }
}
