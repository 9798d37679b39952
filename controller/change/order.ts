/** What other modules ask of `change`, the only writer of resources, revisions and audit. */
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Actor } from '#controller/access/actor.ts'
import type { ResourceChange, StoredResource } from '#controller/store/store.ts'

export interface ChangeOrder {
  readonly actor: Actor
  /** Uuid of the tenant that names and references are looked up in. */
  readonly tenant: string
  /** In order; later ones may refer to earlier ones by uuid or by name. */
  readonly writes: readonly Write[]
  readonly reason?: string
  /** Same path, nothing written. */
  readonly isDryRun?: boolean
  /** Unsupported fields become warnings instead of violations. */
  readonly isUnsupportedIgnored?: boolean
}

export type Write =
  | { readonly op: 'create'; readonly kind: KindName; readonly body: JsonObject }
  | { readonly op: 'replace'; readonly kind: KindName; readonly uuid: string; readonly body: JsonObject; readonly expect?: Expectation }
  | {
      readonly op: 'patch'
      readonly kind: KindName
      readonly uuid: string
      readonly patch: { readonly add?: JsonObject; readonly replace?: JsonObject; readonly delete?: JsonObject }
      readonly expect?: Expectation
    }
  | { readonly op: 'delete'; readonly kind: KindName; readonly uuid: string; readonly expect?: Expectation }

export interface Expectation {
  /** `_last_modified` as the client last saw it. */
  readonly lastModified?: string
  /** Value of If-Match, without quotes; `*` any. */
  readonly etag?: string
}

export interface ChangeResult {
  /** The store's revision after it; unchanged when nothing changed or in a dry run. */
  readonly revision: number
  /** One for each write, in order; what a delete removed is there as it was. */
  readonly resources: readonly StoredResource[]
  readonly changes: readonly ResourceChange[]
  readonly warnings: readonly Violation[]
}

export type RefusalCode = 'INVALID' | 'FORBIDDEN' | 'NOT_FOUND' | 'IN_USE' | 'STALE' | 'CONFLICT'

/** Thrown by `apply`; `rest/rescue.ts` alone turns it into a response. */
export class ChangeRefused extends Error {
  override readonly name = 'ChangeRefused'
  readonly code: RefusalCode
  readonly violations: readonly Violation[]
  constructor(code: RefusalCode, message: string, violations: readonly Violation[] = []) {
    super(message)
    this.code = code
    this.violations = violations
  }
}
