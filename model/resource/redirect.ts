/** Where clients are sent instead: URLs made of pieces. */
import { each, flag, integer, list, nested, oneOf, redirectStatus, shape, text } from './common.ts'
import type { FilledShape } from './field.ts'
import type { Violation } from './violation.ts'

export const uriParam = shape('part of a URL', {
  type: oneOf(['URI_PARAM_TYPE_TOKENIZED'], 'Made of pieces.', { required: true }),
  tokens: list(
    each(
      shape('piece', {
        type: oneOf(['URI_TOKEN_TYPE_HOST', 'URI_TOKEN_TYPE_PATH', 'URI_TOKEN_TYPE_STRING'], 'Where the piece comes from.', {
          required: true,
          unsupported: ['URI_TOKEN_TYPE_STRING_GROUP', 'URI_TOKEN_TYPE_REGEX', 'URI_TOKEN_TYPE_REGEX_QUERY']
        }),
        str_value: text('For STRING: the text.', {}),
        start_index: integer('For HOST and PATH: first segment, from 0.', { min: 0, max: 65535 }),
        end_index: integer('For HOST and PATH: last segment.', { min: 0, max: 65535, special: { '65535': 'to the end' } })
      })
    ),
    'The pieces, joined by dots in a host and by slashes in a path.',
    { required: true, minItems: 1, maxItems: 64 }
  )
})

export const redirectAction = shape('redirect', {
  protocol: oneOf(['HTTP', 'HTTPS'], 'Protocol to go to.', { required: true }),
  host: nested(uriParam, 'Host to go to; that of the request when left out.', {}),
  port: integer('Port to go to; that of the protocol when left out.', { min: 1, max: 65535 }),
  path: nested(uriParam, 'Path to go to; that of the request when left out.', {}),
  keep_query: flag('Keep the query of the request.', { default: true }),
  add_string: text('Added to the query.', { maxLength: 4096 }),
  status_code: oneOf(redirectStatus, 'Status of the answer.', { default: 'HTTP_REDIRECT_STATUS_CODE_302' })
})

/** What becomes of a `Location` that a server answers with. */
export const locationAction = shape('location rewrite', {
  protocol: oneOf(['HTTP', 'HTTPS'], 'Protocol to go to.', { required: true }),
  host: nested(uriParam, 'Host to go to; its pieces are those of the Location.', {}),
  port: integer('Port to go to; that of the protocol when left out.', { min: 1, max: 65535 }),
  path: nested(uriParam, 'Path to go to; its pieces are those of the Location.', {}),
  keep_query: flag('Keep the query of the Location.', { default: true })
})

/** A piece needs its text, and a last segment that is not before the first. */
export function uriViolations(param: FilledShape<typeof uriParam> | undefined, pointer: string): Violation[] {
  return (param?.tokens ?? []).flatMap((token, i) => {
    const at = `${pointer}/tokens/${i}`
    if (token.type === 'URI_TOKEN_TYPE_STRING')
      return token.str_value === undefined ? [{ pointer: `${at}/str_value`, message: `is required, because type is ${token.type}` }] : []
    return (token.start_index ?? 0) > (token.end_index ?? 65535)
      ? [{ pointer: `${at}/end_index`, message: 'must not be below start_index' }]
      : []
  })
}
