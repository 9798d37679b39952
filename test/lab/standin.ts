/** What a controller gives out, from memory: for what the installer does when the real one would not do it on demand. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const installScript = resolve(import.meta.dirname, '../../agent-installers/systemd/install.sh')

export interface StandIn {
  readonly url: string
  /** For `curl --pinnedpubkey`. */
  readonly pin: string
  /** What `/install/*` answers with; a number is a status without a body. */
  give: (files: Readonly<Record<string, Buffer>> | 404 | 503) => void
  readonly stop: () => Promise<void>
}

/** Serves on one address, with a key of its own. */
export async function startStandIn(address: string, port: number): Promise<StandIn> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-standin-'))
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const key = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=stand-in']
  execFileSync('openssl', [...key, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' })
  const publicKey = execFileSync('openssl', ['pkey', '-in', keyFile, '-pubout', '-outform', 'DER'])
  let given: Readonly<Record<string, Buffer>> | 404 | 503 = 503
  const server = createServer({ key: readFileSync(keyFile), cert: readFileSync(certFile) }, (request, response) => {
    const name = request.url === '/install.sh' ? 'install.sh' : (request.url ?? '').replace('/install/', '')
    if (typeof given === 'number') return void response.writeHead(given).end()
    const body = given[name]
    return void (body === undefined ? response.writeHead(404).end() : response.end(body))
  })
  rmSync(folder, { recursive: true })
  await new Promise<void>(done => server.listen(port, address, done))
  return {
    url: `https://${address}:${port}`,
    pin: `sha256//${createHash('sha256').update(publicKey).digest('base64')}`,
    give: files => {
      given = files
    },
    stop: () =>
      new Promise(done => {
        server.close(() => done())
        server.closeAllConnections()
      })
  }
}

/** An engine in shell: joins with the token `good`; `comesUp: false` makes one that runs and is never up. */
const engineScript = (version: string, comesUp: boolean): string => `#!/bin/sh
set -eu
case $1 in
  version) echo ${version} ;;
  join)
    read -r token
    [ "$token" = good ] || { echo 'the token is not known' >&2; exit 1; }
    echo secret >"$WEIR_DATA/identity"
    echo "$(hostname) in group Default-Group"
    ;;
  status) ${comesUp ? '[ -f "$WEIR_DATA/up" ] && echo up || { echo "no link yet"; exit 1; }' : 'echo "no link to the controller"; exit 1'} ;;
  run)
    cat "$WEIR_DATA/identity" >/dev/null
    touch "$WEIR_DATA/up"
    exec sleep 1000000
    ;;
esac
`

/** The files of an engine of a version, as \`make package\` names them. */
export function engineFiles(version: string, options: { readonly comesUp: boolean }): Readonly<Record<string, Buffer>> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-standin-'))
  const archive = `weir-engine-linux-${process.arch}.tar.gz`
  writeFileSync(join(folder, 'weir-engine'), engineScript(version, options.comesUp), { mode: 0o755 })
  execFileSync('mkdir', [join(folder, 'lib')])
  execFileSync('tar', ['-C', folder, '-czf', join(folder, archive), 'weir-engine', 'lib'])
  const files: Record<string, Buffer> = {
    [archive]: readFileSync(join(folder, archive)),
    VERSION: Buffer.from(`${version}\n`),
    'install.sh': readFileSync(installScript)
  }
  rmSync(folder, { recursive: true })
  const digest = (body: Buffer): string => createHash('sha256').update(body).digest('hex')
  const sums = Object.entries(files).map(([name, body]) => `${digest(body)}  ${name}\n`)
  return { ...files, SHA256SUMS: Buffer.from(sums.join('')) }
}
