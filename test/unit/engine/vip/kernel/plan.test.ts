import t from 'tap'
import { planForwarding, type PlanInput } from '#engine/vip/kernel/plan.ts'
import type { PoolPart, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { aListener, aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'

const host = { passesOnV4: true, passesOnV6: true, hasConntrack: true }
const servers = [aServer(80, { host: '10.0.2.1' }), aServer(80, { host: '10.0.2.2' })]
const monitors: PoolPart['monitors'] = [
  {
    id: 'm',
    name: 'm',
    probe: { is: 'ping' },
    sendIntervalMs: 1,
    receiveTimeoutMs: 1,
    successfulChecks: 1,
    failedChecks: 1,
    port: null,
    isQuickStart: true
  }
]

function plan(given: {
  readonly service?: Partial<VirtualServicePart>
  readonly pool?: Partial<PoolPart>
  readonly input?: Partial<PlanInput>
}): ReturnType<typeof planForwarding> {
  const listeners = [aListener({ address: '10.0.0.1', port: 80 }), aListener({ address: '10.0.0.1', port: 81 })]
  const service = aService({ application: 'tcp', forwarding: 'kernel', listeners, tcp: { idleTimeoutMs: 300_000 }, ...given.service })
  const snapshot = aSnapshot({ services: [service], pools: [aPool(servers, given.pool)] })
  return planForwarding({ snapshot, host, verdictOf: () => 'unknown', addressesOf: () => [], ...given.input })
}
const weights = (of: ReturnType<typeof plan>): number[] => of.services[0]!.servers.map(server => server.weight)

t.test('a plain service is planned whole', async t => {
  t.same(plan({}).services, [
    {
      id: 'vs-1',
      protocol: 'tcp',
      doors: [{ address: '10.0.0.1', ports: [80, 81] }],
      balance: 'in-turn',
      servers: [
        { key: 'pool-1/10.0.2.1:80', ip: '10.0.2.1', port: 80, weight: 1 },
        { key: 'pool-1/10.0.2.2:80', ip: '10.0.2.2', port: 80, weight: 1 }
      ],
      preservesClient: false,
      idleTimeoutS: 300
    }
  ])
  t.match(plan({ service: { forwarding: 'kernel-only' }, pool: { usesServicePort: true } }).services, [
    { preservesClient: true, servers: [{ port: null }, { port: null }] }
  ])
  t.same(plan({ service: { application: 'http', forwarding: undefined as never } }), { services: [], reasons: new Map() })
})

t.test('health and settings decide who takes something new', async t => {
  const verdicts = (up: string) => ({ verdictOf: (_pool: string, server: string) => (server === up ? 'up' : 'down') }) as const
  t.same(weights(plan({ pool: { monitors }, input: verdicts('10.0.2.1:80') })), [1, 0])
  t.same(weights(plan({ pool: { monitors }, input: verdicts('nobody') })), [0, 0])
  t.same(weights(plan({ pool: { monitors } })), [1, 1], 'before any verdict')
  t.same(weights(plan({ input: verdicts('nobody') })), [1, 1], 'nobody asks')
  const disabled = [aServer(80, { host: '10.0.2.1', isEnabled: false }), aServer(80, { host: '10.0.2.2', weight: 3 })]
  t.same(weights(plan({ pool: { servers: disabled } })), [0, 3])
  const named = [aServer(80, { host: 'web.test', isName: true })]
  t.match(plan({ pool: { servers: named }, input: { addressesOf: () => ['10.0.2.9'] } }).services, [{ servers: [{ ip: '10.0.2.9' }] }])
})

t.test('what the kernel cannot do stays in user space, with a reason', async t => {
  const udp = { application: 'udp' } as const
  for (const [given, reason] of [
    [{ service: { target: null } }, /no pool/],
    [{ pool: { algorithm: { is: 'least-connections' } } }, /least-connections/],
    [{ pool: { algorithm: { is: 'consistent-hash', by: 'uri', header: null } } }, /consistent-hash/],
    [{ pool: { maxConnectionsPerServer: 1 } }, /limits connections/],
    [{ pool: { locality: { overprovisioning: 1.4 } } }, /servers of a zone/],
    [{ pool: { servers: [aServer(80, { host: '10.0.2.1' }), aServer(80)] } }, /only be reached from this host/],
    [{ pool: { servers: [aServer(80, { host: '2001:db8::1' })] } }, /two families/],
    [{ pool: { servers: [aServer(80, { host: 'web.test', isName: true })] } }, /no server with an address/],
    [{ service: udp, input: { host: { ...host, hasConntrack: false } } }, /conntrack/],
    [{ input: { host: { ...host, passesOnV4: false } } }, /ip_forward/]
  ] as readonly (readonly [Parameters<typeof plan>[0], RegExp])[]) {
    const { services, reasons } = plan(given)
    t.same(services, [])
    t.match(reasons.get('vs-1'), reason)
  }
})
