import { Socket } from 'node:net'
import { Transform } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Pacer, Pacing } from '../exchange/pacer.ts'

export interface SpliceEvents {
  /** Silence both ways for so long ends the splice; 0: never. */
  readonly idleTimeoutMs: number
  /** Null: as fast as it goes. */
  readonly pacer?: Pacer | null | undefined
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
  const pacer = events.pacer ?? null
  const up = pacer === null ? null : paced(pacer.up)
  const down = pacer === null ? null : paced(pacer.down)

  const broke = (by: 'client' | 'server' | 'idle', other: Socket, error: Error | null): void => {
    if (brokenBy !== null) return
    brokenBy = by
    reason = error
    up?.destroy()
    down?.destroy()
    cut(other)
  }
  const closed = (socket: Socket, other: Socket, by: 'client' | 'server') => (): void => {
    open--
    if (open === 0) return events.ended(brokenBy, reason)
    // What waits for its turn is still to come: the end follows it.
    if (socket.readableEnded) return pacer === null ? void other.end() : undefined
    broke(by, other, null)
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
  if (up === null) client.pipe(server)
  else client.pipe(up).pipe(server)
  if (down === null) server.pipe(client)
  else server.pipe(down).pipe(client)
}

/** Bytes wait in it until they may go; what is behind them is not read meanwhile. */
function paced(pacing: Pacing): Transform {
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      if (pacing.spend(chunk.length)) pacing.wait(() => done(null, chunk))
      else done(null, chunk)
    },
    destroy: (error, done) => {
      pacing.stop()
      done(error)
    }
  })
}

/** A reset, where the transport can carry one: an end would look like all is well. */
export function cut(socket: Socket): void {
  if (socket.destroyed) return
  // A Unix socket has no reset, and no family.
  if (socket instanceof TLSSocket || socket.connecting || socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
