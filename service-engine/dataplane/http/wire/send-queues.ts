/**
 * What the kernel holds of what was written on a connection. Its buffers are large (megabytes, where the line is fast), and it
 * asks for more only when much of one is free: a slow reader looks like one that stands still. The kernel's own table tells them
 * apart; it is long, so it is read in another thread, seldom, and once for all who ask.
 */
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import type { Clock } from '#model/base/clock.ts'
import { parseAddress } from '#model/resource/address.ts'

/** Between two readings of the table. */
const REST_MS = 500
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6']
const NOTHING = '00000000'

/** Bytes that are not acknowledged; null: it cannot be known here. */
export type QueueAnswer = (bytes: number | null) => void

interface Handle {
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
}

/** Bytes that the kernel has taken of a connection so far; of TLS about as many. */
export function takenBytes(socket: Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: Handle | null }
  return (handle?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0)
}

export class SendQueues {
  readonly #clock: Clock
  readonly #read: (path: string) => Promise<string>
  #asked: { readonly key: string; readonly answer: QueueAnswer }[] = []
  #isReading = false
  #isResting = false

  constructor(clock: Clock, read = (path: string): Promise<string> => readFile(path, 'latin1')) {
    this.#clock = clock
    this.#read = read
  }

  /** Answers once, later. */
  ask(socket: Socket, answer: QueueAnswer): void {
    const key = queueKey(socket)
    this.#asked.push({ key, answer })
    if (!this.#isReading && !this.#isResting) void this.#serve()
  }

  async #serve(): Promise<void> {
    this.#isReading = true
    // All who ask in one turn share a reading.
    await new Promise<void>(resolve => setImmediate(resolve))
    const asked = this.#asked
    this.#asked = []
    const texts = await Promise.all(TABLES.map(path => this.#read(path).catch(() => null)))
    const queues = texts[0] === null && texts[1] === null ? null : readSendQueues(texts.map(text => text ?? ''))
    this.#isReading = false
    this.#isResting = true
    this.#clock.after(REST_MS, () => {
      this.#isResting = false
      if (this.#asked.length > 0) void this.#serve()
    })
    for (const { key, answer } of asked) answer(queues === null || key === '' ? null : (queues.get(key) ?? 0))
  }
}

/**
 * Reads the kernel's tables of connections.
 *
 * Returns bytes by connection, of those that have any
 * Source  proc_net_tcp of the kernel's documentation; addresses are words as the machine has them
 */
export function readSendQueues(tables: readonly string[]): Map<string, number> {
  const queues = new Map<string, number>()
  for (const table of tables) {
    const size = table.startsWith('  sl  local_address                         ') ? 32 : 8
    const pair = 2 * (size + 5) + 1
    for (let line = table.indexOf('\n') + 1; line > 0 && line < table.length;) {
      const next = table.indexOf('\n', line) + 1
      const at = table.indexOf(': ', line) + 2
      const queueAt = at + pair + 4
      if (at > 1 && (next === 0 || queueAt < next) && !table.startsWith(NOTHING, queueAt)) {
        const bytes = Number.parseInt(table.slice(queueAt, queueAt + 8), 16)
        if (bytes > 0) queues.set(table.slice(at, at + pair), bytes)
      }
      if (next === 0) break
      line = next
    }
  }
  return queues
}

/** As the table names a connection; '' when it cannot be named. */
export function queueKey(socket: Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>): string {
  const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = socket
  const local = tableAddress(localAddress)
  const remote = tableAddress(remoteAddress)
  return local === '' || remote === '' ? '' : `${local}:${tablePort(localPort)} ${remote}:${tablePort(remotePort)}`
}

const tablePort = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')

function tableAddress(text: string): string {
  const zone = text.indexOf('%')
  const address = parseAddress(zone < 0 ? text : text.slice(0, zone))
  if (address === undefined) return ''
  const hex = address.value
    .toString(16)
    .toUpperCase()
    .padStart(address.family === 4 ? 8 : 32, '0')
  // Words of little-endian machines, the only ones that this runs on.
  return hex.replace(/(..)(..)(..)(..)/g, '$4$3$2$1')
}
