/** Secrets of a document: kept, opened for the checks, sealed for the store. */
import { secretsIn, withSecrets } from '#model/resource/catalogue.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import { hashPassword, verifyPassword } from '#controller/access/password.ts'
import type { PasswordCost, RandomBytes } from '#controller/access/password.ts'
import type { Seal } from '#controller/pki/port.ts'
import { SENSITIVE, valueAt } from './draft.ts'
import type { Draft } from './draft.ts'

export interface SecretKeeper {
  /** Violations for secrets that are said to stay and are not there. */
  readonly check: (draft: Draft) => Violation[]
  /** The document with kept secrets in plain words, for the rules that look at them. */
  readonly opened: (draft: Draft) => JsonObject
  /** The document as it may lie in the store. A secret that says what it said before stays the same text. */
  readonly closed: (draft: Draft) => Promise<JsonObject>
}

/** The password of a user is hashed: nobody ever needs to read it again. */
export const isPassword = (kind: KindName, pointer: string): boolean => kind === 'user' && pointer === '/password'

export function makeSecretKeeper(seal: Seal, randomBytes: RandomBytes, cost?: PasswordCost): SecretKeeper {
  const storedSecret = (draft: Draft, pointer: string): string | undefined => {
    const value = valueAt(draft.before?.body, pointer)
    return typeof value === 'string' ? value : undefined
  }
  const open = (sealed: string): string | undefined => {
    try {
      return seal.open(sealed)
    } catch {
      return undefined
    }
  }

  const close = async (kind: KindName, pointer: string, plain: string, stored: string | undefined): Promise<string> => {
    if (plain === SENSITIVE && stored !== undefined) return stored
    if (isPassword(kind, pointer)) {
      return stored !== undefined && (await verifyPassword(plain, stored)) ? stored : await hashPassword(plain, randomBytes, cost)
    }
    return stored !== undefined && open(stored) === plain ? stored : seal.seal(plain)
  }

  return {
    check: draft =>
      secretsIn(draft.kind, draft.body)
        .filter(pointer => valueAt(draft.body, pointer) === SENSITIVE && storedSecret(draft, pointer) === undefined)
        .map(pointer => ({ pointer, message: `there is no secret yet that ${SENSITIVE} could keep` })),
    opened: draft =>
      withSecrets(draft.kind, draft.body, ({ pointer, value }) => {
        const stored = value === SENSITIVE && !isPassword(draft.kind, pointer) ? storedSecret(draft, pointer) : undefined
        return stored === undefined ? value : (open(stored) ?? value)
      }),
    closed: async draft => {
      const closed = new Map<string, string>()
      for (const pointer of secretsIn(draft.kind, draft.body)) {
        const plain = valueAt(draft.body, pointer)
        if (typeof plain === 'string' && plain !== '')
          closed.set(pointer, await close(draft.kind, pointer, plain, storedSecret(draft, pointer)))
      }
      return withSecrets(draft.kind, draft.body, ({ pointer }) => closed.get(pointer))
    }
  }
}
