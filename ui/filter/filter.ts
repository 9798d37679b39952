/** The filter language of the lists: `state:down score:<85 -pool:web shop`. Terms are joined by "and". */

export type Comparison = 'has' | 'under' | 'at-most' | 'over' | 'at-least'

export interface Term {
  /** undefined: any of the list's text fields. */
  readonly field: string | undefined
  readonly comparison: Comparison
  readonly value: string
  readonly isNegated: boolean
}

export type FieldValue = string | number | null | readonly string[]
/** What a list can be filtered and sorted by. */
export type FieldsOf<Row> = Readonly<Record<string, (row: Row) => FieldValue>>

const comparisons: readonly (readonly [sign: string, comparison: Comparison])[] = [
  ['<=', 'at-most'],
  ['>=', 'at-least'],
  ['<', 'under'],
  ['>', 'over']
]

/** A word, or anything in double quotes, with an optional minus and field before it. */
const termPattern = /(-?)(?:([a-z][a-z0-9_]*):)?(?:"([^"]*)"?|(\S+))/giu

/**
 * Reads what was typed into terms; never fails: what makes no sense as a field is searched for as text.
 *
 * Shapes  a term is [-][field:][<|<=|>|>=]value, the value in double quotes when it has spaces
 * Cost    one pass
 */
export function parseFilter(text: string): readonly Term[] {
  const terms: Term[] = []
  for (const [, minus, field, quoted, word] of text.matchAll(termPattern)) {
    const raw = quoted ?? word ?? ''
    const found = field === undefined || quoted !== undefined ? undefined : comparisons.find(([sign]) => raw.startsWith(sign))
    const value = found ? raw.slice(found[0].length) : raw
    if (value === '') continue
    terms.push({ field: field?.toLowerCase(), comparison: found?.[1] ?? 'has', value, isNegated: minus === '-' })
  }
  return terms
}

const multipliers: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9 }

/** `1.5k` -> 1500; NaN when it is no number. */
export function parseAmount(text: string): number {
  const match = /^(-?\d+(?:\.\d+)?)([kmg])?$/iu.exec(text)
  if (!match) return Number.NaN
  return Number(match[1]) * (multipliers[(match[2] ?? '').toLowerCase()] ?? 1)
}

function compares(actual: number, comparison: Comparison, wanted: number): boolean {
  switch (comparison) {
    case 'has':
      return actual === wanted
    case 'under':
      return actual < wanted
    case 'at-most':
      return actual <= wanted
    case 'over':
      return actual > wanted
    case 'at-least':
      return actual >= wanted
  }
}

function holds(actual: FieldValue, term: Term): boolean {
  if (actual === null) return false
  if (typeof actual === 'number') return compares(actual, term.comparison, parseAmount(term.value))
  const wanted = term.value.toLowerCase()
  const texts = typeof actual === 'string' ? [actual] : actual
  return texts.some(text => text.toLowerCase().includes(wanted))
}

/** Whether a row meets every term. A field that the list does not know matches nothing, negated or not. */
export function matches<Row>(row: Row, terms: readonly Term[], fields: FieldsOf<Row>): boolean {
  return terms.every(term => {
    if (term.field === undefined) {
      const found = Object.values(fields).some(read => {
        const value = read(row)
        return typeof value !== 'number' && holds(value, term)
      })
      return found !== term.isNegated
    }
    const read = fields[term.field]
    return read !== undefined && holds(read(row), term) !== term.isNegated
  })
}

/** Fields that were asked for and do not exist, for a hint under the input. */
export function unknownFields<Row>(terms: readonly Term[], fields: FieldsOf<Row>): readonly string[] {
  return terms.flatMap(term => (term.field !== undefined && fields[term.field] === undefined ? [term.field] : []))
}

/** Orders two field values; rows without one come last whichever way one sorts. */
export function compareValues(a: FieldValue, b: FieldValue, direction: 1 | -1): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1
  if (typeof a === 'number' && typeof b === 'number') return (a - b) * direction
  return String(a).localeCompare(String(b), 'en', { numeric: true }) * direction
}
