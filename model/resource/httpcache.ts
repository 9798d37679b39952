/** Answers that a virtual service keeps for its clients. */
import type { CheckContext } from './kind.ts'
import type { FilledShape } from './field.ts'
import { flag, integer, list, nested, ref, shape, text } from './common.ts'
import { pathMatch, textViolations } from './match.ts'
import type { Violation } from './violation.ts'

const contentType = (description: string) =>
  text(description, {
    pattern: "^(?:\\*/\\*|[!#$%&'*+.^_`|~0-9A-Za-z-]+/(?:\\*|[!#$%&'*+.^_`|~0-9A-Za-z-]+))$",
    say: 'must be a content type such as text/css, text/* or */*',
    maxLength: 128
  })

export const httpCacheConfig = shape('cache config', {
  enabled: flag('Answers are kept as RFC 9111 says, and given to others that ask for the same.', { default: false, first: true }),
  max_cache_size: integer('What one engine keeps for one virtual service; its workers have equal parts of it.', {
    default: 0,
    min: 0,
    max: 68719476736,
    unit: 'bytes',
    special: { '0': '128 MB' }
  }),
  min_object_size: integer('Smaller bodies are not kept.', { default: 100, min: 0, max: 1073741824, unit: 'bytes' }),
  max_object_size: integer('Larger bodies are not kept.', { default: 4194304, min: 1, max: 1073741824, unit: 'bytes' }),
  default_expire: integer('Lifetime of an answer that may be kept and does not say for how long.', {
    default: 600,
    min: 0,
    max: 31536000,
    unit: 's'
  }),
  heuristic_expire: flag('An answer that says no lifetime has a tenth of the time since it was last modified, at most a day.', {
    default: false
  }),
  aggressive: flag('Answers that say nothing about being kept are kept as well, but for requests with cookies.', { default: false }),
  query_cacheable: flag('Answers to requests with a query are kept; the query is a part of what is asked for.', { default: false }),
  ignore_request_cache_control: flag('What clients say in Cache-Control and Pragma is not heard.', { default: false }),
  uri_non_cacheable: nested(pathMatch, 'Paths whose answers are not kept.', {}),
  mime_types_list: list(contentType('A content type.'), 'Content types that are kept; every type when this and its groups are empty.', {
    maxItems: 256
  }),
  mime_types_group_refs: list(ref('stringgroup', 'A text group of content types.', {}), 'More of them.', { maxItems: 64 }),
  mime_types_block_lists: list(contentType('A content type.'), 'Content types that are not kept.', { maxItems: 256 }),
  mime_types_block_group_refs: list(ref('stringgroup', 'A text group of content types.', {}), 'More of them.', { maxItems: 64 }),
  age_header: flag('Say in Age how old an answer is.', { default: true }),
  date_header: flag('Say in Date when an answer came that does not say itself when it was made.', { default: true }),
  xcache_header: flag('Say in X-Cache that an answer was kept: HIT, STALE or REVALIDATED.', { default: true })
})

export function cacheViolations(config: FilledShape<typeof httpCacheConfig> | undefined, context: CheckContext): Violation[] {
  if (config === undefined) return []
  const at = '/http_profile/cache_config'
  const { min_object_size: min, max_object_size: max, max_cache_size: size, uri_non_cacheable: excluded } = config
  return [
    ...(min > max ? [{ pointer: `${at}/min_object_size`, message: `must not be greater than max_object_size, which is ${max}` }] : []),
    ...(size > 0 && max > size / 2
      ? [{ pointer: `${at}/max_object_size`, message: `must not be greater than half of max_cache_size, which is ${size}` }]
      : []),
    ...(excluded === undefined ? [] : textViolations(excluded, `${at}/uri_non_cacheable`, context))
  ]
}
