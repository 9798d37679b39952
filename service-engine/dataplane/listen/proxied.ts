/** Takes the PROXY protocol header off an accepted connection. */
import type { Socket } from 'node:net'
import type { Clock } from '#model/base/clock.ts'
import { MAX_HEADER_LENGTH, readProxyHeader, type Endpoint } from './proxy-protocol.ts'

/** As for a first request: who has not said in this time whose connection it is, is let go. */
const HEADER_TIMEOUT_MS = 10_000

/**
 * Reads the header and leaves what follows it to be read. A connection without one is cut: whoever may leave it out could
 * say that he is anybody.
 *
 * Shapes  onHeader: called once, with null when the proxy speaks for itself
 *         onRefused: called once instead, when the connection goes; it is destroyed then
 */
export function readProxied(
  socket: Socket,
  clock: Clock,
  onHeader: (source: Endpoint | null) => void,
  onRefused: (reason: string) => void
): void {
  let seen: Buffer = Buffer.alloc(0)
  let isDone = false
  const finish = (): boolean => {
    if (isDone) return false
    isDone = true
    cancel()
    socket.removeListener('readable', look)
    socket.removeListener('close', gone)
    return true
  }
  const refuse = (reason: string): void => {
    if (!finish()) return
    socket.destroy()
    onRefused(reason)
  }
  const gone = (): void => refuse('closed before its PROXY protocol header')
  const look = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
      if (seen.length > MAX_HEADER_LENGTH) break
    }
    const found = readProxyHeader(seen)
    if (found.is === 'bad') return refuse(found.reason)
    if (found.is === 'incomplete') return socket.readableEnded || socket.destroyed ? gone() : undefined
    if (!finish()) return
    if (found.length < seen.length) socket.unshift(seen.subarray(found.length))
    onHeader(found.source)
  }
  const cancel = clock.after(HEADER_TIMEOUT_MS, () => refuse('no PROXY protocol header in time'))
  socket.on('readable', look)
  socket.once('close', gone)
}
