/** Input for compile from documents. A secret is sealed when it begins with `sealed:`. */
import type { CompileInput } from '#controller/compile/compile.ts'
import type { StoredDocument } from './resources.ts'

export function openSecret(sealed: string): string {
  if (!sealed.startsWith('sealed:')) throw new Error('not sealed')
  return sealed.slice('sealed:'.length)
}

export function compileInput(
  documents: readonly StoredDocument[],
  more: Omit<Partial<CompileInput>, 'engine'> & {
    readonly engine?: Pick<CompileInput['engine'], 'addresses' | 'zone' | 'bgp'> & { readonly group?: string }
  } = {}
): CompileInput {
  const byUuid = new Map(documents.map(one => [`${one.kind} ${one.uuid}`, one]))
  const { engine, ...rest } = more
  return {
    revision: 1,
    resources: {
      get: (kind, uuid) => byUuid.get(`${kind} ${uuid}`),
      system: (kind, name) => byUuid.get(`${kind} ${kind}-${name}`)
    },
    engine: { uuid: 'serviceengine-1', name: 'engine-1', group: undefined, addresses: [], ...engine },
    virtualServices: documents
      .filter(({ kind, body }) => kind === 'virtualservice' && body['type'] !== 'VS_TYPE_VH_CHILD')
      .map(({ uuid }) => uuid),
    childrenOf: parent =>
      documents.filter(({ kind, body }) => kind === 'virtualservice' && body['vh_parent_vs_ref'] === parent).map(({ uuid }) => uuid),
    openSecret,
    deriveSecret: purpose => Buffer.from(purpose.padEnd(32, '.').slice(0, 32)).toString('base64'),
    ...rest
  }
}
