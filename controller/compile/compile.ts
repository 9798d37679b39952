/** The door: resources and a placement in, one engine's snapshot out. */
import { createHash } from 'node:crypto'
import { canonicalJson, manifestText } from '#model/snapshot/canonical.ts'
import { SNAPSHOT_VERSION } from '#model/snapshot/snapshot.ts'
import type { BgpSpec, Layer2Spec, Manifest, Part, PartEntry, StapleSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { PartCache } from './cache.ts'
import type { Made, NotMade } from './cache.ts'
import { addressesOf as vipsOf, protocolOf } from '#model/resource/conflict.ts'
import { withShares } from './limit.ts'
import { addressSet, listenersOf } from './listen.ts'
import { groupRanges } from './match.ts'
import { poolPart } from './pool.ts'
import { CannotBuild, Reader } from './resources.ts'
import type { Resources } from './resources.ts'
import { servicePart } from './service.ts'
import { certificatePart } from './tls.ts'

export { PartCache } from './cache.ts'
export type { Resource, Resources } from './resources.ts'

export interface CompileInput {
  /** The revision that `resources` stand at. */
  readonly revision: number
  readonly resources: Resources
  readonly engine: {
    readonly uuid: string
    readonly name: string
    /** Uuid of its group; the default when undefined. */
    readonly group: string | undefined
    /** Where it is; left out: nobody said. */
    readonly zone?: string
    /** Addresses of its host, as it told them. */
    readonly addresses: readonly string[]
    /** Of its group: the first encrypts, all decrypt; left out, it makes its own. */
    readonly ticketKeys?: readonly string[]
    /** Where addresses move between engines: which, and who they are. Each is bound as it is. */
    readonly layer2?: Layer2Spec
    /** Where it announces addresses: which. Each is bound as it is. */
    readonly bgp?: BgpSpec
  }
  /** Uuids of the virtual services that are placed on it. */
  readonly virtualServices: readonly string[]
  /** Uuids of the enabled children of a virtual service, in a steady order; none when left out. */
  readonly childrenOf?: (uuid: string) => readonly string[]
  /** How many engines a virtual service is placed on, which share its limits; one when left out. */
  readonly enginesOf?: (uuid: string) => number
  /** Opens what the store keeps sealed. */
  readonly openSecret: (sealed: string) => string
  /** A secret of 32 bytes in base64, always the same for a purpose. */
  readonly deriveSecret: (purpose: string) => string
  /** What is stapled to a certificate now. */
  readonly stapleOf?: (uuid: string) => StapleSpec | undefined
  /** Parts of earlier calls; shared by all engines, swept by the caller after each round. */
  readonly cache?: PartCache
}

/** A virtual service that is left out, and why. */
export interface Problem {
  readonly virtualService: string
  readonly message: string
}

export interface Compiled {
  readonly manifest: Manifest
  /** By hash: every part that the manifest names. */
  readonly parts: ReadonlyMap<string, Part>
  readonly problems: readonly Problem[]
  /** Keys of the cache that it was made of: as long as none of them is dropped, the same input gives the same. */
  readonly madeOf: ReadonlySet<string>
}

/**
 * Compiles what one engine runs.
 *
 * Returns the same manifest and parts for the same input, with whatever cache; what cannot be built is left out and told
 * Cost    with a warm cache, one look at each resource that a part was made from; at each part when the cache followed
 */
export function compile(input: CompileInput): Compiled {
  const cache = input.cache ?? new PartCache()
  const entries = new Map<string, Made>()
  const problems: Problem[] = []
  const addresses = addressSet(input.engine.addresses)
  const build: Build = { input, cache, madeOf: new Set() }
  const add = (made: Made): void => void entries.set(`${made.part.kind} ${made.part.id}`, made)

  const { uuid, name, group = '', zone = '', ticketKeys = [], layer2, bgp } = input.engine
  const moving = layer2 === undefined && bgp === undefined ? '' : sha256(canonicalJson({ layer2, bgp }))
  const engine = remember(build, `engine ${uuid} ${name} ${group} ${zone} ${ticketKeys.join(' ')} ${moving}`, reader =>
    enginePart(reader, input.engine)
  )
  if ('part' in engine) add(engine)
  for (const uuid of input.virtualServices) {
    const built = buildService(build, uuid, addresses)
    if ('problem' in built) problems.push({ virtualService: uuid, message: built.problem })
    else {
      for (const made of built.all) add(made)
      for (const child of input.childrenOf?.(uuid) ?? []) {
        const hosted = buildChild(build, child, enginesOf(input, uuid))
        if ('problem' in hosted) problems.push({ virtualService: child, message: hosted.problem })
        else for (const made of hosted.all) add(made)
      }
    }
  }

  for (const id of new Set([...entries.values()].flatMap(one => one.http2PoolIds))) {
    const pool = remember(build, `pool ${id} http2`, reader => ({ ...poolPart(reader, reader.need('pool', id)), isHttp2: true }))
    if ('part' in pool) add(pool)
  }

  const made = [...entries.values()].toSorted((a, b) => compareText(a.part.kind, b.part.kind) || compareText(a.part.id, b.part.id))
  const parts: PartEntry[] = made.map(({ part: { kind, id }, hash }) => ({ kind, id, hash }))
  return {
    manifest: {
      version: SNAPSHOT_VERSION,
      revision: input.revision,
      engineId: input.engine.uuid,
      parts,
      hash: sha256(manifestText(parts))
    },
    parts: new Map(made.map(({ part, hash }) => [hash, part])),
    problems,
    madeOf: build.madeOf
  }
}

/** One call of `compile`. */
interface Build {
  readonly input: CompileInput
  readonly cache: PartCache
  readonly madeOf: Set<string>
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

function enginePart(reader: Reader, { uuid, name, group, zone, ticketKeys, layer2, bgp }: CompileInput['engine']): Part {
  const settings = reader.orSystem('serviceenginegroup', group, 'Default-Group')?.body
  return {
    kind: 'engine',
    id: uuid,
    name,
    drainTimeoutS: settings?.vs_scalein_timeout ?? 30,
    ...(zone === undefined ? {} : { zone }),
    ...(ticketKeys === undefined ? {} : { ticketKeys }),
    ...(layer2 === undefined ? {} : { layer2 }),
    ...(bgp === undefined ? {} : { bgp })
  }
}

/** Makes a part, or takes it from the cache; a problem is remembered as well. */
function remember({ input, cache, madeOf }: Build, key: string, make: (reader: Reader) => Part): Made | NotMade {
  madeOf.add(key)
  const known = cache.find(key, input.resources, input.revision)
  if (known !== undefined) return known
  const reader = new Reader(input.resources, input)
  const made = attempt(() => {
    const part = make(reader)
    return {
      part,
      hash: sha256(canonicalJson(part)),
      poolIds: [...reader.poolIds],
      certificateIds: [...reader.certificateIds],
      http2PoolIds: [...reader.http2PoolIds]
    }
  })
  cache.keep(key, made, reader.dependencies, input.revision)
  return made
}

function attempt(make: () => Made): Made | NotMade {
  try {
    return make()
  } catch (error) {
    if (error instanceof CannotBuild) return { problem: error.message }
    throw error
  }
}

/** A virtual service with every part that it points to: all of it or nothing. */
function buildService(build: Build, uuid: string, own: ReadonlySet<string>): { readonly all: readonly Made[] } | NotMade {
  const { input } = build
  const { layer2, bgp } = input.engine
  const addresses = layer2 === undefined && bgp === undefined ? own : vipsOfService(input, uuid)
  const children = input.childrenOf?.(uuid) ?? []
  const engines = enginesOf(input, uuid)
  const service = remember(build, `${serviceKey(input, uuid, addresses)} ${engines} ${children.join(' ')}`, reader => {
    const read = reader.need('virtualservice', uuid)
    if (read.body.vsvip_ref === undefined) throw new CannotBuild('it has no addresses')
    const vsvip = reader.need('vsvip', read.body.vsvip_ref)
    const part = withShares(servicePart(reader, read, children), engines, () => input.deriveSecret(LIMIT_KEYS))
    const protocol = part.application === 'udp' ? 'UDP' : 'TCP'
    return {
      ...withFingerprint(reader, withSessions(reader, part), [uuid, ...children]),
      listeners: listenersOf(read.body, vsvip.raw, addresses, protocol, group => groupRanges(reader, group))
    }
  })
  return withParts(build, service)
}

/** Follows TLS sessions where a pool keeps clients by them. */
function withSessions<T extends Pick<VirtualServicePart, 'tls'>>(reader: Reader, part: T): T {
  const { tls } = part
  const isByTls = (uuid: string): boolean => {
    const profile = reader.need('pool', uuid).body.application_persistence_profile_ref
    return profile !== undefined && reader.need('applicationpersistenceprofile', profile).body.persistence_type === 'PERSISTENCE_TYPE_TLS'
  }
  if (tls === null || !tls.isSessionReuseEnabled || ![...reader.poolIds].some(isByTls)) return part
  return { ...part, tls: { ...tls, followsSessions: true } }
}

/** Reads what a client's program is where a rule wants to know it: of the service, or of a child that it ends TLS for. */
function withFingerprint<T extends Pick<VirtualServicePart, 'tls'>>(reader: Reader, part: T, uuids: readonly string[]): T {
  const asks = (body: object): boolean => /"tls_fingerprint_match"|\$ssl_ja[34]/.test(JSON.stringify(body))
  const isAsked = uuids
    .map(uuid => reader.need('virtualservice', uuid).body)
    .some(
      body => asks(body) || (body.http_policies ?? []).some(({ http_policy_set_ref: ref }) => asks(reader.need('httppolicyset', ref).body))
    )
  return part.tls !== null && isAsked ? { ...part, tls: { ...part.tls, readsFingerprint: true } } : part
}

/** A child: it has no listeners of its own. */
function buildChild(build: Build, uuid: string, engines: number): { readonly all: readonly Made[] } | NotMade {
  const child = remember(build, `virtual-service ${uuid} hosted ${engines}`, reader => ({
    ...withShares(servicePart(reader, reader.need('virtualservice', uuid)), engines, () => build.input.deriveSecret(LIMIT_KEYS)),
    listeners: []
  }))
  return withParts(build, child)
}

const followsSessions = (part: Part): boolean => part.kind === 'virtual-service' && part.tls?.followsSessions === true

function withParts(build: Build, service: Made | NotMade): { readonly all: readonly Made[] } | NotMade {
  if ('problem' in service) return service
  const all = [service]
  // Grows while it is walked: a pool may name another that stands in for it.
  const poolIds = new Set(service.poolIds)
  for (const id of poolIds) {
    const pool = remember(build, `pool ${id}`, reader => poolPart(reader, reader.need('pool', id)))
    if ('problem' in pool) return pool
    const { part } = pool
    if (part.kind === 'pool' && part.usesServicePort === true && isHttp(service.part))
      return { problem: `pool ${part.name} has use_service_port, which needs an application profile of layer 4` }
    if (part.kind === 'pool' && part.persistence?.is === 'tls-session' && !followsSessions(service.part))
      return {
        problem: `pool ${part.name} keeps clients by their TLS sessions, which needs a virtual service that ends TLS itself and lets sessions be resumed`
      }
    if (part.kind === 'pool' && part.servers.some(({ path }) => path !== undefined) && needsAddresses(service.part))
      return {
        problem: `pool ${part.name} has a server with a unix_path, which takes no datagrams, nor what the kernel forwards as it came`
      }
    all.push(pool)
    for (const other of pool.poolIds) poolIds.add(other)
  }
  const certificateIds = new Set(all.flatMap(made => made.certificateIds))
  for (const id of certificateIds) {
    const staple = build.input.stapleOf?.(id)
    const certificate = remember(build, `certificate ${id} ${staple === undefined ? '' : sha256(staple.response)}`, reader =>
      certificatePart(reader, reader.need('sslkeyandcertificate', id), build.input.openSecret, staple)
    )
    if ('problem' in certificate) return certificate
    all.push(certificate)
  }
  return { all }
}

/** What the secret is for by which engines number the keys of limits. */
const LIMIT_KEYS = 'keys of rate limits'
const enginesOf = (input: CompileInput, uuid: string): number => Math.max(1, input.enginesOf?.(uuid) ?? 1)

const needsAddresses = (part: Part): boolean =>
  part.kind === 'virtual-service' && (part.application === 'udp' || part.forwarding === 'kernel-only')
const isHttp = (part: Part): boolean => part.kind === 'virtual-service' && part.application === 'http'

/** Engines that bind the same addresses for it share a part. */
function serviceKey(input: CompileInput, uuid: string, addresses: ReadonlySet<string>): string {
  const { resources } = input
  const body = resources.get('virtualservice', uuid)?.body ?? {}
  const isUdp = protocolOf(body, { resource: (kind, id) => resources.get(kind, id)?.body }) === 'UDP'
  const own = isUdp ? [...addresses] : [...vipsOfService(input, uuid)].filter(address => addresses.has(address))
  return `virtual-service ${uuid} ${own.join(' ')}`
}

function vipsOfService({ resources }: CompileInput, uuid: string): ReadonlySet<string> {
  const ref = resources.get('virtualservice', uuid)?.body['vsvip_ref']
  return new Set(vipsOf(typeof ref === 'string' ? resources.get('vsvip', ref)?.body : undefined))
}
