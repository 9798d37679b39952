/** How hosts become engines: tokens, enrolment, and the end of trust. */
import { randomBytes } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { VERSION } from '#model/base/version.ts'
import { kinds } from '#model/resource/catalogue.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { mintJoinToken } from '#controller/access/join-token.ts'
import { baseOf } from './answer.ts'
import { callerOf } from './caller.ts'
import { applyWrites, incoming, remove, tenantForCreate, writtenAnswer } from './crud.ts'
import { objectBody } from './json.ts'
import { anyObject, reference, schemaName, writeDoc, writeParameters } from './openapi.ts'
import { Problem } from './problem.ts'
import { checkNames, flagOf } from './query.ts'
import type { RawQuery } from './query.ts'
import { findSeen } from './reads.ts'
import type { RestServices } from './services.ts'

const DEFAULT_MINUTES = 60
/** A CSR of the largest key that anybody uses is far below. */
const ENROL_LIMIT_BYTES = 32_768

export interface JoinOptions {
  /** Enrolments of one address in a minute: a whole rack may join behind one. */
  readonly enrolmentsPerMinute: number
}

/** How an engine is run, and what a person is told about the text of each. */
const methods = {
  systemd: 'As root, on a host with systemd.',
  deb: 'As root, on Debian or Ubuntu: the package, then the join.',
  rpm: 'As root, on a distribution with RPM: the same.',
  container: 'On a host with podman or docker, as who may run containers.',
  compose: 'The same by Docker Compose or Podman Compose: makes the image, and compose.yaml in the current folder.',
  kubernetes: 'Where kubectl works; REGISTRY is where the image of the engine was put.',
  helm: 'Where kubectl and helm work; REGISTRY is where the image of the engine was put.',
  cloudinit: 'User-data of a new machine, not a command.',
  ansible: 'Where ansible-playbook works; HOST is the host that shall join.',
  terraform: 'Where terraform works; HOST is the host that shall join.'
} as const

export type InstallMethod = keyof typeof methods

/**
 * The lines that a person pastes, one text for each way to run an engine.
 *
 * Shapes  base: https://host:port as the person reached the controller; pin: sha256//... of the server's key
 * Returns POSIX shell (of cloud-init: user-data); nothing in it needs quoting beyond what it quotes
 */
export function joinCommands(base: string, pin: string, token: string): Readonly<Record<InstallMethod, string>> {
  const address = URL.parse(base)?.port === '' ? `${base}:443` : base
  const fetch = (path: string): string => `curl -fsSLk --pinnedpubkey '${pin}' '${address}${path}'`
  const origin = `--controller '${address}' --pin '${pin}'`
  const lines = (...all: readonly string[]): string => all.join(' &&\n')
  /** Which package it is only the host knows. */
  const packaged = (before: string, processor: string, end: string, install: string): string =>
    lines(
      `${fetch(`/install/${before}`)}"$(${processor})"${end} -o weir-engine${end}`,
      `${install} ./weir-engine${end}`,
      `WEIR_TOKEN=${token} /opt/weir/install.sh join ${origin}`
    )
  return {
    systemd: `${fetch('/install.sh')} | sh -s -- ${origin} --token ${token}`,
    deb: packaged('weir-engine_', 'dpkg --print-architecture', '.deb', 'dpkg -i'),
    rpm: packaged('weir-engine.', 'uname -m', '.rpm', 'rpm -U'),
    container: `${fetch('/install/container.sh')} | sh -s -- ${origin} --token ${token}`,
    compose: `${fetch('/install/container.sh')} | WEIR_TOKEN=${token} sh -s -- compose ${origin}`,
    kubernetes: `${fetch('/install/kubernetes.sh')} | WEIR_TOKEN=${token} sh -s -- ${origin} --image REGISTRY/weir-engine:${VERSION}`,
    helm: lines(
      `${fetch('/install/weir-engine-chart.tgz')} -o weir-engine-chart.tgz`,
      `printf %s ${token} | kubectl create secret generic weir-engine --from-file=token=/dev/stdin`,
      `helm install weir weir-engine-chart.tgz --set controller='${address}' --set image.repository=REGISTRY/weir-engine --set image.tag=${VERSION}`
    ),
    cloudinit: `#cloud-config
write_files:
  - path: /run/weir-token
    permissions: '0600'
    content: '${token}'
runcmd:
  - |
    curl -fsSLk --retry 10 --retry-connrefused --pinnedpubkey '${pin}' '${address}/install.sh' -o /run/weir-install.sh &&
    WEIR_TOKEN=$(cat /run/weir-token) sh /run/weir-install.sh ${origin}
    rm -f /run/weir-token /run/weir-install.sh
`,
    ansible: lines(
      `${fetch('/install/ansible.tar.gz')} | tar -xz`,
      `WEIR_CONTROLLER='${address}' WEIR_PIN='${pin}' WEIR_TOKEN=${token} ansible-playbook -i HOST, ansible/engine.yml`
    ),
    terraform: lines(
      `${fetch('/install/terraform.tar.gz')} | tar -xz`,
      'terraform -chdir=terraform init',
      `TF_VAR_controller='${address}' TF_VAR_pin='${pin}' TF_VAR_token=${token} TF_VAR_hosts='["HOST"]' terraform -chdir=terraform apply`
    )
  }
}

/** How long a token lives; what is no number of minutes is refused by the check of the whole document. */
function lifetimeMs(minutes: unknown): number {
  return (typeof minutes === 'number' && minutes > 0 && minutes < 1e6 ? minutes : DEFAULT_MINUTES) * 60_000
}

const tokenAnswer: JsonObject = {
  allOf: [reference(schemaName(kinds.jointoken))],
  type: 'object',
  required: ['token', 'command', 'commands'],
  properties: {
    token: { type: 'string', description: 'Shown this once.' },
    command: { type: 'string', description: 'What to run on the host that shall join: commands.systemd.' },
    commands: {
      type: 'object',
      description: 'The same for each way to run an engine.',
      required: Object.keys(methods),
      properties: Object.fromEntries(Object.entries(methods).map(([method, description]) => [method, { type: 'string', description }]))
    }
  }
}

interface ById {
  readonly Params: { readonly uuid: string }
}

export function useJoin(app: FastifyInstance, services: RestServices, options: JoinOptions): void {
  const { store, fleet, authority, clock } = services

  app.post(
    '/api/jointoken',
    { config: { isAnswerSecret: true, doc: { ...writeDoc(kinds.jointoken, 'create'), answer: tokenAnswer } } },
    async (request, reply) => {
      checkNames(request.query as RawQuery, writeParameters)
      const given = incoming(request.body ?? {})
      const body: JsonObject = { name: `join-${randomBytes(4).toString('hex')}`, ...given }
      const { token, serverFields } = mintJoinToken({
        caFingerprint: authority.caFingerprint,
        expiresAtEpochMs: clock.nowEpochMs() + lifetimeMs(given['expiry_minutes']),
        // What is no number is refused by the check of the whole document.
        uses: typeof given['uses'] === 'number' ? given['uses'] : 1,
        randomBytes
      })
      const tenant = tenantForCreate(store, callerOf(request), body)
      const result = await applyWrites(services, request, tenant, [{ op: 'create', kind: 'jointoken', body, serverFields }])
      const answer = writtenAnswer(services, request, result, result.resources[0]!)
      if (flagOf(request.query as RawQuery, 'dry_run')) return answer
      const commands = joinCommands(baseOf(request), authority.serverKeyPin, token)
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ ...answer, token, command: commands.systemd, commands })
    }
  )

  app.post(
    '/api/enrol',
    {
      bodyLimit: ENROL_LIMIT_BYTES,
      config: {
        entry: 'open',
        rateLimit: { max: options.enrolmentsPerMinute, timeWindow: 60_000 },
        doc: {
          summary: 'Exchange a join token and a CSR for a certificate',
          tag: 'system',
          body: {
            type: 'object',
            required: ['token', 'csr', 'hostname'],
            properties: { token: { type: 'string' }, csr: { type: 'string', description: 'PEM' }, hostname: { type: 'string' } }
          },
          status: 200,
          answer: anyObject
        }
      }
    },
    async (request, reply) => {
      const { token, csr, hostname } = objectBody(request.body)
      if (typeof token !== 'string' || typeof csr !== 'string' || typeof hostname !== 'string')
        throw new Problem(400, 'MALFORMED', 'token, csr and hostname are needed')
      if (!/^[\w.-]{1,253}$/.test(hostname)) throw new Problem(400, 'MALFORMED', 'hostname must be a host name')
      reply.header('cache-control', 'no-store')
      return await fleet.enrol({ token, csrPem: csr, hostname, remoteAddress: request.ip })
    }
  )

  const revoke = async (request: FastifyRequest, uuid: string, reason: string): Promise<void> => {
    await fleet.revoke(uuid, `${reason} by ${callerOf(request).actor.name}`)
  }

  app.post<ById>(
    '/api/serviceengine/:uuid/revoke',
    { config: { doc: { summary: 'End the trust in an engine', tag: 'serviceengine', status: 200, answer: anyObject } } },
    async request => {
      const engine = findSeen(store, callerOf(request), 'serviceengine', request.params.uuid)
      if (!callerOf(request).actor.may('write', 'serviceengine', engine.tenant))
        throw new Problem(403, 'FORBIDDEN', `${callerOf(request).actor.name} may not write service engines`)
      await revoke(request, engine.uuid, 'revoked')
      return { uuid: engine.uuid, revoked: true }
    }
  )

  const takeover = {
    summary: 'Take over an engine that runs what was committed after the copy that the controller was restored from',
    tag: 'serviceengine',
    status: 200,
    answer: anyObject
  }
  app.post<ById>('/api/serviceengine/:uuid/takeover', { config: { doc: takeover } }, async request => {
    const { actor } = callerOf(request)
    const engine = findSeen(store, callerOf(request), 'serviceengine', request.params.uuid)
    if (!actor.may('write', 'serviceengine', engine.tenant))
      throw new Problem(403, 'FORBIDDEN', `${actor.name} may not write service engines`)
    if (!fleet.takeOver(engine.uuid, actor.name))
      throw new Problem(409, 'NOT_NOW', 'the engine is not held: it runs what this controller says')
    return { uuid: engine.uuid, taken_over: true }
  })

  app.post('/api/serviceengine', { config: { doc: { hidden: 'refused' } } }, async () => {
    throw new Problem(405, 'JOIN_INSTEAD', 'an engine is made by joining: POST /api/jointoken and run its command on the host', {
      headers: { allow: 'GET' }
    })
  })

  app.delete<ById>('/api/serviceengine/:uuid', { config: { doc: writeDoc(kinds.serviceengine, 'delete') } }, async (request, reply) => {
    checkNames(request.query as RawQuery, writeParameters)
    const engine = findSeen(store, callerOf(request), 'serviceengine', request.params.uuid)
    await remove(services, request, engine)
    if (!flagOf(request.query as RawQuery, 'dry_run')) await revoke(request, engine.uuid, 'deleted')
    return reply.code(204).send()
  })
}
