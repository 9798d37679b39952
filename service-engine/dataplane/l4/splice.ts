import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

export interface SpliceEvents {
  /** Silence both ways for so long ends the splice; 0: never. */
  readonly idleTimeoutMs: number
  /** From client to server. */
  readonly upBytes: (count: number) => void
  readonly downBytes: (count: number) => void
  /** Exactly once, when both are closed. */
  readonly ended: (by: 'client' | 'server' | 'idle' | null, error: Error | null) => void
}

/**
 * Relays between two connections as they are: back-pressure both ways, a half-close passed on as one, a reset as a reset.
 * `ended` names the side that broke it off; null when both ended in order.
 */
export function splice(client: Socket, server: Socket, events: SpliceEvents): void {
  let brokenBy: 'client' | 'server' | 'idle' | null = null
  let reason: Error | null = null
  let open = 2

  const broke = (by: 'client' | 'server' | 'idle', other: Socket, error: Error | null): void => {
    if (brokenBy !== null) return
    brokenBy = by
    reason = error
    cut(other)
  }
  const closed = (socket: Socket, other: Socket, by: 'client' | 'server') => (): void => {
    open--
    if (open === 0) return events.ended(brokenBy, reason)
    if (socket.readableEnded) other.end()
    else broke(by, other, null)
  }
  client.on('data', (chunk: Buffer) => events.upBytes(chunk.length))
  server.on('data', (chunk: Buffer) => events.downBytes(chunk.length))
  client.once('error', error => broke('client', server, error)).once('close', closed(client, server, 'client'))
  server.once('error', error => broke('server', client, error)).once('close', closed(server, client, 'server'))
  server.setTimeout(0)
  client.setTimeout(events.idleTimeoutMs, () => {
    broke('idle', server, null)
    cut(client)
  })
  client.setNoDelay(true)
  server.setNoDelay(true)
  client.pipe(server)
  server.pipe(client)
}

/** A reset, where the transport can carry one: an end would look like all is well. */
export function cut(socket: Socket): void {
  if (socket.destroyed) return
  // A Unix socket has no reset, and no family.
  if (socket instanceof TLSSocket || socket.connecting || socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
