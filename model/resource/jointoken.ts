import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { described, flag, integer, ref, served, tenantRef, text, textByName } from './common.ts'

export const jointoken = defineKind({
  kind: 'jointoken',
  title: 'Join token',
  titlePlural: 'Join tokens',
  description: 'Lets new hosts join as engines of a group: shown once, for a time, for a number of uses.',
  scope: 'tenant',
  fields: {
    ...served,
    name: text('Name; made when left out.', { minLength: 1, maxLength: 255 }),
    tenant_ref: tenantRef,
    ...described,
    se_group_ref: ref('serviceenginegroup', 'Group that the engines join; Default-Group when left out.', { first: true }),
    labels: textByName('Labels that the engines get.', { first: true }),
    expiry_minutes: integer('How long it can be used.', { default: 60, min: 1, max: 10080, unit: 'min', first: true }),
    uses: integer('How many engines may join with it.', { default: 1, min: 1, max: 1000, first: true }),
    uses_left: integer('How many may still join.', { readOnly: true }),
    expires_at: text('When it ends (RFC 3339).', { readOnly: true }),
    revoked: flag('Taken back: nobody can join with it any more.', { default: false }),
    engine_intent: text('Name of the engine that a driver makes, which joins with it.', { readOnly: true }),
    token_hash: text('SHA-256 of the token; the token itself is not kept.', { readOnly: true, secret: true })
  }
})
export type JoinToken = Written<typeof jointoken.fields>
export type FilledJoinToken = Filled<typeof jointoken.fields>
