/** The same write as commands of a shell. */

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/**
 * Two curl commands that do what Save does: one signs in, one writes. They read the password from `$WEIR_PASSWORD` and
 * carry no secret of the session.
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
  const curl = 'curl --cacert ca.pem'
  const signIn = [
    `${curl} -sSf -o /dev/null -c weir.cookies ${quoted(`${origin}/login`)}`,
    `--data-urlencode ${quoted(`username=${userName}`)}`,
    '--data-urlencode "password=$WEIR_PASSWORD"'
  ]
  const write = [
    `${curl} -b weir.cookies -X ${method} ${quoted(origin + path)}`,
    `-e ${quoted(`${origin}/`)}`,
    `-H "X-CSRFToken: $(awk '$6 == "csrftoken" { print $7 }' weir.cookies)"`,
    ...(tenant === undefined ? [] : [`-H ${quoted(`X-Weir-Tenant: ${tenant}`)}`]),
    ...(body === undefined ? [] : [`-H 'Content-Type: application/json'`, `-d ${quoted(JSON.stringify(body, null, 2))}`])
  ]
  return [signIn, write].map(parts => parts.join(' \\\n  ')).join('\n')
}
