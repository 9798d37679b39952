import type { TObject } from 'typebox'
import type { Violation } from './violation.ts'

/** A JSON value, as it is stored and as it travels. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
export type JsonObject = { readonly [name: string]: Json }

export const kindNames = [
  'tenant',
  'cloud',
  'serviceenginegroup',
  'serviceengine',
  'jointoken',
  'vsvip',
  'virtualservice',
  'pool',
  'poolgroup',
  'poolgroupdeploymentpolicy',
  'webhook',
  'serverautoscalepolicy',
  'healthmonitor',
  'applicationprofile',
  'networkprofile',
  'applicationpersistenceprofile',
  'sslprofile',
  'sslkeyandcertificate',
  'pkiprofile',
  'httppolicyset',
  'networksecuritypolicy',
  'errorpageprofile',
  'errorpagebody',
  'ipaddrgroup',
  'stringgroup',
  'vsdatascriptset',
  'analyticsprofile',
  'systemconfiguration',
  'user',
  'role'
] as const
export type KindName = (typeof kindNames)[number]

/** Another document that a rule looks at, as written. */
export interface Other {
  readonly uuid: string
  readonly body: JsonObject
}

/** What a cross-field rule may look at beyond its own document. References are already resolved to uuids. */
export interface CheckContext {
  /** The document's own uuid; undefined when it is being created. */
  readonly uuid?: string | undefined
  /** The resource that a resolved reference means, as written (without defaults); undefined when there is none. */
  readonly resource: (kind: KindName, uuid: string) => JsonObject | undefined
  /** All resources of a kind that the document's tenant can see, with their uuid. */
  readonly all: (kind: KindName) => readonly Other[]
  /** Resources of a kind that refer to one. */
  readonly referrers: (kind: KindName, uuid: string) => readonly Other[]
  /** Virtual services that may listen at one of these places: none is missing, some may be too many. */
  readonly listening: (where: readonly { readonly address: string; readonly port: number }[]) => readonly Other[]
  /** Why engines would refuse a regular expression; undefined when they would not. Not judged where it is left out. */
  readonly pattern?: (source: string, isCaseSensitive: boolean) => string | undefined
  /** Why engines would refuse a script, and where in it; line 0 is the whole. Not judged where it is left out. */
  readonly script?: (source: string) => { readonly line: number; readonly column: number; readonly message: string } | undefined
}

/**
 * What Weir knows about one kind of resource. The schema is the only statement of its shape: types, validation,
 * OpenAPI, defaults, forms and the command line's help come from it.
 *
 * Annotations beside the JSON Schema keywords:
 *   x-ref          a reference; the value is the kind that it points to
 *   x-unit         unit of a number: 'ms', 's', 'min', 'bytes', 'percent', 'requests/s' ...
 *   x-special      Avi's special values, in words
 *   x-secret       write-only: sealed in the store, `<sensitive>` in answers
 *   x-unsupported  known to Avi, not honoured yet: refused unless it equals its default
 *   x-unsupported-values  words of an enum for which the same holds
 *   x-say          what a pattern means, in words
 *   x-code         a program: a form shows it with the numbers of its lines
 *   x-rule         a rule over the fields of a nested object, by its name in check.ts
 *   x-first        a form shows it first (the few that matter)
 *   x-last         kept for the tool that wrote it: a form shows it last
 *   readOnly       the server's own; accepted when sent back, never taken
 */
export interface KindDefinition {
  readonly kind: KindName
  /** "Virtual service": how a person says it. */
  readonly title: string
  readonly titlePlural: string
  /** One sentence for the docs, the forms and OpenAPI. */
  readonly description: string
  readonly schema: TObject
  /** `tenant`: belongs to one; `global`: one set for all tenants; `single`: exactly one exists. */
  readonly scope: 'tenant' | 'global' | 'single'
  /** Rules that need more than one field. Called only when the shape is right. */
  readonly check: (body: JsonObject, context: CheckContext) => readonly Violation[]
}
