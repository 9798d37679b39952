import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { flag, inTenant, integer, list, nested, oneOf, ref, shape, text } from './common.ts'
import type { Violation } from './violation.ts'

export const tcpMonitor = shape('tcp monitor', {
  tcp_request: text('Sent once connected.', { maxLength: 4096 }),
  tcp_response: text('Must be in what comes back; a connection is enough when left out.', { maxLength: 4096 }),
  maintenance_response: text('The server is in maintenance when this comes back.', { maxLength: 4096 }),
  tcp_half_open: flag('Do not finish the connection.', { default: false })
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

export const httpMonitor = shape(
  'http monitor',
  {
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
    auth_type: oneOf(['AUTH_BASIC'], 'How to sign in, with authentication.', { unsupported: ['AUTH_NTLM'] }),
    ssl_attributes: nested(monitorTls, 'TLS of the probe; that of the pool when left out.', {})
  },
  {
    http_request_body: '',
    response_size: 0
  }
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
      ['HEALTH_MONITOR_HTTP', 'HEALTH_MONITOR_HTTPS', 'HEALTH_MONITOR_TCP', 'HEALTH_MONITOR_UDP', 'HEALTH_MONITOR_PING'],
      'How it asks.',
      {
        required: true,
        first: true,
        unsupported: [
          'HEALTH_MONITOR_EXTERNAL',
          'HEALTH_MONITOR_DNS',
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
          'HEALTH_MONITOR_SCTP',
          'HEALTH_MONITOR_GRPC'
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
    dns_monitor: {},
    external_monitor: {},
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
      HEALTH_MONITOR_PING: ''
    }
    for (const name of ['http_monitor', 'https_monitor', 'tcp_monitor', 'udp_monitor'] as const)
      if (body[name] !== undefined && needed[body.type] !== name) say(`/${name}`, `must not be there, because type is ${body.type}`)
    for (const name of ['http_monitor', 'https_monitor'] as const)
      if (body[name]?.auth_type !== undefined && body.authentication === undefined)
        say('/authentication', `is required, because ${name} has auth_type ${body[name].auth_type}`)
    const tcp = body.tcp_monitor
    if (tcp?.tcp_half_open === true && (tcp.tcp_request !== undefined || tcp.tcp_response !== undefined))
      say('/tcp_monitor/tcp_half_open', 'must be false beside tcp_request and tcp_response')
    return violations
  }
})
export type HealthMonitor = Written<typeof healthmonitor.fields>
export type FilledHealthMonitor = Filled<typeof healthmonitor.fields>
