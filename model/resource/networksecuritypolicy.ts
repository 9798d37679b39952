import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import {
  described,
  each,
  flag,
  integer,
  ipAddrMatch,
  list,
  nested,
  oneOf,
  portMatch,
  served,
  shape,
  tenantRef,
  text,
  toolText
} from './common.ts'
import { orderViolations } from './httppolicyset.ts'

export const networkMatch = shape(
  'match',
  {
    client_ip: nested(ipAddrMatch, 'Address of the client; every client when left out.', {}),
    vs_port: nested(portMatch, 'Port of the virtual service; every port when left out.', {})
  },
  {
    client_port: {},
    geo_matches: [],
    ip_reputation_type: {},
    microservice: {}
  }
)

export const connectionRate = shape('connection rate', {
  max_rate: integer('How many in a second, in the long run.', { required: true, min: 1, max: 1000000000, unit: 'connections/s' }),
  burst_size: integer('How many at once after a quiet time.', { required: true, min: 1, max: 1000000000 }),
  per_client_ip: flag('Clients are counted apart; otherwise all that the rule matches together. Not a field of Avi.', { default: false })
})

export const networkRule = shape(
  'rule',
  {
    name: text('Name of the rule.', { required: true, minLength: 1, maxLength: 255 }),
    index: integer('Order among the rules, lowest first.', { required: true }),
    enable: flag('When false the rule is passed over.', { required: true }),
    action: oneOf(
      [
        'NETWORK_SECURITY_POLICY_ACTION_TYPE_ALLOW',
        'NETWORK_SECURITY_POLICY_ACTION_TYPE_DENY',
        'NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT'
      ],
      'What is done. RATE_LIMIT allows connections within rl_param and denies the others.',
      { required: true }
    ),
    rl_param: nested(connectionRate, 'For RATE_LIMIT: how many connections, and sessions of datagrams, may come.', {}),
    match: nested(networkMatch, 'Connections that it is for.', { required: true }),
    created_by: text('Who made it.', {})
  },
  {
    age: 0,
    log: false
  }
)

export const networksecuritypolicy = defineKind({
  kind: 'networksecuritypolicy',
  title: 'Network policy',
  titlePlural: 'Network policies',
  description: 'Which clients may connect; the first rule that matches decides, and without a match they may.',
  scope: 'tenant',
  fields: {
    ...served,
    name: text('Name, unique among its kind in the tenant.', { first: true, minLength: 1, maxLength: 255 }),
    tenant_ref: tenantRef,
    ...described,
    cloud_config_cksum: toolText.cloud_config_cksum,
    rules: list(each(networkRule), 'The rules.', { maxItems: 1000, first: true }),
    internal: flag('Made by a tool; kept, without effect.', { default: false })
  },
  unsupported: {
    geo_db_ref: '',
    ip_reputation_db_ref: ''
  },
  check: body => {
    const rules = body.rules ?? []
    return [
      ...orderViolations(rules, '/rules'),
      ...rules.flatMap(({ action, rl_param: rate }, i) =>
        action === 'NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT' && rate === undefined
          ? [{ pointer: `/rules/${i}/rl_param`, message: `is required, because action is ${action}` }]
          : []
      )
    ]
  }
})
export type NetworkSecurityPolicy = Written<typeof networksecuritypolicy.fields>
export type FilledNetworkSecurityPolicy = Filled<typeof networksecuritypolicy.fields>
