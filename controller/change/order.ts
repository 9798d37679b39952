/** What other modules ask of `change`, the only writer of resources, revisions and audit. */
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Actor } from '#controller/access/actor.ts'
import type { ResourceChange, Store, StoredResource } from '#controller/store/store.ts'

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
  | {
      readonly op: 'create'
      readonly kind: KindName
      readonly body: JsonObject
      /** Made when left out. Chosen by the controller only: what a client sends as uuid is never taken. */
      readonly uuid?: string
      readonly serverFields?: ServerFields
    }
  | {
      readonly op: 'replace'
      readonly kind: KindName
      readonly uuid: string
      readonly body: JsonObject
      readonly expect?: Expectation
      readonly serverFields?: ServerFields
    }
  | {
      readonly op: 'patch'
      readonly kind: KindName
      readonly uuid: string
      readonly patch: { readonly add?: JsonObject; readonly replace?: JsonObject; readonly delete?: JsonObject }
      readonly expect?: Expectation
      readonly serverFields?: ServerFields
    }
  | { readonly op: 'delete'; readonly kind: KindName; readonly uuid: string; readonly expect?: Expectation }

/**
 * Top-level fields that the schema marks `readOnly`, set by the controller itself: `token_hash` and `uses_left` of a join
 * token, what an engine says of itself. They never come from a client's body. `null` takes one out. Stored as given:
 * a secret among them must be a hash already.
 */
export type ServerFields = JsonObject

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

/** The resources as they would be after the order, for rules that need more than one document. */
export interface ChangeView extends Pick<Store, 'get' | 'list' | 'findByName'> {
  /** What the order creates or changes, in order, as it would be stored. */
  readonly written: readonly StoredResource[]
  readonly deleted: readonly StoredResource[]
}

/** A violation of one write of an order that may have several. */
export interface WriteViolation extends Violation {
  /** Index into `writes`. */
  readonly write: number
}

export type RefusalCode = 'INVALID' | 'FORBIDDEN' | 'NOT_FOUND' | 'IN_USE' | 'STALE' | 'CONFLICT'

/** Thrown by `apply`; `rest/rescue.ts` alone turns it into a response. */
export class ChangeRefused extends Error {
  override readonly name = 'ChangeRefused'
  readonly code: RefusalCode
  /** Of an order with several writes each is a WriteViolation. */
  readonly violations: readonly (Violation | WriteViolation)[]
  constructor(code: RefusalCode, message: string, violations: readonly (Violation | WriteViolation)[] = []) {
    super(message)
    this.code = code
    this.violations = violations
  }
}
