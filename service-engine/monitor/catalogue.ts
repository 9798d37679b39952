/** A kind of probe declared in the snapshot and missing here does not compile. */
import type { ProbeSpec } from '#model/snapshot/snapshot.ts'
import { makeDnsProbe } from './dns/dns.ts'
import { makeExternalProbe } from './external/external.ts'
import { makeGrpcProbe } from './grpc/grpc.ts'
import { makeHttpProbe } from './http/http.ts'
import { makePingProbe, runPing } from './ping/ping.ts'
import type { Probe, ProbeServices } from './probe.ts'
import { makeTcpProbe } from './tcp/tcp.ts'
import { makeUdpProbe } from './udp/udp.ts'

const catalogue: { readonly [K in ProbeSpec['is']]: (spec: Extract<ProbeSpec, { is: K }>, services: ProbeServices) => Probe } = {
  tcp: spec => makeTcpProbe(spec),
  udp: spec => makeUdpProbe(spec),
  http: makeHttpProbe,
  https: makeHttpProbe,
  ping: () => makePingProbe(runPing),
  dns: spec => makeDnsProbe(spec),
  grpc: makeGrpcProbe,
  external: makeExternalProbe
}

/** Throws what the kind throws about settings that this host cannot use. */
export function makeProbe(spec: ProbeSpec, services: ProbeServices): Probe {
  const make = catalogue[spec.is] as (spec: ProbeSpec, services: ProbeServices) => Probe
  return make(spec, services)
}
