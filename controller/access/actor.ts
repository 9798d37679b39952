import type { KindName } from '#model/resource/kind.ts'

/** Whoever asks for something: a signed-in person, a token, or the controller itself. */
export interface Actor {
  /** For audit: `admin`, `token:ci`, `controller`. */
  readonly name: string
  readonly userUuid: string | null
  readonly isSuperuser: boolean
  /** Uuids of the tenants it has a role in; `*` for all. */
  readonly tenants: readonly string[] | '*'
  readonly may: (action: 'read' | 'write', kind: KindName, tenant: string) => boolean
}

/** The controller's own hand: first start, engines that join. */
export const controllerActor: Actor = {
  name: 'controller',
  userUuid: null,
  isSuperuser: true,
  tenants: '*',
  may: () => true
}
