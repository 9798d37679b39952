/** The charts of what carries traffic: services and pools alike, in the same order. */
import { trafficLines } from '../feed/metrics.ts'
import type { TrafficLines } from '../feed/metrics.ts'
import type { ChartPlan } from '../part/charts.tsx'

const plansOf = (lines: TrafficLines, kept: string): readonly ChartPlan[] => [
  {
    title: 'Requests',
    sentence: 'Good: follows the day of its users, without holes.',
    unit: 'per-s',
    topAtLeast: 1,
    lines: [{ name: 'requests', color: '--accent', metric: lines.requests }]
  },
  {
    title: 'Errors',
    sentence: 'Good: 5xx at zero; a few 4xx are the clients’ own.',
    unit: 'per-s',
    topAtLeast: 1,
    lines: [
      { name: '5xx', color: '--down', metric: lines.errors5xx },
      { name: '4xx', color: '--muted', dash: [4, 3], metric: lines.errors4xx }
    ]
  },
  {
    title: 'Latency',
    sentence: 'Good: p99 within a few times p50, and both flat under load.',
    unit: 'ms',
    topAtLeast: 1,
    lines: [
      { name: 'p50', color: '--muted', dash: [4, 3], metric: lines.latencyP50 },
      { name: 'p95', color: '--accent', metric: lines.latencyP95 },
      { name: 'p99', color: '--text', metric: lines.latencyP99 }
    ]
  },
  {
    title: 'Throughput',
    sentence: 'Good: in step with requests, well below what the links carry.',
    unit: 'bytes-per-s',
    topAtLeast: 125,
    lines: [
      { name: 'out', color: '--accent', metric: lines.bytesOut },
      { name: 'in', color: '--muted', dash: [4, 3], metric: lines.bytesIn }
    ]
  },
  {
    title: 'Open connections',
    sentence: 'Good: steady; a climb without more requests means that answers got slow.',
    unit: 'count',
    topAtLeast: 4,
    lines: [{ name: 'open', color: '--accent', metric: lines.openConnections }]
  },
  {
    title: 'New connections',
    sentence: `Good: far fewer than requests: ${kept}.`,
    unit: 'per-s',
    topAtLeast: 1,
    lines: [{ name: 'new', color: '--accent', metric: lines.newConnections }]
  }
]

export const serviceCharts = plansOf(trafficLines('client'), 'clients keep theirs open')
export const poolCharts = plansOf(trafficLines('server'), 'those to servers are kept and used again')
