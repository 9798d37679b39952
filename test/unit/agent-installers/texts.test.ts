/** What is written for the tools of others: each text is read by its tool where this machine has it, and what it may do is held here. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { VERSION } from '#model/base/version.ts'
import { copyPlain } from '../../../agent-installers/package.ts'

const installers = resolve(import.meta.dirname, '../../../agent-installers')
const textOf = (path: string): string => readFileSync(join(installers, path), 'utf8')

type Fields = Readonly<Record<string, unknown>>
const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

function documentsIn(text: string): Fields[] {
  return parseAllDocuments(text).map(document => {
    if (document.errors.length > 0) throw document.errors[0]!
    return document.toJS() as Fields
  })
}

/** Follows a path of names and places. */
function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((found, step) => (found as Fields | undefined)?.[step], value)
}

const kinds = { daemonset: 'DaemonSet', deployment: 'Deployment' } as const

for (const [name, kind] of Object.entries(kinds)) {
  t.test(`the manifest of a ${kind} runs an engine that is nobody and has no capability`, async t => {
    const documents = documentsIn(textOf(`kubernetes/${name}.yaml`))
    const workload = documents.find(document => document['kind'] === kind)
    t.ok(workload)
    t.equal(at(workload, 'metadata', 'namespace'), 'weir')
    const pod = at(workload, 'spec', 'template', 'spec')
    t.match(pod, { automountServiceAccountToken: false, securityContext: { runAsNonRoot: true, runAsUser: 65532 } })
    t.same(at(workload, 'spec', 'selector', 'matchLabels'), at(workload, 'spec', 'template', 'metadata', 'labels'))
    const engine = at(pod, 'containers', 0)
    t.same(at(engine, 'securityContext'), {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] }
    })
    t.notOk(at(engine, 'livenessProbe') ?? at(engine, 'readinessProbe'), 'an engine whose controller is away is not taken out')
    const names = (at(pod, 'volumes') as Fields[]).map(volume => volume['name'])
    for (const mount of at(engine, 'volumeMounts') as Fields[]) t.ok(names.includes(mount['name']), String(mount['name']))
    t.equal(at(pod, 'hostNetwork') === true, kind === 'DaemonSet')
    const service = documents.find(document => document['kind'] === 'Service')
    t.equal(service !== undefined, kind === 'Deployment')
    if (service) t.same(at(service, 'spec', 'selector'), at(workload, 'spec', 'selector', 'matchLabels'))
    t.notMatch(textOf(`kubernetes/${name}.yaml`), /privileged: true|NET_ADMIN/)
  })
}

t.test('kubernetes.sh gives kubectl the manifest with the image, and the token by standard input alone', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-kubernetes-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const tool = (name: string, body: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  tool('curl', `cat '${join(installers, 'kubernetes/daemonset.yaml')}'`)
  tool(
    'kubectl',
    `echo "$*" >>"${folder}/called"
case "$*" in
  *'get daemonset'*) [ ! -f "${folder}/runs" ] || echo daemonset.apps/weir-engine ;;
  *'secret generic'*) cat >"${folder}/secret"; echo 'a: 1' ;;
  *--dry-run*) echo 'a: 1' ;;
  apply*) cat >"${folder}/applied"; touch "${folder}/runs" ;;
  *'get pods'*) echo pod/weir-engine-x ;;
esac`
  )
  const script = join(installers, 'kubernetes/install.sh')
  const run = (args: readonly string[], token?: string) =>
    spawnSync('sh', [script, ...args], {
      encoding: 'utf8',
      env: { PATH: `${folder}:${process.env['PATH']}`, ...(token === undefined ? {} : { WEIR_TOKEN: token }) }
    })
  const origin = ['--controller', 'https://lb.test:9443', '--pin', 'sha256//abc=', '--image', 'registry.test/weir-engine:1']
  t.match(run([]), { status: 2, stderr: /--controller https:\/\/HOST:PORT is missing/ })
  t.match(run(origin.slice(0, 4)), { status: 2, stderr: /--image/ })
  t.match(run([...origin.slice(0, 5), 'x|e id']), { status: 2, stderr: /is no image/ })
  t.match(run(origin), { status: 2, stderr: /WEIR_TOKEN is missing/ })
  t.match(run(['verify']), { status: 1, stderr: /nothing runs/ })
  t.match(run(['upgrade', ...origin]), { status: 1, stderr: /install comes first/ })
  t.match(run([...origin, '--plan'], 'weir1.a.b'), { status: 0, stdout: /image: registry\.test\/weir-engine:1\n/ })
  t.match(run(origin, 'weir1.a.b'), { status: 0, stdout: /every pod has joined/, stderr: '' })
  t.equal(readFileSync(join(folder, 'secret'), 'utf8'), 'weir1.a.b')
  t.notMatch(readFileSync(join(folder, 'called'), 'utf8'), 'weir1.a.b')
  const applied = documentsIn(readFileSync(join(folder, 'applied'), 'utf8'))
  t.equal(at(applied.at(-1), 'spec', 'template', 'spec', 'containers', 0, 'image'), 'registry.test/weir-engine:1')
  t.match(run(origin), { status: 0 }, 'again without a token: it has joined')
  t.match(run([...origin, '--kind', 'deployment']), { status: 1 })
  t.match(run(['verify']), { status: 0, stdout: /every engine is up/ })
  t.match(run(['remove']), { status: 0 })
  t.match(readFileSync(join(folder, 'called'), 'utf8'), /delete namespace weir/)
})

t.test('the chart asks for nothing that its values do not have, and is of this version', async t => {
  const values = parse(textOf('helm/values.yaml')) as unknown
  const templates = readdirSync(join(installers, 'helm/templates')).map(name => textOf(`helm/templates/${name}`))
  for (const template of templates) {
    for (const [, path] of template.matchAll(/\.Values\.([A-Za-z.]+)/g)) t.not(at(values, ...path!.split('.')), undefined, path!)
    const words = [...template.matchAll(/\{\{-? (if|range|with|define|end)\b/g)].map(([, word]) => word)
    t.equal(words.filter(word => word === 'end').length, words.filter(word => word !== 'end').length, 'every block ends')
    t.equal(template.split('{{').length, template.split('}}').length)
  }
  t.match(parse(textOf('helm/Chart.yaml')), { version: VERSION, appVersion: VERSION })
  t.match(values, { image: { tag: VERSION }, controller: '' })
  t.notMatch(textOf('helm/values.yaml'), /^token:/m)
})

/** The one template with its conditions decided: enough to see that both kinds are YAML and say what the manifests say. */
function renderChart(isDaemonSet: boolean): string {
  const shown: boolean[] = []
  const lines = textOf('helm/templates/engine.yaml')
    .split('\n')
    .flatMap(line => {
      const word = /^\s*\{\{-? (if|else|end)\b(.*)\}\}/.exec(line)
      if (word?.[1] === 'if') shown.push(word[2]!.includes('has .Values') ? false : word[2]!.includes('not') ? !isDaemonSet : isDaemonSet)
      else if (word?.[1] === 'else') shown.push(!shown.pop()!)
      else if (word?.[1] === 'end') shown.pop()
      else if (!/^\s*\{\{-? (\$|fail)/.test(line)) return shown.every(Boolean) ? [line.replaceAll(/\{\{.*?\}\}/g, 'x')] : []
      return []
    })
  return lines.join('\n')
}

for (const [name, kind] of Object.entries(kinds)) {
  t.test(`the chart and the manifest give a ${kind} the same rights`, async t => {
    const [, workload] = documentsIn(renderChart(kind === 'DaemonSet'))
    const manifest = documentsIn(textOf(`kubernetes/${name}.yaml`)).find(document => document['kind'] === kind)
    const rights = (of: unknown): unknown => {
      const pod = at(of, 'spec', 'template', 'spec')
      const strategy = at(of, 'spec', 'updateStrategy') ?? at(of, 'spec', 'strategy')
      const secured = [
        at(pod, 'securityContext'),
        at(pod, 'containers', 0, 'securityContext'),
        at(pod, 'initContainers', 0, 'securityContext')
      ]
      return { strategy, secured, hostNetwork: at(pod, 'hostNetwork'), probe: at(pod, 'containers', 0, 'startupProbe') }
    }
    t.same(rights(workload), rights(manifest))
  })
}

const lacks = (program: string, how: string): string | false => (has(program) ? false : `needs ${program} (${how})`)
const noHelm = lacks('helm', 'go install helm.sh/helm/v3/cmd/helm@latest')
const noSchemas = lacks('kubernetes-validate', 'pip install kubernetes-validate')

/** Each document, held against the schemas of Kubernetes: a field that it does not know is refused. */
function validateStrictly(text: string): { readonly status: number | null; readonly stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'weir-manifest-'))
  try {
    writeFileSync(join(folder, 'manifest.yaml'), text)
    const { status, stdout, stderr } = spawnSync('kubernetes-validate', ['--strict', join(folder, 'manifest.yaml')], { encoding: 'utf8' })
    return { status, stderr: `${stdout}${stderr}` }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

t.test('the manifests are what Kubernetes knows, field by field', { skip: noSchemas }, async t => {
  for (const name of Object.keys(kinds)) {
    const text = textOf(`kubernetes/${name}.yaml`)
    const judged = validateStrictly(text)
    t.equal(judged.status, 0, judged.stderr)
    t.not(validateStrictly(text.replace('enableServiceLinks', 'enableServiceLink')).status, 0, 'a misspelt field is seen')
  }
})

t.test('helm finds nothing wrong with the chart, and what it renders is the manifest', { skip: noHelm }, async t => {
  const chart = join(installers, 'helm')
  const helm = (...args: readonly string[]) =>
    spawnSync('helm', [...args], { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: tmpdir() } })
  // A helm that was built by hand takes the cluster for an old one.
  const version = ['--kube-version', '1.31.0']
  const origin = ['--set', 'controller=https://lb.test:9443', ...version]
  const linted = helm('lint', '--strict', chart, ...origin)
  t.equal(linted.status, 0, linted.stdout)
  t.match(helm('template', 'weir', chart, ...version), { status: 1, stderr: /controller is needed/ })
  t.match(helm('template', 'weir', chart, ...origin, '--set', 'kind=Pod'), { status: 1, stderr: /kind must be DaemonSet or Deployment/ })
  for (const [name, kind] of Object.entries(kinds)) {
    const more = ['--set', 'imagePullSecrets[0].name=registry', '--set', 'nodeSelector.edge=yes', '--set', 'tolerations[0].operator=Exists']
    const rendered = helm('template', 'weir', chart, ...origin, '--set', `kind=${kind}`, ...more)
    t.equal(rendered.status, 0, rendered.stderr)
    if (noSchemas === false) {
      const judged = validateStrictly(rendered.stdout)
      t.equal(judged.status, 0, judged.stderr)
    }
    const workload = documentsIn(rendered.stdout).find(document => document?.['kind'] === kind)
    const pod = at(workload, 'spec', 'template', 'spec')
    const manifest = documentsIn(textOf(`kubernetes/${name}.yaml`)).find(document => document['kind'] === kind)
    const wanted = at(manifest, 'spec', 'template', 'spec')
    t.match(pod, { imagePullSecrets: [{ name: 'registry' }], nodeSelector: { edge: 'yes' }, tolerations: [{ operator: 'Exists' }] })
    for (const field of ['securityContext', 'initContainers', 'volumes', 'hostNetwork', 'terminationGracePeriodSeconds'])
      t.same(at(pod, field), at(wanted, field), field)
    for (const field of ['securityContext', 'startupProbe', 'volumeMounts', 'resources'])
      t.same(at(pod, 'containers', 0, field), at(wanted, 'containers', 0, field), field)
    t.same(at(pod, 'containers', 0, 'env', 0), { name: 'WEIR_CONTROLLER', value: 'https://lb.test:9443' })
    const [labels, selector] = [at(workload, 'spec', 'template', 'metadata', 'labels'), at(workload, 'spec', 'selector', 'matchLabels')]
    t.same(labels, selector)
    const service = documentsIn(rendered.stdout).find(document => document?.['kind'] === 'Service')
    if (kind === 'Deployment') t.same(at(service, 'spec', 'selector'), labels)
    else t.equal(service, undefined)
  }
})

t.test('kubectl makes the Secret of what comes by standard input', { skip: lacks('kubectl', 'your distribution') }, async t => {
  const order = [
    '--namespace',
    'weir',
    'create',
    'secret',
    'generic',
    'weir-engine',
    '--from-file=token=/dev/stdin',
    '--dry-run=client',
    '--output',
    'yaml'
  ]
  t.ok(textOf('kubernetes/install.sh').includes(order.slice(2).join(' ').replace('weir-engine', '"$NAME"')), 'as kubernetes.sh asks for it')
  // By a pipe, as there: what Node gives as input cannot be opened by name.
  const env = { PATH: process.env['PATH'], HOME: tmpdir() }
  const made = spawnSync('sh', ['-c', 'printf %s "$0" | kubectl "$@"', 'weir1.a.b', ...order], { encoding: 'utf8', env })
  t.match(documentsIn(made.stdout)[0], {
    kind: 'Secret',
    metadata: { name: 'weir-engine', namespace: 'weir' },
    data: { token: Buffer.from('weir1.a.b').toString('base64') }
  })
})

t.test('compose.yaml runs the engine as nobody, with the one capability', async t => {
  const engine = at(parse(textOf('compose/compose.yaml')), 'services', 'engine')
  t.match(engine, { user: '65532:65532', cap_drop: ['ALL'], cap_add: ['NET_BIND_SERVICE'], read_only: true, network_mode: 'host' })
  t.notOk(at(engine, 'privileged'))
  // An empty default, ${NAME:-}, is not understood by every compose.
  t.same(at(engine, 'environment'), ['WEIR_CONTROLLER', 'WEIR_TOKEN'])
})

t.test('container.sh compose makes the image by the engine of containers that the compose at hand starts it with', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-compose-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['tools', 'given', 'here']) mkdirSync(join(folder, name))
  const tool = (name: string, body: string): void => {
    writeFileSync(join(folder, 'tools', name), `#!/bin/sh\n${body}\n`)
    chmodSync(join(folder, 'tools', name), 0o755)
  }
  const arch = process.arch
  const given = ['Containerfile', `weir-base-linux-${arch}.tar.gz`, `weir-engine-linux-${arch}.tar.gz`, 'compose.yaml']
  for (const name of given) writeFileSync(join(folder, 'given', name), `${name}\n`)
  writeFileSync(join(folder, 'given/SHA256SUMS'), execFileSync('sha256sum', given, { cwd: join(folder, 'given') }))
  tool('curl', `for word; do [ "$before" != -o ] || out=$word; before=$word; done; cp "${folder}/given/\${word##*/}" "$out"`)
  const engine = (name: string): string => `echo "${name} $*" >>"${folder}/called"
case "$*" in
  'info' | 'compose version') [ -f "${folder}/docker-runs" ] ;;
  'compose version'*) exit 1 ;;
  'volume inspect'*) [ -f "${folder}/runs" ] ;;
  'image inspect'*) cat "${folder}/image" ;;
  'ps '*) [ ! -f "${folder}/runs" ] || echo c0ffee ;;
  'compose --file'*) echo "$WEIR_CONTROLLER $WEIR_TOKEN" >"${folder}/told"; touch "${folder}/runs" ;;
esac`
  tool('docker', engine('docker'))
  tool('podman', engine('podman'))
  const podmanCompose = (version: string): void =>
    tool(
      'podman-compose',
      `[ "$1" != version ] || { echo "podman-compose version ${version}"; exit; }\n${engine('podman-compose').replace("'compose --file'", "'--file'")}`
    )
  podmanCompose('1.6.0')
  writeFileSync(join(folder, 'image'), 'one\n')
  const run = (token = '') => {
    rmSync(join(folder, 'called'), { force: true })
    const args = ['compose', '--controller', 'https://lb.test:9443', '--pin', 'sha256//abc=']
    const env = { PATH: `${join(folder, 'tools')}:${process.env['PATH']}`, WEIR_TOKEN: token }
    const ran = spawnSync('sh', [join(installers, 'container/install.sh'), ...args], { cwd: join(folder, 'here'), encoding: 'utf8', env })
    const called = existsSync(join(folder, 'called')) ? readFileSync(join(folder, 'called'), 'utf8') : ''
    return { ...ran, called }
  }
  t.match(run(), { status: 2, stderr: /WEIR_TOKEN is missing/ })
  podmanCompose('1.0.3')
  t.match(run('weir1.a.b'), { status: 1, stderr: /podman-compose 1\.0\.3 cannot put a container on the host's network/ })
  podmanCompose('1.6.0')

  const first = run('weir1.a.b')
  t.match(first, { status: 0, stdout: /up +the controller says OPER_UP/, stderr: '' })
  t.match(first.called, /^podman build .*--tag weir-engine /m)
  t.match(first.called, /^podman-compose --file compose\.yaml up --detach$/m, 'docker does not run')
  t.match(first.called, /^podman exec c0ffee \/opt\/weir\/weir-engine status$/m)
  t.notMatch(first.called, 'weir1.a.b', 'the token is in no command line')
  t.equal(readFileSync(join(folder, 'told'), 'utf8'), 'https://lb.test:9443 weir1.a.b\n')
  t.equal(readFileSync(join(folder, 'here/compose.yaml'), 'utf8'), 'compose.yaml\n')

  writeFileSync(join(folder, 'here/compose.yaml'), 'ours\n')
  const second = run()
  t.match(second, { status: 0, stderr: '' }, 'again without a token: it has joined')
  t.notMatch(second.called, /--force-recreate/)
  t.equal(readFileSync(join(folder, 'here/compose.yaml'), 'utf8'), 'ours\n', 'what its owner changed stays')

  // Another image comes by the build.
  tool('podman', `${engine('podman')}\ncase "$1" in build) echo two >"${folder}/image" ;; esac`)
  t.match(run().called, /^podman-compose --file compose\.yaml up --detach --force-recreate$/m)

  writeFileSync(join(folder, 'docker-runs'), '')
  const byDocker = run()
  t.match(byDocker, { status: 0 })
  t.match(byDocker.called, /^docker build /m)
  t.match(byDocker.called, /^docker compose --file compose\.yaml up --detach$/m)
  t.notMatch(byDocker.called, /^podman/m, 'what docker starts, docker builds')
})

t.test('user-data is YAML that cloud-init takes as its own', async t => {
  const text = textOf('cloud-init/user-data.yaml')
  t.match(text, /^#cloud-config\n/)
  const data = parse(text) as unknown
  t.match(data, { write_files: [{ path: '/run/weir-token', permissions: '0600' }] })
  t.equal(spawnSync('sh', ['-n'], { input: String(at(data, 'runcmd', 0)) }).status, 0)
})

t.test('the role is YAML, and never shows the token', async t => {
  const tasks = parse(textOf('ansible/roles/weir_engine/tasks/main.yml')) as Fields[]
  const block = tasks.flatMap(task => (task['block'] as Fields[] | undefined) ?? [])
  const withToken = block.filter(task => JSON.stringify(task).includes('weir_token'))
  t.ok(withToken.length > 0)
  for (const task of withToken) t.equal(task['no_log'], true, String(task['name']))
  for (const task of block) t.notMatch(JSON.stringify(at(task, 'ansible.builtin.command', 'argv') ?? []), 'weir_token')
  for (const verb of ['install', 'upgrade', 'remove', 'verify']) t.match(JSON.stringify(tasks), verb)
})

t.test(
  'ansible-playbook accepts the role',
  { skip: has('ansible-playbook') ? false : 'needs ansible-playbook (apt-get install ansible-core)' },
  async t => {
    const ran = spawnSync('ansible-playbook', ['-i', 'host,', '--syntax-check', 'engine.yml'], {
      cwd: join(installers, 'ansible'),
      encoding: 'utf8'
    })
    t.equal(ran.status, 0, ran.stderr)
  }
)

t.test('terraform accepts the module', { skip: has('terraform') ? false : 'needs terraform' }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-terraform-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(installers, 'terraform'), folder, { recursive: true })
  cpSync(join(installers, 'cloud-init/user-data.yaml'), join(folder, 'user-data.yaml'))
  // Nobody's settings, and no question to a registry: the module needs no provider.
  const env = { PATH: process.env['PATH'], HOME: folder, CHECKPOINT_DISABLE: '1', TF_IN_AUTOMATION: '1' }
  const terraform = (...args: readonly string[]) => spawnSync('terraform', [...args, '-no-color'], { cwd: folder, env, encoding: 'utf8' })
  const begun = terraform('init', '-backend=false', '-input=false')
  t.equal(begun.status, 0, begun.stderr)
  t.match(terraform('validate'), { status: 0, stderr: '' })
  t.match(terraform('fmt', '-check', '-diff'), { status: 0, stdout: '' })
  const given = ['-var', 'controller=https://lb.test:9443', '-var', 'pin=sha256//abc=', '-var', 'token=weir1.a.b']
  t.match(terraform('plan', '-input=false', ...given), { status: 0, stdout: /user_data += \(sensitive value\)/ })
  t.match(terraform('plan', '-input=false', ...given, '-var', 'pin=x'), { status: 1, stderr: /pin must look like/ })
})

t.test('the texts are packed under the names that commands ask for, the same each time', async t => {
  const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'weir-texts-test-')))
  t.teardown(() => folders.forEach(folder => rmSync(folder, { recursive: true, force: true })))
  const [first, second] = folders.map(folder => copyPlain(folder))
  t.same(first, second)
  for (const name of first!) t.same(readFileSync(join(folders[0]!, name)), readFileSync(join(folders[1]!, name)), name)
  const listed = (archive: string): string => execFileSync('tar', ['-tzf', join(folders[0]!, archive)], { encoding: 'utf8' })
  t.match(listed('terraform.tar.gz'), /^terraform\/user-data\.yaml$/m)
  t.match(listed('ansible.tar.gz'), /^ansible\/roles\/weir_engine\/tasks\/main\.yml$/m)
  t.match(listed('weir-engine-chart.tgz'), /^weir-engine\/Chart\.yaml$/m)
})
