/** The door to what Weir knows about its kinds of resources. Pure functions over the definitions; nothing is changed in place. */
import { analyticsprofile } from './analyticsprofile.ts'
import { applicationpersistenceprofile } from './applicationpersistenceprofile.ts'
import { applicationprofile } from './applicationprofile.ts'
import { checkShape } from './check.ts'
import type { Checked } from './check.ts'
import { cloud } from './cloud.ts'
import { errorpagebody, errorpageprofile } from './errorpageprofile.ts'
import type { Filled, Written } from './field.ts'
import { healthmonitor } from './healthmonitor.ts'
import { httppolicyset } from './httppolicyset.ts'
import { ipaddrgroup } from './ipaddrgroup.ts'
import { jointoken } from './jointoken.ts'
import { kindNames } from './kind.ts'
import type { CheckContext, JsonObject, KindDefinition, KindName } from './kind.ts'
import { networkprofile } from './networkprofile.ts'
import { networksecuritypolicy } from './networksecuritypolicy.ts'
import { pkiprofile } from './pkiprofile.ts'
import { pool } from './pool.ts'
import { poolgroup } from './poolgroup.ts'
import { poolgroupdeploymentpolicy } from './poolgroupdeploymentpolicy.ts'
import { role } from './role.ts'
import { serverautoscalepolicy } from './serverautoscalepolicy.ts'
import { serviceengine } from './serviceengine.ts'
import { serviceenginegroup } from './serviceenginegroup.ts'
import { sslkeyandcertificate } from './sslkeyandcertificate.ts'
import { sslprofile } from './sslprofile.ts'
import { stringgroup } from './stringgroup.ts'
import { systemconfiguration } from './systemconfiguration.ts'
import { tenant } from './tenant.ts'
import { user } from './user.ts'
import { virtualservice } from './virtualservice.ts'
import { vsdatascriptset } from './vsdatascriptset.ts'
import { vsvip } from './vsvip.ts'
import { webhook } from './webhook.ts'
import {
  dropDefaults,
  dropReadOnly,
  dropUnsupported,
  fillDefaults,
  findReadOnly,
  findReferences,
  findSecrets,
  mapReferences,
  mapSecrets
} from './walk.ts'
import type { ReferenceInBody } from './walk.ts'

export type { Checked } from './check.ts'
export type { ReferenceInBody } from './walk.ts'

const catalogue = {
  tenant,
  cloud,
  serviceenginegroup,
  serviceengine,
  jointoken,
  vsvip,
  virtualservice,
  pool,
  poolgroup,
  poolgroupdeploymentpolicy,
  webhook,
  serverautoscalepolicy,
  healthmonitor,
  applicationprofile,
  networkprofile,
  applicationpersistenceprofile,
  sslprofile,
  sslkeyandcertificate,
  pkiprofile,
  httppolicyset,
  networksecuritypolicy,
  errorpageprofile,
  errorpagebody,
  ipaddrgroup,
  stringgroup,
  vsdatascriptset,
  analyticsprofile,
  systemconfiguration,
  user,
  role
} as const satisfies { readonly [K in KindName]: KindDefinition }

export const kinds: Readonly<Record<KindName, KindDefinition>> = catalogue

/** What an operator writes of each kind. */
export type WrittenKind = { readonly [K in KindName]: Written<(typeof catalogue)[K]['fields']> }
/** The same with its defaults filled in. */
export type FilledKind = { readonly [K in KindName]: Filled<(typeof catalogue)[K]['fields']> }

export function isKindName(text: string): text is KindName {
  return (kindNames as readonly string[]).includes(text)
}

/**
 * Checks a document: its shape and, when that is right, the rules that need more than one field.
 *
 * Shapes  body: any JSON; references resolved to uuids for the rules that follow them
 * Returns all violations at once; what is known and not honoured apart, so that a caller can make warnings of it
 */
export function checkResource(kind: KindName, body: unknown, context: CheckContext): Checked {
  const { schema, check } = kinds[kind]
  const shape = checkShape(schema, body)
  if (shape.violations.length > 0) return shape
  const sound = shape.unsupported.length > 0 ? dropUnsupported(schema, body as JsonObject) : (body as JsonObject)
  const remaining = shape.unsupported.length > 0 ? checkShape(schema, sound).violations : []
  return { violations: remaining.length > 0 ? remaining : check(sound, context), unsupported: shape.unsupported }
}

/** With the defaults of every supported field filled in, at every depth that is present. */
export function withDefaults<K extends KindName>(kind: K, body: JsonObject): JsonObject {
  return fillDefaults(kinds[kind].schema, body)
}

/** The same, typed: for a document that passed the check. */
export function filled<K extends KindName>(kind: K, body: JsonObject): FilledKind[K] {
  return fillDefaults(kinds[kind].schema, body) as unknown as FilledKind[K]
}

/** Without what equals its default. */
export function withoutDefaults(kind: KindName, body: JsonObject): JsonObject {
  return dropDefaults(kinds[kind].schema, body)
}

/** Without unsupported fields and words: what is stored when they are ignored. */
export function withoutUnsupported(kind: KindName, body: JsonObject): JsonObject {
  return dropUnsupported(kinds[kind].schema, body)
}

/** Without what the server owns: what is taken of a document that came back as GET gave it. */
export function withoutReadOnly(kind: KindName, body: JsonObject): JsonObject {
  return dropReadOnly(kinds[kind].schema, body)
}

export function referencesIn(kind: KindName, body: JsonObject): readonly ReferenceInBody[] {
  return findReferences(kinds[kind].schema, body)
}

/** The document with each reference replaced by what `change` answers. */
export function withReferences(kind: KindName, body: JsonObject, change: (reference: ReferenceInBody) => string): JsonObject {
  return mapReferences(kinds[kind].schema, body, change)
}

/** Pointers of the secrets that are there. */
export function secretsIn(kind: KindName, body: JsonObject): readonly string[] {
  return findSecrets(kinds[kind].schema, body)
}

/** The document with each secret replaced by what `change` answers; undefined takes it out. */
export function withSecrets(
  kind: KindName,
  body: JsonObject,
  change: (secret: { readonly pointer: string; readonly value: string }) => string | undefined
): JsonObject {
  return mapSecrets(kinds[kind].schema, body, change)
}

/** Pointers of what the server owns. */
export function readOnlyIn(kind: KindName, body: JsonObject): readonly string[] {
  return findReadOnly(kinds[kind].schema, body)
}
