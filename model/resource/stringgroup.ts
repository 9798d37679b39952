import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, inTenant, list, oneOf, shape, text } from './common.ts'

const pair = shape('text', {
  key: text('The text, or the key of a pair.', { required: true, minLength: 1, maxLength: 4096 }),
  value: text('Value of a pair.', { maxLength: 4096 })
})

export const stringgroup = defineKind({
  kind: 'stringgroup',
  title: 'Text group',
  titlePlural: 'Text groups',
  description: 'Texts under one name, for rules.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    type: oneOf(['SG_TYPE_STRING', 'SG_TYPE_KEYVAL'], 'Texts, or pairs of key and value.', { required: true, first: true }),
    kv: list(each(pair), 'The texts.', { maxItems: 10000, first: true })
  },
  unsupported: {
    longest_match: false
  }
})
export type StringGroup = Written<typeof stringgroup.fields>
export type FilledStringGroup = Filled<typeof stringgroup.fields>
