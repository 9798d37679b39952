/**
 * A client at steady load: a new connection each few milliseconds, to each address in turn. Reads lines of JSON on standard input:
 *
 *   {"start": ["10.0.0.1", ...], "port": 80}   begins
 *   {"report": true}                           answers what happened since the last report, and counts anew
 */
import { get } from 'node:http'
import { createInterface } from 'node:readline'

interface Order {
  readonly start?: readonly string[]
  readonly port?: number
  readonly report?: boolean
}

interface Seen {
  answered: number
  failed: number
  lastAtMs: number
  longestMs: number
}

const EACH_MS = 10
const GIVE_UP_MS = 200
const seen = new Map<string, Seen>()

function ask(address: string, port: number): void {
  const state = seen.get(address)!
  const request = get({ host: address, port, path: '/', agent: false }, response => {
    response.resume().on('end', () => {
      clearTimeout(timer)
      const now = performance.now()
      state.longestMs = Math.max(state.longestMs, now - state.lastAtMs)
      state.lastAtMs = now
      if (response.statusCode === 200) state.answered++
      else state.failed++
    })
  })
  const timer = setTimeout(() => request.destroy(), GIVE_UP_MS)
  request.on('error', () => {
    clearTimeout(timer)
    state.failed++
  })
}

for await (const line of createInterface({ input: process.stdin })) {
  const { start, port = 80, report } = JSON.parse(line) as Order
  for (const address of start ?? []) {
    seen.set(address, { answered: 0, failed: 0, lastAtMs: performance.now(), longestMs: 0 })
    setInterval(() => ask(address, port), EACH_MS * 2)
  }
  if (report !== true) continue
  const now = performance.now()
  const answer: Record<string, object> = {}
  for (const [address, state] of seen) {
    answer[address] = { ...state, longestMs: Math.max(state.longestMs, now - state.lastAtMs) }
    Object.assign(state, { answered: 0, failed: 0, longestMs: 0 })
  }
  process.stdout.write(`${JSON.stringify({ seen: answer })}\n`)
}
process.exit(0)
