/**
 * The life of a change. One order at a time: every document is drafted, its references are resolved, all rules are
 * checked, and only when nothing at all is wrong is everything written in one transaction.
 */
import { randomUUID } from 'node:crypto'
import {
  checkResource,
  kinds,
  referencesIn,
  withDefaults,
  withoutDefaults,
  withoutUnsupported,
  withReferences,
  withSecrets
} from '#model/resource/catalogue.ts'
import type { CheckContext, Json, JsonObject, KindName } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Clock } from '#model/base/clock.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { PasswordCost, RandomBytes } from '#controller/access/password.ts'
import { certificateViolations } from '#controller/pki/certificate.ts'
import { pkcs12ToPem } from '#controller/pki/pkcs12.ts'
import type { Seal } from '#controller/pki/port.ts'
import type { ResourceChange, ResourceWrite, Store, StoredResource } from '#controller/store/store.ts'
import { diffOf } from './diff.ts'
import { nameOf, operatorPart, SENSITIVE, serverPart, takenPart, valueAt } from './draft.ts'
import type { Draft } from './draft.ts'
import {
  driverViolations,
  mustBeAllowed,
  mustBeRemovable,
  mustBeThere,
  mustLeaveSuperuser,
  ownUserViolations,
  renameViolations
} from './guard.ts'
import { isEqualJson, isList, segment, unsafeParts } from './json.ts'
import { Listening } from './listening.ts'
import { ChangeRefused } from './order.ts'
import type { ChangeOrder, ChangeResult, ChangeView, Expectation, Write, WriteViolation } from './order.ts'
import { patched } from './patch.ts'
import { patternViolation } from './pattern.ts'
import { resolveReference } from './reference.ts'
import { makeScriptJudge, type ScriptJudge } from './script.ts'
import { makeSecretKeeper } from './secret.ts'
import { View } from './view.ts'

export interface ChangeOptions {
  readonly store: Store
  readonly seal: Seal
  readonly clock: Pick<Clock, 'nowEpochMs'>
  readonly randomBytes: RandomBytes
  /** Told after every commit, when it is durable. */
  readonly committed: (revision: number) => void
  /** What hashing a password costs; the usual when left out. */
  readonly passwordCost?: PasswordCost
  /** A fresh UUID version 4. */
  readonly uuid?: () => string
  /** Rules over the whole that `change` itself does not know; asked when everything else is right. */
  readonly conflicts?: (view: ChangeView) => readonly (Violation | WriteViolation)[]
}

export interface Change {
  /** Throws ChangeRefused, with every violation at once; StoreUnavailable when the disk does not take it. */
  readonly apply: (order: ChangeOrder) => Promise<ChangeResult>
}

/** More orders than this at once are refused rather than kept in memory. */
const WAITING_MAX = 2_000
/** As many users of a thing are named when it cannot be deleted; there may be thousands. */
const NAMED_MAX = 20

/** Too many changes at once: nothing happened, the same may be tried again. */
export class ChangeBusy extends Error {
  override readonly name = 'ChangeBusy'
  readonly statusCode = 503
}

/** Makes the only writer of resources, revisions and audit. */
export function makeChange(options: ChangeOptions): Change {
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0
  const kept = { listening: new Listening(options.store), judge: makeScriptJudge() }
  const apply = async (order: ChangeOrder): Promise<ChangeResult> => {
    if (waiting >= WAITING_MAX) throw new ChangeBusy('too many changes at once')
    waiting += 1
    const mine = last.then(
      () => carryOut(options, order, kept),
      () => carryOut(options, order, kept)
    )
    last = mine
    try {
      return await mine
    } finally {
      waiting -= 1
    }
  }
  return { apply }
}

/** What lasts longer than one order. */
interface Kept {
  readonly listening: Listening
  readonly judge: ScriptJudge
}

async function carryOut(options: ChangeOptions, order: ChangeOrder, kept: Kept): Promise<ChangeResult> {
  const { store } = options
  if (order.writes.some(({ kind }) => kind === 'vsdatascriptset')) await kept.judge.ready()
  const work = new Work(options, order, kept)
  work.draftAll()
  work.resolveAll()
  work.checkAll()
  work.checkDeletes()
  work.checkWhole()
  const { puts, changes, results } = await work.finish()
  const { warnings } = work
  const isNothing = puts.length === 0 && work.deletes.length === 0
  if (isNothing || order.isDryRun === true) return { revision: store.revision(), resources: results, changes, warnings }

  const committed = await store.commit({
    author: order.actor.name,
    reason: order.reason ?? '',
    atEpochMs: options.clock.nowEpochMs(),
    expectRevision: store.revision(),
    puts,
    deletes: work.deletes.map(({ kind, uuid }) => ({ kind, uuid })),
    changes
  })
  options.committed(committed.revision)
  return {
    revision: committed.revision,
    resources: results.map(result => store.get(result.kind, result.uuid) ?? result),
    changes,
    warnings
  }
}

class Work {
  readonly #options: ChangeOptions
  readonly #order: ChangeOrder
  readonly #judge: ScriptJudge
  readonly #view: View
  readonly #secrets
  readonly #listening: Listening
  readonly #drafts = new Map<string, Draft>()
  readonly #deleted = new Map<string, StoredResource>()
  /** As it was when a write of this order took it out. */
  readonly #removed = new Map<string, StoredResource>()
  /** Uuid that each write is about. */
  readonly #targets: string[] = []
  readonly #violations: WriteViolation[] = []
  /** Names that are taken: another status than what is wrong in itself. */
  readonly #taken: WriteViolation[] = []
  /** Documents whose shape or references are wrong already: rules over them would only confuse. */
  readonly #broken = new Set<string>()
  readonly warnings: Violation[] = []

  constructor(options: ChangeOptions, order: ChangeOrder, { listening, judge }: Kept) {
    this.#listening = listening
    this.#options = options
    this.#order = order
    this.#judge = judge
    this.#view = new View(options.store)
    this.#secrets = makeSecretKeeper(options.seal, options.randomBytes, options.passwordCost)
  }

  get deletes(): readonly StoredResource[] {
    return [...this.#deleted.values()]
  }

  // Each write in order, on top of those before it.
  draftAll(): void {
    for (const [index, write] of this.#order.writes.entries()) {
      for (const part of incomingOf(write)) this.#say(index, unsafeParts(part.body, part.pointer))
    }
    this.#refuseIfWrong()
    for (const [index, sent] of this.#order.writes.entries()) {
      const write = this.#inPem(index, sent)
      if (write.op === 'create') this.#create(index, write)
      else if (write.op === 'delete') this.#delete(write)
      else this.#update(index, write)
    }
  }

  /** A PKCS#12 file is opened on its way in. */
  #inPem(index: number, write: Write): Write {
    if ((write.op !== 'create' && write.op !== 'replace') || write.kind !== 'sslkeyandcertificate') return write
    if (write.body['format'] !== 'SSL_PKCS12') return write
    const made = pkcs12ToPem(write.body)
    if ('body' in made) return { ...write, body: made.body }
    this.#say(index, [made.violation])
    return write
  }

  #create(index: number, write: Extract<Write, { op: 'create' }>): void {
    const { kind, body } = write
    const { scope } = kinds[kind]
    if (scope === 'single' && this.#view.list(kind).length > 0) throw new ChangeRefused('CONFLICT', `there is a ${kind} already`)
    const uuid = write.uuid ?? `${kind}-${(this.#options.uuid ?? randomUUID)()}`
    if (this.#view.get(kind, uuid) !== undefined) throw new ChangeRefused('CONFLICT', `there is a ${kind} ${uuid} already`)
    const tenant = scope === 'tenant' ? this.#tenantOf(index, body) : ADMIN_TENANT
    mustBeAllowed(this.#order.actor, kind, tenant)
    const taken = takenPart(kind, body)
    const server = serverPart(kind, undefined, write.serverFields)
    this.#draft({ write: index, kind, uuid, tenant, name: nameOf(kind, uuid, taken), before: undefined, body: taken, server })
    this.#targets.push(uuid)
  }

  #update(index: number, write: Extract<Write, { op: 'replace' | 'patch' }>): void {
    const { actor } = this.#order
    const { kind, uuid } = write
    const resource = mustBeThere(this.#view.get(kind, uuid), kind, uuid, actor)
    mustBeAllowed(actor, kind, resource.tenant, uuid)
    mustBeFresh(resource, write.expect)
    const earlier = this.#drafts.get(uuid)
    const held = earlier?.body ?? operatorPart(kind, resource.body)
    const body = write.op === 'replace' ? this.#replaced(index, write, held) : this.#patched(index, write, held, resource)
    const { tenant } = resource
    if (kinds[kind].scope === 'tenant') this.#checkTenant(index, tenantSaid(write), tenant)
    const before = earlier === undefined ? resource : earlier.before
    const server = serverPart(kind, earlier?.server ?? resource.body, write.serverFields)
    this.#draft({ write: index, kind, uuid, tenant, name: nameOf(kind, uuid, body), before, body, server })
    this.#targets.push(uuid)
  }

  #replaced(index: number, { kind, uuid, body }: Extract<Write, { op: 'replace' }>, held: JsonObject): JsonObject {
    const said = body['uuid']
    if (typeof said === 'string' && said !== '' && said !== uuid) this.#say(index, [{ pointer: '/uuid', message: 'may not be changed' }])
    const taken = takenPart(kind, body)
    // A user read and written back without its password keeps it.
    const isPasswordKept = kind === 'user' && taken['password'] === undefined && held['password'] !== undefined
    return isPasswordKept ? { ...taken, password: SENSITIVE } : taken
  }

  #patched(index: number, { kind, uuid, patch }: Extract<Write, { op: 'patch' }>, held: JsonObject, resource: StoredResource): JsonObject {
    const said = patch.replace?.['uuid'] ?? patch.add?.['uuid']
    if (said !== undefined && said !== uuid) this.#say(index, [{ pointer: '/uuid', message: 'may not be changed' }])
    const known = (part: JsonObject | undefined): JsonObject =>
      part === undefined ? {} : this.#withKnownReferences(kind, takenPart(kind, part), resource.tenant)
    return patched(
      held,
      { add: known(patch.add), replace: known(patch.replace), delete: known(patch.delete) },
      (a, b, path) => isEqualJson(a, b) || isEqualJson(shortest(kind, a, path), shortest(kind, b, path))
    )
  }

  #delete(write: Extract<Write, { op: 'delete' }>): void {
    const { actor } = this.#order
    const { kind, uuid } = write
    const resource = mustBeThere(this.#view.get(kind, uuid), kind, uuid, actor)
    mustBeAllowed(actor, kind, resource.tenant)
    mustBeRemovable(resource)
    mustBeFresh(resource, write.expect)
    const stored = this.#options.store.get(kind, uuid)
    if (stored !== undefined) this.#deleted.set(uuid, stored)
    this.#drafts.delete(uuid)
    this.#view.remove(resource)
    this.#targets.push(uuid)
    this.#removed.set(uuid, resource)
  }

  #tenantOf(index: number, body: JsonObject): string {
    const said = body['tenant_ref']
    if (typeof said === 'string' && said !== '') {
      const found = resolveReference(this.#view, { text: said, toKind: 'tenant', scope: 'global' }, ADMIN_TENANT)
      if (found.is === 'found') return found.uuid
      this.#say(index, [{ pointer: '/tenant_ref', message: found.message }])
    } else if (this.#view.get('tenant', this.#order.tenant) === undefined) {
      this.#say(index, [{ pointer: '/tenant_ref', message: 'must name the tenant that it belongs to' }])
    }
    return this.#order.tenant
  }

  #checkTenant(index: number, said: Json | undefined, tenant: string): void {
    if (typeof said !== 'string' || said === '') return
    const found = resolveReference(this.#view, { text: said, toKind: 'tenant', scope: 'global' }, ADMIN_TENANT)
    if (found.is !== 'found' || found.uuid !== tenant) this.#say(index, [{ pointer: '/tenant_ref', message: 'may not be changed' }])
  }

  #draft(draft: Draft): void {
    this.#drafts.set(draft.uuid, draft)
    this.#show(draft, draft.body)
  }

  /** Lets later writes and checks see a draft as if it were stored. */
  #show({ kind, uuid, tenant, name, before, server }: Draft, body: JsonObject): StoredResource {
    const next = this.#options.store.revision() + 1
    const resource: StoredResource = {
      kind,
      uuid,
      tenant,
      name,
      body: { ...body, ...server },
      createdRevision: before?.createdRevision ?? next,
      revision: next,
      lastModified: before?.lastModified ?? '0'
    }
    this.#view.put(resource)
    return resource
  }

  /** References as uuids where they mean something; the others stay as they were written. */
  #withKnownReferences(kind: KindName, body: JsonObject, tenant: string): JsonObject {
    return withReferences(kind, body, ({ toKind, value }) => {
      const found = resolveReference(this.#view, { text: value, toKind, scope: kinds[toKind].scope }, tenant)
      return found.is === 'found' ? found.uuid : value
    })
  }

  // References, in every spelling, against what all writes together would make.
  resolveAll(): void {
    for (const draft of this.#drafts.values()) {
      const wrong: Violation[] = []
      const body = withReferences(draft.kind, draft.body, ({ pointer, toKind, value }) => {
        const found = resolveReference(this.#view, { text: value, toKind, scope: kinds[toKind].scope }, draft.tenant)
        if (found.is === 'found') return found.uuid
        wrong.push({ pointer, message: found.message })
        return value
      })
      if (wrong.length > 0) this.#broken.add(draft.uuid)
      this.#say(draft.write, wrong)
      this.#draft({ ...draft, body })
    }
    for (const { kind, uuid, body } of this.#drafts.values()) this.#view.setReferences(uuid, outgoing(kind, body))
  }

  // Shape, rules over more than one field, names, secrets: all violations of all documents.
  checkAll(): void {
    for (const draft of this.#drafts.values()) {
      const { kind, uuid, write, tenant } = draft
      const context = {
        uuid,
        resource: (of: KindName, id: string) => this.#view.get(of, id)?.body,
        all: (of: KindName) => this.#view.list(of),
        referrers: (of: KindName, id: string) => [
          ...new Set(this.#view.referrersOf(id).flatMap(({ from }) => (from.kind === of ? from : [])))
        ],
        listening: (where: Parameters<CheckContext['listening']>[0]) => this.#view.listening(where, this.#listening),
        pattern: patternViolation,
        script: this.#judge.problem
      }
      const opened = this.#secrets.opened(draft)
      const checked = checkResource(kind, opened, context)
      const refused = this.#violationsAt(draft)
      if (checked.violations.length === 0) this.#say(write, certificateViolations(kind, opened))
      // A reference that is wrong already is not told a second time as a wrong text.
      this.#say(
        write,
        checked.violations.filter(({ pointer }) => !refused.has(pointer))
      )
      if (this.#order.isUnsupportedIgnored === true) {
        this.warnings.push(...checked.unsupported)
        if (checked.unsupported.length > 0) this.#draft({ ...draft, body: withoutUnsupported(kind, draft.body) })
      } else this.#say(write, checked.unsupported)
      this.#say(write, [
        ...this.#secrets.check(draft),
        ...this.#userRules(draft),
        ...renameViolations(draft),
        ...driverViolations(this.#order.actor, draft, draft.before)
      ])
      this.#checkName(draft, tenant)
    }
    this.#refuseIfWrong()
  }

  #userRules(draft: Draft): Violation[] {
    if (draft.kind !== 'user') return []
    const found = ownUserViolations(this.#order.actor, draft, draft.before)
    const { password } = draft.body
    const portal = this.#view.list('systemconfiguration')[0]?.body['portal_configuration'] as JsonObject | undefined
    const minimum = Number(portal?.['minimum_password_length'] ?? 8)
    if (typeof password === 'string' && password !== SENSITIVE && password.length < minimum) {
      found.push({ pointer: '/password', message: `must have at least ${minimum} characters` })
    }
    const login = typeof draft.body['username'] === 'string' ? draft.body['username'] : draft.name
    const other = this.#view
      .list('user')
      .find(({ uuid, name, body }) => uuid !== draft.uuid && (name === login || body['username'] === login))
    if (other !== undefined && other.name !== draft.name)
      found.push({ pointer: '/username', message: `is how user ${other.name} signs in` })
    return found
  }

  #checkName(draft: Draft, tenant: string): void {
    const { kind, uuid, name, write } = draft
    if (!name.isWellFormed()) this.#say(write, [{ pointer: '/name', message: 'must be well-formed Unicode' }])
    const other = this.#view.get(kind, uuid)
    const namesake = other === undefined ? undefined : this.#view.namesakeOf({ ...other, tenant, name })
    if (namesake !== undefined) this.#taken.push({ write, pointer: '/name', message: `a ${kind} named ${name} exists already` })
  }
  #violationsAt(draft: Draft): ReadonlySet<string> {
    if (!this.#broken.has(draft.uuid)) return new Set()
    return new Set(this.#violations.filter(({ write }) => write === draft.write).map(({ pointer }) => pointer))
  }

  // What would be left without something that it refers to.
  checkDeletes(): void {
    for (const resource of this.#removed.values()) {
      const users = this.#view.referrersOf(resource.uuid).map(({ from, pointer }) => ({ from, pointer }))
      if (resource.kind === 'tenant') {
        for (const kind of Object.keys(kinds) as KindName[]) {
          if (kinds[kind].scope === 'tenant')
            users.push(...this.#view.list(kind, resource.uuid).map(from => ({ from, pointer: '/tenant_ref' })))
        }
      }
      if (users.length === 0) continue
      const names = [...new Set(users.map(({ from }) => `${from.kind} ${from.name}`))]
      const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : ''
      throw new ChangeRefused(
        'IN_USE',
        `${resource.kind} ${resource.name} is in use by ${names.slice(0, NAMED_MAX).join(', ')}${more}`,
        users.map(({ from, pointer }) => ({ pointer: '', message: `${from.kind} ${from.name} (${from.uuid}) refers to it at ${pointer}` }))
      )
    }
  }

  checkWhole(): void {
    const isAboutUsers = [...this.#drafts.values(), ...this.#removed.values()].some(({ kind }) => kind === 'user')
    if (isAboutUsers) mustLeaveSuperuser(this.#options.store.list('user'), this.#view)
    if (this.#options.conflicts === undefined) return
    const { get, list, findByName } = this.#view
    const written = [...this.#drafts.values()].flatMap(({ kind, uuid }) => this.#view.get(kind, uuid) ?? [])
    const found = this.#options.conflicts({ get, list, findByName, written, deleted: this.deletes })
    this.#violations.push(...found.map(violation => ({ write: 0, ...violation })))
    this.#refuseIfWrong()
  }

  /** Seals secrets and works out what differs from what is stored. */
  async finish(): Promise<{
    readonly puts: readonly ResourceWrite[]
    readonly changes: readonly ResourceChange[]
    readonly results: readonly StoredResource[]
  }> {
    const puts: ResourceWrite[] = []
    const changes: ResourceChange[] = this.deletes.map(resource => changeOf(resource, undefined))
    for (const draft of this.#drafts.values()) {
      const { kind, uuid, before } = draft
      const closed = this.#order.isDryRun === true ? withSecrets(kind, draft.body, keptOrHidden(draft)) : await this.#secrets.closed(draft)
      const resource = this.#show(draft, closed)
      if (before !== undefined && before.name === resource.name && meansTheSame(kind, before.body, resource.body)) {
        this.#view.put(before)
        continue
      }
      puts.push({
        kind,
        uuid,
        tenant: resource.tenant,
        name: resource.name,
        body: resource.body,
        references: outgoing(kind, resource.body)
      })
      changes.push(changeOf(before, resource))
    }
    const results = this.#targets.flatMap((uuid, index) => {
      const resource = this.#view.get(this.#order.writes[index]!.kind, uuid) ?? this.#removed.get(uuid)
      return resource === undefined ? [] : [resource]
    })
    return { puts, changes, results }
  }

  #say(write: number, violations: readonly Violation[]): void {
    for (const { pointer, message } of violations) this.#violations.push({ write, pointer, message })
  }

  #refuseIfWrong(): void {
    const all = [...this.#violations, ...this.#taken]
    if (all.length === 0) return
    const shown = this.#order.writes.length > 1 ? all : all.map(({ pointer, message }) => ({ pointer, message }))
    if (this.#violations.length > 0)
      throw new ChangeRefused('INVALID', `${all.length === 1 ? 'one thing is' : `${all.length} things are`} wrong`, shown)
    throw new ChangeRefused('CONFLICT', all[0]!.message, shown)
  }
}

function incomingOf(write: Write): readonly { readonly body: unknown; readonly pointer: string }[] {
  if (write.op === 'delete') return []
  if (write.op !== 'patch') return [{ body: write.body, pointer: '' }]
  return (['add', 'replace', 'delete'] as const).map(part => ({ body: write.patch[part], pointer: segment(part) }))
}

function tenantSaid(write: Extract<Write, { op: 'replace' | 'patch' }>): Json | undefined {
  return write.op === 'replace' ? write.body['tenant_ref'] : (write.patch.replace?.['tenant_ref'] ?? write.patch.add?.['tenant_ref'])
}

/** Throws ChangeRefused when the client has not seen the present state. */
function mustBeFresh(resource: StoredResource, expect: Expectation | undefined): void {
  const { lastModified, etag } = expect ?? {}
  const isStale =
    (lastModified !== undefined && lastModified !== resource.lastModified) ||
    (etag !== undefined && etag !== '*' && etag !== resource.lastModified)
  if (isStale) throw new ChangeRefused('STALE', `${resource.kind} ${resource.name} was changed since it was read: read it again`)
}

/** An element of the list at `path` without its defaults, so that it is found again however it was written. */
function shortest(kind: KindName, element: Json, path: readonly string[]): Json {
  const document = path.reduceRight<Json>((inner, name) => ({ [name]: inner }), [element])
  const list = valueAt(withoutDefaults(kind, document as JsonObject), path.map(segment).join(''))
  return (isList(list) ? list[0] : undefined) ?? element
}

function outgoing(kind: KindName, body: JsonObject): ResourceWrite['references'] {
  return referencesIn(kind, body).map(({ pointer, toKind, value }) => ({ pointer, toKind, toUuid: value }))
}

/** A dry run seals nothing: new secrets stay out of sight, kept ones stay as they are. */
function keptOrHidden({ before, kind }: Draft): (secret: { readonly pointer: string; readonly value: string }) => string | undefined {
  const stored = new Map<string, string>()
  if (before !== undefined) withSecrets(kind, before.body, ({ pointer, value }) => (stored.set(pointer, value), value))
  return ({ pointer, value }) => (value === '' ? undefined : value === SENSITIVE ? stored.get(pointer) : SENSITIVE)
}

/** Do two documents differ in nothing but defaults that one of them spells out, as GET does? */
const meansTheSame = (kind: KindName, a: JsonObject, b: JsonObject): boolean =>
  isEqualJson(a, b) || isEqualJson(withDefaults(kind, a), withDefaults(kind, b))

/** What changes, for people: an update is told by what it means, not by defaults that are spelled out now. */
function changeOf(before: StoredResource | undefined, after: StoredResource | undefined): ResourceChange {
  const { kind, uuid, name, tenant } = (after ?? before)!
  const action = before === undefined ? 'create' : after === undefined ? 'delete' : 'update'
  const side = (resource: StoredResource | undefined) => {
    if (resource === undefined) return { real: undefined, shown: undefined }
    const real = action === 'update' ? withDefaults(kind, resource.body) : resource.body
    return { real, shown: withSecrets(kind, real, () => SENSITIVE) }
  }
  return { action, kind, uuid, name, tenant, diff: diffOf(side(before), side(after)) }
}
