/** Makes the definition of a kind from its fields. */
import { fillDefaults } from './walk.ts'
import { objectSchema } from './field.ts'
import type { Fields, Filled, UnsupportedFields } from './field.ts'
import type { CheckContext, KindDefinition, KindName } from './kind.ts'
import type { Violation } from './violation.ts'

export interface KindOf<T extends Fields> extends KindDefinition {
  readonly fields: T
}

/** `check` sees the document with its defaults filled in and its references resolved, only when the shape is right. */
export function defineKind<const T extends Fields>(definition: {
  readonly kind: KindName
  readonly title: string
  readonly titlePlural: string
  readonly description: string
  readonly scope: KindDefinition['scope']
  readonly fields: T
  readonly unsupported?: UnsupportedFields
  readonly check?: (body: Filled<T>, context: CheckContext) => readonly Violation[]
}): KindOf<T> {
  const { kind, title, titlePlural, description, scope, fields, unsupported, check } = definition
  const schema = objectSchema(title.toLowerCase(), fields, unsupported, { description })
  return {
    kind,
    title,
    titlePlural,
    description,
    scope,
    fields,
    schema,
    check: (body, context) => check?.(fillDefaults(schema, body) as unknown as Filled<T>, context) ?? []
  }
}
