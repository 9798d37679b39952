/** One of the operators over one text: what rules and caches look at. */
export interface StringMatch {
  readonly operator:
    | 'begins-with'
    | 'not-begins-with'
    | 'contains'
    | 'not-contains'
    | 'ends-with'
    | 'not-ends-with'
    | 'equals'
    | 'not-equals'
    | 'regex'
    | 'not-regex'
    | 'exists'
    | 'not-exists'
  /** Any of them matches; string groups already resolved. */
  readonly values: readonly string[]
  readonly isCaseSensitive: boolean
}
