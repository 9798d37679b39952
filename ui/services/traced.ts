/** A trace of live requests as the API tells it: what each request met, and where its time went. */
import { isRecord, textIn } from '../json.ts'
import { parseExplained } from './explained.ts'
import type { Explained } from './explained.ts'

export interface TracedRequest {
  readonly id: string
  readonly atMs: number
  /** Method, host and path, as one line. */
  readonly what: string
  readonly client: string
  /** 0: there was no answer. */
  readonly status: number
  readonly attempts: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** In the order in which they happened; their sum is the total. */
  readonly parts: readonly { readonly name: string; readonly ms: number }[]
  readonly totalMs: number
  /** An estimate, and no part of the total; 0 for none. */
  readonly clientRttMs: number
  /** Why it did not go well; '' when it did. */
  readonly fault: string
  readonly explained: Explained
}

export interface TraceState {
  readonly isRunning: boolean
  readonly requests: readonly TracedRequest[]
}

const numberIn = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0)

const parts = [
  ['rules and waiting', 'before_us'],
  ['connect', 'connect_us'],
  ['server', 'server_us'],
  ['transfer', 'transfer_us']
] as const

function parseRequest(request: Readonly<Record<string, unknown>>): TracedRequest {
  const times = isRecord(request['times']) ? request['times'] : {}
  const explanation = isRecord(request['explanation']) ? request['explanation'] : {}
  const [fault, reason] = [textIn(request['fault']), textIn(request['fault_reason'])]
  return {
    id: textIn(request['request_id']),
    atMs: numberIn(request['at']),
    what: `${textIn(request['method'])} ${textIn(request['scheme'])}://${textIn(request['host'])}${textIn(request['path'])}`,
    client: textIn(request['client_ip']),
    status: numberIn(explanation['status']),
    attempts: numberIn(request['attempts']),
    bytesIn: numberIn(request['bytes_in']),
    bytesOut: numberIn(request['bytes_out']),
    parts: parts.map(([name, field]) => ({ name, ms: numberIn(times[field]) / 1_000 })),
    totalMs: numberIn(times['total_us']) / 1_000,
    clientRttMs: numberIn(times['client_rtt_estimate_us']) / 1_000,
    fault: fault === '' || reason === '' ? fault : `${fault}: ${reason}`,
    explained: parseExplained(explanation)
  }
}

/** Reads `GET /api/trace/<id>`, the newest request first; what is not there is empty. */
export function parseTrace(answer: unknown): TraceState {
  const fields = isRecord(answer) ? answer : {}
  const requests: readonly unknown[] = Array.isArray(fields['requests']) ? fields['requests'] : []
  return { isRunning: fields['running'] === true, requests: requests.filter(isRecord).map(parseRequest).toReversed() }
}
