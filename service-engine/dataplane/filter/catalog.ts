/** kind -> what the engine does about it, and the chain that a virtual service gets. */
import type { VirtualServicePart } from '#model/snapshot/snapshot.ts'
import type { RuleBook } from '../exchange/exchange.ts'
import { compileNetworkRules, type NetworkTest } from '../exchange/network-rules.ts'
import type { Filter } from './filter.ts'
import { bandwidth, type BandwidthSettings } from './bandwidth/bandwidth.ts'
import { clientCertificate, type ClientCertificateSettings } from './client-certificate/client-certificate.ts'
import { compression, type CompressionSettings } from './compression/compression.ts'
import { contentRewrite, type ContentRewriteSettings } from './content-rewrite/content-rewrite.ts'
import { cors, type CorsSettings } from './cors/cors.ts'
import { fault, type FaultSettings } from './fault/fault.ts'
import { forwarded, type ForwardedSettings } from './forwarded/forwarded.ts'
import { httpsRedirect, type HttpsRedirectSettings } from './https-redirect/https-redirect.ts'
import { mirror, type MirrorSettings } from './mirror/mirror.ts'
import { networkSecurity, type NetworkSecuritySettings } from './network-security/network-security.ts'
import { policy, type PolicySettings } from './policy/policy.ts'
import { rateLimit, type RateLimitSettings } from './rate-limit/rate-limit.ts'
import { scriptPlainAnswers, scriptRequestBody, scriptResponseBody } from './script/bodies.ts'
import { scriptRequest, scriptResponse, type Scripts, type ScriptsSettings } from './script/script.ts'
import { serverHeader, type ServerHeaderSettings } from './server-header/server-header.ts'
import { strictTransport, type StrictTransportSettings } from './strict-transport/strict-transport.ts'

/** Adding a row here, and below, is the whole of declaring a filter. */
export interface FilterSettings {
  readonly 'network-security': NetworkSecuritySettings
  readonly 'client-certificate': ClientCertificateSettings
  readonly 'https-redirect': HttpsRedirectSettings
  readonly forwarded: ForwardedSettings
  readonly 'rate-limit': RateLimitSettings
  readonly cors: CorsSettings
  readonly policy: PolicySettings
  readonly 'script-request': ScriptsSettings
  readonly 'script-request-body': ScriptsSettings
  readonly 'script-response': ScriptsSettings
  readonly 'script-response-body': ScriptsSettings
  readonly 'script-plain-answers': object
  readonly fault: FaultSettings
  readonly bandwidth: BandwidthSettings
  readonly compression: CompressionSettings
  readonly 'content-rewrite': ContentRewriteSettings
  readonly mirror: MirrorSettings
  readonly 'strict-transport': StrictTransportSettings
  readonly 'server-header': ServerHeaderSettings
}

export type FilterKind = keyof FilterSettings

const catalog: { readonly [K in FilterKind]: (settings: FilterSettings[K]) => Filter } = {
  'network-security': networkSecurity,
  'client-certificate': clientCertificate,
  'https-redirect': httpsRedirect,
  forwarded,
  'rate-limit': rateLimit,
  cors,
  policy,
  'script-request': scriptRequest,
  'script-request-body': scriptRequestBody,
  'script-response': scriptResponse,
  'script-response-body': scriptResponseBody,
  'script-plain-answers': scriptPlainAnswers,
  fault,
  bandwidth,
  compression,
  'content-rewrite': contentRewrite,
  mirror,
  'strict-transport': strictTransport,
  'server-header': serverHeader
}

export function makeFilter<K extends FilterKind>(kind: K, settings: FilterSettings[K]): Filter {
  return catalog[kind](settings)
}

/** What is compiled elsewhere, where a virtual service asks for it. */
export interface OwnSteps {
  readonly denied?: NetworkTest
  readonly clientCertificate?: ClientCertificateSettings | undefined
  readonly requestLimit?: RateLimitSettings['refused'] | undefined
  readonly fault?: FaultSettings | undefined
  readonly bandwidth?: BandwidthSettings | undefined
  readonly contentRewrite?: ContentRewriteSettings | undefined
  readonly mirror?: MirrorSettings | undefined
  readonly scripts?: Scripts | undefined
}

/**
 * The filters that a virtual service needs, in the order in which they see a request.
 *
 * Throws  RangeError on an address that cannot be read
 */
export function filtersFor(part: VirtualServicePart, rules: RuleBook, own: OwnSteps = {}): readonly Filter[] {
  const { http } = part
  const chain: Filter[] = []
  if (part.networkRules.length > 0)
    chain.push(makeFilter('network-security', { denied: own.denied ?? compileNetworkRules(part.networkRules) }))
  if (own.clientCertificate !== undefined) chain.push(makeFilter('client-certificate', own.clientCertificate))
  if (http.serverHeader === 'remove') chain.push(makeFilter('server-header', {}))
  if (http.hstsMaxAgeS !== null)
    chain.push(makeFilter('strict-transport', { maxAgeS: http.hstsMaxAgeS, hasSubdomains: http.hasHstsSubdomains }))
  chain.push(
    makeFilter('forwarded', {
      xffHeader: http.xffHeader,
      xffUpdate: http.xffUpdate,
      hasForwardedProto: http.hasForwardedProto,
      requestIdHeader: http.requestIdHeader
    })
  )
  const tlsPort = part.listeners.find(listener => listener.isTls)?.port
  if (http.isHttpToHttps) chain.push(makeFilter('https-redirect', { port: tlsPort ?? 443 }))
  if (own.requestLimit !== undefined) chain.push(makeFilter('rate-limit', { refused: own.requestLimit }))
  if (part.cors !== undefined) chain.push(makeFilter('cors', part.cors))
  // Answers go the other way: scripts see what rules made of them.
  if (own.scripts?.has('response-body') === true) chain.push(makeFilter('script-response-body', { scripts: own.scripts }))
  if (own.scripts?.has('response') === true) chain.push(makeFilter('script-response', { scripts: own.scripts }))
  if (part.requestRules.length > 0 || part.responseRules.length > 0) chain.push(makeFilter('policy', { rules }))
  if (own.scripts?.has('request') === true) chain.push(makeFilter('script-request', { scripts: own.scripts }))
  if (own.scripts?.has('request-body') === true) chain.push(makeFilter('script-request-body', { scripts: own.scripts }))
  if (own.fault !== undefined) chain.push(makeFilter('fault', own.fault))
  if (own.bandwidth !== undefined) chain.push(makeFilter('bandwidth', own.bandwidth))
  // What servers get is settled: the copy is of that.
  if (part.compression !== undefined) chain.push(makeFilter('compression', part.compression))
  // After compression: it packs what this made.
  if (own.contentRewrite !== undefined) chain.push(makeFilter('content-rewrite', own.contentRewrite))
  if (own.scripts?.has('response-body') === true) chain.push(makeFilter('script-plain-answers', {}))
  if (own.mirror !== undefined) chain.push(makeFilter('mirror', own.mirror))
  return chain
}
