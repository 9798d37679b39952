/** Where a socket is bound. */
export interface ListenAddress {
  /** An address of this host, or `0.0.0.0` / `::` for all of one family. */
  readonly address: string
  /** 0: any free one (tests). */
  readonly port: number
}
