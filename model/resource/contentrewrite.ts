/** Texts that are replaced in the bodies of answers. */
import type { CheckContext } from './kind.ts'
import type { FilledShape } from './field.ts'
import { each, flag, integer, list, nested, oneOf, ref, shape, text } from './common.ts'
import type { Violation } from './violation.ts'

const searched = shape('search string', {
  type: oneOf(['SEARCH_LITERAL_STRING', 'SEARCH_REGEX'], 'As it is written, or a regular expression.', {
    default: 'SEARCH_LITERAL_STRING',
    unsupported: ['SEARCH_DATASCRIPT_VAR', 'SEARCH_AVI_VAR']
  }),
  val: text('What is looked for; upper and lower case are two.', { required: true, minLength: 1, maxLength: 1024 })
})

const replacement = shape('replacement string', {
  type: oneOf(['LITERAL_STRING'], 'As it is written.', {
    default: 'LITERAL_STRING',
    unsupported: ['DATASCRIPT_VAR', 'AVI_VAR', 'COMBINATION_STRING']
  }),
  val: text('What takes its place; nothing when left out.', { maxLength: 1024 })
})

const pair = shape('search and replace pair', {
  search_string: nested(searched, 'What is looked for.', { required: true }),
  replacement_string: nested(replacement, 'What takes its place.', {})
})

const rule = shape('content rewrite rule', {
  index: integer('Rules run in order of it.', { default: 0, min: 0, max: 2147483647 }),
  name: text('Name of the rule.', { first: true }),
  enable: flag('The rule runs.', { default: true }),
  pairs: list(each(pair), 'Each works on what the one before it left.', { maxItems: 16, first: true })
})

export const contentRewriteProfile = shape('content rewrite', {
  rewritable_content_ref: ref('stringgroup', 'Content types whose bodies are changed; text/html when left out.', {}),
  rsp_rewrite_rules: list(each(rule), 'What is replaced in answers.', { maxItems: 16, first: true })
})

/** What would be read as bytes of several characters. */
const beyondAscii = /[\u0080-\uffff]/

export function contentRewriteViolations(
  profile: FilledShape<typeof contentRewriteProfile> | undefined,
  { pattern }: CheckContext
): Violation[] {
  return (profile?.rsp_rewrite_rules ?? []).flatMap(({ pairs = [] }, i) =>
    pairs.flatMap(({ search_string: { type, val } }, j) => {
      if (type !== 'SEARCH_REGEX') return []
      const message = beyondAscii.test(val) ? 'must be of ASCII characters' : pattern?.(val, true)
      return message === undefined ? [] : [{ pointer: `/content_rewrite/rsp_rewrite_rules/${i}/pairs/${j}/search_string/val`, message }]
    })
  )
}
