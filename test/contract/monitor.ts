/** One contract for every kind of health monitor, run against real sockets. */
import { createServer, type Server, type Socket } from 'node:net'
import t from 'tap'
import type { Probe, ProbeTarget } from '#engine/monitor/probe.ts'
import { freePorts } from '#test/support/ports.ts'

export interface ProbeCase {
  readonly name: string
  readonly make: () => Probe
  /** A server that the probe calls up. */
  readonly healthy: (socket: Socket) => void
  /** What speaks before or instead of `healthy` when the kind wraps its connection (TLS). */
  readonly listen?: (handle: (socket: Socket) => void) => Server
}

export const at = (port: number): ProbeTarget => ({ ip: '127.0.0.1', port, host: '127.0.0.1', hostHeader: null })

/** Listens on a free port for the test's time and destroys its connections at the end. */
export async function serve(
  test: Pick<typeof t, 'teardown'>,
  handle: (socket: Socket) => void,
  listen: (handle: (socket: Socket) => void) => Server = createServer
): Promise<number> {
  const sockets = new Set<Socket>()
  const server = listen(socket => {
    socket.on('error', () => undefined)
    handle(socket)
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  test.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

export function probeContract({ name, make, healthy, listen }: ProbeCase): void {
  t.test(`${name} keeps the probe contract`, async t => {
    t.test('a healthy server is up, and its connection is closed', async t => {
      let close: () => void = () => undefined
      const closed = new Promise<void>(resolve => (close = resolve))
      const port = await serve(
        t,
        socket => {
          socket.on('close', close)
          healthy(socket)
        },
        listen
      )
      t.match(await make().attempt(at(port), 10_000), { verdict: 'up' })
      await closed
    })

    t.test('a port that refuses is down', async t => {
      const [port] = (await freePorts(1)) as [number]
      t.match(await make().attempt(at(port), 10_000), { verdict: 'down', detail: 'connection refused' })
    })

    t.test('a server that resets is down', async t => {
      const port = await serve(t, socket => socket.resetAndDestroy())
      const { verdict, detail } = await make().attempt(at(port), 10_000)
      // A bare connection check has seen what it wanted before the reset arrives.
      t.ok(verdict === 'down' || detail === 'connected')
    })

    t.test('a server that never ends is left alone in bounded time', async t => {
      const port = await serve(t, socket => {
        const more = (): void => {
          while (!socket.destroyed && socket.write('x'.repeat(65_536)));
        }
        socket.on('drain', more)
        more()
      })
      const { verdict, detail } = await make().attempt(at(port), 10_000)
      t.ok(verdict === 'down' || detail === 'connected')
    })
  })
}
