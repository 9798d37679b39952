/**
 * A client at a steady rate: each request on a connection of its own, over all addresses in turn. Orders come as lines on standard input;
 * what became of the requests since the last report goes to standard output.
 */
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

export interface Report {
  readonly answered: number
  /** Those that have neither an answer nor failed began at this time, in milliseconds since 1970, or later. */
  readonly doneUntilMs: number
  readonly failed: readonly FailedRequest[]
}

export interface FailedRequest {
  readonly address: string
  /** The client's own. */
  readonly port: number
  readonly atMs: number
  readonly why: string
}

interface Order {
  readonly start?: readonly string[]
  readonly perSecond?: number
  readonly report?: boolean
}

/** Longer than the first repetition of a SYN, which finds another way. */
const GIVE_UP_MS = 3_000
const MAX_AT_ONCE = 200
/** In turn, so that a port says which request it was for a while. */
const FIRST_PORT = 10_000
const PORTS = 50_000

const nowMs = (): number => performance.timeOrigin + performance.now()
const open = new Set<{ readonly atMs: number }>()
let answered = 0
let failed: FailedRequest[] = []

function ask(address: string, port: number): void {
  const request = { atMs: nowMs() }
  open.add(request)
  let said = ''
  const socket = connect({ host: address, port: 80, localPort: port })
  const end = (why: string): void => {
    if (!open.delete(request)) return
    clearTimeout(timer)
    socket.destroy()
    if (why === '') answered++
    else failed.push({ address, port, atMs: request.atMs, why })
  }
  const timer = setTimeout(() => end('no answer'), GIVE_UP_MS)
  socket.once('connect', () => socket.write('GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n'))
  socket.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')))
  socket.once('end', () => end(said.startsWith('HTTP/1.1 200') ? '' : `said ${said.slice(0, 20)}`))
  socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
}

for await (const line of createInterface({ input: process.stdin })) {
  const { start, perSecond = 0, report } = JSON.parse(line) as Order
  if (start !== undefined) {
    const fromMs = performance.now()
    let begun = 0
    setInterval(() => {
      const due = Math.min(Math.floor(((performance.now() - fromMs) * perSecond) / 1_000) - begun, MAX_AT_ONCE)
      for (let i = 0; i < due; i++, begun++) ask(start[begun % start.length]!, FIRST_PORT + (Math.floor(begun / start.length) % PORTS))
    }, 5)
  }
  if (report !== true) continue
  const seen: Report = { answered, failed, doneUntilMs: Math.min(nowMs(), ...[...open].map(({ atMs }) => atMs)) }
  answered = 0
  failed = []
  process.stdout.write(`${JSON.stringify({ seen })}\n`)
}
