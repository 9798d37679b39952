/** Samples of an engine, as short as a test wants them. */
import type { HostSample, Sample, Totals, TrafficSample } from '#model/message/message.ts'

export const noTotals: Totals = {
  requests: 0,
  responses1xx: 0,
  responses2xx: 0,
  responses3xx: 0,
  responses4xx: 0,
  responses5xx: 0,
  faultsDownstream: 0,
  faultsEngine: 0,
  faultsUpstream: 0,
  bytesIn: 0,
  bytesOut: 0,
  connections: 0,
  openConnections: 0
}

export const quietHost: HostSample = {
  cpuRatio: 0.25,
  processCpuRatio: 0.1,
  memoryUsedBytes: 1_000,
  memoryTotalBytes: 4_000,
  processRssBytes: 500,
  networkReceivedBytes: 0,
  networkSentBytes: 0
}

export const traffic = (id: string, totals: Partial<Totals> = {}, latency: readonly number[] = []): TrafficSample => ({
  id,
  totals: { ...noTotals, ...totals },
  latency
})

export const aSample = (over: Partial<Sample> = {}): Sample => ({
  bootId: 'boot-1',
  sequence: 1,
  atEpochMs: 1_700_000_000_000,
  droppedSamples: 0,
  droppedLogLines: 0,
  host: quietHost,
  virtualServices: [],
  pools: [],
  servers: [],
  ...over
})
