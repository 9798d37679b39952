/**
 * A client at steady load: a new connection each few milliseconds, to each address in turn. Reads lines of JSON on standard input:
 *
 *   {"start": ["10.0.0.1", ...], "port": 80}   begins
 *   {"giveUpMs": 3000}                         waits so long for each answer
 *   {"keep": 5, "port": 80}                    and so many clients that keep their connections, to each address
 *   {"report": true}                           answers what happened since the last report, and counts anew
 */
import { Agent, get } from 'node:http'
import { createInterface } from 'node:readline'

interface Order {
  readonly start?: readonly string[]
  readonly port?: number
  readonly report?: boolean
  readonly giveUpMs?: number
  readonly keep?: number
}

interface Seen {
  answered: number
  failed: number
  lastAtMs: number
  longestMs: number
  /** New connections of clients that keep theirs. */
  connected: number
}

const EACH_MS = 10
/** Seldom: an engine closes a connection after a hundred requests (`max_keepalive_requests`). */
const KEPT_EACH_MS = 1_000
let giveUpMs = 200
const seen = new Map<string, Seen>()

function ask(address: string, port: number, agent: Agent | false = false): void {
  const state = seen.get(address)!
  const request = get({ host: address, port, path: '/', agent }, response => {
    response.resume().on('end', () => {
      clearTimeout(timer)
      const now = performance.now()
      if (agent === false) {
        state.longestMs = Math.max(state.longestMs, now - state.lastAtMs)
        state.lastAtMs = now
      }
      if (response.statusCode === 200) state.answered++
      else state.failed++
    })
  })
  const timer = setTimeout(() => request.destroy(), giveUpMs)
  request.on('error', () => {
    clearTimeout(timer)
    // A connection that was closed while nothing was asked: every client asks again then (RFC 9112 section 9.3.1).
    if (request.reusedSocket) ask(address, port, agent)
    else state.failed++
  })
}

function keep(address: string, port: number): void {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (...args) => {
    seen.get(address)!.connected++
    return connect(...args)
  }
  setInterval(() => ask(address, port, agent), KEPT_EACH_MS)
}

for await (const line of createInterface({ input: process.stdin })) {
  const { start, port = 80, report, keep: kept = 0 } = JSON.parse(line) as Order
  giveUpMs = (JSON.parse(line) as Order).giveUpMs ?? giveUpMs
  for (const address of start ?? []) {
    seen.set(address, { answered: 0, failed: 0, lastAtMs: performance.now(), longestMs: 0, connected: 0 })
    setInterval(() => ask(address, port), EACH_MS * 2)
  }
  for (const address of seen.keys()) for (let i = 0; i < kept; i++) keep(address, port)
  if (report !== true) continue
  const now = performance.now()
  const answer: Record<string, object> = {}
  for (const [address, state] of seen) {
    answer[address] = { ...state, longestMs: Math.max(state.longestMs, now - state.lastAtMs) }
    Object.assign(state, { answered: 0, failed: 0, longestMs: 0, connected: 0 })
  }
  process.stdout.write(`${JSON.stringify({ seen: answer })}\n`)
}
process.exit(0)
