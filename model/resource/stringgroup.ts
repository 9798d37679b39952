import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, inTenant, list, oneOf, shape, text } from './common.ts'
import { patternUsesIn } from './match.ts'
import { takesValuesOf } from './redirect.ts'

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
    kv: list(each(pair), 'The texts.', { maxItems: 10000, first: true }),
    longest_match: flag(
      'Of several texts that match, the value of the longest is taken for pieces of URLs; that of the shortest when false. Patterns are tried in order.',
      { default: false }
    )
  },
  check: (body, context) => {
    const { uuid, pattern } = context
    if (uuid === undefined || pattern === undefined) return []
    const policies = context.all('httppolicyset')
    if (body.type === 'SG_TYPE_STRING' && policies.some(({ body: one }) => takesValuesOf(one, uuid)))
      return [{ pointer: '/type', message: 'must be SG_TYPE_KEYVAL, because a rule makes pieces of URLs of its values' }]
    const uses = [...policies, ...context.all('applicationprofile')].flatMap(({ body: one }) => patternUsesIn(one, uuid))
    if (uses.length === 0) return []
    return (body.kv ?? []).flatMap(({ key }, i) => {
      const message = uses.map(({ isCaseSensitive }) => pattern(key, isCaseSensitive)).find(said => said !== undefined)
      return message === undefined ? [] : [{ pointer: `/kv/${i}/key`, message: `${message}, because a rule matches by it` }]
    })
  }
})
export type StringGroup = Written<typeof stringgroup.fields>
export type FilledStringGroup = Filled<typeof stringgroup.fields>
