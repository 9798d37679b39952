/** The forwarder made of stock parts: `node:http` towards clients, `http-proxy-3` towards servers. */
import type { Forwarder } from '../../exchange/forwarder.ts'
import { Agents } from './agents.ts'
import { openEntrance } from './entrance.ts'
import { Outlet } from './outlet.ts'

export function makeStockForwarder(): Forwarder {
  const agents = new Agents()
  const outlet = new Outlet()
  return {
    kind: 'stock',
    openEntrance: (limits, spine) => openEntrance(limits, spine, { agents, outlet }),
    forget: destination => agents.forget(destination),
    close: () => agents.close()
  }
}
