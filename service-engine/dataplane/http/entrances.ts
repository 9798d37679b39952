/** Two codecs behind one entrance. */
import type { Entrance } from '../exchange/forwarder.ts'

/** What a connection speaks is known when it is accepted; everything else concerns both. */
export function joinEntrances(plain: Entrance, http2: Entrance): Entrance {
  const connections = (): number => plain.connections() + http2.connections()
  return {
    accept: (socket, downstream) => (downstream.isHttp2 === true ? http2 : plain).accept(socket, downstream),
    connections,
    retire: onEmpty => {
      let left = 2
      const emptied = (): void => {
        // Each may say so more than once.
        if (--left <= 0 && connections() === 0) onEmpty()
      }
      plain.retire(emptied)
      http2.retire(emptied)
    },
    destroy: () => {
      plain.destroy()
      http2.destroy()
    }
  }
}
