/** What is done to answers on their way: which are kept, and what is replaced in them. */
import type { FilledShape } from '#model/resource/field.ts'
import type { httpProfile } from '#model/resource/applicationprofile.ts'
import type { contentRewriteProfile } from '#model/resource/contentrewrite.ts'
import type { CacheSpec } from '#model/snapshot/content.ts'
import type { VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { textMatch } from './match.ts'
import type { Reader } from './resources.ts'

type Rewrite = FilledShape<typeof contentRewriteProfile>
type HttpProfile = FilledShape<typeof httpProfile>

/** `0` of max_cache_size. */
const AUTO_CACHE_BYTES = 134_217_728

export function cacheOf(reader: Reader, profile: HttpProfile | undefined): Pick<VirtualServicePart, 'cache'> {
  const config = profile?.cache_config
  if (config?.enabled !== true) return {}
  const typesIn = (given: readonly string[] = [], groups: readonly string[] = []): string[] => {
    const grouped = groups.flatMap(ref => (reader.need('stringgroup', ref).body.kv ?? []).map(({ key }) => key))
    return [...new Set([...given, ...grouped].map(type => type.toLowerCase()))]
  }
  const cache: CacheSpec = {
    maxBytes: config.max_cache_size === 0 ? AUTO_CACHE_BYTES : config.max_cache_size,
    minObjectBytes: config.min_object_size,
    maxObjectBytes: config.max_object_size,
    defaultExpireS: config.default_expire,
    isHeuristic: config.heuristic_expire,
    isAggressive: config.aggressive,
    ignoresRequests: config.ignore_request_cache_control,
    keepsQueries: config.query_cacheable,
    sendsAge: config.age_header,
    sendsDate: config.date_header,
    sendsXCache: config.xcache_header,
    excludedPaths: config.uri_non_cacheable === undefined ? null : textMatch(reader, config.uri_non_cacheable),
    contentTypes: typesIn(config.mime_types_list, config.mime_types_group_refs),
    blockedContentTypes: typesIn(config.mime_types_block_lists, config.mime_types_block_group_refs)
  }
  return { cache }
}

export function contentRewriteOf(reader: Reader, given: Rewrite | undefined): Pick<VirtualServicePart, 'contentRewrite'> {
  const rules = (given?.rsp_rewrite_rules ?? []).filter(rule => rule.enable).toSorted((a, b) => a.index - b.index)
  const replacements = rules
    .flatMap(({ pairs }) => pairs ?? [])
    .map(({ search_string: search, replacement_string: by }) => ({
      search: search.val,
      isPattern: search.type === 'SEARCH_REGEX',
      by: by?.val ?? ''
    }))
  if (replacements.length === 0) return {}
  const ref = given?.rewritable_content_ref
  const types = ref === undefined ? ['text/html'] : (reader.need('stringgroup', ref).body.kv ?? []).map(({ key }) => key.toLowerCase())
  return { contentRewrite: { contentTypes: types, replacements } }
}
