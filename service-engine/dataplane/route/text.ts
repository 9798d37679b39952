/** Variables in header values, made from an exchange. */
import type { ClientCertificateText, Exchange } from '../exchange/exchange.ts'
import { headerOf } from '../exchange/headers.ts'

const ofCertificate =
  (of: ClientCertificateText) =>
  (e: Exchange): string =>
    e.downstream.identity?.certificate?.text(of) ?? ''

const variables: Readonly<Record<string, (exchange: Exchange) => string>> = {
  client_ip: e => e.downstream.clientIp,
  source_ip: e => e.downstream.sourceIp ?? e.downstream.clientIp,
  client_port: e => String(e.downstream.clientPort),
  vs_name: e => e.virtualServiceName,
  vs_id: e => e.virtualServiceId,
  vs_ip: e => e.downstream.vip,
  vs_port: e => String(e.downstream.localPort),
  request_id: e => e.id,
  method: e => e.request.method,
  host: e => e.request.host,
  path: e => e.request.path,
  query: e => e.request.query,
  scheme: e => (e.downstream.isTls ? 'https' : 'http'),
  pool_name: e => e.poolName,
  server: e => e.serverId,
  ssl_server_name: e => e.downstream.serverName ?? '',
  ssl_protocol: e => e.downstream.tlsVersion,
  ssl_cipher: e => e.downstream.tlsCipher,
  ssl_ja3: e => e.downstream.fingerprint?.ja3 ?? '',
  ssl_ja4: e => e.downstream.fingerprint?.ja4 ?? '',
  ssl_client_fingerprint: ofCertificate('fingerprint'),
  ssl_client_serial: ofCertificate('serial'),
  ssl_client_issuer: ofCertificate('issuer'),
  ssl_client_subject: ofCertificate('subject'),
  ssl_client_raw: ofCertificate('raw'),
  ssl_client_escaped: ofCertificate('escaped'),
  ssl_client_version: ofCertificate('version'),
  ssl_client_sigalg: ofCertificate('sigalg'),
  ssl_client_notvalidbefore: ofCertificate('notvalidbefore'),
  ssl_client_notvalidafter: ofCertificate('notvalidafter')
}

/**
 * A header value with `$name` variables; `$http_<field>` is a request header (`$http_user_agent`). What is no variable
 * stays as it is written.
 *
 * Shapes  clean: what becomes of the text of a variable
 */
export function compileText(template: string, clean = (text: string): string => text): (exchange: Exchange) => string {
  const pieces: (string | ((exchange: Exchange) => string))[] = []
  let from = 0
  for (const found of template.matchAll(/\$(ssl_ja[34]|[a-z][a-z_]*)/g)) {
    const make = variableOf(found[1]!)
    if (make === undefined) continue
    pieces.push(template.slice(from, found.index), make)
    from = found.index + found[0].length
  }
  if (pieces.length === 0) return () => template
  pieces.push(template.slice(from))
  return exchange => {
    let text = ''
    for (const piece of pieces) text += typeof piece === 'string' ? piece : clean(piece(exchange))
    return text
  }
}

function variableOf(name: string): ((exchange: Exchange) => string) | undefined {
  if (Object.hasOwn(variables, name)) return variables[name]
  if (!name.startsWith('http_')) return undefined
  const field = name.slice(5).replaceAll('_', '-')
  return exchange => headerOf(exchange.request.headers, field) ?? ''
}
