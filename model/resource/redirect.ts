/** Where clients are sent instead: URLs made of pieces. */
import { each, flag, integer, list, nested, oneOf, redirectStatus, shape, text } from './common.ts'
import type { FilledShape } from './field.ts'
import type { CheckContext, Json, JsonObject } from './kind.ts'
import type { Matched } from './match.ts'
import type { Violation } from './violation.ts'

export const uriParam = shape('part of a URL', {
  type: oneOf(['URI_PARAM_TYPE_TOKENIZED'], 'Made of pieces.', { required: true }),
  tokens: list(
    each(
      shape('piece', {
        type: oneOf(
          [
            'URI_TOKEN_TYPE_HOST',
            'URI_TOKEN_TYPE_PATH',
            'URI_TOKEN_TYPE_STRING',
            'URI_TOKEN_TYPE_STRING_GROUP',
            'URI_TOKEN_TYPE_REGEX',
            'URI_TOKEN_TYPE_REGEX_QUERY'
          ],
          'Where the piece comes from: HOST and PATH of the request, STRING as it is written; of the rule that matched STRING_GROUP the value of the text that was found, REGEX and REGEX_QUERY what the groups of its pattern for the path or the query caught.',
          { required: true }
        ),
        str_value: text('For STRING: the text.', {}),
        start_index: integer('For HOST and PATH: first segment, from 0. For REGEX: first group, 1 when left out; 0 is all that matched.', {
          min: 0,
          max: 65535
        }),
        end_index: integer('For HOST, PATH and REGEX: last segment or group.', {
          min: 0,
          max: 65535,
          special: { '65535': 'to the end' }
        })
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

/** The rule that pieces may come from. */
export interface PieceSource {
  readonly match: Matched
  readonly context: CheckContext
}

/**
 * A piece needs its text, a last segment that is not before the first, and a rule that has what it takes from it.
 *
 * Shapes  source: left out where no rule has matched
 */
export function uriViolations(param: FilledShape<typeof uriParam> | undefined, pointer: string, source?: PieceSource): Violation[] {
  return (param?.tokens ?? []).flatMap((token, i) => {
    const at = `${pointer}/tokens/${i}`
    const { type, str_value: given, start_index: start, end_index: end } = token
    if (type === 'URI_TOKEN_TYPE_STRING')
      return given === undefined ? [{ pointer: `${at}/str_value`, message: `is required, because type is ${type}` }] : []
    if (type === 'URI_TOKEN_TYPE_STRING_GROUP') return groupViolations(`${at}/type`, source)
    if (type === 'URI_TOKEN_TYPE_REGEX' && source?.match?.path?.match_criteria !== 'REGEX_MATCH')
      return [{ pointer: `${at}/type`, message: 'needs a match of the rule whose path is REGEX_MATCH' }]
    if (type === 'URI_TOKEN_TYPE_REGEX_QUERY' && source?.match?.query?.match_criteria !== 'QUERY_MATCH_REGEX_MATCH')
      return [{ pointer: `${at}/type`, message: 'needs a match of the rule whose query is QUERY_MATCH_REGEX_MATCH' }]
    return (start ?? 0) > (end ?? 65535) ? [{ pointer: `${at}/end_index`, message: 'must not be below start_index' }] : []
  })
}

/** A value is found where a match asks text groups only, does not ask for what is not there, and the groups are of pairs. */
function groupViolations(pointer: string, source: PieceSource | undefined): Violation[] {
  const part = groupMatchOf(source?.match)
  if (source === undefined || part === undefined || /NOT|EXISTS/.test(part.match_criteria) || (part.match_str ?? []).length > 0)
    return [{ pointer, message: 'needs a match of the rule whose path or query is one of string_group_refs, without match_str' }]
  const isOfTexts = (part.string_group_refs ?? []).some(ref => source.context.resource('stringgroup', ref)?.['type'] === 'SG_TYPE_STRING')
  return isOfTexts ? [{ pointer, message: 'needs a text group of type SG_TYPE_KEYVAL: texts have no values' }] : []
}

/** The part of a match that a value of a text group comes from: the path where it asks groups, else the query. */
export function groupMatchOf(match: Matched): NonNullable<Matched>['path'] | NonNullable<Matched>['query'] {
  return [match?.path, match?.query].find(part => (part?.string_group_refs ?? []).length > 0)
}

/** Whether a rule anywhere in a document makes pieces of the values of a text group. */
export function takesValuesOf(body: Json, group: string): boolean {
  if (Array.isArray(body)) return body.some(item => takesValuesOf(item as Json, group))
  if (body === null || typeof body !== 'object') return false
  const { match, ...rest } = body as JsonObject
  const refs = groupMatchOf(match as Matched)?.string_group_refs ?? []
  return refs.includes(group) ? hasValuePiece(rest) : Object.values(rest).some(item => takesValuesOf(item, group))
}

function hasValuePiece(body: Json): boolean {
  if (Array.isArray(body)) return body.some(item => hasValuePiece(item as Json))
  if (body === null || typeof body !== 'object') return false
  return (body as JsonObject)['type'] === 'URI_TOKEN_TYPE_STRING_GROUP' || Object.values(body).some(hasValuePiece)
}
