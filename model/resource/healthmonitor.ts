import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { flag, inTenant, integer, list, nested, oneOf, ref, shape, text } from './common.ts'
import type { Violation } from './violation.ts'

export const tcpMonitor = shape('tcp monitor', {
  tcp_request: text('Sent once connected.', { maxLength: 4096 }),
  tcp_response: text('Must be in what comes back; a connection is enough when left out.', { maxLength: 4096 }),
  maintenance_response: text('The server is in maintenance when this comes back.', { maxLength: 4096 }),
  tcp_half_open: flag('Do not finish the connection.', { default: false }),
  agent_check: flag(
    'The answer is a line of an agent on the server: words out of up, ready, down, stopped, fail, drain, maint, and a share such as 75 %, which the ratio of the server is multiplied by.',
    { default: false }
  )
})

export const udpMonitor = shape('udp monitor', {
  udp_request: text('Sent as one datagram; an empty one when left out.', { maxLength: 4096 }),
  udp_response: text('Must be in an answer; when left out, a server is up as long as nothing says that nobody listens there.', {
    maxLength: 4096
  }),
  maintenance_response: text('The server is in maintenance when this comes back.', { maxLength: 4096 })
})

export const monitorTls = shape('TLS of the monitor', {
  ssl_profile_ref: ref('sslprofile', 'TLS versions and ciphers.', { required: true }),
  pki_profile_ref: ref('pkiprofile', 'Roots that the certificate must lead to; not verified without.', {}),
  ssl_key_and_certificate_ref: ref('sslkeyandcertificate', 'Certificate shown to the server.', {}),
  server_name: text('Server name sent in TLS, and verified.', { maxLength: 255 })
})

export const httpMonitor = shape('http monitor', {
  http_request: text('Request line, and headers when exact_http_request is true.', {
    default: 'GET / HTTP/1.0',
    maxLength: 4096,
    first: true,
    pattern: '^[A-Z]+ \\S+( HTTP/1\\.[01])?([\\r\\n]|\\\\r|\\\\n|$)',
    say: 'must begin with a request line, as in GET /health HTTP/1.0'
  }),
  exact_http_request: flag('Send the request as written, with nothing added.', { default: false }),
  http_response_code: list(
    oneOf(['HTTP_ANY', 'HTTP_1XX', 'HTTP_2XX', 'HTTP_3XX', 'HTTP_4XX', 'HTTP_5XX'], 'A class of status.', {}),
    'Answers that mean up; HTTP_2XX when left out.',
    { first: true, maxItems: 6 }
  ),
  http_response: text('Must be in the first 2 KB of the answer.', {}),
  maintenance_code: list(integer('A status.', { min: 101, max: 599 }), 'Answers that mean maintenance.', { maxItems: 100 }),
  maintenance_response: text('The server is in maintenance when this is in the answer.', {}),
  http_request_body: text('Sent after the header; its length is added unless exact_http_request is true.', { maxLength: 4096 }),
  response_size: integer('How much of the answer is looked at.', { default: 2048, min: 2048, max: 16384, unit: 'bytes' }),
  weight_header: text(
    'Header of the answer in which the server says how much it can take, 0 to 100 (%): its ratio is multiplied by that.',
    { maxLength: 255, pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", say: 'must be the name of an HTTP header' }
  ),
  auth_type: oneOf(['AUTH_BASIC'], 'How to sign in, with authentication.', { unsupported: ['AUTH_NTLM'] }),
  ssl_attributes: nested(monitorTls, 'TLS of the probe; that of the pool when left out.', {})
})

export const dnsMonitor = shape('DNS monitor', {
  query_name: text('Name to ask for.', {
    required: true,
    first: true,
    minLength: 1,
    maxLength: 254,
    pattern: '^(?:\\.|(?:[^.\\s\\u0000-\\u001f\\u007f-\\uffff]{1,63}\\.)*[^.\\s\\u0000-\\u001f\\u007f-\\uffff]{1,63}\\.?)$',
    say: 'must be a domain name of labels with at most 63 characters each'
  }),
  record_type: oneOf(
    [
      'DNS_RECORD_A',
      'DNS_RECORD_AAAA',
      'DNS_RECORD_ANY',
      'DNS_RECORD_CNAME',
      'DNS_RECORD_DNSKEY',
      'DNS_RECORD_HINFO',
      'DNS_RECORD_MX',
      'DNS_RECORD_NS',
      'DNS_RECORD_PTR',
      'DNS_RECORD_RP',
      'DNS_RECORD_RRSIG',
      'DNS_RECORD_SOA',
      'DNS_RECORD_SRV',
      'DNS_RECORD_TXT'
    ],
    'Type of the record to ask for.',
    { default: 'DNS_RECORD_A', first: true, unsupported: ['DNS_RECORD_AXFR', 'DNS_RECORD_OPT', 'DNS_RECORD_OTHER'] }
  ),
  qtype: oneOf(
    ['DNS_QUERY_TYPE', 'DNS_ANY_TYPE', 'DNS_ANY_THING'],
    'What the answer must hold: a record of that type, any record, or nothing in particular.',
    { default: 'DNS_QUERY_TYPE' }
  ),
  rcode: oneOf(['RCODE_NO_ERROR', 'RCODE_ANYTHING'], 'Which response codes mean up.', { default: 'RCODE_NO_ERROR' }),
  response_string: text('Must be among the records of the answer: an address as a whole, other data in part.', { maxLength: 1024 })
})

export const grpcMonitor = shape('gRPC monitor', {
  service: text('Service that is asked for (grpc.health.v1); the server as a whole when left out.', {
    first: true,
    maxLength: 255,
    pattern: '^[A-Za-z0-9_./-]*$',
    say: 'must be the name of a gRPC service'
  }),
  ssl_attributes: nested(monitorTls, 'TLS of the probe; that of the pool, or none, when left out.', {})
})

export const externalMonitor = shape(
  'external monitor',
  {
    command_code: text(
      'The script: a first line such as #!/bin/bash names what runs it, /bin/sh otherwise. A server is up when it ends with status 0 and has written something.',
      { required: true, first: true, maxLength: 65536, minLength: 1 }
    ),
    command_parameters: text('Its arguments, after the address and the port of the server; spaces part them.', { maxLength: 4096 }),
    command_variables: text('Its variables: NAME=value, spaces part them. IP, PORT and SERVER are there already.', {
      maxLength: 4096,
      pattern: '^\\s*(?:[A-Za-z_][A-Za-z0-9_]*=\\S*(?:\\s+|$))*$',
      say: 'must be NAME=value, parted by spaces'
    })
  },
  { command_path: '' }
)

export const healthmonitor = defineKind({
  kind: 'healthmonitor',
  title: 'Health monitor',
  titlePlural: 'Health monitors',
  description: 'Asks servers again and again whether they work.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    type: oneOf(
      [
        'HEALTH_MONITOR_HTTP',
        'HEALTH_MONITOR_HTTPS',
        'HEALTH_MONITOR_TCP',
        'HEALTH_MONITOR_UDP',
        'HEALTH_MONITOR_DNS',
        'HEALTH_MONITOR_GRPC',
        'HEALTH_MONITOR_PING',
        'HEALTH_MONITOR_EXTERNAL'
      ],
      'How it asks.',
      {
        required: true,
        first: true,
        unsupported: [
          'HEALTH_MONITOR_GSLB',
          'HEALTH_MONITOR_SIP',
          'HEALTH_MONITOR_RADIUS',
          'HEALTH_MONITOR_SMTP',
          'HEALTH_MONITOR_SMTPS',
          'HEALTH_MONITOR_POP3',
          'HEALTH_MONITOR_POP3S',
          'HEALTH_MONITOR_IMAP',
          'HEALTH_MONITOR_IMAPS',
          'HEALTH_MONITOR_FTP',
          'HEALTH_MONITOR_FTPS',
          'HEALTH_MONITOR_LDAP',
          'HEALTH_MONITOR_LDAPS',
          'HEALTH_MONITOR_SCTP'
        ]
      }
    ),
    send_interval: integer('Time between two probes.', { default: 10, min: 1, max: 3600, unit: 's', first: true }),
    receive_timeout: integer('Time that an answer may take; below send_interval.', {
      default: 4,
      min: 1,
      max: 2400,
      unit: 's',
      first: true
    }),
    successful_checks: integer('Good answers in a row that make a server up.', { default: 2, min: 1, max: 50 }),
    failed_checks: integer('Failures in a row that make a server down.', { default: 2, min: 1, max: 50 }),
    monitor_port: integer('Port to ask; that of the server when left out or 0.', {
      min: 0,
      max: 65535,
      special: { '0': 'port of the server' }
    }),
    disable_quickstart: flag('When false, a new server is probed back to back until its first verdict.', { default: false }),
    http_monitor: nested(httpMonitor, 'For HEALTH_MONITOR_HTTP.', { first: true }),
    https_monitor: nested(httpMonitor, 'For HEALTH_MONITOR_HTTPS.', {}),
    tcp_monitor: nested(tcpMonitor, 'For HEALTH_MONITOR_TCP.', {}),
    udp_monitor: nested(udpMonitor, 'For HEALTH_MONITOR_UDP.', {}),
    dns_monitor: nested(dnsMonitor, 'For HEALTH_MONITOR_DNS.', {}),
    grpc_monitor: nested(grpcMonitor, 'For HEALTH_MONITOR_GRPC.', {}),
    external_monitor: nested(externalMonitor, 'For HEALTH_MONITOR_EXTERNAL, on engines whose WEIR_EXTERNAL_MONITORS names a user.', {}),
    authentication: nested(
      shape('authentication', {
        username: text('User.', { required: true, minLength: 1, maxLength: 255 }),
        password: text('Password.', { required: true, secret: true, maxLength: 4096 })
      }),
      'For auth_type.',
      {}
    )
  },
  unsupported: {
    allow_duplicate_monitors: false,
    ftp_monitor: {},
    ftps_monitor: {},
    imap_monitor: {},
    imaps_monitor: {},
    is_federated: false,
    ldap_monitor: {},
    ldaps_monitor: {},
    pop3_monitor: {},
    pop3s_monitor: {},
    radius_monitor: {},
    sctp_monitor: {},
    sip_monitor: {},
    smtp_monitor: {},
    smtps_monitor: {}
  },
  check: body => {
    const violations: Violation[] = []
    const say = (pointer: string, message: string): number => violations.push({ pointer, message })
    if (body.receive_timeout >= body.send_interval) say('/receive_timeout', `must be below send_interval (${body.send_interval})`)
    const needed = {
      HEALTH_MONITOR_HTTP: 'http_monitor',
      HEALTH_MONITOR_HTTPS: 'https_monitor',
      HEALTH_MONITOR_TCP: 'tcp_monitor',
      HEALTH_MONITOR_UDP: 'udp_monitor',
      HEALTH_MONITOR_DNS: 'dns_monitor',
      HEALTH_MONITOR_GRPC: 'grpc_monitor',
      HEALTH_MONITOR_EXTERNAL: 'external_monitor',
      HEALTH_MONITOR_PING: ''
    }
    for (const name of ['dns_monitor', 'external_monitor'] as const)
      if (needed[body.type] === name && body[name] === undefined) say(`/${name}`, `is required, because type is ${body.type}`)
    for (const name of [
      'http_monitor',
      'https_monitor',
      'tcp_monitor',
      'udp_monitor',
      'dns_monitor',
      'grpc_monitor',
      'external_monitor'
    ] as const)
      if (body[name] !== undefined && needed[body.type] !== name) say(`/${name}`, `must not be there, because type is ${body.type}`)
    for (const name of ['http_monitor', 'https_monitor'] as const)
      if (body[name]?.auth_type !== undefined && body.authentication === undefined)
        say('/authentication', `is required, because ${name} has auth_type ${body[name].auth_type}`)
    const tcp = body.tcp_monitor
    if (tcp?.tcp_half_open === true && (tcp.tcp_request !== undefined || tcp.tcp_response !== undefined))
      say('/tcp_monitor/tcp_half_open', 'must be false beside tcp_request and tcp_response')
    if (tcp?.agent_check === true && (tcp.tcp_half_open || tcp.tcp_response !== undefined || tcp.maintenance_response !== undefined))
      say('/tcp_monitor/agent_check', 'must be false beside tcp_half_open, tcp_response and maintenance_response')
    for (const name of ['http_monitor', 'https_monitor'] as const)
      if (body[name]?.exact_http_request === true && (body[name].http_request_body ?? '') !== '')
        say(`/${name}/http_request_body`, 'must be left out, because exact_http_request is true: the body is part of http_request')
    return violations
  }
})
export type HealthMonitor = Written<typeof healthmonitor.fields>
export type FilledHealthMonitor = Filled<typeof healthmonitor.fields>
