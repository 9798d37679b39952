import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import {
  cloudRef,
  each,
  failAction,
  flag,
  headerName,
  inTenant,
  integer,
  list,
  nested,
  oneOf,
  ref,
  shape,
  text,
  toolText
} from './common.ts'
import { failActionViolations } from './pool.ts'
import type { Violation } from './violation.ts'

export const poolGroupMember = shape('member', {
  pool_ref: ref('pool', 'The pool.', { required: true }),
  ratio: integer('Share of the traffic among the members of the same priority.', {
    default: 1,
    min: 0,
    max: 1000,
    special: { '0': 'no new connections' }
  }),
  priority_label: text('A number: the highest priority with a server that is up gets the traffic.', {
    maxLength: 9,
    pattern: '^[0-9]*$',
    say: 'must be a number'
  }),
  deployment_state: oneOf(
    ['IN_SERVICE', 'EVALUATION_IN_PROGRESS', 'OUT_OF_SERVICE', 'EVALUATION_FAILED'],
    'Where a release has this pool. EVALUATION_IN_PROGRESS on a member of a group with a deployment policy starts one; the controller writes the rest.',
    {}
  )
})

export const stickyShare = shape('sticky share', {
  by: oneOf(['CLIENT_IP', 'HEADER', 'COOKIE'], 'What a client is known by.', { required: true }),
  name: text(
    'Of the header, or of the cookie that Weir gives to clients that bring none (weir_side); its value says nothing of the side.',
    {
      maxLength: 128,
      pattern: headerName.pattern,
      say: 'must be the name of a header or of a cookie'
    }
  ),
  max_age: integer('How long a browser keeps the cookie.', {
    default: 2592000,
    min: 0,
    max: 31536000,
    unit: 's',
    special: { '0': 'until it is closed' }
  })
})

export const poolgroup = defineKind({
  kind: 'poolgroup',
  title: 'Pool group',
  titlePlural: 'Pool groups',
  description: 'Pools that share the traffic by ratio, or stand in for each other by priority.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    ...toolText,
    members: list(each(poolGroupMember), 'The pools.', { maxItems: 1000, first: true }),
    sticky: nested(stickyShare, 'A client keeps its pool: only those move that a change of ratios must move.', {}),
    enable_http2: flag(
      'The servers of all these pools are spoken to in HTTP/2, also where their pool does not say so; whoever else uses such a pool does as well.',
      {
        default: false
      }
    ),
    fail_action: nested(failAction, 'What clients get when no pool can answer; the connection closes when left out.', {}),
    deployment_policy_ref: ref('poolgroupdeploymentpolicy', 'How a new pool of the group takes over.', {}),
    cloud_ref: cloudRef
  },
  unsupported: {
    deactivate_primary_pool_on_down: false,
    implicit_priority_labels: false,
    min_servers: 0,
    priority_labels_ref: ''
  },
  check: body => {
    const violations: Violation[] = []
    const seen = new Map<string, number>()
    for (const [i, { pool_ref: pool }] of (body.members ?? []).entries()) {
      const other = seen.get(pool)
      if (other !== undefined)
        violations.push({ pointer: `/members/${i}/pool_ref`, message: `is the same pool as that of /members/${other}` })
      seen.set(pool, i)
    }
    const tried = (body.members ?? []).flatMap((member, i) => (member.deployment_state === 'EVALUATION_IN_PROGRESS' ? [i] : []))
    const say = (i: number, message: string): void => void violations.push({ pointer: `/members/${i}/deployment_state`, message })
    if (body.deployment_policy_ref === undefined) for (const i of tried) say(i, 'needs deployment_policy_ref to say how it is evaluated')
    else for (const i of tried.slice(1)) say(i, `only one pool is evaluated at a time: /members/${tried[0]} is already`)
    if (body.sticky?.by === 'HEADER' && body.sticky.name === undefined)
      violations.push({ pointer: '/sticky/name', message: 'is required, because by is HEADER' })
    return [...violations, ...failActionViolations(body.fail_action)]
  }
})
export type PoolGroup = Written<typeof poolgroup.fields>
export type FilledPoolGroup = Filled<typeof poolgroup.fields>
