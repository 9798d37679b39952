/** The children of a virtual service, by the names that lead to them. */
import type { ClientAuthSpec, HostingSpec, TlsSpec } from '#model/snapshot/snapshot.ts'
import type { FilledKind } from '#model/resource/catalogue.ts'
import { matchOf } from './match.ts'
import type { Reader } from './resources.ts'
import { clientAuthOf } from './tls.ts'

type Service = FilledKind['virtualservice']

export interface Hosting {
  readonly spec: HostingSpec
  /** Name -> certificates of the child that it leads to; only of children that have some. */
  readonly certificates: NonNullable<TlsSpec['certificateIdsByName']>
  /** Name -> how clients are asked for certificates, as the child has it. */
  readonly clientAuth: NonNullable<TlsSpec['clientAuthByName']>
}

export function hostingOf(reader: Reader, parent: Service, children: readonly string[]): Hosting {
  const by = parent.vh_type === 'VS_TYPE_VH_SNI' ? 'sni' : 'host'
  const names: HostingSpec['names'][number][] = []
  const certificates: Record<string, readonly string[]> = {}
  const clientAuth: Record<string, ClientAuthSpec | null> = {}
  for (const childId of children) {
    const child = reader.need('virtualservice', childId).body
    const own: HostingSpec['names'][number][] = [
      ...(child.vh_domain_name ?? []).map(name => ({ name: name.toLowerCase(), childId, match: null })),
      ...(child.vh_matches ?? []).flatMap(({ host, rules }) => {
        const name = host.toLowerCase()
        if ((rules ?? []).length === 0) return [{ name, childId, match: null }]
        return (rules ?? []).map(rule => ({ name, childId, match: matchOf(reader, rule.matches) }))
      })
    ]
    names.push(...own)
    const ids = (child.ssl_key_and_certificate_refs ?? []).map(uuid => reader.certificatePart(uuid))
    if (ids.length > 0) for (const { name } of own) certificates[name] ??= ids
    const auth = clientAuthOf(reader, child) ?? null
    // A handshake knows the name only: of children that share one, the first decides, and another that asks otherwise answers 421.
    for (const { name } of own) if (!Object.hasOwn(clientAuth, name)) clientAuth[name] = auth
  }
  return { spec: { by, names }, certificates, clientAuth }
}
