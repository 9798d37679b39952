/** One thing that an operator said wrong. All of them are reported together. */
export interface Violation {
  /** JSON Pointer (RFC 6901) into the document that was sent; '' is the document itself. */
  readonly pointer: string
  /** What must hold, in words, lower case, no period: "must be between 1 and 65535". */
  readonly message: string
}
