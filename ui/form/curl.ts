/** The same write as a command line. */

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/**
 * A curl command that does what Save does; it asks for the password and writes no secret of the session.
 *
 * Shapes  origin: `https://host:port`; body: JSON, undefined for none
 */
export function curlOf(options: {
  readonly origin: string
  readonly method: string
  readonly path: string
  readonly body: unknown
  readonly userName: string
  readonly tenant: string | undefined
}): string {
  const { origin, method, path, body, userName, tenant } = options
  const parts = [
    `curl --cacert ca.pem -u ${quoted(userName)} -X ${method} ${quoted(origin + path)}`,
    ...(tenant === undefined ? [] : [`-H ${quoted(`X-Weir-Tenant: ${tenant}`)}`]),
    ...(body === undefined ? [] : [`-H 'Content-Type: application/json'`, `-d ${quoted(JSON.stringify(body, null, 2))}`])
  ]
  return parts.join(' \\\n  ')
}
