/** Fields and nested objects that several kinds share. */
import { each, flag, integer, list, nested, number, oneOf, ref, shape, text, textByName } from './field.ts'
import type { Field } from './field.ts'

export { each, flag, integer, list, nested, number, oneOf, ref, shape, text, textByName }

const plainText = { type: 'string', maxLength: 1024 }

export const keyValue = shape('key and value', {
  key: text('Name.', { required: true, minLength: 1 }),
  value: text('Value.', {})
})

export const label = shape('marker', {
  key: text('Name of the label.', { required: true, minLength: 1 }),
  values: list({ schema: plainText, presence: 'optional' } as Field<string, string, 'optional'>, 'Its values.', { maxItems: 100 })
})

/** What every document carries. The server owns the first three and takes them back as it gave them. */
const served = {
  uuid: text('Identity, given by the server.', { readOnly: true }),
  url: text('Where to read it.', { readOnly: true }),
  _last_modified: text('Time of the last change, microseconds since 1970.', { readOnly: true, unit: 'microseconds' })
} as const

export const name = text('Name, unique among its kind in the tenant.', {
  required: true,
  first: true,
  minLength: 1,
  maxLength: 255,
  pattern: '^[^\\u0000-\\u001f\\u007f]*$',
  say: 'must not contain control characters'
})

export const described = {
  description: text('What it is for, in your words.', { default: '', maxLength: 4096 }),
  markers: list(each(label), 'Labels.', { maxItems: 100, last: true }),
  created_by: text('Who made it: a tool writes its name here.', { last: true }),
  configpb_attributes: nested(
    shape('configpb_attributes', { version: integer('Count of changes in the system it came from.', {}) }),
    'Attributes of an exported configuration; kept, without effect.',
    { last: true }
  )
} as const

export const tenantRef = ref('tenant', 'Tenant that it belongs to; the one of the request when left out.', {})

/** A kind that lives in a tenant. */
export const inTenant = { ...served, name, tenant_ref: tenantRef, ...described } as const
/** A kind of which there is one set for all tenants. */
export const overTenants = { ...served, name, ...described } as const
export { served }

export const cloudRef = ref('cloud', 'Cloud that it belongs to; Default-Cloud when left out.', {})
/** Texts of tools that write configurations; kept, without effect. */
export const toolText = {
  service_metadata: text('Notes of the tool that made it.', { maxLength: 65536, last: true }),
  cloud_config_cksum: text('Checksum of the tool that made it.', { last: true })
} as const

export const ipAddr = shape(
  'address',
  {
    addr: text('The address, or a host name with type DNS.', { required: true, minLength: 1, maxLength: 255 }),
    type: oneOf(['V4', 'V6', 'DNS'], 'What addr is.', { required: true })
  },
  {},
  'ip-addr'
)
/** An address that cannot be a name. */
export const ipLiteral = shape(
  'address',
  {
    addr: text('The address.', { required: true, minLength: 1, maxLength: 45 }),
    type: oneOf(['V4', 'V6'], 'Its family.', { required: true })
  },
  {},
  'ip-addr'
)

export const ipAddrPrefix = shape(
  'prefix',
  {
    ip_addr: nested(ipLiteral, 'Any address of the network.', { required: true }),
    mask: integer('Length of the prefix.', { required: true, min: 0, max: 128 })
  },
  {},
  'ip-prefix'
)

export const ipAddrRange = shape(
  'range',
  {
    begin: nested(ipLiteral, 'First address.', { required: true }),
    end: nested(ipLiteral, 'Last address.', { required: true })
  },
  {},
  'ip-range'
)

export const matchOperation = oneOf(['IS_IN', 'IS_NOT_IN'], 'Matches what is in the list, or what is not.', { required: true })

export const ipAddrMatch = shape('address match', {
  match_criteria: matchOperation,
  addrs: list(each(ipLiteral), 'Addresses.', {}),
  prefixes: list(each(ipAddrPrefix), 'Networks.', {}),
  ranges: list(each(ipAddrRange), 'Ranges.', {}),
  group_refs: list(ref('ipaddrgroup', 'A group of addresses.', {}), 'Groups of addresses.', { maxItems: 100 })
})

export const portMatch = shape('port match', {
  match_criteria: matchOperation,
  ports: list(integer('A port.', { min: 1, max: 65535 }), 'Ports.', { required: true, minItems: 1 })
})

export const statusRange = shape('status range', {
  begin: integer('First status.', { required: true, min: 100, max: 999 }),
  end: integer('Last status.', { required: true, min: 100, max: 999 })
})

export const localFile = shape('local file', {
  content_type: text('Content-Type of the answer.', {
    required: true,
    maxLength: 255,
    pattern: '^[\\t\\u0020-\\u007e]*$',
    say: 'must be a value of an HTTP header'
  }),
  file_content: text('The body, as it is.', { required: true, maxLength: 262144 }),
  file_length: integer('Length of the file; computed.', { readOnly: true })
})

export const localStatus = [
  'HTTP_LOCAL_RESPONSE_STATUS_CODE_200',
  'HTTP_LOCAL_RESPONSE_STATUS_CODE_204',
  'HTTP_LOCAL_RESPONSE_STATUS_CODE_403',
  'HTTP_LOCAL_RESPONSE_STATUS_CODE_404',
  'HTTP_LOCAL_RESPONSE_STATUS_CODE_429',
  'HTTP_LOCAL_RESPONSE_STATUS_CODE_501'
] as const

export const redirectStatus = [
  'HTTP_REDIRECT_STATUS_CODE_301',
  'HTTP_REDIRECT_STATUS_CODE_302',
  'HTTP_REDIRECT_STATUS_CODE_303',
  'HTTP_REDIRECT_STATUS_CODE_307',
  'HTTP_REDIRECT_STATUS_CODE_308'
] as const

export const failAction = shape('fail action', {
  type: oneOf(
    ['FAIL_ACTION_CLOSE_CONN', 'FAIL_ACTION_HTTP_REDIRECT', 'FAIL_ACTION_HTTP_LOCAL_RSP', 'FAIL_ACTION_BACKUP_POOL'],
    'What a client gets when no server can answer.',
    { required: true }
  ),
  backup_pool: nested(
    shape('backup pool', { backup_pool_ref: ref('pool', 'The pool that stands in.', { required: true }) }),
    'For FAIL_ACTION_BACKUP_POOL.',
    {}
  ),
  redirect: nested(
    shape('redirect', {
      protocol: oneOf(['HTTP', 'HTTPS'], 'Protocol to go to.', { default: 'HTTPS' }),
      host: text('Host to go to.', { required: true, minLength: 1, maxLength: 255 }),
      path: text('Path to go to.', {}),
      query: text('Query to go to.', {}),
      status_code: oneOf(redirectStatus, 'Status of the answer.', { default: 'HTTP_REDIRECT_STATUS_CODE_302' })
    }),
    'For FAIL_ACTION_HTTP_REDIRECT.',
    {}
  ),
  local_rsp: nested(
    shape('local response', {
      status_code: oneOf(['FAIL_HTTP_STATUS_CODE_200', 'FAIL_HTTP_STATUS_CODE_503'], 'Status of the answer.', {
        default: 'FAIL_HTTP_STATUS_CODE_503'
      }),
      file: nested(localFile, 'Body of the answer.', {})
    }),
    'For FAIL_ACTION_HTTP_LOCAL_RSP.',
    {}
  )
})

/** A header's name as RFC 9110 §5.1 has it. */
export const headerName = { pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", say: 'must be the name of an HTTP header', maxLength: 256 } as const
