/** Tells by a connection's first bytes whether it speaks HTTP/2 without TLS. */
import type { Socket } from 'node:net'
import type { Clock } from '#model/base/clock.ts'

/** RFC 9113 §3.4. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
/** As for a first request. */
const TIMEOUT_MS = 10_000

/**
 * Reads until the preface is there or cannot be any more, and leaves all of it to be read. A connection that says nothing
 * in time is closed.
 *
 * Shapes  onKnown: called at most once
 */
export function peekPreface(socket: Socket, clock: Clock, onKnown: (isHttp2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0)
  const stop = (): void => {
    cancel()
    socket.removeListener('readable', look)
    socket.removeListener('close', stop)
    socket.removeListener('end', ended)
  }
  const look = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    }
    if (seen.length === 0) return
    const isWhole = seen.length >= PREFACE.length
    const isLike = seen.subarray(0, PREFACE.length).equals(PREFACE.subarray(0, seen.length))
    if (isLike && !isWhole) return
    stop()
    socket.unshift(seen)
    onKnown(isLike)
  }
  const ended = (): void => void socket.destroy()
  const cancel = clock.after(TIMEOUT_MS, ended)
  socket.on('readable', look)
  socket.on('end', ended)
  socket.once('close', stop)
}
